"""Lecture 5: the engine against plain passes, the maps against Captum and arithmetic."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import torchvision
from captum.attr import Occlusion
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lecture_utils import images, layers, models, occlusion, store
from lecture_utils.exact import Sweeper, sweeper, windows
from lecture_utils.exact.incremental import Incremental, Prepared
from lecture_utils.exact.polynomials import Spread
from lecture_utils.exact.windows import covered
from lecture_utils.methods import judging

zoo = torchvision.models


def network(module: nn.Module, *size: int) -> models.Network:
    """Any module as a network; batch normalisation keeps untrained ones from fading to nothing."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0
    height, width = size * 2 if len(size) == 1 else size
    with torch.no_grad():
        module.train()(torch.randn(4, 3, height, width))

    def preprocess(image):
        pixels = np.array(image.convert("RGB").resize((width, height)))
        return torch.from_numpy(pixels).permute(2, 0, 1) / 128 - 1

    return models.wrap(module, preprocess, map(str, range(10)), "test", height)


def picture(*size: int, seed: int = 0) -> torch.Tensor:
    sides = size * 2 if len(size) == 1 else size
    return torch.randn(3, *sides, generator=torch.Generator().manual_seed(seed))


def plain(net: models.Network, image: torch.Tensor, sweep: occlusion.Sweep, under) -> np.ndarray:
    """The loop that everybody would write."""
    pictures = []
    for top in sweep.tops.tolist():
        for left in sweep.lefts.tolist():
            changed = image.clone()
            rows = slice(max(top, 0), top + sweep.size)
            columns = slice(max(left, 0), left + sweep.size)
            changed[:, rows, columns] = under[:, rows, columns]
            pictures.append(changed)
    logits = net(torch.stack(pictures))
    return logits.reshape(len(sweep.tops), len(sweep.lefts), -1).numpy()


class Untraceable(nn.Module):
    """Its path depends on a value."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 5, stride=2)
        self.head = nn.Linear(4, 10)

    def forward(self, x):
        x = self.conv(x)
        if x.mean() > 1e6:
            x = -x
        return self.head(x.amax((2, 3)))


class OverwritesWhatItStillNeeds(nn.Module):
    """`conv` is overwritten by an in-place ReLU and then used again; also padding of many kinds."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, (3, 5), stride=(2, 1), padding=(1, 0), dilation=(2, 1))
        self.relu = nn.ReLU(inplace=True)
        self.same = nn.Conv2d(6, 6, 3, padding="same", padding_mode="reflect")
        self.ceil = nn.MaxPool2d(3, 2, padding=1, ceil_mode=True)
        self.mean = nn.AvgPool2d(3, 2, padding=1)
        self.edge = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
        self.head = nn.LazyLinear(10)

    def forward(self, x):
        x = self.conv(x)
        y = self.relu(x)
        z = self.same(x + y)
        z *= 0.5
        z = self.mean(self.ceil(z + x))
        self.mean(z)  # of no use
        return self.head(self.edge(z).flatten(1))


class UsesMapsTwice(nn.Module):
    """What goes into the ReLU is needed again behind it."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.relu = nn.ReLU()
        self.head = nn.LazyLinear(10)

    def forward(self, x):
        x = self.conv(x)
        return self.head((self.relu(x) - 2 * x).flatten(1))


def odd() -> nn.Module:
    module = OverwritesWhatItStillNeeds().eval()
    with torch.no_grad():
        module(torch.zeros(1, 3, 45, 45))
    return module


residual = partial(zoo.resnet.ResNet, zoo.resnet.BasicBlock, [1, 1, 1, 1], 10)
bottlenecks = partial(zoo.resnet.ResNet, zoo.resnet.Bottleneck, [1, 1, 1, 1], 10)
FAMILIES = {
    "chain": (lambda: models.mini_alexnet(10), 160, 160),
    "residual": (residual, 93, 70),  # a tall picture
    "grouped": (lambda: bottlenecks(groups=8, width_per_group=4), 75, 75),
    "dense": (lambda: zoo.densenet.DenseNet(8, (2, 2, 2, 2), 16, num_classes=10), 96, 96),
    "concatenating": (lambda: zoo.squeezenet.SqueezeNet("1_1", 10), 79, 111),  # a wide one
    "depthwise": (lambda: zoo.MobileNetV2(10, width_mult=0.25), 77, 77),
    "squeeze and excitation": (lambda: zoo.mobilenet_v3_small(num_classes=10), 64, 64),
    "shuffling": (lambda: zoo.shufflenet_v2_x0_5(num_classes=10), 64, 64),
    "overwriting": (odd, 45, 45),
    "skipping": (UsesMapsTwice, 30, 30),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_to_plain_passes(family):
    build, *extent = FAMILIES[family]
    over_edge = len(family) % 2 == 0  # for about every second family
    torch.manual_seed(0)
    net, image = network(build(), *extent), picture(*extent)
    side, step = min(extent) // 4 + 1, min(extent) // 5
    (*_, sweep) = occlusion.growing(net, image, side, step, "mean", over_edge)
    expected = plain(net, image, sweep, occlusion.filling(net, image, "mean"))
    assert sweep.method == "only what can change is computed"
    assert np.ptp(expected, axis=(0, 1)).max() > 1e-3  # the square changes something at all
    np.testing.assert_allclose(sweep.logits, expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("family", ["chain", "residual", "concatenating"])
def test_equal_to_plain_passes_in_many_small_batches(family, monkeypatch):
    monkeypatch.setattr(sweeper, "BATCH", 2e5)
    monkeypatch.setattr(sweeper, "TOGETHER", 9)
    build, *extent = FAMILIES[family]
    torch.manual_seed(0)
    net, image = network(build(), *extent), picture(*extent)
    sweeps = list(occlusion.growing(net, image, 32, 12, "noise", family == "residual", ["conv1"]))
    assert len(sweeps) > 2 and [s.done.all() for s in sweeps] == [False] * len(sweeps[1:]) + [True]
    expected = plain(net, image, sweeps[-1], occlusion.filling(net, image, "noise"))
    np.testing.assert_allclose(sweeps[-1].logits, expected, atol=1e-4, rtol=1e-5)
    assert sweeps[-1].method == "only what can change is computed"
    assert not np.isnan(sweeps[-1].totals["conv1"]).any()


@settings(max_examples=12, deadline=None)
@given(
    height=st.integers(23, 50),
    width=st.integers(23, 50),
    part=st.floats(0.1, 0.9),
    pace=st.floats(0.3, 1),
    kernel=st.sampled_from([1, 2, 3, 5]),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    pool=st.sampled_from([(2, 2), (3, 2), (3, 3), (2, 3)]),
    over_edge=st.booleans(),
)
def test_equal_for_any_sizes(height, width, part, pace, kernel, stride, padding, pool, over_edge):
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 4, kernel, stride, padding),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(*pool),
        nn.Conv2d(4, 4, 3, padding=1, groups=2),
        nn.Flatten(),
        nn.LazyLinear(10),
    )
    net = network(module, height, width)
    image, other = picture(height, width), picture(height, width, seed=1)
    size = max(1, int(part * min(height, width)))
    step = max(1, size // 2, int(pace * size))
    (*_, sweep) = occlusion.growing(net, image, size, step, other, over_edge)
    assert sweep.method == "only what can change is computed"
    np.testing.assert_allclose(sweep.logits, plain(net, image, sweep, other), atol=1e-4)


def test_windows_are_smaller_than_the_maps():
    """Exactness alone could be had by computing everything."""
    module = nn.Sequential(
        nn.Conv2d(3, 4, 11, 4), nn.MaxPool2d(3, 2), nn.Conv2d(4, 6, 5, 1, 2), nn.MaxPool2d(3, 2)
    )
    module.append(nn.Flatten())
    engine = Incremental(Prepared(module), picture(160))
    corner = np.array([[64], [64]])
    engine.run([covered(picture(160), picture(160, seed=1), corner, 16)])
    # by hand: rows 14-19 of the first convolution see pixels 64-79, rows 6-9 of the pooling these,
    # and 4-11 of the second convolution those
    assert engine.multiply_adds == 6**2 * module[0].weight.numel() + 8**2 * module[2].weight.numel()


@settings(max_examples=60, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 4), st.integers(3, 7)),
    extent=st.tuples(st.integers(1, 9), st.integers(1, 20)),
    maps=st.integers(1, 5),
    filters=st.integers(1, 5),
    groups=st.integers(1, 3),
    data=st.data(),
)
def test_polynomials_give_the_convolution(kernel, extent, maps, filters, groups, data):
    torch.manual_seed(0)
    padding = tuple(data.draw(st.integers(0, size - 1)) for size in kernel)
    assume(all(n + 2 * wide >= taps for n, wide, taps in zip(extent, padding, kernel)))
    sizes = (maps * groups, filters * groups)
    layer = nn.Conv2d(*sizes, kernel, padding=padding, groups=groups, bias=False)
    inputs = torch.randn(2, maps * groups, *extent)
    spread = Spread(layer)
    spread(inputs.permute(2, 0, 3, 1), padding)  # the filters' values are kept
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        outputs = spread(inputs.permute(2, 0, 3, 1), padding).permute(1, 3, 0, 2)
    expected = layer.double()(inputs.double()).detach()
    largest = layer.weight.abs().sum((1, 2, 3)).max() * inputs.abs().max()
    assert outputs.shape == expected.shape
    assert (outputs - expected).abs().max() < 1e-5 * largest
    if extent[0] == expected.shape[2]:
        # PyTorch counts a multiplication and an addition as two (and rows of zeros like others)
        counted = counter.get_total_flops() // 2
        assert len(inputs) * spread.multiply_adds(*extent, padding) == counted


def test_a_changed_network_is_not_taken_for_what_it_was():
    """Whatever is changed of it: every sweep prepares anew, and finds no old result."""

    class Scaled(nn.Module):
        scale = 1.0

        def forward(self, x):
            return x * self.scale

    torch.manual_seed(0)
    module = nn.Sequential(
        *(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 8, 3, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.LazyLinear(10), Scaled()),
    )
    net, image = network(module, 20), picture(20)
    under = occlusion.filling(net, image, "noise")

    def overwrite():
        with torch.no_grad():
            module[2].weight[0] *= -2

    def behind_the_back():
        module[2].weight.data[1] = 1

    def new_bias():
        module[0].bias = nn.Parameter(torch.randn(32))

    def plain_attribute():
        module[6].scale = 2

    def new_part():
        module[1] = nn.Identity()

    def new_layer_that_looks_the_same():
        module[2] = nn.Conv2d(32, 8, 3, padding=1)

    def new_padding():
        module[0].padding = (1, 1)
        module[2].padding = (0, 0)

    before = occlusion.sweep(net, image, 7, 7, "noise", progress=False)
    for change in [overwrite, behind_the_back, new_bias, plain_attribute, new_part]:
        change()
        sweep = occlusion.sweep(net, image, 7, 7, "noise", progress=False)
        assert np.abs(sweep.logits - before.logits).max() > 1e-3
        assert sweep.method == "only what can change is computed"
        np.testing.assert_allclose(sweep.logits, plain(net, image, sweep, under), atol=1e-4)
        before = sweep
    for change in [new_layer_that_looks_the_same, new_padding]:
        change()
        sweep = occlusion.sweep(net, image, 7, 7, "noise", progress=False)
        np.testing.assert_allclose(sweep.logits, plain(net, image, sweep, under), atol=1e-4)


def test_a_prepared_network_serves_many_pictures():
    net = network(residual(), 64)
    prepared = Sweeper(net, ["conv2"])
    for seed in (1, 2):
        image = picture(64, seed=seed)
        (*_, fresh) = occlusion.growing(net, image, 32, 16, layers=["conv2"])
        held = occlusion.sweep(net, image, 32, 16, progress=False, prepared=prepared)
        np.testing.assert_allclose(held.logits, fresh.logits, atol=1e-5)
        np.testing.assert_allclose(held.totals["conv2"], fresh.totals["conv2"], rtol=1e-3)
    other = network(residual(), 64)
    with pytest.raises(ValueError, match="not what was prepared"):
        occlusion.sweep(other, image, 32, 16, progress=False, prepared=prepared)
    with pytest.raises(ValueError, match="another network"):
        next(occlusion.growing(other, image, 32, 16, prepared=prepared))
    net.module.fc.bias.data += 1
    with pytest.raises(ValueError, match="not what was prepared"):
        occlusion.sweep(net, image, 32, 16, progress=False, prepared=prepared)


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions(kind):
    """Pictures stay single, as `preprocess` makes them."""
    torch.manual_seed(0)
    net = network(models.mini_alexnet(10), 160)
    net.module.to(kind)
    image = picture(160)
    (*_, sweep) = occlusion.growing(net, image, 80, 80, image.flip(2), layers="relu5")
    expected = plain(net, image, sweep, image.flip(2))
    short = sweep.method == "only what can change is computed"
    assert short == (kind == torch.float64) and (short or str(kind)[6:] in sweep.method)
    largest = np.abs(expected).max()
    np.testing.assert_allclose(sweep.logits, expected, atol=largest * (1e-12 if short else 1e-3))
    assert sweep.totals["relu5"].shape == (2, 2, 128)


class Elsewhere(nn.Module):
    """Stands for a network on another device: takes only what was brought to its weights."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.inner = module.double()

    def forward(self, x):
        if x.dtype != torch.float64:
            raise RuntimeError("the picture is not where the weights are")
        return self.inner(x)


class Answers(nn.Module):
    """A network whose answer is no single tensor."""

    def __init__(self, module: nn.Module, kind: type):
        super().__init__()
        self.inner, self.kind = module, kind

    def forward(self, x):
        logits = self.inner(x)
        return {"hidden": x, "logits": logits} if self.kind is dict else (logits, x)


def small() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 11, 4), nn.ReLU(), nn.AdaptiveMaxPool2d(6), nn.Flatten()),
        nn.Linear(144, 2),
    )


@pytest.mark.parametrize(
    "build",
    [
        lambda: Elsewhere(small()),
        lambda: Answers(small(), dict),
        lambda: Answers(small(), tuple),
        lambda: small().to(torch.bfloat16),
    ],
    ids=["elsewhere", "dictionary", "tuple", "bfloat16"],
)
def test_the_whole_lecture_asks_a_network_in_one_way(build):
    torch.manual_seed(0)
    net = models.wrap(build(), models.load().preprocess, ["mug", "car"], "any", 160)
    shown = images.gallery("mug")[:2]
    image = occlusion.input_picture(net, shown[0])
    (*_, sweep) = occlusion.growing(net, image, 80, 80)
    expected = plain(net, image, sweep, occlusion.filling(net, image))
    np.testing.assert_allclose(sweep.logits, expected, atol=1e-3)
    clean = net(torch.stack([occlusion.input_picture(net, one) for one in shown])).numpy()
    np.testing.assert_allclose(occlusion.hide(net, shown)["clean"], clean, atol=1e-3)
    judged = occlusion.judge(net, shown, 80, 80)
    assert judged["right"].tolist() == (clean.argmax(1) == 0).tolist()
    probability = torch.from_numpy(clean).softmax(1)[:, 0]
    curves = occlusion.curves(net, shown, 80, 80)
    np.testing.assert_allclose(curves["centre deletion"][:, 0], probability, atol=1e-3)
    np.testing.assert_allclose(curves["random insertion"][:, -1], probability, atol=1e-3)


def test_a_network_for_grey_pictures():
    """LeNet's plan (LeCun et al. 1998) for 28 px."""
    torch.manual_seed(0)
    module = nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 10)),
    )

    def preprocess(image):
        return torch.from_numpy(np.array(image.convert("L").resize((28, 28))))[None] / 255 - 0.5

    classes = ["mug", *map(str, range(9))]
    net = models.wrap(module, preprocess, classes, "LeNet", 28, [0.5], [1.0])
    shown = images.gallery("mug")[:2]
    image = occlusion.input_picture(net, shown[0])
    for fill in occlusion.FILLS:
        (*_, sweep) = occlusion.growing(net, image, 7, 5, fill, layers="0")
        under = occlusion.filling(net, image, fill)
        assert under.shape == (1, 28, 28)
        np.testing.assert_allclose(sweep.logits, plain(net, image, sweep, under), atol=1e-5)
        assert sweep.method == "only what can change is computed"
        assert sweep.totals["0"].shape == (*sweep.done.shape, 6)
    white = images.Image.new("L", (160, 160), 255)
    assert judging.object_mask(net, images.Picture(white, "", white, None)).min() == 1
    assert occlusion.judge(net, shown, 7, 7)["row"].max() < 28
    assert occlusion.hide(net, shown)["box"].shape == (2, 10)
    assert occlusion.curves(net, shown, 7, 7)["random deletion"].shape == (2, 11)


@pytest.mark.parametrize("extent", [(64, 40), (40, 64)])
def test_pictures_that_are_not_square(extent):
    """The answer is the brightness of one pixel, so every map is known."""
    spot = (53, 12) if extent[0] > extent[1] else (12, 53)

    class Spot(nn.Module):
        def forward(self, x):
            return torch.stack([x[:, 0, spot[0], spot[1]], x[:, 0, 0, 0] * 0], 1)

    def preprocess(image):
        pixels = np.array(image.convert("RGB").resize(extent[::-1]), np.float32)
        return torch.from_numpy(pixels).permute(2, 0, 1) / 255

    net = models.wrap(Spot(), preprocess, ["mug", "car"], "spot", 40)
    white = images.Image.new("RGB", extent[::-1], "white")
    mask = images.Image.new("L", extent[::-1], 0)
    mask.putpixel(spot[::-1], 255)
    shown = images.Picture(white, "mug", mask, None)
    sweep = occlusion.sweep(net, shown, 8, 4, "noise", progress=False)
    assert sweep.extent == extent and sweep.done.all()
    assert [first.max() + 8 for first in (sweep.tops, sweep.lefts)] == [*extent]
    fall = occlusion.drop(sweep, 0)
    reached = [
        (first <= at) & (at < first + 8) for first, at in zip((sweep.tops, sweep.lefts), spot)
    ]
    assert ((fall != 0) == reached[0][:, None] & reached[1]).all()
    importance = occlusion.per_pixel(sweep, fall)
    assert importance.shape == occlusion.paint(sweep, fall).shape == extent
    rows, columns = np.nonzero(importance)
    assert (abs(rows - spot[0]) < 8).all() and (abs(columns - spot[1]) < 8).all()
    assert importance[spot] == importance.max()
    assert np.abs(np.subtract(occlusion.peak(sweep, fall), spot)).max() <= 4
    for fill in occlusion.FILLS:
        assert occlusion.filling(net, shown, fill).shape == (3, *extent)
    found = judging.object_mask(net, shown)
    assert found.shape == extent and found.sum() == found[spot] == 1
    assert occlusion.judge(net, [shown], 8, 4)["share"][0] > 1 / 225
    grey = occlusion.filling(net, shown, "grey")
    deleted = judging.curve(net, occlusion.input_picture(net, shown), grey, found, 0)
    np.testing.assert_allclose(deleted[1:], torch.tensor([128 / 255, 0]).softmax(0)[0], atol=1e-6)
    assert occlusion.curves(net, [shown], 8, 4)["centre deletion"].shape == (1, 11)
    with pytest.raises(ValueError, match=r"fill is \[3, 9, 9\], the picture"):
        occlusion.filling(net, shown, torch.zeros(3, 9, 9))


def test_totals_are_those_of_plain_passes():
    net = network(models.mini_alexnet(10), 160)
    image = picture(160)
    under = occlusion.filling(net, image, "blur")
    names = ["relu1", "relu5", "fc7", "conv2"]
    (*_, sweep) = occlusion.growing(net, image, 40, 40, "blur", layers=names)
    for row, column in [(0, 0), (1, 2), (3, 3)]:
        changed = occlusion.cover(image, under, sweep.tops[row], sweep.lefts[column], 40)
        for name, maps in layers.record(net, changed[None], names).items():
            expected = maps[0].reshape(maps.shape[1], -1).sum(1)
            np.testing.assert_allclose(sweep.totals[name][row, column], expected, atol=2e-3)
    clean = layers.record(net, image[None], "relu5")["relu5"].sum((2, 3))[0]
    np.testing.assert_allclose(sweep.clean_totals["relu5"], clean, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("place", ["layer2", "layer1.0.relu#1", "layer1.0.relu"])
def test_totals_of_containers_and_repeated_calls(place):
    net = network(zoo.resnet.ResNet(zoo.resnet.BasicBlock, [1, 1, 1, 1], 10), 64)
    image = picture(64)
    (*_, sweep) = occlusion.growing(net, image, 32, 32, layers=[place])
    under = occlusion.filling(net, image)
    changed = occlusion.cover(image, under, 32, 0, 32)
    expected = layers.record(net, changed[None], place)[place].sum((2, 3))[0]
    np.testing.assert_allclose(sweep.totals[place][1, 0], expected, rtol=1e-4, atol=1e-3)


def test_networks_that_cannot_be_traced_get_plain_passes():
    torch.manual_seed(0)
    net, image = network(Untraceable(), 31), picture(31)
    (*_, sweep) = occlusion.growing(net, image, 12, 7, "noise", layers=["conv"])
    assert "cannot be traced" in sweep.method
    under = occlusion.filling(net, image, "noise")
    np.testing.assert_allclose(sweep.logits, plain(net, image, sweep, under), atol=1e-5)
    assert sweep.totals["conv"].shape == (*sweep.done.shape, 4)


def test_wrong_windows_are_found_out(monkeypatch):
    needed = windows.Slide.needed

    def too_far_up(self, corner, size):
        return needed(self, corner * 0, size)

    monkeypatch.setattr(windows.Slide, "needed", too_far_up)
    torch.manual_seed(0)
    net, image = (
        network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(10)), 20),
        picture(20),
    )
    (*_, sweep) = occlusion.growing(net, image, 8, 8)
    assert "other numbers" in sweep.method
    under = occlusion.filling(net, image)
    np.testing.assert_allclose(sweep.logits, plain(net, image, sweep, under), atol=1e-5)


def test_the_network_stays_as_it_was_and_an_interrupt_keeps_what_is_done(monkeypatch):
    net, image = network(models.mini_alexnet(10), 160), picture(160)
    net.module.train()
    net.module.fc6.eval()
    before = {name: value.clone() for name, value in net.module.state_dict().items()}
    flags = [part.training for part in net.module.modules()]
    run, calls = Incremental.run, []

    def stopping(self, windows):
        windows = list(windows)
        calls.append(sum(len(window.value) for window in windows))
        if len(calls) == 3:  # the coarse places, one block
            raise KeyboardInterrupt
        return run(self, windows)

    monkeypatch.setattr(Incremental, "run", stopping)
    monkeypatch.setattr(sweeper, "TOGETHER", 1)
    monkeypatch.setattr(sweeper, "BATCH", 5e5)
    with pytest.warns(UserWarning, match="interrupted"):
        sweep = occlusion.sweep(net, image, 40, 10, progress=False)
    assert sweep.done.sum() == sum(calls[:2]) < sweep.done.size
    assert sweep.done[0, 0] and sweep.done[-1, -1] and sweep.done[0, -1]  # coarse, all over
    assert not np.isnan(occlusion.paint(sweep, occlusion.drop(sweep, 0))).any()
    assert [part.training for part in net.module.modules()] == flags
    assert not any(part._forward_hooks for part in net.module.modules())
    assert all((before[name] == value).all() for name, value in net.module.state_dict().items())
    assert torch.is_grad_enabled()
    monkeypatch.undo()
    whole = occlusion.sweep(net, image, 40, 10, progress=False)  # was not kept half done
    assert whole.done.all()
    np.testing.assert_allclose(sweep.logits[sweep.done], whole.logits[sweep.done], atol=1e-5)


def test_a_kept_sweep_is_the_same(monkeypatch):
    net, image = network(models.mini_alexnet(10), 160), picture(160, seed=3)
    first = occlusion.sweep(net, image, 80, 40, layers=(n for n in ["relu5"]), progress=False)
    assert first.totals["relu5"].shape == (3, 3, 128)  # the generator was not used up for the key
    monkeypatch.setattr(occlusion, "growing", None)  # computing again would fail
    second = occlusion.sweep(net, image, 80, 40, layers=["relu5"], progress=False)
    for name, value in vars(first).items():
        np.testing.assert_equal(getattr(second, name), value)


def keys_of(monkeypatch, ask, usual: dict, changes: list[dict]) -> list[tuple]:
    """What would be remembered under: the usual call twice, then with one thing changed each."""
    keys = []
    with monkeypatch.context() as patch:
        patch.setattr(store, "kept", lambda key, make: keys.append(key))
        for change in [{}, {}, *changes]:
            ask(**(usual | change))
    return keys


def test_a_sweep_is_kept_by_all_it_depends_on(monkeypatch):
    torch.manual_seed(0)
    nets = [models.wrap(small(), models.load().preprocess, "ab", "any", 160) for _ in range(2)]
    usual = {"network": nets[0], "image": picture(160), "layers": ["0"]}
    changes = [
        {"network": nets[1]},
        {"image": picture(160, seed=1)},
        {"size": 60},
        {"step": 20},
        {"fill": "mean"},
        {"over_edge": True},
        {"layers": []},
        {"layers": ["1"]},
        {"layers": ["0", "1"]},
    ]
    first, *others = keys_of(monkeypatch, occlusion.sweep, usual, changes)
    assert others[0] == first and len({first, *others}) == 1 + len(changes)


# --- squares and fills --------------------------------------------------------------------------


@given(st.integers(1, 60), st.data(), st.booleans())
def test_squares_cover_every_pixel(extent, data, over_edge):
    size = data.draw(st.integers(1, extent))
    step = data.draw(st.integers(1, size))
    starts = occlusion.places(extent, size, step, over_edge)
    covering = {pixel for start in starts for pixel in range(start, start + size)}
    assert covering >= set(range(extent))
    if not over_edge:
        assert starts.min() == 0 and starts.max() == extent - size
    assert (np.diff(starts) > 0).all() and np.diff(starts, prepend=starts[0] - 1).max() <= step


@pytest.mark.parametrize(("size", "step"), [(0, 1), (161, 1), (32, 0), (16, 17)])
def test_impossible_squares(size, step):
    with pytest.raises(ValueError, match="must be"):
        occlusion.places(160, size, step)


def test_fills():
    net = models.load()
    first, second = images.gallery("mug")[0], images.gallery("car")[0]
    image = occlusion.input_picture(net, first)
    grey = net.to_image(occlusion.filling(net, first, "grey"))
    assert np.abs(grey - 128 / 255).max() < 1e-6
    mean = net.to_image(occlusion.filling(net, first, "mean"))
    pixels = np.asarray(first.image) / 255
    np.testing.assert_allclose(mean[0, 0], pixels.mean((0, 1)), atol=1e-5)
    blurred = net.to_image(occlusion.filling(net, first, "blur"))
    assert np.abs(np.diff(blurred, axis=0)).mean() < np.abs(np.diff(pixels, axis=0)).mean() / 3
    assert (occlusion.filling(net, first, "noise") == occlusion.filling(net, second, "noise")).all()
    assert (occlusion.filling(net, first, second) == occlusion.input_picture(net, second)).all()
    assert (occlusion.input_picture(net, image) == image).all()
    mask = judging.object_mask(net, first)
    beside = occlusion.filling(net, first, "surroundings")
    assert (beside == judging.surroundings(image, mask)).all()
    with pytest.raises(ValueError, match="no mask"):
        occlusion.filling(net, image, "surroundings")
    with pytest.raises(ValueError, match="no fill 'gray'"):
        occlusion.filling(net, first, "gray")
    with pytest.raises(layers.UnknownLayer):
        occlusion.sweep(net, first, layers=["relu9"], progress=False)


# --- maps and judgements ------------------------------------------------------------------------


def test_per_pixel_is_captums_occlusion():
    net, image = models.load(), occlusion.input_picture(models.load(), images.gallery("snail")[4])
    under = occlusion.filling(net, image, "blur")
    (*_, sweep) = occlusion.growing(net, image, 40, 20, "blur")
    attribution = Occlusion(net.module).attribute(
        image[None], (3, 40, 40), (3, 20, 20), target=11, baselines=under[None]
    )
    ours = occlusion.per_pixel(sweep, occlusion.drop(sweep, 11))
    np.testing.assert_allclose(ours, attribution[0, 0].numpy(), atol=1e-4)


def tiny_sweep() -> occlusion.Sweep:
    """Squares of 2 px on 4 px, step 1: 3 x 3 places, 2 classes."""
    logits = np.zeros((3, 3, 2), np.float32)
    logits[0, 2] = [-3, 1]
    logits[1, 1] = [-1, 0]
    clean = np.array([2, 0], np.float32)
    totals = {"a": np.zeros((3, 3, 4), np.float32)}
    starts = np.arange(3)
    return occlusion.Sweep(
        starts, starts, 2, (4, 4), logits, clean, totals, {"a": np.array([0, 3, 9, 1])}, "by hand"
    )


def test_maps_by_hand():
    sweep = tiny_sweep()
    fall = occlusion.drop(sweep, 0)
    assert fall.tolist() == [[2, 2, 5], [2, 3, 2], [2, 2, 2]]
    probability = np.exp(2) / (np.exp(2) + 1) - np.exp(-3) / (np.exp(-3) + np.exp(1))
    assert occlusion.drop(sweep, 0, "probability")[0, 2] == pytest.approx(probability, abs=1e-6)
    assert occlusion.peak(sweep, fall) == (1, 3)
    assert occlusion.strongest_map(sweep, "a") == 2
    painted = occlusion.paint(sweep, fall)
    assert painted[0, 3] == 5 and painted[3, 0] == 2 and painted.shape == (4, 4)
    mean = occlusion.per_pixel(sweep, fall)
    assert mean[0, 3] == 5 and mean[0, 0] == 2
    assert mean[1, 2] == (2 + 5 + 3 + 2) / 4  # four squares lie over this pixel
    with pytest.raises(ValueError, match="logit"):
        occlusion.drop(sweep, 0, "loss")


def test_share_counts_positive_evidence_only():
    mask = np.array([[1, 0], [0.5, 0]])
    assert judging.share(np.array([[3, 1], [2, -9]]), mask) == pytest.approx((3 + 1) / 6)


def test_surroundings_are_the_largest_strip_stretched():
    picture, mask = torch.zeros(1, 9, 9), np.zeros((9, 9))
    picture[0, 2:6, 4:], mask[2:6, 1:4] = torch.linspace(1, 2, 5), 1
    picture[0, 2:6, 1:4] = 7  # the object
    filled = judging.surroundings(picture, mask)
    assert filled.max() <= 2 and (filled[0, 2:6, 1:4].diff() > 0).all()
    assert (filled[0, mask < 1] == picture[0, mask < 1]).all()
    assert (judging.surroundings(picture, mask * 0) == picture).all()
    whole = judging.surroundings(picture, mask * 0 + 1)  # from one line at an edge
    assert whole.shape == picture.shape and whole.isfinite().all()
    assert judging.parts(mask)["box"].sum() == 12 and judging.parts(mask * 0)["box"].sum() == 0


def test_rates_have_wilsons_interval():
    rate, low, high = judging.rate(np.arange(10) < 8)  # Brown, Cai & DasGupta 2001, equation (4)
    z, n = 1.959964, 10
    middle, half = (8 + z * z / 2) / (n + z * z), z / (n + z * z) * np.sqrt(n * 0.16 + z * z / 4)
    assert (rate, low, high) == pytest.approx((0.8, middle - half, middle + half), abs=1e-6)
    with pytest.raises(ValueError, match="at least one case"):
        judging.rate(np.zeros(0, bool))


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: models.mini_alexnet(10), "relu5"),
        (lambda: zoo.squeezenet1_1(num_classes=10), "features.12.expand3x3_activation"),
        (lambda: zoo.resnet18(num_classes=10), "layer4.1.relu#2"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64 * 64 * 3, 10)), None),
    ],
)
def test_last_maps(build, name):
    classes = [str(number) for number in range(10)]
    side = 64 if name is None else 160
    net = models.wrap(build(), models.load().preprocess, classes, "untrained", side)
    assert occlusion.last_maps(net) == name
    if name:
        layers.resolve(net, name)


def test_object_mask_is_the_gallerys_mask():
    shown = images.gallery("teapot")[7]
    ours = judging.object_mask(models.load(), shown)
    np.testing.assert_allclose(ours, np.asarray(shown.mask) / 255, atol=1e-5)


class Reads(nn.Module):
    """Class 0 is how bright the picture is in the upper left 40 px, class 1 is always 0."""

    def forward(self, x):
        bright = (x[:, :, :40, :40] + 1).mean((1, 2, 3))
        return torch.stack([bright * 9, bright * 0], 1)


def reads(*classes: str) -> models.Network:
    return models.wrap(Reads(), models.load().preprocess, classes or ["mug", "car"], "reads", 160)


def white_picture(label: str, masked: bool = True, corner: int = 0) -> images.Picture:
    """A white picture; the object is its upper left corner, or after quarter turns another."""
    mask = images.Image.new("L", (160, 160), 0)
    mask.paste(255, (0, 0, 40, 40))
    white = images.Image.new("RGB", (160, 160), "white")
    return images.Picture(white, label, mask.rotate(90 * corner) if masked else None, None)


def test_judged_by_a_network_of_which_all_is_known():
    net, on, off = reads(), white_picture("mug"), white_picture("mug", corner=2)
    judged = occlusion.judge(net, [on, off], size=40, step=20)
    assert judged["hit"].tolist() == [True, False]
    assert judged["row"].tolist() == judged["column"].tolist() == [20, 20]
    assert judged["chance"].tolist() == pytest.approx([1 / 49, 4 / 49])
    assert judged["area"].tolist() == pytest.approx([1 / 16, 1 / 16])
    assert judged["share"][0] > 0.4 and judged["share"][1] == 0
    hidden = occlusion.hide(net, [on, off])
    unchanged = hidden["clean"][:, 0]
    assert hidden["background"][0, 0] == pytest.approx(unchanged[0])
    assert hidden["object"][1, 0] == hidden["box"][1, 0] == pytest.approx(unchanged[1])
    assert hidden["object"][0, 0] == hidden["box"][0, 0] < unchanged[0] - 1
    assert judged["fall"][0] == pytest.approx(unchanged[0] - hidden["object"][0, 0])
    assert hidden["background"][1, 0] < unchanged[1] - 1


def test_curves():
    net = reads()
    white = occlusion.input_picture(net, images.Image.new("RGB", (160, 160), "white"))
    corner = np.zeros((160, 160))
    corner[:40, :40] = 1
    grey = occlusion.filling(net, white)
    bright, dark = (float(net.module(part[None]).softmax(1)[0, 0]) for part in (white, grey))
    deleted = judging.curve(net, white, grey, corner, 0, steps=16)
    np.testing.assert_allclose(deleted, [bright] + [dark] * 16, atol=1e-5)
    inserted = judging.curve(net, white, grey, -corner, 0, steps=16, insert=True)
    np.testing.assert_allclose(inserted, [dark] * 16 + [bright], atol=1e-5)


def test_the_strongest_map_is_judged_too():
    net, shown = models.load(), images.gallery("flower")[3:4]
    judged = occlusion.judge(net, shown, 80, 40, "mean", layer="relu5")
    clean = occlusion.input_picture(net, shown[0])
    totals = layers.record(net, clean[None], "relu5")["relu5"][0].sum((1, 2))
    number = int(judged["map"][0])
    assert number == totals.argmax()
    under = occlusion.filling(net, shown[0], "mean")
    top, left = int(judged["map_row"][0]) - 40, int(judged["map_column"][0]) - 40
    covered_picture = occlusion.cover(clean, under, top, left, 80)
    left_over = layers.record(net, covered_picture[None], "relu5")["relu5"][0, number].sum()
    assert judged["map_fall"][0] == pytest.approx(float(1 - left_over / totals[number]), abs=1e-4)


@pytest.mark.parametrize(
    ("ask", "settings"),
    [
        (occlusion.judge, {"size": 40, "step": 20, "fill": "mean", "layer": "0"}),
        (occlusion.hide, {"fill": "mean"}),
        (occlusion.curves, {"size": 40, "step": 20, "fill": "mean", "steps": 7}),
    ],
)
def test_judgements_are_kept_by_all_they_depend_on(ask, settings, monkeypatch):
    one = white_picture("mug")
    grey = replace(one, image=images.Image.new("RGB", (160, 160)))
    changes = [
        {"network": reads("car", "mug")},
        *({"pictures": [other]} for other in (grey, white_picture("mug", corner=2))),
        *({"pictures": [other]} for other in (white_picture("car"), replace(one, mask=None))),
        {"pictures": [one, one]},
        {"pictures": images.gallery()[:1]},
        *({name: value} for name, value in settings.items()),
    ]
    first, *others = keys_of(monkeypatch, ask, {"network": reads(), "pictures": [one]}, changes)
    assert others[0] == first and len({first, *others}) == 1 + len(changes)


def test_another_mask_or_label_is_judged_anew():
    for _ in range(2):
        assert occlusion.judge(reads(), [white_picture("mug")], 60, 60)["hit"].all()
        assert not occlusion.judge(reads(), [white_picture("mug", corner=2)], 60, 60)["hit"].any()
        assert occlusion.judge(reads(), [white_picture("car")], 60, 60)["fall"] == 0


def test_judgements_are_not_made_twice(monkeypatch):
    def all_three():
        shown = [white_picture("mug")]
        parts = occlusion.judge(reads(), shown, 80, 80), occlusion.hide(reads(), shown)
        return *parts, occlusion.curves(reads(), shown, 80, 80)

    first = all_three()
    monkeypatch.setattr(occlusion, "tqdm", None)  # computing anything now would fail
    np.testing.assert_equal(all_three(), first)


def test_right_is_not_known_of_other_classes():
    shown = [white_picture(label) for label in ("mug", "car", "fish", "")]
    np.testing.assert_equal(
        occlusion.judge(reads(), shown, 80, 80)["right"], [1, 0, np.nan, np.nan]
    )


def test_photos_without_masks():
    own = white_picture("", masked=False)
    for photo in (own, own.image):
        assert occlusion.sweep(reads(), photo, 80, 80, progress=False).done.all()
        assert occlusion.curves(reads(), [photo], 80, 80)["centre deletion"].shape == (1, 11)
        for ask in (occlusion.judge, occlusion.hide):
            with pytest.raises(ValueError, match=r"no mask.*`occlusion\.curves` take any photo"):
                ask(reads(), [photo])
    for ask in (occlusion.judge, occlusion.hide, occlusion.curves):
        with pytest.raises(ValueError, match="no pictures"):
            ask(reads(), [])


def test_a_map_that_is_silent_loses_nothing():
    module = nn.Sequential(nn.Conv2d(3, 2, 40, 40), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2))
    for part in module[0].parameters():
        nn.init.constant_(part, -1e-9)
    net = models.wrap(module, lambda image: models.load().preprocess(image).abs(), "ab", "", 160)
    judged = occlusion.judge(net, [white_picture("a")], 80, 80, layer="1")
    assert np.isnan(judged["map_fall"]).all() and judged["map"].tolist() == [0]


def test_the_course_has_what_the_lecture_asks_for(monkeypatch, tmp_path):
    net, gallery = models.load(), images.gallery()
    monkeypatch.setattr(store, "folder", lambda: tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(occlusion, "tqdm", None)  # computing anything now would fail
        judged = occlusion.judge(net, gallery, 32, 16, layer="relu5")
        curves = occlusion.curves(net, gallery, 32, 16)
        hidden, _, _, beside = (
            occlusion.hide(net, gallery, fill) for fill in ("grey", "noise", "blur", "surroundings")
        )
        for size, step, fill in [
            *((size, 16, "grey") for size in (16, 32, 48, 64)),
            *((32, 16, fill) for fill in ("mean", "blur", "noise")),
            *((32, step, "grey") for step in (8, 32)),
        ]:
            assert len(occlusion.judge(net, gallery[5::10], size, step, fill)["hit"]) == 140
    few = gallery[3::500]
    for stored, new in [
        (judged, occlusion.judge(net, few, 32, 16, layer="relu5")),
        (hidden, occlusion.hide(net, few)),
        (beside, occlusion.hide(net, few, "surroundings")),
        (curves, occlusion.curves(net, few, 32, 16)),
    ]:
        assert stored.keys() == new.keys()
        for name, values in new.items():
            np.testing.assert_allclose(stored[name][3::500], values, atol=0.01, err_msg=name)


def test_curves_in_all_orders():
    shown = [white_picture("mug", masked=False)]
    found = occlusion.curves(reads(), shown, 40, 40, "grey", steps=16)
    assert found["evidence deletion"][0, 1] == pytest.approx(found["centre deletion"][0, 16])
    assert found["evidence deletion"].mean() < found["random deletion"].mean()
    assert found["evidence insertion"].mean() > found["random insertion"].mean()
    # the upper left corner is what is farthest from the centre
    assert found["centre deletion"].mean() > found["random deletion"].mean()
