"""What all textures are made with."""

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from ..noise import fractal

SIZE = 768  # pixels along a side


class Texture(NamedTuple):
    """A picture of a surface that tiles: colours [768, 768, 3] in linear light, relief [768, 768]
    in units of its own, and one roughness in 0..1."""

    colours: np.ndarray
    relief: np.ndarray
    roughness: float


def grid() -> tuple[np.ndarray, np.ndarray]:
    """The row and the column of every pixel, 0..1."""
    line = np.arange(SIZE) / SIZE
    return np.meshgrid(line, line, indexing="ij")


def grain(rng: np.random.Generator, slope: float = 1.0, stretch: tuple = (1, 1)) -> np.ndarray:
    """Fractal noise in the size of a texture."""
    return fractal(SIZE, rng, slope, stretch)


def from_border(x: np.ndarray) -> np.ndarray:
    """How far x is from the next whole number, 0..0.5."""
    return np.minimum(x % 1, 1 - x % 1)


def cells(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Irregular cells round `count` random points that tile (Worley, A cellular texture, 1996).

    Distance to the nearest and to the second nearest point, in mean cell sizes, and the number of
    the nearest, each [768, 768].
    """
    points = rng.random((count, 2))
    shifts = [np.array([a, b]) for a in (-1, 0, 1) for b in (-1, 0, 1)]
    everywhere = np.concatenate([points + shift for shift in shifts])
    numbers = np.tile(np.arange(count), 9)
    row, column = grid()
    size = 0.6 / np.sqrt(count)
    place = [row + grain(rng, 1.3) * size * 0.12, column + grain(rng, 1.3) * size * 0.12]
    distance, nearest = cKDTree(everywhere).query(np.stack(place, -1).reshape(-1, 2), k=2)
    first, second = (distance * np.sqrt(count)).T.reshape(2, SIZE, SIZE)
    return first, second, numbers[nearest[:, 0]].reshape(SIZE, SIZE)
