"""Smooth random functions: noise in space for painting meshes, fractal pictures for textures."""

import numpy as np
from scipy import ndimage

PERIOD = 64  # the lattice repeats after so many units


def _lattice() -> np.ndarray:
    """Spline coefficients of white noise on a periodic lattice, always the same."""
    values = np.random.default_rng(7).standard_normal((PERIOD,) * 3).astype(np.float32)
    return ndimage.spline_filter(values, order=3, mode="grid-wrap").astype(np.float32)


LATTICE = _lattice()


def noise(points, frequency: float = 1.0, seed: int = 0, octaves: int = 1, gain: float = 0.5):
    """Smooth noise [N], about zero, at points [N, 3]: value noise with cubic interpolation.

    Every octave has twice the frequency and `gain` times the amplitude of the one before.
    Other seeds read other places of one lattice. (Perlin, An image synthesizer, 1985.)
    """
    points = np.asarray(points, float) * frequency
    origin = np.array([seed * 13.37, seed * 7.77, seed * 3.31]) % PERIOD
    total = 0
    amplitude = 1.0
    for octave in range(octaves):
        place = (points * 2**octave + origin * (octave + 1.3)).T
        order = 3 if octaves < 3 or octave < 2 else 1  # the finest octaves need no smoothness
        total = total + amplitude * ndimage.map_coordinates(
            LATTICE, place, order=order, mode="grid-wrap", prefilter=False
        )
        amplitude *= gain
    return total


def fractal(
    size: int, rng: np.random.Generator, slope: float = 1.0, stretch: tuple = (1, 1)
) -> np.ndarray:
    """A random picture [size, size] that tiles, mean 0 and standard deviation 1.

    Its amplitude falls with frequency as f ** -slope, as that of natural pictures does (Field,
    1987); `stretch` weighs frequencies down the rows and along the columns, for grain and waves.
    """
    down = np.fft.fftfreq(size)[:, None] * stretch[0]
    along = np.fft.rfftfreq(size)[None] * stretch[1]
    frequency = np.sqrt(down * down + along * along)
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) * frequency ** (-slope)
    spectrum[0, 0] = 0
    picture = np.fft.irfft2(spectrum, s=(size, size))
    return picture / picture.std()
