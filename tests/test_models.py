"""Networks by name: what exists, what is said when something does not, and ImageNet weights."""

import os
import socket
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image

from lecture_utils import images, layers, models

HOMES = [os.environ.get("TORCH_HOME", ""), Path(__file__).parents[2] / "shared" / "torch_home"]
SQUEEZENET = "hub/checkpoints/squeezenet1_1-b8a52dc0.pth"
COMPARED = ["alexnet", "vgg16", "resnet18", "resnet101", "densenet121"]


@pytest.fixture(scope="module")
def network() -> models.Network:
    return models.load()


@pytest.fixture
def photo() -> Image.Image:
    return images.gallery("teapot")[3].image


# --- the course's network -----------------------------------------------------------------------


def test_every_snapshot_and_variant_loads() -> None:
    known = models.available()
    assert {0, 1, 2, 5, 24} <= set(known["epochs"])
    loaded = [models.load(epoch=epoch) for epoch in known["epochs"]]
    loaded += [models.load(variant=variant) for variant in known["variants"]]
    assert len({network.fingerprint() for network in loaded}) == len(loaded)
    assert models.load().fingerprint() == loaded[len(known["epochs"]) - 1].fingerprint()
    assert not any(part.training for part in models.load().module.modules())


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"name": "alexnett"}, ["alexnett", "alexnet", "available"]),
        ({"name": "zzz"}, ["zzz", "available"]),
        ({"epoch": 3}, ["epoch 3", "0, 1, 2, 5"]),
        ({"epoch": -1}, ["epoch -1"]),
        ({"variant": "nobody"}, ["nobody", "there are"]),
        ({"name": "resnet18", "epoch": 1}, ["resnet18", "only mini_alexnet"]),
    ],
)
def test_unknown_names_list_what_exists(arguments: dict, words: list[str]) -> None:
    with pytest.raises(models.ModelError) as caught:
        models.load(**arguments)
    assert all(word in str(caught.value) for word in words)


def test_predictions_are_the_softmax_of_the_module(network, photo) -> None:
    with torch.no_grad():
        expected = F.softmax(network.module(network.preprocess(photo)[None])[0], 0).numpy()
    predicted = dict(network.predict(photo, k=99))
    assert sorted(predicted) == sorted(images.CLASSES)
    for label, probability in predicted.items():
        assert probability == pytest.approx(expected[network.classes.index(label)], abs=1e-6)
    assert [p for _, p in network.predict(photo)] == sorted(predicted.values())[:-6:-1]


def test_preprocessing_of_a_miniature_is_undone_exactly(network, photo) -> None:
    tensor = network.preprocess(photo)
    assert tensor.shape == (3, 160, 160)
    np.testing.assert_allclose(network.to_image(tensor), np.asarray(photo) / 255, atol=1e-6)


def test_batches_keep_order_and_leave_nothing_out(network) -> None:
    pictures = images.gallery("fish")[:5]
    batches = list(network.batches(pictures, size=2))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    expected = torch.stack([network.preprocess(picture.image) for picture in pictures])
    assert torch.equal(torch.cat(batches), expected)


def test_wrap_makes_any_classifier_a_network(photo) -> None:
    module = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    look = torchvision.transforms.ToTensor()
    network = models.wrap(module, look, ["red", "green", "blue"], "mean colour", 160)
    colours = F.softmax(torch.tensor(np.asarray(photo).mean((0, 1)) / 255), 0)
    found = dict(network.predict(photo))
    assert [found[c] for c in network.classes] == pytest.approx(colours.tolist(), abs=1e-5)


def test_fingerprint_sees_one_changed_weight() -> None:
    network = models.load()
    before = network.fingerprint()
    with torch.no_grad():
        network.module.fc8.bias[3] += 1e-6
    assert network.fingerprint() != before


# --- asking a network ---------------------------------------------------------------------------


class Answering(torch.nn.Module):
    """Gives its logits in the form asked for, and needs evaluation mode to give them rightly."""

    def __init__(self, form):
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 5, stride=4), torch.nn.BatchNorm2d(8), torch.nn.ReLU()
        )
        self.head = torch.nn.Linear(8, 4)
        self.form = form

    def forward(self, x):
        return self.form(self.head(self.body(x).mean((2, 3))))


class Structure:
    def __init__(self, logits):
        self.logits = logits


def wrapped(form=lambda logits: logits) -> models.Network:
    torch.manual_seed(0)
    look = torchvision.transforms.ToTensor()
    network = models.wrap(Answering(form), look, "abcd", "answering", 160)
    network.module.train()
    return network


FORMS = {
    "tensor": lambda logits: logits,
    "dictionary": lambda logits: {"features": logits * 2, "logits": logits},
    "dictionary without the word": lambda logits: {"loss": None, "out": logits},
    "tuple": lambda logits: (logits, logits * 3),
    "structure": Structure,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
def test_logits_come_out_of_every_usual_output(form, photo) -> None:
    plain, network = wrapped(), wrapped(form)
    batch = network.preprocess(photo)[None]
    plain.module.eval()
    with torch.no_grad():
        expected = plain.module(batch)
    assert torch.equal(network(batch), expected)
    assert not network(batch).requires_grad
    assert network.module.training and network.module.body[1].training
    assert network.predict(photo, 1)[0][0] == "abcd"[int(expected.argmax())]
    assert layers.record(network, batch, "body.0")["body.0"].shape == (1, 8, 39, 39)


@pytest.mark.parametrize("form", [lambda logits: None, lambda logits: {"a": 1}, lambda logits: ()])
def test_no_logits_at_all_is_said(form, photo) -> None:
    network = wrapped(form)
    with pytest.raises(models.ModelError, match=r"answering gives a .* without a tensor"):
        network.predict(photo)
    assert network.module.training


@pytest.mark.parametrize("batch", [torch.zeros(3, 160, 160), [1], None])
def test_what_is_no_batch_is_said(network, batch) -> None:
    with pytest.raises(ValueError, match=r"a batch is a Tensor \[B, channels, H, W\]; this is"):
        network(batch)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_every_precision_answers_and_is_recorded(kind, photo) -> None:
    expected = wrapped()
    network = wrapped()
    network.module.to(kind)
    batch = network.preprocess(photo)[None]
    logits = network(batch)
    assert logits.dtype == (torch.float64 if kind == torch.float64 else torch.float32)
    near = {torch.bfloat16: 0.05, torch.float16: 0.005, torch.float64: 1e-5}[kind]
    torch.testing.assert_close(logits.float(), expected(batch), atol=near, rtol=near)
    assert len(network.predict(photo)) == 4 and network.fingerprint() != expected.fingerprint()
    recorded = layers.record(network, batch, "body")["body"]
    torch.testing.assert_close(
        recorded.float(), layers.record(expected, batch, "body")["body"], atol=near, rtol=10 * near
    )


def test_a_batch_goes_where_the_weights_are(photo) -> None:
    network = wrapped()
    network.module.to("meta")  # a stand-in for a graphics card: only shapes, no numbers
    seen = []
    network.module.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].device))
    with pytest.raises((NotImplementedError, RuntimeError), match="meta"):
        network(network.preprocess(photo)[None])  # nothing can be copied back from there
    assert [device.type for device in seen] == ["meta"] and network.module.training


def test_wrappers_are_taken_off(photo) -> None:
    inside = wrapped().module
    for wrapper in (torch.nn.DataParallel(inside), torch.compile(inside)):
        network = models.wrap(wrapper, torchvision.transforms.ToTensor(), "abcd", "w", 160)
        assert network.module is inside
        assert network.fingerprint() == wrapped().fingerprint()


def test_grey_pictures(photo) -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 28), torch.nn.Flatten())

    def look(image):
        return torchvision.transforms.functional.to_tensor(image.convert("L").resize((28, 28)))

    network = models.wrap(module, look, "abcd", "grey", 28)
    assert network.channels == 1 and models.load().channels == 3
    assert network(look(photo)[None]).shape == (1, 4)
    shown = network.to_image(look(photo))
    assert shown.shape == (28, 28, 3) and (shown == shown[:, :, :1]).all()


def test_a_log_of_an_unknown_training_is_refused() -> None:
    with pytest.raises(models.ModelError, match="no variant 'typo'; there are"):
        models.training_log("typo")


# --- ImageNet networks --------------------------------------------------------------------------


def test_without_connection_the_error_says_what_works(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with socket.socket() as closed:  # a proxy that does not listen
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(models.ModelError, match=r"no connection.*mini_alexnet"):
            models.load("alexnet")


def test_a_server_that_never_answers_is_given_up(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        with pytest.raises(models.ModelError, match="no connection"):
            models.load("resnet18")
    assert models.PATIENCE <= 3 and time.monotonic() - start < 3 * models.PATIENCE


def stand_in(name: str, home: Path) -> dict[str, torch.Tensor]:
    """A weight file where torchvision looks for it: made-up values, one for each tensor.

    Only the last bias has a value for each class. The tensors are views of one number, so that
    VGG's 138 million weights make a small file.
    """
    random = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = torchvision.models.get_model(name, weights=None).state_dict()
    state = {
        key: torch.rand(1, generator=random).mul(0.01).expand(value.shape)
        if value.shape
        else torch.tensor(0)
        for key, value in shapes.items()
    }
    last = list(state)[-1]
    state[last] = torch.randn(1000, generator=random)
    url = torchvision.models.get_model_weights(name).DEFAULT.url
    file = home / "hub" / "checkpoints" / url.rsplit("/", 1)[-1]
    file.parent.mkdir(parents=True)
    torch.save(state, file)
    return state


@pytest.mark.parametrize("name", COMPARED)
def test_published_weights_are_read_from_the_cache(name, monkeypatch, tmp_path, photo) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    state = stand_in(name, tmp_path)
    network = models.load(name)
    loaded = network.module.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[key], state[key]) for key in state)
    assert len(network.classes) == 1000 and network.classes[779] == "school bus"

    side = 256 if name != "resnet101" else 232  # its second set of weights: torchvision's page
    resized = photo.resize((side, side), Image.Resampling.BILINEAR)
    edge = (side - 224) // 2
    cropped = resized.crop((edge, edge, edge + 224, edge + 224))
    tensor = network.preprocess(photo)
    np.testing.assert_allclose(network.to_image(tensor), np.asarray(cropped) / 255, atol=1e-5)
    with torch.no_grad():
        expected = F.softmax(network.module(tensor[None])[0], 0).max()
    assert network.predict(photo, k=1)[0][1] == pytest.approx(float(expected), abs=1e-6)


def test_a_damaged_weight_file_is_named(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    stand_in("resnet18", tmp_path)
    file = next(tmp_path.rglob("*.pth"))
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(models.ModelError, match=rf"{file.name}.*delete"):
        models.load("resnet18")


def test_squeezenet_for_real(monkeypatch) -> None:
    homes = [Path(home) for home in HOMES if home and (Path(home) / SQUEEZENET).exists()]
    if not homes:
        pytest.skip("SqueezeNet's published weights are not on this computer")
    monkeypatch.setenv("TORCH_HOME", str(homes[0]))
    network = models.load("squeezenet1_1")
    said = [network.predict(p.image, k=1)[0][0] for p in images.gallery("balloon")[:20]]
    assert said.count("balloon") >= 5  # one word of 1,000, for pictures of a kind it never saw
