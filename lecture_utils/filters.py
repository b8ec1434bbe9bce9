"""Lecture 1: the filters of the first layer as pictures, and numbers that say what they are.

Filters are arrays or tensors [filters, channels, height, width]; one and three channels can be
shown as pictures. Angles are in degrees; an orientation is that of the stripes, counted
counter-clockwise from horizontal, so 0 is a horizontal and 90 a vertical edge.
"""

from collections.abc import Iterable

import numpy as np
import scipy.fft
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import permutation_test
from torch import Tensor, nn
from torch.nn import functional

from lecture_utils import store
from lecture_utils.methods import fingerprints
from lecture_utils.methods.gabor import (  # noqa: F401
    GaborFit,
    Weights,
    as_array,
    fit_gabor,
    gabor,
    gratings,
)
from lecture_utils.methods.receptive_fields import pair, window
from lecture_utils.models import Network, on_cpu


def first_layer(network: Network) -> nn.Conv2d:
    """The convolution that sees the picture; ValueError where none takes 3 or 1 channels.

    Its `weight` is [filters, 3 or 1, height, width], in the network's normalised input units.
    """
    for layer in network.module.modules():
        if isinstance(layer, nn.Conv2d) and layer.in_channels in (1, 3):
            return layer
    raise ValueError(f"{network.name} has no convolution that sees the picture")


def to_images(weights: Weights, scale: str = "per filter") -> np.ndarray:
    """Weights as pictures [filters, height, width, 3] in 0..1: mid-grey is weight 0.

    `scale` "per filter" stretches each filter to its own largest weight, which hides that some are
    far stronger; "shared" uses one factor for all, which hides the weak ones. ValueError for other
    than 1 or 3 channels.
    """
    values = as_array(weights)
    if values.shape[1] not in (1, 3):
        advice = "show one channel at a time, weights[:, [channel]]"
        raise ValueError(f"{values.shape[1]} channels are no colour picture: {advice}")
    if scale not in ("per filter", "shared"):
        raise ValueError(f"scale is 'per filter' or 'shared', not {scale!r}")
    largest = np.abs(values).max((1, 2, 3) if scale == "per filter" else None, keepdims=True)
    shown = 0.5 + 0.5 * values / np.maximum(largest, 1e-12)
    return np.broadcast_to(shown, (len(shown), 3, *shown.shape[2:])).transpose(0, 2, 3, 1)


def energy(weights: Weights) -> np.ndarray:
    """Sum of squared weights [filters]: the variance of the response to white noise."""
    return (as_array(weights) ** 2).sum((1, 2, 3))


def strength(received: Tensor, reader: nn.Conv2d) -> np.ndarray:
    """How much each filter moves the next layer, [filters], whatever the scale of its weights.

    Variance of what the convolution `reader` receives of it, Tensor [pictures, filters, rows,
    columns], times the squared weights with which it is read. Scale a filter up and its reader's
    weights down: a ReLU network computes the same, and this number stays. The energy does not.
    """
    squared = (reader.weight.detach() ** 2).sum((2, 3))  # [reader's filters, filters of a group]
    weight = squared.unflatten(0, (reader.groups, -1)).sum(1).flatten()
    return (received.var((0, 2, 3)) * weight).numpy()


def colour_share(weights: Weights) -> np.ndarray:
    """Share of each filter's energy off the grey axis (red = green = blue), [filters] in 0..1.

    0: blind to colour. 1: blind to grey pictures, which meet only the mean over the channels.
    White noise has 2/3. A weight-space relative of the selectivity index that Rafegas & Vanrell
    (2018, Vision Research 151) measure with pictures.
    """
    values = as_array(weights)
    grey = values.mean(1, keepdims=True)
    return energy(values - grey) / np.maximum(energy(values), 1e-30)


def high_share(weights: Weights, cutoff: float = 0.25) -> np.ndarray:
    """Share of each filter's energy above `cutoff`, in cycles per pixel: its noise, [filters].

    By the cosine transform, which unlike Fourier's takes no jump between opposite borders for
    a high frequency. White noise has the share of the coefficients above the cutoff.
    """
    power = scipy.fft.dctn(as_array(weights), axes=(2, 3), norm="ortho") ** 2
    rows, columns = (np.arange(n) / (2 * n) for n in power.shape[2:])
    high = np.hypot(rows[:, None], columns) > cutoff
    return power[..., high].sum((1, 2)) / np.maximum(power.sum((1, 2, 3)), 1e-30)


def frequency(weights: Weights) -> np.ndarray:
    """Mean spatial frequency of each filter, its energy as weights, cycles per pixel, [filters].

    By the cosine transform, as `high_share`; unlike a fitted wavelength every filter has it.
    """
    power = scipy.fft.dctn(as_array(weights), axes=(2, 3), norm="ortho") ** 2
    rows, columns = (np.arange(n) / (2 * n) for n in power.shape[2:])
    power, waves = power.sum(1), np.hypot(rows[:, None], columns)
    return (power * waves).sum((1, 2)) / np.maximum(power.sum((1, 2)), 1e-30)


def shuffled(weights: Weights, seed: int = 0) -> np.ndarray:
    """Every filter with its pixels in random order: same colours, no shape."""
    values = as_array(weights)
    pixels = values.reshape(*values.shape[:2], -1)
    order = np.random.default_rng(seed).random((len(values), 1, pixels.shape[2])).argsort()
    return np.take_along_axis(pixels, order, 2).reshape(values.shape)


def smooth_noise(weights: Weights, seed: int = 0) -> np.ndarray:
    """As smooth as these filters on average, but shapeless; each in one random colour."""
    values = as_array(weights)
    power = (scipy.fft.dctn(_of_length_1(values), axes=(2, 3), norm="ortho") ** 2).mean((0, 1))
    random = np.random.default_rng(seed)
    spectrum = random.normal(size=(len(values), 1, *power.shape)) * np.sqrt(power)
    colour = random.normal(size=(*values.shape[:2], 1, 1))
    return scipy.fft.idctn(spectrum, axes=(2, 3), norm="ortho") * colour


def fitted(weights: Weights) -> GaborFit:
    """`fit_gabor`, remembered from run to run."""
    return store.kept(("fit_gabor 3", _known_by(weights)), lambda: fit_gabor(weights))


def noise_shares(weights: Weights, draws: int = 20) -> np.ndarray:
    """The share of Gabor-like filters in each of several draws of `smooth_noise`, [draws].

    The control for the same share of the filters themselves; remembered from run to run.
    """

    def fit_all() -> np.ndarray:
        noise = (smooth_noise(weights, seed) for seed in range(draws))
        return np.array([fit_gabor(values).gabor_like.mean() for values in noise])

    return store.kept(("noise_shares 1", _known_by(weights), draws), fit_all)


def _known_by(weights: Weights) -> str | None:
    """A key for filters, in half precision: calculated ones differ a little between machines."""
    return fingerprints.of(torch.from_numpy(as_array(weights).astype(np.float16)))


def halves(values: np.ndarray, deals: int = 9999) -> tuple[float, float]:
    """Mean of the first half minus that of the second, and how often random halves differ as much.

    The second number is the p-value of a two-sided permutation test.
    """
    first, second = np.array_split(np.asarray(values), 2)
    found = permutation_test(
        (first, second),
        lambda a, b, axis: a.mean(axis) - b.mean(axis),
        n_resamples=deals,
        vectorized=True,
        rng=0,
    )
    return float(found.statistic), float(found.pvalue)


def tuning(weights: Weights, colours: np.ndarray, wavelengths: Iterable, orientations: Iterable):
    """What filters answer to gratings: [filters, wavelengths, orientations].

    `colours` is [colours, channels]; the best of them and of all phases counts. The gratings fill
    the whole filter; at the best phase, the answer is the root of the summed squares of the answers
    to any two gratings that are a quarter of a wave apart.
    """
    values, colours = as_array(weights), np.asarray(colours, float)
    shown = [gratings(values.shape[-1], w, orientations, (0, 90)) for w in wavelengths]
    coloured = np.einsum("kc,fchw->kfhw", colours, values)
    answers = np.einsum("kfhw,lophw->kflop", coloured, np.array(shown), optimize=True)
    return np.hypot(*np.moveaxis(answers, -1, 0)).max(0)


def patches(pixels: Tensor, size: int = 11, count: int = 40_000, seed: int = 0) -> np.ndarray:
    """Squares cut out at random: Tensor [N, channels, H, W] -> [count, channels * size * size]."""
    random = np.random.default_rng(seed)
    height, width = pixels.shape[2:]
    picture = random.integers(len(pixels), size=count)
    row, column = random.integers((height - size + 1, width - size + 1), size=(count, 2)).T
    views = pixels.unfold(2, size, 1).unfold(
        3, size, 1
    )  # no copy: [N, channels, rows, columns, ...]
    return views[picture, :, row, column].flatten(1).numpy()


def covariance(patches: np.ndarray) -> np.ndarray:
    """Of the values of patches [count, values], about their mean: [values, values]."""
    return np.cov(patches.astype(float), rowvar=False, bias=True)


def smallest(weights: Weights, covariance: np.ndarray, ridge: float = 1.0) -> np.ndarray:
    """The smallest filters that answer patches of this covariance in nearly the same way.

    Ridge regression of each filter's answers on the patches. What a filter holds in directions in
    which no picture varies can be seen but never answers to anything; here it goes. With `ridge`,
    a variance, directions that vary less than that count for little too. 0 leaves all as it is.
    """
    values = as_array(weights)
    penalised = covariance + ridge * np.eye(len(covariance))
    flat = values.reshape(len(values), -1)
    return np.linalg.solve(penalised, covariance @ flat.T).T.reshape(values.shape)


def share_kept(weights: Weights, other: Weights, covariance: np.ndarray) -> np.ndarray:
    """How much of the variance of each filter's answers the `other` filters explain, [filters].

    1: the same answers to patches of this covariance; below 0: worse than none.
    """
    values = as_array(weights)
    lost = answer_variance(values - as_array(other), covariance)
    return 1 - lost / np.maximum(answer_variance(values, covariance), 1e-30)


def answer_variance(weights: Weights, covariance: np.ndarray) -> np.ndarray:
    """Variance of each filter's answers to patches of this covariance, [filters]."""
    flat = as_array(weights).reshape(len(weights), -1)
    return np.einsum("fi,ij,fj->f", flat, covariance, flat)


def extremes(network: Network, pictures: Iterable, count: int = 9) -> np.ndarray:
    """The patches that excite each first-layer filter most, and those that inhibit it most.

    Returns:
        float32 [filters, 2, count, height, width, 3] in 0..1: [:, 0] excites most, [:, 1] least,
        strongest first, at most one of each picture. The pixels are those that the filter met:
        every second one if it is dilated, what the layer pads where it reaches over the border,
        one channel in grey if it sees no other. Raises ValueError without pictures.
    """
    layer = first_layer(network)
    filters = torch.arange(layer.out_channels)
    kept: list[list] = [[], []]  # of both sides, the values and the patches
    for batch in network.batches(pictures):
        responses, windows = _responses(network, layer, batch), _windows(layer, batch)
        if windows.shape[2:4] != responses.shape[2:]:
            raise ValueError(f"{network.name} changes the size of the picture before {layer}")
        for side, sign in enumerate((1, -1)):
            value, place = (sign * responses).flatten(2).max(2)  # [pictures, filters]
            row, column = place // responses.shape[3], place % responses.shape[3]
            patches = windows[torch.arange(len(batch))[:, None], :, row, column]
            patches = patches * network.std + network.mean
            if layer.groups > 1:  # each filter looks at one channel
                channel = filters * layer.groups // len(filters)
                patches = patches[:, filters, channel][:, :, None]
            if kept[side]:
                value, patches = map(torch.cat, zip(kept[side], (value, patches)))
            value, best = value.topk(min(count, len(value)), dim=0)
            kept[side] = [value, patches[best, filters]]
    if not kept[0]:
        raise ValueError("there are no pictures")
    patches = torch.stack([patches for _, patches in kept]).permute(2, 0, 1, 4, 5, 3)
    return patches.clamp(0, 1).expand(*patches.shape[:5], 3).numpy()


class _Enough(Exception):
    """Ends a forward pass behind the first layer, whose output it carries."""


def _responses(network: Network, layer: nn.Conv2d, batch: Tensor) -> Tensor:
    """What a layer answers inside its network [pictures, filters, rows, columns], on the CPU."""

    def leave(_module, _inputs, output: Tensor) -> None:
        raise _Enough(output)

    with layer.register_forward_hook(leave):
        try:
            network(batch)
        except _Enough as enough:
            return on_cpu(enough.args[0])


def _windows(layer: nn.Conv2d, batch: Tensor) -> Tensor:
    """What a convolution meets: [pictures, channels, rows, columns, *its kernel]."""
    kernel, stride, before, dilation = (pair(part) for part in window(layer))
    reach = [d * (k - 1) for k, d in zip(kernel, dilation)]  # from its first pixel to its last
    after = [r - b for r, b in zip(reach, before)] if layer.padding == "same" else before
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = functional.pad(batch, (before[1], after[1], before[0], after[0]), mode)
    windows = padded.unfold(2, reach[0] + 1, stride[0]).unfold(3, reach[1] + 1, stride[1])
    return windows[..., :: dilation[0], :: dilation[1]]


def match(first: Weights, second: Weights, shift: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Pair the filters of two networks one to one so that the sum of correlations is largest.

    A filter may move by up to `shift` pixels in each direction to meet its partner; what leaves
    the frame is lost, so shifting costs. Filters of another size are framed with zeros.

    Returns:
        (partner, correlation), each [filters of `first`]: number of the filter in `second`, or -1
        where `second` has too few, and the cosine of the angle between the two as vectors.
    """
    first, second = as_array(first), as_array(second)
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"{first.shape[1]} and {second.shape[1]} channels cannot be compared")
    size = np.maximum(first.shape[2:], second.shape[2:])
    first, second = (torch.from_numpy(_framed(_of_length_1(w), size)) for w in (first, second))
    best = functional.conv2d(second, first, padding=shift).amax((2, 3)).T.numpy()
    rows, columns = linear_sum_assignment(best, maximize=True)
    partner, correlation = np.full(len(first), -1), np.full(len(first), np.nan)
    partner[rows], correlation[rows] = columns, best[rows, columns]
    return partner, correlation


def _framed(values: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Filters in the middle of a frame of zeros."""
    down, right = size - values.shape[2:]
    sides = (down // 2, down - down // 2), (right // 2, right - right // 2)
    return np.pad(values, ((0, 0), (0, 0), *sides))


def _of_length_1(values: np.ndarray) -> np.ndarray:
    return values / np.maximum(np.sqrt(energy(values)), 1e-15)[:, None, None, None]
