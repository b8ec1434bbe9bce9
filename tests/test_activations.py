"""Where feature maps lie, how sparse they are, who is dead: closed forms and brute force."""

import itertools
import math
from dataclasses import astuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from lecture_utils import activations, images, layers, models, plots
from lecture_utils.methods.receptive_fields import ReceptiveField

# isort: split
import torchvision
from torchvision.models.resnet import BasicBlock
from torchvision.transforms.functional import to_tensor


@pytest.fixture(scope="module")
def network() -> models.Network:
    return models.load()


@pytest.fixture
def batch(network) -> torch.Tensor:
    return torch.cat(list(network.batches(images.gallery()[::300])))


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("LECTURE_UTILS_CACHE", str(tmp_path))


def small(*parts: nn.Module, size: int = 32) -> models.Network:
    module = nn.Sequential(*parts)
    return models.wrap(module, lambda _: torch.zeros(3, size, size), ["one"], input_size=size)


# --- layers -------------------------------------------------------------------------------------


def test_relu_layers_of_a_chain_a_residual_and_a_network_without_relu(network) -> None:
    assert activations.relu_layers(network) == [f"relu{n}" for n in range(1, 8)]
    residual = small(torchvision.models.resnet18(num_classes=4))
    names = activations.relu_layers(residual)
    # He et al. 2016: one ReLU at the entrance, two in each of eight blocks
    assert len(names) == len(set(names)) == 17
    few = activations.relu_layers(residual, most=5)
    assert len(few) == 5 and [few[0], few[-1]] == [names[0], names[-1]] and set(few) < set(names)
    smooth = small(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Conv2d(4, 4, 3))
    assert activations.relu_layers(smooth) == ["0", "2"]


# --- geometry -----------------------------------------------------------------------------------

geometry = st.builds(ReceptiveField, st.integers(1, 60), st.integers(1, 16), st.integers(-40, 10))


@given(geometry, st.integers(1, 9), st.integers(10, 50))
def test_every_pixel_gets_the_unit_whose_centre_is_nearest(field, units, size) -> None:
    boxes = [field.box(unit, unit) for unit in range(units)]
    centres = np.array([(top + bottom) / 2 for top, _, bottom, _ in boxes])
    values = np.arange(1.0, units * units + 1).reshape(units, units)
    laid, covered = activations.aligned(values, field, size)
    for pixel in range(size):
        far = np.abs(centres - (pixel + 0.5))
        nearest = np.flatnonzero(far == far.min())  # two, if the pixel is on the border
        assert covered[pixel, pixel] == (far.min() < field.stride / 2) or math.isclose(
            far.min(), field.stride / 2
        )
        row, column = activations.unit_at(field, values.shape, pixel, pixel)
        assert row == column and row in nearest
        assert laid[pixel, pixel] == (values[row, column] if covered[pixel, pixel] else 0)


def test_a_unit_lies_where_its_gradient_is() -> None:
    # average pooling, for a maximum would pass the gradient to one place only
    net = small(
        nn.Conv2d(3, 2, 5, stride=2, padding=1), nn.AvgPool2d(3, 2), nn.Conv2d(2, 1, 3, padding=1)
    )
    for layer in (net.module[0], net.module[2]):
        nn.init.ones_(layer.weight)
    x = torch.zeros(1, 3, 32, 32, requires_grad=True)
    out = net.module(x)[0, 0]
    field = layers.receptive_field(net, "2")
    for unit in ((2, 3), (4, 2)):
        gradient = torch.autograd.grad(out[unit], x, retain_graph=True)[0][0, 0].numpy()
        centre = [(gradient.sum(1 - a) * np.arange(32)).sum() / gradient.sum() for a in (0, 1)]
        one = np.zeros(out.shape)
        one[unit] = 1
        laid, _ = activations.aligned(one, field, 32)
        middle = [np.flatnonzero(laid.any(1 - axis)).mean() for axis in (0, 1)]
        # a window of 17 pixels has its centre on a pixel, the middle of 4 lies between two
        assert np.abs(np.subtract(centre, middle)).max() < 0.51


def test_a_layer_without_positions_covers_the_whole_picture() -> None:
    field = ReceptiveField(30, 0, 0)
    laid, covered = activations.aligned(np.full((1, 1), 7.0), field, 32)
    assert covered.all() and (laid == 7).all()
    assert activations.unit_at(field, (1, 1), 31, 5) == (0, 0)


def test_what_feeds_a_unit_lies_where_its_gradient_is() -> None:
    first, second = nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 4, 3)
    module = small(first, nn.ReLU(), second)
    fields = layers.receptive_field(module, "0"), layers.receptive_field(module, "2")
    below = torch.rand(1, 4, 15, 15, requires_grad=True)
    second(below)[0, :, 5, 7].sum().backward()
    units = np.argwhere(below.grad.abs().sum((0, 1)).numpy())
    box = activations.feeding_box(fields[0], (15, 15), fields[1].box(5, 7))
    top, left, bottom, right = box
    middles = 0 + 3 / 2 + units * 2  # start, size and stride of the first layer
    assert (top, left) == tuple((middles.min(0) - 1).astype(int))
    assert (bottom, right) == tuple((middles.max(0) + 1).astype(int))


def test_a_silent_channel_wakes_if_a_small_change_reaches_it() -> None:
    module = small(nn.Conv2d(3, 3, 1), nn.ReLU(inplace=True))
    conv = module.module[0]
    with torch.no_grad():
        conv.weight.copy_(torch.eye(3)[:, :, None, None])
        conv.bias.copy_(torch.tensor([-0.6, -0.9, -2.0]))
    batch = torch.full((2, 3, 32, 32), 0.3)
    assert activations.woken(module, "1", [0, 1, 2], batch).tolist() == [True, False, False]
    wider = activations.woken(module, "1", [0, 1, 2], batch, steps=20)
    assert wider.tolist() == [True, True, False], "not beyond white"
    assert not module.module[1]._forward_pre_hooks


def test_units_that_see_everything_are_spread_evenly() -> None:
    net = small(nn.Conv2d(3, 2, 4, stride=4), nn.GroupNorm(1, 2), size=16)
    field, values = layers.receptive_field(net, "1"), np.arange(16.0).reshape(4, 4)
    laid, covered = activations.aligned(values, field, 16)
    assert covered.all()
    np.testing.assert_array_equal(laid, np.kron(values, np.ones((4, 4))))
    assert activations.unit_at(field, (4, 4), 15, 4) == (3, 1)


# --- measures -----------------------------------------------------------------------------------


@given(st.integers(2, 40), st.integers(1, 40), st.floats(0.01, 1000))
def test_localisation_of_some_equal_places_among_many(places, active, value) -> None:
    active = min(active, places)
    maps = torch.zeros(1, places)
    maps[0, :active] = value
    expected = (1 - active / places) / (1 - 1 / places)
    assert activations.localisation(maps).item() == pytest.approx(expected, abs=1e-5)


def test_localisation_of_rectified_noise_and_of_nothing() -> None:
    noise = torch.randn(400, 400, generator=torch.Generator().manual_seed(1)).relu()
    # E[a] = 1/sqrt(2 pi), E[a^2] = 1/2 for a rectified standard normal variable
    assert activations.localisation(noise).item() == pytest.approx(1 - 1 / math.pi, abs=0.01)
    assert activations.localisation(torch.zeros(3, 2, 5, 5)).isnan().all()
    assert activations.localisation(torch.ones(2, 1, 1)).isnan().all()


@settings(max_examples=30)
@given(st.integers(1, 6), st.integers(2, 6), st.integers(0, 10**6))
def test_blobbiness_is_morans_i(height, width, seed) -> None:
    values = np.random.default_rng(seed).random((height, width)).astype(np.float32)
    z = values.astype(float) - values.mean(dtype=float)
    places = list(itertools.product(range(height), range(width)))
    near = [(a, b) for a in places for b in places if abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1]
    weighted = sum(z[a] * z[b] for a, b in near)
    expected = len(places) / len(near) * weighted / (z**2).sum()
    assert activations.blobbiness(torch.from_numpy(values)).item() == pytest.approx(
        expected, abs=1e-4
    )


def test_blobbiness_of_a_chessboard_a_ramp_and_a_flat_map() -> None:
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    maps = torch.stack([(rows + columns) % 2, rows, torch.ones(8, 8)])
    board, ramp, flat = activations.blobbiness(maps)
    assert board.item() == pytest.approx(-1)
    assert ramp > 0.8
    assert flat.isnan()


# --- the census ---------------------------------------------------------------------------------


def random_maps(seed: int, *shape: int) -> torch.Tensor:
    maps = torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).relu()
    maps[:, 0] = 0  # a dead channel
    return maps


def test_statistics_are_those_of_plain_numpy() -> None:
    maps = random_maps(3, 4, 5, 6, 7)
    found, values = activations.measure(maps), maps.numpy()
    assert found.places == 42 and found.pictures == 4
    assert found.places_on.tolist() == [int((values[:, c] > 0).sum()) for c in range(5)]
    assert found.pictures_on.tolist() == [0, 4, 4, 4, 4]
    np.testing.assert_allclose(found.zeros, [(v <= 0).mean() for v in values])
    alive = activations.localisation(maps[:, 1:]).mean(1)  # the dead channel has none
    np.testing.assert_allclose(found.localisation, alive, rtol=1e-6)


def test_counts_of_dead_nearly_dead_and_always_on_channels() -> None:
    maps = torch.zeros(200, 4, 2, 2)
    maps[7, 1, 0, 1] = 0.1  # one picture in 200: nearly dead
    maps[:3, 2, 0, 0] = 1  # three in 200: rare, not dead
    maps[:, 3] = 1
    maps[0, 3, 0, 0] = 0  # off at one of 800 places: still always on
    assert activations.measure(maps).counts() == {
        "channels": 4,
        "dead": 1,
        "nearly dead": 1,
        "always on": 1,
    }


def test_channels_one_by_one_and_what_fewer_pictures_would_miss() -> None:
    maps = torch.zeros(10, 3, 2, 2)
    maps[:, 0] = 1
    maps[:2, 1, 0, 0] = 1
    found = activations.measure(maps)
    np.testing.assert_allclose(found.zeros_by_channel, [0, 0.95, 1])
    # five of ten pictures miss both of the two in which channel 1 is on: C(8, 5) / C(10, 5)
    np.testing.assert_allclose(found.silent_in([5, 10]), [(0 + 56 / 252 + 1) / 3, 1 / 3])


def test_bad_values_are_refused() -> None:
    with pytest.raises(ValueError, match="diverged"):
        activations.measure(torch.tensor([[1.0, math.inf]]))
    with pytest.raises(ValueError, match="diverged"):
        activations.measure(torch.full((1, 2, 3, 3), math.nan))
    with pytest.raises(ValueError, match=r"\[2, 3, 4\]"):
        activations.measure(torch.ones(2, 3, 4))


def test_census_is_the_measure_of_what_is_recorded(network, batch, own_cache) -> None:
    names = ["relu2", "relu6"]
    found = activations.census(network, images.gallery()[::300], names)
    recorded = layers.record(network, batch, names)
    for name in names:
        expected = activations.measure(recorded[name])
        for ours, theirs in zip(astuple(found[name]), astuple(expected)):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    assert not any(part._forward_hooks for part in network.module.modules())


def test_census_over_several_batches_counts_every_picture_once(network, own_cache) -> None:
    pictures = [picture.image for picture in images.gallery()[::46]]  # 31, more than one batch
    shown = []
    progress = lambda things: [shown.append(thing) or thing for thing in things]  # noqa: E731
    found = activations.census(network, pictures, ["relu5"], progress)["relu5"]
    assert shown == pictures and found.pictures == 31
    alone = activations.census(network, pictures[28:29], ["relu5"])["relu5"]
    assert found.zeros[28] == pytest.approx(alone.zeros[0], abs=1e-3)


def test_census_is_kept_and_depends_on_network_and_pictures(
    network, own_cache, monkeypatch
) -> None:
    pictures = images.gallery()[:2]
    first = activations.census(network, pictures, ["relu5", "relu7"])
    monkeypatch.setattr(layers, "record", lambda *_, **__: pytest.fail("computed again"))
    again = activations.census(network, pictures, ["relu5", "relu7"])
    for name in first:
        for ours, theirs in zip(astuple(first[name]), astuple(again[name])):
            np.testing.assert_array_equal(ours, theirs)
    for other, shown in ((network, images.gallery()[2:4]), (models.load(epoch=0), pictures)):
        with pytest.raises(pytest.fail.Exception, match="computed again"):
            activations.census(other, shown, ["relu5", "relu7"])


def test_census_names_an_unknown_layer(network, own_cache) -> None:
    with pytest.raises(layers.UnknownLayer, match="no layer 'relu9'"):
        activations.census(network, images.gallery()[:1], ["relu9"])


@pytest.mark.parametrize(
    ("pictures", "names", "match"),
    [([], ["relu5"], "there are no pictures"), (None, [], "which layers of mini_alexnet")],
)
def test_a_census_of_nothing_says_so_and_keeps_nothing(
    network, own_cache, tmp_path, pictures, names, match
) -> None:
    pictures = images.gallery()[:1] if pictures is None else pictures
    for _ in range(2):
        with pytest.raises(ValueError, match=match):
            activations.census(network, pictures, names)
    assert not list(tmp_path.iterdir())


def test_a_census_takes_names_from_anywhere(network, own_cache) -> None:
    names = activations.relu_layers(network)[:2]
    for _ in range(2):
        assert list(activations.census(network, images.gallery()[:1], iter(names))) == names


FAMILIES = {
    "chain": lambda: nn.Sequential(nn.Conv2d(3, 8, 5, 2), nn.ReLU(inplace=True)),
    "residual": lambda: torchvision.models.ResNet(BasicBlock, [1, 1, 1, 1], 2),
    "dense": lambda: torchvision.models.DenseNet(4, (2, 2), 8, num_classes=2),
    "grouped": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=2), nn.ReLU()),
    "depthwise": lambda: torchvision.models.MobileNetV2(
        2, inverted_residual_setting=[[1, 8, 1, 1], [2, 8, 2, 2]]
    ),
    "grey": lambda: nn.Sequential(nn.Conv2d(1, 8, 5), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)),
}


@pytest.mark.parametrize("precision", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", FAMILIES)
def test_census_of_any_network_in_any_precision(family, precision, own_cache) -> None:
    torch.manual_seed(0)
    module, mode = FAMILIES[family](), "L" if family == "grey" else "RGB"
    net = models.wrap(
        module, lambda image: to_tensor(image.convert(mode).resize((40, 40))), "ab", input_size=40
    )
    pictures = [picture.image for picture in images.gallery()[::700]]
    net(next(net.batches(pictures)))  # gives a lazy layer its size
    module.to(precision)
    names = activations.relu_layers(net, most=3)
    found = activations.census(net, pictures, names)
    recorded = layers.record(net, next(net.batches(pictures)), names)
    for name, statistics in found.items():
        on = recorded[name].flatten(2).numpy() > 0
        assert statistics.places_on.tolist() == on.sum((0, 2)).tolist()
        assert statistics.pictures_on.tolist() == on.any(2).sum(0).tolist()
        np.testing.assert_allclose(statistics.zeros, 1 - on.mean((1, 2)), atol=1e-6)


# --- changes of the picture ---------------------------------------------------------------------


def test_shifted_moves_the_picture_and_repeats_the_border() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    moved = np.asarray(activations.shifted(Image.fromarray(pixels), right=2, down=-1))
    np.testing.assert_array_equal(moved[:5, 2:], pixels[1:, :6])
    assert (moved[:5, :2] == pixels[1:, :1]).all() and (moved[5] == moved[4]).all()
    grey = Image.fromarray(pixels[..., 0])
    np.testing.assert_array_equal(activations.shifted(grey, right=2, down=-1), moved[..., 0])


def test_the_first_layer_passes_a_shift_by_its_stride_on(network) -> None:
    image = images.gallery()[1250].image
    pair = [image, activations.shifted(image, right=4, down=4)]
    maps = layers.record(network, network.batches(pair), "relu1")["relu1"]
    np.testing.assert_allclose(maps[1, :, 1:, 1:], maps[0, :, :-1, :-1], atol=1e-4)


def test_distances() -> None:
    a, b = torch.rand(2, 3, 2, 4, 4)
    expected = np.sqrt(((a - b).numpy() ** 2).sum((1, 2, 3)))
    np.testing.assert_allclose(activations.distances({"x": a}, {"x": b})["x"], expected, rtol=1e-5)
    points = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])  # distances 5, 1, sqrt(18)
    typical = activations.typical_distances({"x": points})["x"]
    assert typical == pytest.approx(math.sqrt(18))


# --- pictures of it -----------------------------------------------------------------------------


def test_feature_maps_shared_and_per_channel() -> None:
    maps = np.zeros((3, 4, 4))
    maps[0, 0, 0], maps[1, 0, 0] = 10, 1
    dark = plots.to_pixels(plots.heat(np.zeros((1, 1)), 0, 1))[0, 0]
    for shared in (True, False):
        sheet = plots.feature_maps(maps, shared)
        tiles = [sheet[1:5, 1:5], sheet[1:5, 6:10], sheet[6:10, 1:5]]
        assert (tiles[2] == dark).all(), "a dead map is dark on both scales"
        assert (tiles[0][0, 0] == tiles[1][0, 0]).all() != shared


def test_profile_leaves_out_layers_without_values() -> None:
    figure, axes = plots.plt.subplots()
    plots.profile(axes, ["a", "b", "c"], [[1.0, 3.0], [np.nan, np.nan], [5.0, np.nan]])
    assert axes.lines[0].get_xydata().tolist() == [[0, 2], [2, 5]]
    plots.plt.close(figure)


def test_profile_numbers_layers_with_long_names() -> None:
    for names, written in ((["relu1", "relu2"], ["relu1", "relu2"]), (["x" * 30, "b"], ["1", "2"])):
        figure, axes = plots.plt.subplots()
        plots.profile(axes, names, [[1.0], [2.0]])
        assert [text.get_text() for text in axes.get_xticklabels()] == written
        assert (axes.get_xlabel() == "") == (written == names)
        plots.plt.close(figure)
