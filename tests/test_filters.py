"""Filters as pictures, their measures, Gabor fits and matching, against closed forms."""

import numpy as np
import pytest
import scipy.signal
import torch
import torchvision
from PIL import Image
from sklearn.linear_model import Ridge
from torch import nn

from lecture_utils import filters, images, models

# isort: split
from torchvision.transforms.functional import to_tensor


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def network_of(*layers: nn.Module, mean=(0, 0, 0), std=(1, 1, 1), mode="RGB") -> models.Network:
    def preprocess(image):
        pixels = to_tensor(image.convert(mode).resize((32, 32)))
        shift, scale = (torch.tensor(v[: len(pixels)]).reshape(-1, 1, 1) for v in (mean, std))
        return (pixels - shift) / scale

    module = nn.Sequential(*layers)
    return models.wrap(module, preprocess, ["a"], input_size=32, mean=mean, std=std)


def random_pictures(count: int) -> list[Image.Image]:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8)
    return [Image.fromarray(p) for p in pixels]


# --- pictures of filters ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "mobilenet_v2"])
def test_first_layer_is_the_one_that_meets_the_picture(name):
    module = torchvision.models.get_model(name, weights=None).eval()
    met = []
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda layer, inputs, _: met.append((layer, inputs[0])))
    picture = torch.rand(1, 3, 64, 64)
    module(picture)
    network = models.wrap(module, None, [])
    assert filters.first_layer(network) is met[0][0]
    assert met[0][1] is picture


def test_network_without_a_convolution_says_so():
    with pytest.raises(ValueError, match="my network has no convolution"):
        filters.first_layer(models.wrap(nn.Linear(3, 2), None, ["a", "b"]))


def test_scales_of_pictures():
    weights = np.zeros((3, 3, 2, 2))
    weights[0, 0, 0, 0], weights[1, 2, 1, 1] = 4.0, -1.0  # and the third filter is dead
    shared = filters.to_images(torch.tensor(weights), "shared")
    single = filters.to_images(weights)
    assert shared.shape == (3, 2, 2, 3)
    assert shared[0, 0, 0, 0] == single[0, 0, 0, 0] == 1
    assert shared[1, 1, 1, 2] == pytest.approx(0.375) and single[1, 1, 1, 2] == 0
    assert (single[2] == 0.5).all() and (shared[2] == 0.5).all()
    assert filters.to_images(noise(2, 1, 3, 3)).shape == (2, 3, 3, 3)


def test_bad_filters_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match="one channel at a time"):
        filters.to_images(noise(2, 48, 5, 5))
    with pytest.raises(ValueError, match="per filter"):
        filters.to_images(noise(2, 3, 5, 5), "log")
    with pytest.raises(ValueError, match="height, width"):
        filters.fit_gabor(noise(3, 5, 5))
    with pytest.raises(ValueError, match="not finite"):
        filters.high_share(np.full((1, 3, 5, 5), np.nan))


# --- measures -----------------------------------------------------------------------------------


def test_colour_share_of_grey_colour_and_noise():
    shape = noise(1, 1, 11, 11)
    weights = np.concatenate(
        [shape * np.reshape(c, (1, 3, 1, 1)) for c in ([2, 2, 2], [1, -1, 0], [1, 0, 0])]
    )
    assert filters.colour_share(weights) == pytest.approx([0, 1, 2 / 3], abs=1e-12)
    assert filters.colour_share(noise(400, 3, 11, 11)).mean() == pytest.approx(2 / 3, abs=0.005)


def test_a_grey_picture_meets_only_the_grey_part():
    weights = noise(5, 3, 7, 7)
    grey_part = weights.mean(1, keepdims=True).repeat(3, 1)
    grey = torch.from_numpy(np.repeat(noise(1, 1, 7, 7, seed=1), 3, 1))
    full, part = (torch.conv2d(grey, torch.from_numpy(w)) for w in (weights, grey_part))
    assert torch.allclose(full, part)


def test_high_share_of_single_waves_and_of_noise():
    place = np.arange(11) + 0.5
    waves = [np.cos(np.pi * k * place / 11) for k in (0, 2, 5, 6, 10)]  # k / 22 cycles per pixel
    weights = np.array([np.outer(np.ones(11), wave) for wave in waves])[:, None]
    assert filters.high_share(weights) == pytest.approx([0, 0, 0, 1, 1], abs=1e-12)
    above = sum(np.hypot(i, j) / 22 > 0.25 for i in range(11) for j in range(11)) / 121
    assert filters.high_share(noise(400, 3, 11, 11)).mean() == pytest.approx(above, abs=0.005)


def test_frequency_of_single_waves_and_of_their_sum():
    place = np.arange(11) + 0.5
    waves = [np.cos(np.pi * k * place / 11) for k in (0, 2, 5)]  # k / 22 cycles per pixel
    waves = np.array([np.outer(np.ones(11), wave) for wave in [*waves, waves[1] + waves[2]]])
    expected = np.array([0, 2, 5, 3.5]) / 22
    assert filters.frequency(waves[:, None]) == pytest.approx(expected, abs=1e-12)
    assert filters.frequency(np.zeros((1, 3, 5, 5))) == 0


def test_controls_keep_what_they_promise():
    weights = scipy.signal.convolve(noise(60, 3, 11, 11), np.ones((1, 1, 5, 5)), mode="same")
    mixed = filters.shuffled(weights)
    pixels = [np.sort(w.transpose(0, 2, 3, 1).reshape(60, -1, 3), axis=1) for w in (weights, mixed)]
    assert np.array_equal(*pixels)
    assert filters.colour_share(mixed) == pytest.approx(filters.colour_share(weights))
    assert filters.high_share(mixed).mean() > 3 * filters.high_share(weights).mean()
    smooth = filters.smooth_noise(weights)
    share = [
        filters.energy(w) @ filters.high_share(w) / filters.energy(w).sum()
        for w in (smooth, weights / np.sqrt(filters.energy(weights))[:, None, None, None])
    ]
    assert share[0] == pytest.approx(share[1], rel=0.3)


# --- Gabor functions ----------------------------------------------------------------------------


def test_gabor_is_its_formula():
    """Daugman's formula at one pixel, worked out by hand."""
    picture = filters.gabor(11, 6, 90, phase=60, envelope=2, aspect=0.5, centre=(1, -1))
    down, right = 2, 3  # from the middle: row 7, column 8
    u, v = right + 1, down - 1
    expected = np.exp(-(u**2) / 8 - v**2 / 32) * np.cos(2 * np.pi * u / 6 + np.pi / 3)
    assert picture[7, 8] == pytest.approx(expected)


def test_orientation_is_that_of_the_stripes():
    rising = np.fliplr(np.eye(11))  # from bottom left to top right: 45 degrees
    matches = {o: (filters.gabor(11, 8, o) * rising).sum() for o in (0, 45, 90, 135)}
    assert max(matches, key=matches.get) == 45
    assert np.ptp(filters.gabor(11, 8, 0, envelope=1e6), axis=1).max() < 1e-6  # rows constant


def random_gabors(count: int, size: int, channels: int, seed: int) -> tuple[np.ndarray, list]:
    """Gabor functions of which enough lies inside the frame to be measured, with 5 % noise."""
    random = np.random.default_rng(seed)
    weights, truth = [], []
    for _ in range(count):
        wavelength = random.uniform(0.36, 1) * size
        p = {
            "wavelength": wavelength,
            "orientation": random.uniform(0, 180),
            "phase": random.uniform(0, 360),
            "envelope": wavelength * random.uniform(0.25, 0.5),
            "aspect": random.uniform(0.5, 1.2),
            "centre": tuple(random.uniform(-0.15, 0.15, 2) * size),
        }
        colour = random.normal(size=(channels, 1, 1))
        shape = colour * filters.gabor(size, **p)
        weights.append(shape + random.normal(size=shape.shape) * 0.05 * shape.std())
        truth.append(p)
    return np.array(weights), truth


@pytest.mark.parametrize("size, channels, seed", [(11, 3, 0), (11, 1, 1), (7, 3, 2)])
def test_fit_recovers_gabors_under_noise(size, channels, seed):
    weights, truth = random_gabors(30, size, channels, seed)
    fit = filters.fit_gabor(weights)
    orientation = np.array([p["orientation"] for p in truth])
    wavelength = np.array([p["wavelength"] for p in truth])
    assert (np.abs((fit.orientation - orientation + 90) % 180 - 90) < 3).all()
    assert (np.abs(fit.wavelength / wavelength - 1) < 0.05).all()
    assert (fit.r2 > 0.99).all()


def test_fit_names_the_function_it_found():
    """`gabor` made of the reported parameters is the fitted picture."""
    weights, _ = random_gabors(12, 11, 3, seed=3)
    fit = filters.fit_gabor(weights)
    for i in range(len(weights)):
        names = ("wavelength", "orientation", "phase", "envelope", "aspect", "centre")
        again = filters.gabor(11, **{name: getattr(fit, name)[i] for name in names})
        assert np.allclose(fit.colour[i][:, None, None] * again, fit.fitted[i], atol=1e-9)
    left = filters.energy(weights - fit.fitted) / filters.energy(weights)
    assert fit.r2 == pytest.approx(1 - left)


def test_fit_is_no_worse_than_a_general_optimizer():
    from scipy.optimize import least_squares

    weights = filters.smooth_noise(random_gabors(6, 11, 3, seed=4)[0])
    fit = filters.fit_gabor(weights)
    for i, target in enumerate(weights):

        def residual(p, target=target):
            shape = filters.gabor(11, *p[:3], np.exp(p[3]), np.exp(p[4]), p[5:7])
            return (p[7:, None, None] * shape - target).ravel()

        names = (fit.wavelength, fit.orientation, fit.phase, np.log(fit.envelope))
        start = [*(n[i] for n in names), np.log(fit.aspect[i]), *fit.centre[i], *fit.colour[i]]
        limits = np.array(
            [(5.5, 22)]
            + [(-999, 999)] * 2
            + [(np.log(0.7), np.log(11))]
            + [(-3, 3)]
            + [(-5.5, 5.5)] * 2
            + [(-99, 99)] * 3
        ).T
        best = least_squares(
            residual, np.clip(start, limits[0] + 1e-6, limits[1] - 1e-6), bounds=limits
        )
        assert 1 - 2 * best.cost / filters.energy(target[None])[0] < fit.r2[i] + 0.01


def test_blobs_and_noise_are_told_from_gabors():
    rows, columns = np.mgrid[-5:6, -5:6]
    blob = np.exp(-(rows**2 + (columns - 1) ** 2) / 18)[None] * np.reshape(
        [1, -0.5, 0.2], (3, 1, 1)
    )
    edge = filters.gabor(11, 12, 30, phase=90, envelope=3)[None].repeat(3, 0)
    weights = np.stack([blob, edge, noise(3, 11, 11), np.zeros((3, 11, 11))])
    fit = filters.fit_gabor(weights)
    assert fit.gabor_like.tolist() == [False, True, False, False]
    assert fit.blob_like.tolist() == [True, False, False, False]
    assert fit.blob_r2[0] > 0.999 and fit.blob_r2[1] < 0.5
    assert np.median(filters.fit_gabor(noise(60, 3, 11, 11)).r2) < 0.15


@pytest.mark.parametrize("shape", [(5, 3, 3, 3), (5, 1, 7, 7), (3, 2, 5, 9)])
def test_fit_takes_any_shape(shape):
    fit = filters.fit_gabor(noise(*shape))
    assert fit.fitted.shape == shape and fit.colour.shape == shape[:2]
    assert ((fit.r2 >= fit.blob_r2 - 0.05) & (fit.r2 <= 1)).all()


def test_gratings_measure_the_orientation():
    """The best of all gratings for a Gabor function has its own orientation and wavelength."""
    weights = filters.gabor(15, 6, 50, phase=130, envelope=3)
    orientations, wavelengths = np.arange(0, 180, 10), [4, 5, 6, 7, 9]
    best = {}
    for wavelength in wavelengths:
        shown = filters.gratings(15, wavelength, orientations, np.arange(0, 360, 30))
        assert shown.shape == (18, 12, 15, 15) and np.abs(shown).max() <= 1
        best[wavelength] = (shown * weights).sum((2, 3)).max(1)
    assert max(best, key=lambda w: best[w].max()) == 6
    assert orientations[best[6].argmax()] == 50


def test_tuning_finds_what_a_gabor_function_is_made_of():
    """Wavelength, orientation and colour, and the size of the answer, whatever the phase."""
    wavelengths, orientations, colours = [4, 5, 6, 7, 9], range(0, 180, 10), np.eye(3)
    shapes = [filters.gabor(15, 6, 50, phase, envelope=3) for phase in (10, 130, 250)]
    weights = np.stack([shape * np.reshape([0, 2, 1], (3, 1, 1)) for shape in shapes])
    found = filters.tuning(weights, colours, wavelengths, orientations)
    assert found.shape == (3, 5, 18)
    assert {*found.reshape(3, -1).argmax(1)} == {2 * 18 + 5}
    shown = filters.gratings(15, 6, [50], range(360))[0]
    by_search = np.einsum("phw,fhw->fp", shown, weights[:, 1]).max(1)
    assert found.max((1, 2)) == pytest.approx(by_search, rel=1e-3)


def test_fits_are_remembered(monkeypatch, tmp_path):
    monkeypatch.setenv("LECTURE_UTILS_CACHE", str(tmp_path))
    weights, _ = random_gabors(6, 7, 3, seed=5)
    fit, shares = filters.fitted(weights), filters.noise_shares(weights, draws=3)
    assert shares.shape == (3,) and len(set(shares)) > 1
    expected = filters.fit_gabor(filters.smooth_noise(weights, seed=2)).gabor_like.mean()
    assert shares[2] == expected

    def refuse(_weights):
        raise AssertionError("fitted again")

    monkeypatch.setattr(filters, "fit_gabor", refuse)
    again = filters.fitted(torch.from_numpy(weights))
    assert (again.r2 == fit.r2).all() and (again.fitted == fit.fitted).all()
    assert (filters.noise_shares(weights, draws=3) == shares).all()
    elsewhere = weights * (1 + 1e-12)  # as another machine's sums come out
    assert (filters.fitted(elsewhere).r2 == fit.r2).all()
    for other in (2 * weights, -weights, weights[::-1]):
        with pytest.raises(AssertionError):
            filters.fitted(other)


def test_halves_that_differ_and_halves_that_do_not():
    random = np.random.default_rng(0)
    values = random.normal(size=40)
    difference, luck = filters.halves(values)
    assert difference == pytest.approx(values[:20].mean() - values[20:].mean())
    assert 0.05 < luck <= 1
    assert filters.halves(values + np.repeat([0, 3], 20))[1] < 0.001
    assert filters.halves([1.0, 2.0, 3.0, 3.5])[1] == pytest.approx(2 / 6)  # all six deals


# --- patches ------------------------------------------------------------------------------------


def extreme_answers(network: models.Network, layer: nn.Conv2d, pictures) -> torch.Tensor:
    """[filters, 2, pictures]: the largest answer to each picture, and the smallest, sorted."""
    batch = torch.stack([network.preprocess(p) for p in pictures])
    maps = layer(batch.to(layer.weight.dtype)).detach()
    highest = maps.amax((2, 3)).T.sort(descending=True).values
    return torch.stack([highest, maps.amin((2, 3)).T.sort().values], 1).float()


LAYERS = {
    "chain": {},
    "padded": {"padding": 2, "stride": 3},
    "same": {"padding": "same"},
    "same, dilated": {"padding": "same", "dilation": (1, 2)},
    "valid": {"padding": "valid", "stride": (1, 2)},
    "dilated": {"dilation": 2, "padding": 3},
    "reflected": {"padding": (2, 1), "padding_mode": "reflect"},
    "replicated": {"padding": 4, "padding_mode": "replicate", "stride": 2},
    "circular": {"padding": "same", "padding_mode": "circular"},
}


@pytest.mark.parametrize("kind", LAYERS)
def test_extremes_are_the_patches_of_largest_and_smallest_response(kind):
    """The answer to what is shown is the answer the network gave."""
    torch.manual_seed(0)
    layer, pictures = nn.Conv2d(3, 4, (5, 4), **LAYERS[kind]), random_pictures(7)
    mean, std = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)
    network = network_of(layer, nn.Flatten(), nn.Identity(), mean=mean, std=std)
    found = filters.extremes(network, pictures, count=3)
    assert found.shape == (4, 2, 3, 5, 4, 3) and not layer._forward_hooks
    shown = (torch.from_numpy(found) - torch.tensor(mean)) / torch.tensor(std)
    answers = torch.einsum("fsnhwc,fchw->fsn", shown, layer.weight) + layer.bias[:, None, None]
    expected = extreme_answers(network, layer, pictures)[..., :3]
    torch.testing.assert_close(answers.detach(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("precision", [torch.float64, torch.bfloat16, torch.float16])
def test_extremes_in_other_precisions(precision):
    torch.manual_seed(0)
    layer, pictures = nn.Conv2d(3, 4, 5, stride=2), random_pictures(5)
    network = network_of(layer.to(precision))
    found = filters.extremes(network, pictures, count=1)
    assert found.dtype == np.float32
    answers = torch.einsum("fshwc,fchw->fs", torch.from_numpy(found[:, :, 0]), layer.weight.float())
    expected = extreme_answers(network, layer, pictures)[..., 0] - layer.bias.float()[:, None]
    torch.testing.assert_close(answers.detach(), expected, rtol=0, atol=0.02)


def test_extremes_show_a_filter_of_one_channel_in_grey():
    torch.manual_seed(0)
    pictures = random_pictures(5)
    depthwise, grey = nn.Conv2d(3, 6, 5, groups=3), nn.Conv2d(1, 6, 5)
    scaled = {"mean": (0.1,), "std": (0.3,), "mode": "L"}
    for layer, options in ((depthwise, {}), (grey, {"mode": "L"}), (grey, scaled)):
        network = network_of(layer, **options)
        found = filters.extremes(network, pictures, count=2)
        assert found.shape == (6, 2, 2, 5, 5, 3) and (found == found[..., :1]).all()
        shown = torch.from_numpy(found[..., 0])
        shown = (shown - 0.1) / 0.3 if options is scaled else shown
        answers = torch.einsum("fsnhw,fhw->fsn", shown, layer.weight[:, 0].detach())
        expected = extreme_answers(network, layer, pictures) - layer.bias.detach()[:, None, None]
        torch.testing.assert_close(answers, expected[..., :2], rtol=0, atol=1e-4)


class Normalising(nn.Module):
    """Brings its own normalisation, as torchvision's GoogLeNet does."""

    def forward(self, x):
        return (x - 0.5) * torch.tensor([4.0, -4.0, 1.0]).reshape(3, 1, 1)


def test_extremes_are_those_inside_the_network():
    torch.manual_seed(0)
    layer, pictures = nn.Conv2d(3, 4, 5), random_pictures(5)
    network = network_of(Normalising(), layer)
    found = torch.from_numpy(filters.extremes(network, pictures, count=1)[:, :, 0])
    met = Normalising()(found.permute(0, 1, 4, 2, 3))
    answers = torch.einsum("fschw,fchw->fs", met, layer.weight) + layer.bias[:, None]
    maps = network.module(torch.stack([network.preprocess(p) for p in pictures])).detach()
    expected = torch.stack([maps.amax((0, 2, 3)), maps.amin((0, 2, 3))], 1)
    torch.testing.assert_close(answers.detach(), expected, rtol=0, atol=1e-4)
    enlarged = network_of(nn.Upsample(scale_factor=2), nn.Conv2d(3, 4, 5))
    with pytest.raises(ValueError, match="changes the size of the picture"):
        filters.extremes(enlarged, pictures)


def test_extremes_of_the_gallery_come_from_the_gallery():
    network = models.load(epoch=models.available()["epochs"][-1])
    picture = images.gallery("mug")[3]
    patches = filters.extremes(network, [picture], count=9)
    assert patches.shape == (96, 2, 1, 11, 11, 3)
    pixels = np.asarray(picture.image) / 255
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (11, 11), axis=(0, 1))[::4, ::4]
    distance = np.abs(windows.transpose(0, 1, 3, 4, 2) - patches[5, 0, 0]).max((2, 3, 4))
    assert distance.min() < 1e-5


# --- matching -----------------------------------------------------------------------------------


def test_match_undoes_a_permutation_and_a_shift():
    weights = np.pad(noise(12, 3, 5, 5), ((0, 0), (0, 0), (3, 3), (3, 3)))
    order = np.random.default_rng(1).permutation(12)
    moved = np.roll(3 * weights[order], (1, -2), axis=(2, 3))
    partner, correlation = filters.match(weights, moved)
    assert (order[partner] == np.arange(12)).all()
    assert correlation == pytest.approx(1)
    assert filters.match(weights, moved, shift=0)[1].max() < 0.9
    assert filters.match(weights, -moved)[1].max() < 0.9  # the opposite is another detector


def test_match_is_the_best_assignment():
    from itertools import permutations

    first, second = noise(5, 1, 4, 4), noise(5, 1, 4, 4, seed=1)
    lengths = [
        w.reshape(5, -1) / np.linalg.norm(w.reshape(5, -1), axis=1)[:, None]
        for w in (first, second)
    ]
    table = lengths[0] @ lengths[1].T
    best = max(sum(table[i, p[i]] for i in range(5)) for p in permutations(range(5)))
    assert filters.match(first, second, shift=0)[1].sum() == pytest.approx(best)


def test_match_of_unequal_numbers_and_sizes():
    partner, correlation = filters.match(noise(6, 3, 7, 7), noise(4, 3, 11, 11, seed=1))
    assert sorted(partner) == [-1, -1, 0, 1, 2, 3] and np.isnan(correlation[partner < 0]).all()
    with pytest.raises(ValueError, match="1 and 3 channels"):
        filters.match(noise(2, 1, 5, 5), noise(2, 3, 5, 5))


# --- the course's networks ----------------------------------------------------------------------


# --- patches, answers, the smallest filters ------------------------------------------------------


@pytest.fixture(scope="module")
def seen():
    """Patches of smooth noise pictures [2000, 3 * 5 * 5]: neighbouring pixels are alike."""
    noise = torch.randn(20, 3, 34, 34, generator=torch.Generator().manual_seed(0))
    return filters.patches(torch.nn.functional.avg_pool2d(noise, 3, 1), 5, 2000)


def test_patches_are_windows_of_the_pictures_from_everywhere():
    pixels = torch.arange(2 * 3 * 8 * 9).reshape(2, 3, 8, 9)
    found = filters.patches(pixels, 5, 300).reshape(300, 3, 5, 5)
    corners = set()
    for patch in found:
        picture, _, row, column = np.unravel_index(patch[0, 0, 0], pixels.shape)
        window = pixels[picture, :, row : row + 5, column : column + 5]
        assert (patch == window.numpy()).all()
        corners.add((picture, row, column))
    assert len(corners) == 2 * 4 * 5  # every place of both pictures is met


def test_answer_variance_is_the_variance_of_the_answers(seen):
    weights = np.random.default_rng(1).normal(size=(7, 3, 5, 5))
    answers = seen @ weights.reshape(7, -1).T
    found = filters.answer_variance(weights, filters.covariance(seen))
    np.testing.assert_allclose(found, answers.var(0), rtol=1e-6)


@pytest.mark.parametrize("ridge", [0.01, 1.0])
def test_smallest_filters_are_those_of_ridge_regression(seen, ridge):
    weights = np.random.default_rng(1).normal(size=(7, 3, 5, 5))
    centred = seen.astype(float) - seen.mean(0)
    answers = centred @ weights.reshape(7, -1).T
    reference = Ridge(alpha=ridge * len(seen), fit_intercept=False).fit(centred, answers)
    found = filters.smallest(weights, filters.covariance(seen), ridge)
    np.testing.assert_allclose(found.reshape(7, -1), reference.coef_, atol=1e-6)


def test_smallest_filters_lose_patterns_that_hardly_occur(seen):
    covariance = filters.covariance(seen)
    variance, patterns = np.linalg.eigh(covariance)
    small = filters.smallest(patterns.T.reshape(-1, 3, 5, 5), covariance, ridge=0.1)
    left = variance / (variance + 0.1)  # of each pattern
    np.testing.assert_allclose(small.reshape(75, 75), left[:, None] * patterns.T, atol=1e-9)
    assert left[0] < 0.05 and left[-1] > 0.85


def test_share_kept_is_the_explained_variance_of_the_answers(seen):
    random = np.random.default_rng(2)
    weights, other = random.normal(size=(2, 6, 3, 5, 5))
    other[:3] = 0.9 * weights[:3]
    answers, others = (seen @ w.reshape(6, -1).T for w in (weights, other))
    expected = 1 - (answers - others).var(0) / answers.var(0)
    found = filters.share_kept(weights, other, filters.covariance(seen))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert found[:3] == pytest.approx(0.99)


def test_strength_is_how_much_a_filter_varies_the_next_layer() -> None:
    torch.manual_seed(0)
    received = torch.randn(50, 8, 16, 16) * torch.arange(1.0, 9).reshape(-1, 1, 1)  # white noise
    reader = nn.Conv2d(8, 6, 3, groups=2)
    found = filters.strength(received, reader)
    for number in range(8):
        alone = torch.zeros_like(received)
        alone[:, number] = received[:, number]
        moved = reader(alone).detach().var((0, 2, 3)).sum()
        assert found[number] == pytest.approx(moved.item(), rel=0.05)


def test_strength_stays_when_the_next_layer_undoes_a_scale() -> None:
    first, reader = nn.Conv2d(3, 8, 5), nn.Conv2d(8, 6, 3)
    pixels = torch.randn(5, 3, 20, 20)
    with torch.no_grad():
        before, logits = (
            filters.strength(first(pixels).relu(), reader),
            reader(first(pixels).relu()),
        )
        scale = torch.linspace(0.1, 10, 8)
        first.weight *= scale[:, None, None, None]
        first.bias *= scale
        reader.weight /= scale[:, None, None]
        torch.testing.assert_close(reader(first(pixels).relu()), logits, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(
            filters.strength(first(pixels).relu(), reader), before, rtol=1e-4
        )
