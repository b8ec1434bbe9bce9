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

from lecture_utils import images, models

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
    assert {0, 1, 2, 5, 10} <= set(known["epochs"])
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
