"""First layers of published networks, fetched in parts from a server on this computer."""

import hashlib
import io
import os
import pickle
import re
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import torchvision
from PIL import Image

from lecture_utils import filters, images, models
from lecture_utils.methods import published

HOMES = [os.environ.get("TORCH_HOME", ""), Path(__file__).parents[2] / "shared" / "torch_home"]
SQUEEZENET = "hub/checkpoints/squeezenet1_1-b8a52dc0.pth"

LAYERS = {  # name, filters and their size, stride, padding, whether there is a bias
    "alexnet": ("features.0", 64, 11, 4, 2, True),
    "vgg16": ("features.0", 64, 3, 1, 1, True),
    "vgg11_bn": ("features.0", 64, 3, 1, 1, True),
    "resnet18": ("conv1", 64, 7, 2, 3, False),
    "resnet50": ("conv1", 64, 7, 2, 3, False),
    "densenet121": ("features.conv0", 64, 7, 2, 3, False),
    "googlenet": ("conv1.conv", 64, 7, 2, 3, False),
    "mobilenet_v2": ("features.0.0", 32, 3, 2, 1, False),
    "squeezenet1_0": ("features.0", 96, 7, 2, 0, True),
    "squeezenet1_1": ("features.0", 64, 3, 2, 0, True),
    "efficientnet_b0": ("features.0.0", 32, 3, 2, 1, False),
    "convnext_tiny": ("features.0.0", 96, 4, 4, 0, True),
    "inception_v3": ("Conv2d_1a_3x3.conv", 32, 3, 2, 0, False),
    "shufflenet_v2_x1_0": ("conv1.0", 24, 3, 2, 1, False),
    "regnet_y_400mf": ("stem.0", 32, 3, 2, 1, False),
    "swin_t": ("features.0.0", 96, 4, 4, 0, True),
    "vit_b_16": ("conv_proj", 768, 16, 16, 0, True),
}


class Server(ThreadingHTTPServer):
    """Serves one content at any path, and counts what it sends."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = b""
        self.sent = self.requests = 0
        self.gives_parts = True
        self.breaks_off_after = None  # requests


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        server, content = self.server, self.server.content
        server.requests += 1
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked and server.gives_parts:
            start, stop = int(asked[1]), min(int(asked[2]) + 1, len(content))
            part = content[start:stop]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
        else:
            part = content
            self.send_response(200)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if server.breaks_off_after is not None and server.requests > server.breaks_off_after:
            part = part[: len(part) // 2]
        try:
            for start in range(0, len(part), 1 << 14):
                self.wfile.write(part[start : start + (1 << 14)])
                server.sent += len(part[start : start + (1 << 14)])
        except OSError:
            pass  # nobody wants the rest


@pytest.fixture
def photo() -> Image.Image:
    return images.gallery("teapot")[3].image


@pytest.fixture
def server(monkeypatch, tmp_path) -> Iterator[Server]:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("LECTURE_UTILS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def serve(server, monkeypatch) -> Callable:
    """Serves a file as the published weights of a network."""

    def put(name: str, content: bytes) -> Path:
        server.content = content
        digits = hashlib.sha256(content).hexdigest()[:8]
        url = f"http://127.0.0.1:{server.server_address[1]}/models/{name}-{digits}.pth"
        monkeypatch.setattr(torchvision.models.get_model_weights(name).DEFAULT.value, "url", url)
        return Path(torch.hub.get_dir()) / "checkpoints" / f"{name}-{digits}.pth"

    return put


def saved(state: object, is_zip: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(state, file, _use_new_zipfile_serialization=is_zip)
    return file.getvalue()


def layer_of(name: str) -> OrderedDict:
    path, count, size, _, _, has_bias = LAYERS[name]
    state = OrderedDict({f"{path}.weight": torch.randn(count, 3, size, size)})
    if has_bias:
        state[f"{path}.bias"] = torch.randn(count)
    return state


def big() -> OrderedDict:
    """Stands for AlexNet: the right first layer among 48 MB of others."""
    torch.manual_seed(0)
    others = {f"classifier.{n}.weight": torch.rand(1000, 4096) for n in range(3)}
    counted = {"counted": torch.tensor(3), "view": torch.rand(50)[20:30]}
    return OrderedDict(**layer_of("alexnet"), **others, **counted)


def left_behind(tmp_path: Path) -> list[Path]:
    return [path for path in tmp_path.rglob("*") if path.is_file()]


# --- from a server that gives parts -------------------------------------------------------------


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "older format"])
def test_of_a_big_file_little_is_fetched_and_only_once(is_zip, server, serve, photo) -> None:
    state = big()
    file = serve("alexnet", saved(state, is_zip))
    network = models.first_layer("alexnet")
    conv1 = filters.first_layer(network)
    assert torch.equal(conv1.weight, state["features.0.weight"])
    assert torch.equal(conv1.bias, state["features.0.bias"])
    assert conv1.weight.dtype == torch.float32 and conv1.weight.device.type == "cpu"
    assert network.name == "alexnet" and network.classes == [] and network.input_size == 224
    expected = torch.conv2d(network.preprocess(photo)[None], conv1.weight, conv1.bias, 4, 2)
    assert torch.equal(network(network.preprocess(photo)[None]), expected)
    assert server.sent < 0.02 * len(server.content) and server.requests <= 6
    assert not file.exists()

    server.requests = 0
    server.server_close()
    again = models.first_layer("alexnet")
    assert again.fingerprint() == network.fingerprint() is not None
    assert server.requests == 0


@pytest.mark.parametrize("name", LAYERS)
def test_the_first_layer_of_every_family(name, serve) -> None:
    path, count, size, stride, padding, has_bias = LAYERS[name]
    state = layer_of(name)
    serve(name, saved(state))
    network = models.first_layer(name)
    conv1 = filters.first_layer(network)
    assert network.module.conv1 is conv1 and not network.module.training
    assert (conv1.out_channels, conv1.kernel_size) == (count, (size, size))
    assert (conv1.stride, conv1.padding) == ((stride, stride), (padding, padding))
    assert (conv1.bias is not None) == has_bias
    assert torch.equal(conv1.weight, state[f"{path}.weight"])
    side = network.input_size
    steps = (side + 2 * padding - size) // stride + 1
    assert network(torch.zeros(1, 3, side, side)).shape == (1, count, steps, steps)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_the_layer_meets_what_it_meets_in_its_network(name, serve, photo) -> None:
    whole = torchvision.models.get_model(
        name, weights=None, transform_input=True, init_weights=False
    ).eval()
    path = LAYERS[name][0]
    layer = whole.get_submodule(path)
    serve(name, saved({f"{path}.weight": layer.weight.detach()}))
    met = []
    layer.register_forward_hook(lambda _layer, _inputs, output: met.append(output))
    preset = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    with torch.no_grad():
        whole(preset(photo)[None])
    network = models.first_layer(name)
    torch.testing.assert_close(network(network.preprocess(photo)[None]), met[0])
    shown = network.to_image(network.preprocess(photo))
    assert abs(shown - preset(photo).numpy().transpose(1, 2, 0)).max() > 0.1
    assert 0 <= shown.min() < shown.max() <= 1


def test_squeezenet_for_real(server, serve) -> None:
    homes = [Path(home) for home in HOMES if home and (Path(home) / SQUEEZENET).exists()]
    if not homes:
        pytest.skip("SqueezeNet's published weights are not on this computer")
    content = (homes[0] / SQUEEZENET).read_bytes()
    expected = torch.load(io.BytesIO(content), weights_only=True)
    for is_zip in (True, False):
        serve("squeezenet1_1", content if is_zip else saved(expected, is_zip))
        server.sent = 0
        conv1 = filters.first_layer(models.first_layer("squeezenet1_1"))
        assert torch.equal(conv1.weight, expected["features.0.weight"])
        assert torch.equal(conv1.bias, expected["features.0.bias"])
        assert server.sent < 0.12 * len(content)


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def numbers(*values: int) -> bytes:
    return b"(" + b"".join(b"J" + n.to_bytes(4, "little") for n in values) + b"t"


def as_in_2017(form: str, state: OrderedDict) -> bytes:
    """A file in the older format, its index in pickle's words as PyTorch wrote them then."""
    dictionary = b"ccollections\nOrderedDict\n)R"
    index = b"\x80\x02" + dictionary
    for key, values in state.items():
        count = b"J" + values.numel().to_bytes(4, "little")
        storage = text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + count
        view = numbers(*values.shape) + numbers(*values.stride())
        view = b"((" + storage + b"NtQ" + b"K\x00" + view + b"t"
        tensor = b"ctorch._utils\n_rebuild_tensor\n" + view + b"R"
        if form == "empty, then filled":
            tensor = b"ctorch\nFloatTensor\n)\x81" + view + b"b"
        if form == "in a parameter":
            around = b"ctorch.nn.parameter\nParameter\n(" + tensor + b"t\x81"
            tensor = around + b"(\x88\x89" + dictionary + b"tb"
        index += text(key) + tensor + b"s"
    before = (pickle.dumps(part, 2) for part in (published.MAGIC, 1001, {"little_endian": True}))
    content = b"".join(before) + index + b"." + pickle.dumps(list(state), 2)
    for values in state.values():
        content += values.numel().to_bytes(8, "little") + values.numpy().tobytes()
    return content


@pytest.mark.parametrize("form", ["rebuilt", "empty, then filled", "in a parameter"])
def test_files_of_2017(form, serve) -> None:
    state = layer_of("vgg16")
    content = as_in_2017(form, state)
    by_torch = torch.load(io.BytesIO(content), weights_only=True)
    conv1 = filters.first_layer(fetched(serve, "vgg16", content))
    for key, found in (("weight", conv1.weight), ("bias", conv1.bias)):
        assert torch.equal(found, state[f"features.0.{key}"])
        assert torch.equal(by_torch[f"features.0.{key}"], state[f"features.0.{key}"])


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "older format"])
def test_a_view_of_half_precision_in_another_order(is_zip, serve) -> None:
    long = torch.randn(3 * 64 * 3 * 7 * 7).half()
    weight = long[100:][: 64 * 3 * 7 * 7].view(64, 7, 7, 3).permute(0, 3, 1, 2)
    network = fetched(serve, "resnet18", saved({"conv1.weight": weight}, is_zip))
    assert torch.equal(network.module.conv1.weight, weight.float())


def fetched(serve: Callable, name: str, content: bytes) -> models.Network:
    serve(name, content)
    return models.first_layer(name)


# --- from a server that does not, or from none --------------------------------------------------


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "older format"])
def test_a_server_without_parts_gives_the_whole_file(is_zip, server, serve, capsys) -> None:
    state = big()
    server.gives_parts = False
    file = serve("alexnet", saved(state, is_zip))
    network = models.first_layer("alexnet")
    assert torch.equal(network.module.conv1.weight, state["features.0.weight"])
    assert f"127.0.0.1 gives only the whole {file.name}, 49 MB" in capsys.readouterr().err
    assert file.read_bytes() == server.content
    assert server.sent < 1.1 * len(server.content)  # the first answer is left unread


def test_the_whole_file_is_used_where_there_is_one(server, serve) -> None:
    state = layer_of("resnet50")
    file = serve("resnet50", saved(state))
    file.parent.mkdir(parents=True)
    file.write_bytes(server.content)
    assert torch.equal(models.first_layer("resnet50").module.conv1.weight, state["conv1.weight"])
    assert server.requests == 0


@pytest.mark.parametrize("gives_parts, after", [(True, 0), (True, 2), (True, 5), (False, 1)])
@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "older format"])
def test_a_connection_that_breaks_off(is_zip, gives_parts, after, server, serve, tmp_path) -> None:
    state = big()
    state["features.0.weight"] = torch.rand(300_000)[:23_232].view(64, 3, 11, 11)  # many requests
    serve("alexnet", saved(state, is_zip))
    server.gives_parts, server.breaks_off_after = gives_parts, after
    words = "bytes; try again|connection was lost" if gives_parts else "damaged.*hash"
    with pytest.raises(models.ModelError, match=rf"features.0 of alexnet.* from 127.*({words})"):
        models.first_layer("alexnet")
    assert left_behind(tmp_path) == []
    server.breaks_off_after = None
    network = models.first_layer("alexnet")
    assert torch.equal(network.module.conv1.weight, state["features.0.weight"])


def test_no_server(server, serve, tmp_path) -> None:
    serve("alexnet", b"")
    server.shutdown()
    server.server_close()
    with pytest.raises(models.ModelError, match=r"first layer of alexnet.*no connection"):
        models.first_layer("alexnet")
    assert left_behind(tmp_path) == []


def test_a_server_that_never_answers(server, serve, monkeypatch) -> None:
    serve("alexnet", b"")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/alexnet-12345678.pth"
        weights = torchvision.models.get_model_weights("alexnet").DEFAULT
        monkeypatch.setattr(weights.value, "url", url)
        start = time.monotonic()
        with pytest.raises(models.ModelError, match="no connection"):
            models.first_layer("alexnet")
    assert time.monotonic() - start < models.PATIENCE + 2


# --- what is not as it should be ----------------------------------------------------------------


class Evil:
    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "older format"])
def test_a_malicious_file_is_refused(is_zip, serve, tmp_path) -> None:
    state = OrderedDict(evil=Evil(tmp_path / "mark"), **layer_of("alexnet"))
    with pytest.raises(models.ModelError, match=r"refused, for it asks for (posix|nt)\.system"):
        fetched(serve, "alexnet", saved(state, is_zip))
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    "words", ["builtins\neval", "torch.serialization\nload", "functools\npartial", "torch\nload"]
)
def test_only_what_weights_need_is_known(words) -> None:
    with pytest.raises(published.FetchError, match="refused"):
        published._Index(io.BytesIO(f"c{words}\n.".encode())).load()


@pytest.mark.parametrize(
    "known", ["torch._utils\n_rebuild_tensor_v2", "collections\nOrderedDict", "torch\nFloatStorage"]
)
def test_a_file_cannot_change_what_is_known(known) -> None:
    state = b"(N}" + text("parts") + b"K\x01st"  # attributes to set
    with pytest.raises((TypeError, AttributeError)):
        published._Index(io.BytesIO(b"c" + known.encode() + b"\n" + state + b"b.")).load()
    assert not hasattr(published._Place, "parts")


@pytest.mark.parametrize(
    "change, words",
    [
        ({"features.0.weight": torch.zeros(96, 3, 11, 11)}, r"\[96, 3, 11, 11\] instead of \[64"),
        ({"features.0.bias": torch.zeros(64, dtype=torch.int64)}, "bias is torch.int64"),
        ({"features.0.weight": 3}, "damaged"),
    ],
)
def test_another_layer_than_expected(change, words, serve) -> None:
    with pytest.raises(models.ModelError, match=words):
        fetched(serve, "alexnet", saved(layer_of("alexnet") | change))


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "older format"])
@pytest.mark.parametrize("damage", ["end missing", "too long", "altered", "nothing", "a web page"])
def test_a_damaged_file_is_named(is_zip, damage, server, serve) -> None:
    content = saved(layer_of("resnet18"), is_zip)
    damaged = {
        "end missing": content[:-1000],
        "too long": content + bytes(100_000),
        "altered": content.replace(content[3000:3100], bytes(100)),
        "nothing": b"",
        "a web page": b"<!DOCTYPE html><html>Log in to this network</html>",
    }[damage]
    if damage == "altered" and not is_zip:
        pytest.skip("the older format has no checksums")
    file = serve("resnet18", damaged)
    file.parent.mkdir(parents=True)
    file.write_bytes(damaged)
    with pytest.raises(models.ModelError, match=rf"{file.name}.*delete"):
        models.first_layer("resnet18")
    file.unlink()
    with pytest.raises(models.ModelError, match=rf"{file.name}"):
        models.first_layer("resnet18")


def test_names() -> None:
    with pytest.raises(models.ModelError, match="no network 'alexnett'; close to it: alexnet"):
        models.first_layer("alexnett")
    own = models.first_layer("mini_alexnet")
    assert torch.equal(own.module.conv1.weight, models.load().module.conv1.weight)
    with pytest.raises(models.ModelError, match="only the first layer"):
        own.predict(images.gallery("teapot")[3].image)
