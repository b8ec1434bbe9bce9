"""Gabor functions: a plane wave under a Gaussian envelope, made to measure and fitted to filters.

Angles are in degrees; an orientation is that of the stripes, counted counter-clockwise from
horizontal, so 0 is a horizontal and 90 a vertical edge. Lengths are in pixels of the filter.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

EXPLAINED = 0.75  # a filter is Gabor-like if a Gabor function explains this share of its energy,
REMAINDER = 0.5  # and leaves less than this share of what a blob without stripes leaves
WIDEST = 2.0  # largest wavelength that is fitted, in filter sizes: more is hardly a wave

Weights = np.ndarray | Tensor


def as_array(weights: Weights) -> np.ndarray:
    """Filters as float64 [filters, channels, height, width]; ValueError for anything else."""
    if isinstance(weights, Tensor):
        weights = weights.detach().cpu().double().numpy()
    values = np.asarray(weights, float)
    if values.ndim != 4 or 0 in values.shape:
        raise ValueError(f"filters are [filters, channels, height, width], not {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("these filters hold values that are not finite: did the training diverge?")
    return values


def gabor(
    size: int,
    wavelength: float,
    orientation: float,
    phase: float = 0.0,
    envelope: float = 2.5,
    aspect: float = 1.0,
    centre: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """A Gabor function: a plane wave under a Gaussian envelope (Daugman 1985), [size, size].

    Args:
        wavelength: of the wave, in pixels.
        orientation: of the stripes, degrees counter-clockwise from horizontal.
        phase: of the wave at the centre: 0 a bright bar, 180 a dark bar, 90 and 270 an edge.
        envelope: standard deviation of the Gaussian across the stripes, in pixels.
        aspect: `envelope` over the standard deviation along the stripes; below 1: long stripes.
        centre: (down, right) from the middle of the filter, in pixels.
    """
    wave = np.radians(90 - orientation), 1 / wavelength, np.radians(phase)
    parameters = [centre[1], centre[0], *wave, *np.log([envelope, envelope / aspect])]
    return _wave(np.array([parameters]), _grid(size, size))[0].reshape(size, size)


def gratings(
    size: int, wavelength: float, orientations: Iterable[float], phases: Iterable[float]
) -> np.ndarray:
    """Plane waves of contrast 1 that fill the field: [orientations, phases, size, size], -1..1."""
    # with so wide an envelope that it is 1 everywhere
    return np.array([[gabor(size, wavelength, o, p, 1e6) for p in phases] for o in orientations])


@dataclass(frozen=True)
class GaborFit:
    """The best Gabor function of each filter; every array's first axis is [filters].

    Wavelength to centre are what `gabor` takes, in its order.
    """

    r2: np.ndarray  # share of the energy explained, 0..1 (about zero: weight 0 means something)
    blob_r2: np.ndarray  # the same for a blob: the envelope in one colour, without stripes
    wavelength: np.ndarray
    orientation: np.ndarray
    phase: np.ndarray
    envelope: np.ndarray
    aspect: np.ndarray
    centre: np.ndarray
    colour: np.ndarray  # [filters, channels] amplitude in each channel; the largest is positive
    shape: tuple[int, int]  # height and width of the filters

    @cached_property
    def fitted(self) -> np.ndarray:
        """The fitted functions themselves, [filters, channels, height, width]."""
        down, right = self.centre.T
        wave = np.radians(90 - self.orientation), 1 / self.wavelength, np.radians(self.phase)
        widths = np.log([self.envelope, self.envelope / self.aspect])
        functions = _wave(np.stack([right, down, *wave, *widths], 1), _grid(*self.shape))
        shown = self.colour[:, :, None] * functions[:, None]
        return shown.reshape(*self.colour.shape, *self.shape)

    @property
    def gabor_like(self) -> np.ndarray:
        """bool [filters]: well explained (`EXPLAINED`), and by the stripes (`REMAINDER`)."""
        return (self.r2 >= EXPLAINED) & (1 - self.r2 < REMAINDER * (1 - self.blob_r2))

    @property
    def blob_like(self) -> np.ndarray:
        """bool [filters]: a blob explains enough, stripes add little."""
        return (self.blob_r2 >= EXPLAINED) & ~self.gabor_like


def fit_gabor(weights: Weights) -> GaborFit:
    """Fit a Gabor function in one colour to every filter by least squares, from eight starts.

    The starts are the best of some thousand Gabor functions, one in each sector of 45 degrees
    and each of two bands of wavelengths; the one that comes furthest in a few steps goes on. The
    amplitudes of the channels follow linearly from the other parameters (variable projection,
    Golub & Pereyra 1973). Raises ValueError as `as_array`.
    """
    values = as_array(weights)
    grid = _grid(*values.shape[2:])
    r2, found, colour = _best(values, grid, stripes=True)
    blob_r2, *_ = _best(values, grid, stripes=False)

    # one name for each function: largest amplitude positive, direction of the wave in 0..180
    column, row, angle, frequency, phase, across, along = found.T
    inverted = -colour.min(1) > colour.max(1)
    degrees, orientation = np.degrees(phase) + 180 * inverted, 90 - np.degrees(angle)
    turned = orientation % 360 >= 180
    phase = np.where(turned, -degrees, degrees) % 360
    widths = np.exp(across), np.exp(across - along)
    arguments = 1 / frequency, orientation % 180, phase, *widths, np.stack([row, column], 1)
    colour = np.where(inverted[:, None], -colour, colour)
    return GaborFit(r2, blob_r2, *arguments, colour, values.shape[2:])


def _grid(height: int, width: int) -> np.ndarray:
    """Coordinates (right, down) of every pixel from the middle: [2, height * width]."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns.ravel() - (width - 1) / 2, rows.ravel() - (height - 1) / 2])


def _wave(parameters: np.ndarray, grid: np.ndarray, slopes: bool = False):
    """Gabor functions [N, pixels] of parameters [N, 7], and derivatives [N, 7, pixels] if asked.

    The parameters: right, down, angle of the wave vector, frequency, phase, and the logarithms
    of the envelope's widths across and along the stripes. Frequency and phase 0: a blob.
    """
    right, down, angle, frequency, phase, across, along = parameters.T[:, :, None]
    x, y = grid[0] - right, grid[1] - down
    cos, sin = np.cos(angle), np.sin(angle)
    u, v = x * cos + y * sin, y * cos - x * sin
    uu, vv = (u * np.exp(-across)) ** 2, (v * np.exp(-along)) ** 2
    bell = np.exp(-(uu + vv) / 2)
    turn = 2 * np.pi * frequency * u + phase
    wave, quadrature = bell * np.cos(turn), bell * np.sin(turn)
    if not slopes:
        return wave
    by_u = -wave * u * np.exp(-2 * across) - 2 * np.pi * frequency * quadrature
    by_v = -wave * v * np.exp(-2 * along)
    by_place = sin * by_v - cos * by_u, -sin * by_u - cos * by_v, v * by_u - u * by_v
    by_wave = -2 * np.pi * u * quadrature, -quadrature
    return wave, np.stack([*by_place, *by_wave, wave * uu, wave * vv], 1)


def _best(values: np.ndarray, grid: np.ndarray, stripes: bool):
    """Best fit to filters [F, C, height, width]: r2 [F], parameters [F, 7], colour [F, C]."""
    size, values = max(values.shape[2:]), values.reshape(*values.shape[:2], -1)
    widths, free = np.log([0.7, size]), (-np.inf, np.inf)
    place, frequency = (-size / 2, size / 2), (1 / (WIDEST * size), 0.5)
    low, high = np.transpose([place, place, free, frequency, free, widths, widths])
    if not stripes:
        low[3:5] = high[3:5] = 0  # frequency and phase

    places = np.array([-0.22, 0, 0.22]) * size
    angles, frequencies = np.radians(range(0, 180, 15)), 1 / np.geomspace(0.25, 1.5, 6) / size
    axes = places, places, angles, frequencies, [0, np.pi / 2], [0.15, 0.3], [1, 2]
    *wave, width, ratio = (axis.ravel() for axis in np.meshgrid(*axes))
    atoms = np.stack([*wave, np.log(width * size), np.log(width * ratio * size)], 1)
    atoms = atoms.clip(low, high)
    sector, short = (atoms[:, 2] / (np.pi / 4 + 1e-9)).astype(int), atoms[:, 3] * size > 1.6
    families = 2 * sector + short

    shapes = _wave(atoms, grid)
    shapes /= np.linalg.norm(shapes, axis=1, keepdims=True)
    scores = ((values @ shapes.T) ** 2).sum(1)
    ends = []
    for family in np.unique(families):
        start = atoms[np.where(families == family, scores, -1).argmax(1)]
        ends.append(_descend(values, start, grid, low, high, 20))
    explained, found, _ = (np.stack(part) for part in zip(*ends))  # each [starts, F, ...]
    best = found[explained.argmax(0), np.arange(len(values))]
    explained, found, colour = _descend(values, best, grid, low, high, 40)
    total = (values**2).sum((1, 2))
    return explained / np.where(total > 0, total, 1), found, colour


def _descend(values, parameters, grid, low, high, steps):
    """Levenberg-Marquardt on all filters at once: explained energy, parameters, colour."""

    def evaluate(parameters):
        wave, slopes = _wave(parameters, grid, slopes=True)
        length = np.maximum(np.linalg.norm(wave, axis=1), 1e-15)[:, None]
        wave, slopes = wave / length, slopes / length[:, None]
        slopes -= np.einsum("nkp,np->nk", slopes, wave)[:, :, None] * wave[:, None]
        colour = np.einsum("ncp,np->nc", values, wave)
        explained = (colour**2).sum(1)
        weighted = np.einsum("nc,ncp->np", colour, values)
        slope = np.einsum("nkp,np->nk", slopes, weighted) / np.maximum(explained, 1e-30)[:, None]
        return explained, parameters, colour / length, slope, slopes @ slopes.transpose(0, 2, 1)

    state = evaluate(parameters)
    damping = np.full(len(values), 0.1)
    for _ in range(steps):
        explained, parameters, _, slope, curvature = state
        scale = np.einsum("nii->ni", curvature)
        ridge = damping[:, None] * scale + 1e-6 * scale.max(1, keepdims=True) + 1e-12
        step = np.linalg.solve(curvature + ridge[:, :, None] * np.eye(7), slope[:, :, None])
        new = evaluate((parameters + step[:, :, 0].clip(-1, 1)).clip(low, high))
        better = new[0] > explained
        for kept, part in zip(state, new):
            kept[better] = part[better]
        damping = np.where(better, damping / 4, damping * 4).clip(1e-7, 1e7)
    return state[:3]
