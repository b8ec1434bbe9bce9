"""Lecture 5: the engine against plain passes, the maps against Captum and arithmetic."""

import numpy as np
import pytest
import torch
from captum.attr import Occlusion
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lecture_utils import evidence, images, layers, models, occlusion, windows
from lecture_utils.exact.incremental import Incremental
from lecture_utils.exact.windows import covered
from lecture_utils.exact.polynomials import Spread

zoo = models.torchvision.models


def network(module: nn.Module, size: int) -> models.Network:
    """Any module as a network; batch normalisation keeps untrained ones from fading to nothing."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.no_grad():
        module.train()(torch.randn(4, 3, size, size))

    def preprocess(image):
        pixels = np.array(image.convert("RGB").resize((size, size)))
        return torch.from_numpy(pixels).permute(2, 0, 1) / 128 - 1

    return models.wrap(module, preprocess, map(str, range(10)), "test", size)


def picture(size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(3, size, size, generator=torch.Generator().manual_seed(seed))


def plain(net: models.Network, image: torch.Tensor, sweep: occlusion.Sweep, under) -> np.ndarray:
    """The loop that everybody would write."""
    pictures = []
    for top in sweep.tops.tolist():
        for left in sweep.lefts.tolist():
            changed = image.clone()
            for row in range(max(top, 0), min(top + sweep.size, sweep.extent)):
                for column in range(max(left, 0), min(left + sweep.size, sweep.extent)):
                    changed[:, row, column] = under[:, row, column]
            pictures.append(changed)
    with torch.no_grad():
        logits = net.module(torch.stack(pictures))
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


FAMILIES = {
    "chain": (lambda: models.mini_alexnet(10), 160),
    "residual": (lambda: zoo.resnet.ResNet(zoo.resnet.BasicBlock, [1, 1, 1, 1], 10), 93),
    "grouped": (
        lambda: zoo.resnet.ResNet(
            zoo.resnet.Bottleneck, [1, 1, 1, 1], 10, groups=8, width_per_group=4
        ),
        75,
    ),
    "dense": (lambda: zoo.densenet.DenseNet(8, (2, 2, 2, 2), 16, num_classes=10), 96),
    "concatenating": (lambda: zoo.squeezenet.SqueezeNet("1_1", 10), 79),
    "depthwise": (lambda: zoo.MobileNetV2(10, width_mult=0.25), 77),
    "squeeze and excitation": (lambda: zoo.mobilenet_v3_small(num_classes=10), 64),
    "shuffling": (lambda: zoo.shufflenet_v2_x0_5(num_classes=10), 64),
    "overwriting": (odd, 45),
    "skipping": (UsesMapsTwice, 30),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_to_plain_passes(family):
    build, extent = FAMILIES[family]
    over_edge = len(family) % 2 == 0  # for about every second family
    torch.manual_seed(0)
    net = network(build(), extent)
    image = picture(extent)
    side, step = extent // 4 + 1, extent // 5
    (*_, sweep) = occlusion.growing(net, image, side, step, "mean", over_edge)
    expected = plain(net, image, sweep, occlusion.filling(net, image, "mean"))
    assert sweep.method == "only what can change is computed"
    assert np.ptp(expected, axis=(0, 1)).max() > 1e-3  # the square changes something at all
    np.testing.assert_allclose(sweep.logits, expected, atol=1e-4, rtol=1e-5)
    assert sweep.multiply_adds <= sweep.plain_multiply_adds


@pytest.mark.parametrize("family", ["chain", "residual", "concatenating"])
def test_equal_to_plain_passes_in_many_small_batches(family, monkeypatch):
    monkeypatch.setattr(occlusion, "BATCH", 2e5)
    monkeypatch.setattr(occlusion, "TOGETHER", 25)
    build, extent = FAMILIES[family]
    torch.manual_seed(0)
    net, image = network(build(), extent), picture(extent)
    sweeps = list(occlusion.growing(net, image, 32, 9, "noise", family == "residual", ["conv1"]))
    assert len(sweeps) > 2 and [s.done.all() for s in sweeps] == [False] * len(sweeps[1:]) + [True]
    expected = plain(net, image, sweeps[-1], occlusion.filling(net, image, "noise"))
    np.testing.assert_allclose(sweeps[-1].logits, expected, atol=1e-4, rtol=1e-5)
    assert sweeps[-1].method == "only what can change is computed"
    assert not np.isnan(sweeps[-1].totals["conv1"]).any()


@settings(max_examples=12, deadline=None)
@given(
    extent=st.integers(23, 50),
    part=st.floats(0.1, 0.9),
    pace=st.floats(0.3, 1),
    kernel=st.sampled_from([1, 2, 3, 5]),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    pool=st.sampled_from([(2, 2), (3, 2), (3, 3), (2, 3)]),
    over_edge=st.booleans(),
)
def test_equal_for_any_sizes(extent, part, pace, kernel, stride, padding, pool, over_edge):
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 4, kernel, stride, padding),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(*pool),
        nn.Conv2d(4, 4, 3, padding=1, groups=2),
        nn.Flatten(),
        nn.LazyLinear(10),
    )
    net = network(module, extent)
    image, other = picture(extent), picture(extent, 1)
    size = max(1, int(part * extent))
    step = max(1, size // 2, int(pace * size))
    (*_, sweep) = occlusion.growing(net, image, size, step, other, over_edge)
    assert sweep.method == "only what can change is computed"
    np.testing.assert_allclose(sweep.logits, plain(net, image, sweep, other), atol=1e-4)


def test_windows_are_smaller_than_the_maps():
    """Exactness alone could be had by computing everything."""
    net = network(models.mini_alexnet(10), 160)
    engine = Incremental(net.module, picture(160))
    one = np.array([64])
    engine.run([covered(picture(160), picture(160, 1), one, one, 16)])
    # by hand: rows 14-19 of conv1 see pixels 64-79, rows 6-9 of pool1 these, 4-11 of conv2, 1-5 of
    # pool2, 0-6 of conv3, and from conv4 on all 8. From conv2 on a convolution gets only the inputs
    # that change, 4, 5, 7 (nearly all, so all 8) and 8 a side; a row of them is a polynomial, known
    # by its values at 4 + 5 - 1, 5 + 3 - 1 and 8 + 3 - 1 points
    modules = dict(net.module.named_children())
    expected = 6**2 * modules["conv1"].weight.numel()
    for name, side, points, outputs in [
        ("conv2", 4, 8, 8),
        ("conv3", 5, 7, 7),
        ("conv4", 8, 10, 8),
        ("conv5", 8, 10, 8),
    ]:
        filters, maps, taps, _ = modules[name].weight.shape
        expected += side * points * taps * maps * filters  # row by row, at all points
        expected += side * points * side * maps * modules[name].groups  # the values
        expected += outputs**2 * points * filters  # back to pixels
    connected = sum(modules[name].weight.numel() for name in ("fc6", "fc7", "fc8"))
    assert engine.multiply_adds == expected + connected


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
    images = torch.randn(2, maps * groups, *extent)
    spread = Spread(layer)
    spread(images.permute(2, 0, 3, 1), padding)  # the filters' values are kept
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        outputs = spread(images.permute(2, 0, 3, 1), padding).permute(1, 3, 0, 2)
    expected = layer.double()(images.double()).detach()
    largest = layer.weight.abs().sum((1, 2, 3)).max() * images.abs().max()
    assert outputs.shape == expected.shape
    assert (outputs - expected).abs().max() < 1e-5 * largest
    # PyTorch counts a multiplication and an addition as two, and rows of zeros like others
    tiles, tile = spread._tiles(extent[1])
    products = tiles * (tile + kernel[1] - 1) * kernel[0] * maps * filters * groups
    zeros = extent[0] - expected.shape[2]
    counted = counter.get_total_flops() // 2 + len(images) * zeros * products
    assert len(images) * spread.multiply_adds(*extent, padding) == counted


def test_a_changed_network_is_not_taken_for_what_it_was():
    """Its steps and filters are kept from one picture to the next."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 8, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.LazyLinear(10),
    )
    net, image = network(module, 20), picture(20)
    under = occlusion.filling(net, image, "noise")

    def overwrite():
        with torch.no_grad():
            module[2].weight[0] *= -2

    def behind_the_back():
        module[2].weight.data[1] = 1

    def new_weights():
        module[2].weight = nn.Parameter(torch.randn(8, 32, 3, 3))

    def new_bias():
        module[0].bias = nn.Parameter(torch.randn(32))

    def new_part():
        module[1] = nn.Identity()

    def new_layer_that_looks_the_same():
        module[2] = nn.Conv2d(32, 8, 3, padding=1)

    def new_padding():
        module[0].padding = (1, 1)
        module[2].padding = (0, 0)

    def unchanged():
        pass

    changes = [overwrite, behind_the_back, new_weights, new_bias, new_part]
    changes += [new_layer_that_looks_the_same, new_padding]
    for change in (unchanged, *changes, unchanged):
        change()
        (*_, sweep) = occlusion.growing(net, image, 7, 7, "noise")
        assert sweep.method == "only what can change is computed"
        np.testing.assert_allclose(sweep.logits, plain(net, image, sweep, under), atol=1e-4)


def test_double_precision():
    net, image = network(models.mini_alexnet(10), 160), picture(160).double()
    net.module.double()
    (*_, sweep) = occlusion.growing(net, image, 40, 40, image.flip(2))
    assert sweep.method == "only what can change is computed"
    np.testing.assert_allclose(sweep.logits, plain(net, image, sweep, image.flip(2)), rtol=1e-5)


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

    def too_far_up(self, axis, first, size):
        return needed(self, axis, first * 0, size)

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
        calls.append(sum(len(window.top) for window in windows))
        if len(calls) == 3:  # the coarse places, one block
            raise KeyboardInterrupt
        return run(self, windows)

    monkeypatch.setattr(Incremental, "run", stopping)
    monkeypatch.setattr(occlusion, "TOGETHER", 1)
    monkeypatch.setattr(occlusion, "BATCH", 5e5)
    with pytest.warns(UserWarning, match="interrupted"):
        sweep = occlusion.sweep(net, image, 40, 10, progress=False)
    assert sweep.done.sum() == sum(calls[:2]) < sweep.done.size
    assert sweep.done[0, 0] and sweep.done[-1, -1] and sweep.done[0, -1]  # coarse, all over
    assert not np.isnan(evidence.paint(sweep, evidence.drop(sweep, 0))).any()
    assert [part.training for part in net.module.modules()] == flags
    assert not any(part._forward_hooks for part in net.module.modules())
    assert all((before[name] == value).all() for name, value in net.module.state_dict().items())
    assert torch.is_grad_enabled()
    monkeypatch.undo()
    whole = occlusion.sweep(net, image, 40, 10, progress=False)  # was not kept half done
    assert whole.done.all()
    np.testing.assert_allclose(sweep.logits[sweep.done], whole.logits[sweep.done], atol=1e-5)


def test_a_kept_sweep_is_the_same(monkeypatch):
    net, image = network(models.mini_alexnet(10), 160), picture(160, 3)
    first = occlusion.sweep(net, image, 80, 40, layers=["relu5"], progress=False)
    monkeypatch.setattr(occlusion, "growing", None)  # computing again would fail
    second = occlusion.sweep(net, image, 80, 40, layers=["relu5"], progress=False)
    for name, value in vars(first).items():
        np.testing.assert_equal(getattr(second, name), value)


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
    image = occlusion.seen(net, first)
    grey = net.to_image(occlusion.filling(net, first, "grey"))
    assert np.abs(grey - 128 / 255).max() < 1e-6
    mean = net.to_image(occlusion.filling(net, first, "mean"))
    pixels = np.asarray(first.image) / 255
    np.testing.assert_allclose(mean[0, 0], pixels.mean((0, 1)), atol=1e-5)
    blurred = net.to_image(occlusion.filling(net, first, "blur"))
    assert np.abs(np.diff(blurred, axis=0)).mean() < np.abs(np.diff(pixels, axis=0)).mean() / 3
    assert (occlusion.filling(net, first, "noise") == occlusion.filling(net, second, "noise")).all()
    assert (occlusion.filling(net, first, second) == occlusion.seen(net, second)).all()
    assert (occlusion.seen(net, image) == image).all()
    with pytest.raises(ValueError, match="no fill 'gray'"):
        occlusion.filling(net, first, "gray")
    with pytest.raises(layers.UnknownLayer):
        occlusion.sweep(net, first, layers=["relu9"], progress=False)


# --- maps and judgements ------------------------------------------------------------------------


def test_per_pixel_is_captums_occlusion():
    net, image = models.load(), occlusion.seen(models.load(), images.gallery("snail")[4])
    under = occlusion.filling(net, image, "blur")
    (*_, sweep) = occlusion.growing(net, image, 40, 20, "blur")
    attribution = Occlusion(net.module).attribute(
        image[None], (3, 40, 40), (3, 20, 20), target=11, baselines=under[None]
    )
    ours = evidence.per_pixel(sweep, evidence.drop(sweep, 11))
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
        starts, starts, 2, 4, logits, clean, totals, {"a": np.array([0, 3, 9, 1])}, "by hand"
    )


def test_maps_by_hand():
    sweep = tiny_sweep()
    fall = evidence.drop(sweep, 0)
    assert fall.tolist() == [[2, 2, 5], [2, 3, 2], [2, 2, 2]]
    probability = np.exp(2) / (np.exp(2) + 1) - np.exp(-3) / (np.exp(-3) + np.exp(1))
    assert evidence.drop(sweep, 0, "probability")[0, 2] == pytest.approx(probability, abs=1e-6)
    assert evidence.peak(sweep, fall) == (1, 3)
    assert evidence.strongest_map(sweep, "a") == 2
    painted = evidence.paint(sweep, fall)
    assert painted[0, 3] == 5 and painted[3, 0] == 2 and painted.shape == (4, 4)
    mean = evidence.per_pixel(sweep, fall)
    assert mean[0, 3] == 5 and mean[0, 0] == 2
    assert mean[1, 2] == (2 + 5 + 3 + 2) / 4  # four squares lie over this pixel
    with pytest.raises(ValueError, match="logit"):
        evidence.drop(sweep, 0, "loss")


def test_share_counts_positive_evidence_only():
    mask = np.array([[1, 0], [0.5, 0]])
    assert evidence.share(np.array([[3, 1], [2, -9]]), mask) == pytest.approx((3 + 1) / 6)


def test_object_mask_is_the_gallerys_mask():
    shown = images.gallery("teapot")[7]
    ours = evidence.object_mask(models.load(), shown)
    np.testing.assert_allclose(ours, np.asarray(shown.mask) / 255, atol=1e-5)


class Reads(nn.Module):
    """Class 0 is how bright the picture is in the upper left 40 px, class 1 is always 0."""

    def forward(self, x):
        bright = (x[:, :, :40, :40] + 1).mean((1, 2, 3))
        return torch.stack([bright * 9, bright * 0], 1)


def test_judged_by_a_network_of_which_all_is_known():
    net = models.wrap(Reads(), models.load().preprocess, ["mug", "car"], "reads", 160)
    mug = images.gallery("mug")[0]
    white = images.Image.new("RGB", (160, 160), "white")
    mask = images.Image.new("L", (160, 160), 0)
    mask.paste(255, (0, 0, 40, 40))
    on = images.Picture(white, "mug", mask, mug.path)
    off = images.Picture(white, "mug", mask.rotate(180), mug.path)
    judged = evidence.judge(net, [on, off], size=40, step=20)
    assert judged["hit"].tolist() == [True, False]
    assert judged["row"].tolist() == judged["column"].tolist() == [20, 20]
    assert judged["chance"].tolist() == pytest.approx([1 / 49, 4 / 49])
    assert judged["area"].tolist() == pytest.approx([1 / 16, 1 / 16])
    assert judged["share"][0] > 0.4 and judged["share"][1] == 0
    hidden = evidence.hide(net, [on, off])
    unchanged = hidden["clean"][:, 0]
    assert hidden["background"][0, 0] == pytest.approx(unchanged[0])
    assert hidden["object"][1, 0] == hidden["box"][1, 0] == pytest.approx(unchanged[1])
    assert hidden["object"][0, 0] == hidden["box"][0, 0] < unchanged[0] - 1
    assert judged["fall"][0] == pytest.approx(unchanged[0] - hidden["object"][0, 0])
    assert hidden["background"][1, 0] < unchanged[1] - 1


def test_curves():
    net = models.wrap(Reads(), models.load().preprocess, ["mug", "car"], "reads", 160)
    white = occlusion.seen(net, images.Image.new("RGB", (160, 160), "white"))
    corner = np.zeros((160, 160))
    corner[:40, :40] = 1
    bright, dark = (
        float(net.module(part[None]).softmax(1)[0, 0])
        for part in (white, occlusion.filling(net, white))
    )
    deleted = evidence.curve(net, white, corner, 0, steps=16)
    np.testing.assert_allclose(deleted, [bright] + [dark] * 16, atol=1e-5)
    inserted = evidence.curve(net, white, -corner, 0, steps=16, insert=True)
    np.testing.assert_allclose(inserted, [dark] * 16 + [bright], atol=1e-5)


def test_the_strongest_map_is_judged_too():
    net, shown = models.load(), images.gallery("flower")[3:4]
    judged = evidence.judge(net, shown, 80, 40, "mean", layer="relu5")
    clean = occlusion.seen(net, shown[0])
    totals = layers.record(net, clean[None], "relu5")["relu5"][0].sum((1, 2))
    number = int(judged["map"][0])
    assert number == totals.argmax()
    under = occlusion.filling(net, shown[0], "mean")
    top, left = int(judged["map_row"][0]) - 40, int(judged["map_column"][0]) - 40
    covered_picture = occlusion.cover(clean, under, top, left, 80)
    left_over = layers.record(net, covered_picture[None], "relu5")["relu5"][0, number].sum()
    assert judged["map_fall"][0] == pytest.approx(float(1 - left_over / totals[number]), abs=1e-4)


def test_the_course_has_what_the_lecture_asks_for(monkeypatch):
    net, gallery = models.load(), images.gallery()
    monkeypatch.setattr("lecture_utils.store.load", lambda key: None)
    with monkeypatch.context() as patch:
        patch.setattr(evidence, "tqdm", None)  # computing anything now would fail
        judged = evidence.judge(net, gallery, 32, 16, layer="relu5")
        hidden, curves = evidence.hide(net, gallery), evidence.curves(net, gallery, 32, 16)
        for size, step, fill in [
            *((size, 16, "grey") for size in (16, 32, 48, 64)),
            *((32, 16, fill) for fill in ("mean", "blur", "noise")),
            *((32, step, "grey") for step in (8, 32)),
        ]:
            assert len(evidence.judge(net, gallery[5::10], size, step, fill)["hit"]) == 140
    few = gallery[3::500]
    for stored, new in [
        (judged, evidence.judge(net, few, 32, 16, layer="relu5")),
        (hidden, evidence.hide(net, few)),
        (curves, evidence.curves(net, few, 32, 16)),
    ]:
        assert stored.keys() == new.keys()
        for name, values in new.items():
            np.testing.assert_allclose(stored[name][3::500], values, atol=0.01, err_msg=name)


def test_curves_in_all_orders():
    net = models.wrap(Reads(), models.load().preprocess, ["mug", "car"], "reads", 160)
    white = images.Image.new("RGB", (160, 160), "white")
    shown = [images.Picture(white, "mug", None, images.gallery()[0].path)]
    found = evidence.curves(net, shown, 40, 40, "grey", steps=16)
    assert found["evidence deletion"][0, 1] == pytest.approx(found["centre deletion"][0, 16])
    assert found["evidence deletion"].mean() < found["random deletion"].mean()
    assert found["evidence insertion"].mean() > found["random insertion"].mean()
    # the upper left corner is what is farthest from the centre
    assert found["centre deletion"].mean() > found["random deletion"].mean()
