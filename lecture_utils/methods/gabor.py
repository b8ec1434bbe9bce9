"""Gabor functions: a plane wave under a Gaussian envelope, made to measure and fitted to filters.

Angles are in degrees; an orientation is that of the stripes, counted counter-clockwise from
horizontal, so 0 is a horizontal and 90 a vertical edge. Lengths are in pixels of the filter.
"""

from collections.abc import Iterable
from dataclasses import dataclass

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
    angle, offset = np.radians(90 - orientation), np.radians(phase)
    place = [centre[1], centre[0], angle, 1 / wavelength, offset]
    widths = np.log([envelope, envelope / aspect])
    return _wave(np.array([[*place, *widths]]), _grid(size, size))[0].reshape(size, size)


def gratings(
    size: int, wavelength: float, orientations: Iterable[float], phases: Iterable[float]
) -> np.ndarray:
    """Plane waves of contrast 1 that fill the field: [orientations, phases, size, size], -1..1."""
    wide = 1e6  # an envelope that is 1 everywhere
    return np.array(
        [[gabor(size, wavelength, o, p, envelope=wide) for p in phases] for o in orientations]
    )


@dataclass(frozen=True)
class GaborFit:
    """The best Gabor function of each filter; every array's first axis is [filters].

    Attributes:
        r2: share of the filter's energy that the Gabor function explains, 0..1 (about zero, not
            about the mean: weight 0 means something).
        blob_r2: the same for a blob: the envelope in one colour, without stripes.
        orientation, wavelength, phase, envelope, aspect, centre: as `gabor` takes them.
        colour: [filters, channels] amplitude in each channel; the largest is positive.
        fitted: [filters, channels, height, width], the fitted functions themselves.
    """

    r2: np.ndarray
    blob_r2: np.ndarray
    orientation: np.ndarray
    wavelength: np.ndarray
    phase: np.ndarray
    envelope: np.ndarray
    aspect: np.ndarray
    centre: np.ndarray
    colour: np.ndarray
    fitted: np.ndarray

    @property
    def gabor_like(self) -> np.ndarray:
        """bool [filters]: well explained (`EXPLAINED`), and by the stripes (`REMAINDER`)."""
        return (self.r2 >= EXPLAINED) & (1 - self.r2 < REMAINDER * (1 - self.blob_r2))

    @property
    def blob_like(self) -> np.ndarray:
        """bool [filters]: a blob explains enough, stripes add little."""
        return (self.blob_r2 >= EXPLAINED) & ~self.gabor_like


def fit_gabor(weights: Weights, steps: int = 40) -> GaborFit:
    """Fit a Gabor function in one colour to every filter by least squares, from eight starts.

    Args:
        weights: [filters, channels, height, width], any number of channels and any size.
        steps: of the Levenberg-Marquardt iteration.

    The starts are the best of some thousand Gabor functions, one in each sector of 45 degrees
    and each of two bands of wavelengths. The amplitudes of the channels follow linearly
    from the other parameters (variable projection, Golub & Pereyra 1973). ValueError for weights
    of another shape or with values that are not finite.
    """
    values = as_array(weights)
    count, channels, height, width = values.shape
    grid, flat = _grid(height, width), values.reshape(count, channels, -1)
    size = max(height, width)
    r2, found, colour = _best(flat, *_atoms(size, waves=True), grid, size, steps)
    blob_r2, *_ = _best(flat, *_atoms(size, waves=False), grid, size, steps)
    fitted = (colour[:, :, None] * _wave(found, grid)[:, None]).reshape(values.shape)

    # one name for each function: largest amplitude positive, direction of the wave in 0..180
    column, row, angle, frequency, phase, across, along = found.T
    sign = np.sign(np.take_along_axis(colour, np.abs(colour).argmax(1)[:, None], 1))
    sign = np.where(sign == 0, 1, sign)
    degrees = np.degrees(phase) + 180 * (sign[:, 0] < 0)
    orientation = 90 - np.degrees(angle)
    turned = orientation % 360 >= 180
    return GaborFit(
        r2=r2,
        blob_r2=blob_r2,
        orientation=orientation % 180,
        wavelength=1 / frequency,
        phase=np.where(turned, -degrees, degrees) % 360,
        envelope=np.exp(across),
        aspect=np.exp(across - along),
        centre=np.stack([row, column], 1),
        colour=colour * sign,
        fitted=fitted,
    )


def _grid(height: int, width: int) -> np.ndarray:
    """Coordinates (right, down) of every pixel from the middle: [2, height * width]."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns.ravel() - (width - 1) / 2, rows.ravel() - (height - 1) / 2])


def _wave(parameters: np.ndarray, grid: np.ndarray, slopes: bool = False):
    """Gabor functions [N, pixels] of parameters [N, 7], and derivatives [N, 7, pixels] if asked.

    The parameters: right, down, angle of the wave vector, frequency, phase, and the logarithms
    of the envelope's widths across and along the stripes.
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


def _atoms(size: int, waves: bool) -> tuple[np.ndarray, np.ndarray]:
    """Starting points: parameters [atoms, 7], and the family that each belongs to."""
    angles = np.radians(np.arange(0, 180, 15 if waves else 45))
    lengths = size * np.geomspace(0.25, 1.5, 6) if waves else [np.inf]
    phases = [0, np.pi / 2] if waves else [0]
    places = np.array([-0.22, 0, 0.22]) * size
    axes = [places, places, angles, 1 / np.asarray(lengths), phases, [0.15, 0.3], [1, 2]]
    atoms = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], 1)
    atoms[:, 3] = np.minimum(atoms[:, 3], 0.5)
    atoms[:, 6] = np.log(atoms[:, 5] * atoms[:, 6] * size)
    atoms[:, 5] = np.log(atoms[:, 5] * size)
    sector = (atoms[:, 2] / (np.pi / 4 + 1e-9)).astype(int)
    return atoms, sector * 2 + (atoms[:, 3] * size > 1.6)


def _best(values, atoms, families, grid, size, steps):
    """Best fit over the starts for values [F, C, pixels]: r2 [F], parameters [F, 7], colour."""
    waves = _wave(atoms, grid)
    waves /= np.linalg.norm(waves, axis=1, keepdims=True)
    scores = ((values @ waves.T) ** 2).sum(1)
    starts = []
    for family in np.unique(families):
        members = np.flatnonzero(families == family)
        starts.append(atoms[members[scores[:, members].argmax(1)]])
    found, number = np.stack(starts, 1), np.arange(len(values))[:, None]  # found: [F, starts, 7]
    for kept, some_steps in ((2, 12), (1, steps)):  # all starts a little way, the best two home
        tiled = values.repeat(found.shape[1], axis=0)
        left, found, colour = _descend(tiled, found.reshape(-1, 7), grid, size, some_steps)
        left, found, colour = (
            part.reshape(len(values), -1, *part.shape[1:]) for part in (left, found, colour)
        )
        best = left.argsort(1)[:, :kept]
        left, found, colour = left[number, best], found[number, best], colour[number, best]
    total = (values**2).sum((1, 2))
    explained = np.maximum(total - left[:, 0], 0) / np.where(total > 0, total, 1)
    return explained, found[:, 0], colour[:, 0]


def _descend(values, parameters, grid, size, steps):
    """Levenberg-Marquardt on all problems at once; returns squared error, parameters, colour."""
    striped = parameters[:, 3] > 0
    free = np.ones_like(parameters)
    free[:, 3:5] = striped[:, None]
    half, widths = size / 2, np.log([0.7, size])
    lowest = 1 / (WIDEST * size)

    def limit(p):
        p[:, :2] = p[:, :2].clip(-half, half)
        p[:, 3] = np.where(striped, p[:, 3].clip(lowest, 0.5), 0)
        p[:, 5:] = p[:, 5:].clip(*widths)
        return p

    def evaluate(p):
        wave, slopes = _wave(p, grid, slopes=True)
        norm = np.maximum((wave**2).sum(1), 1e-30)
        colour = (values @ wave[:, :, None])[:, :, 0] / norm[:, None]
        return total - (colour**2).sum(1) * norm, wave, slopes, norm, colour

    total = (values**2).sum((1, 2))
    parameters = limit(parameters.copy())
    state = evaluate(parameters)
    damping = np.full(len(values), 0.1)
    for _ in range(steps):
        _, wave, slopes, norm, colour = state
        slopes = slopes * free[:, :, None]
        slopes = slopes - (slopes @ wave[:, :, None]) * (wave / norm[:, None])[:, None]
        strength = np.maximum((colour**2).sum(1), 1e-30)
        error = (colour[:, None] @ values)[:, 0] - strength[:, None] * wave
        slope = (slopes @ error[:, :, None]) / strength[:, None, None]
        curvature = slopes @ slopes.transpose(0, 2, 1)
        scale = np.einsum("nii->ni", curvature)
        ridge = damping[:, None] * scale + 1e-6 * scale.max(1, keepdims=True) + 1e-12
        step = np.linalg.solve(curvature + ridge[:, :, None] * np.eye(7), slope)[:, :, 0]
        trial = limit(parameters + step.clip(-1, 1))
        new = evaluate(trial)
        better = new[0] < state[0]
        pick = [better.reshape(-1, *[1] * (part.ndim - 1)) for part in state]
        state = tuple(np.where(b, n, o) for b, n, o in zip(pick, new, state))
        parameters = np.where(better[:, None], trial, parameters)
        damping = np.where(better, damping / 4, damping * 4).clip(1e-7, 1e7)
    return state[0], parameters, state[4]
