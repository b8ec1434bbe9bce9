"""What several objects are made with."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from ..colours import bright_colour, hsv, mix, natural_colour, soft_step
from ..meshes import Mesh
from ..noise import noise


@dataclass(frozen=True)
class Model:
    """An object and how it is shown.

    mesh in scene units, standing on z = 0 unless it floats; place is a kind of place; elevation
    the range (low, high) of the camera's elevation in degrees; azimuth_spread the standard
    deviation of the camera's azimuth in degrees, None for anywhere; front the direction in which
    the object looks, in degrees counter-clockwise from the x axis, None if it has no front.
    """

    mesh: Mesh
    place: str
    elevation: tuple[float, float]
    azimuth_spread: float | None = None
    front: float | None = None


def spots(points: np.ndarray, rng: np.random.Generator, count: int, radius: float) -> np.ndarray:
    """1 inside round spots at `count` random points of points [N, 3], 0 outside, [N]."""
    centres = points[rng.choice(len(points), count)]
    radii = radius * rng.uniform(0.6, 1.4, count)
    distance, nearest = cKDTree(centres).query(points)
    return soft_step(radii[nearest] - distance, 0, 0.25 * radius)


def mottle(mesh: Mesh, strength: float = 0.12, frequency: float = 6, seed: int = 0) -> np.ndarray:
    """Factors [V, 1] about 1 that make a colour uneven."""
    return (1 + strength * noise(mesh.vertices, frequency, seed, 3))[:, None]


def decoration(rng: np.random.Generator, mesh: Mesh, height, angle, size: float) -> np.ndarray:
    """A random pattern for pottery, colours [V, 3].

    height [V] runs from 0 at the bottom to 1 at the top, angle [V] round the axis; size is the
    size of the piece.
    """
    colour, print_colour, _ = bright_colour(rng), bright_colour(rng), natural_colour(rng)
    pattern = rng.integers(7)
    seed = rng.integers(1, 99)
    if pattern == 0:  # plain
        printed = np.zeros(len(height))
    elif pattern == 1:  # rings
        printed = soft_step(np.sin(height * np.pi * 2 * rng.integers(2, 7)), 0, 0.2)
    elif pattern == 2:  # upright stripes
        printed = soft_step(np.sin(angle * rng.integers(3, 14)), 0, 0.2)
    elif pattern == 3:  # spots
        printed = spots(mesh.vertices, rng, rng.integers(12, 60), 0.07 * size)
    elif pattern == 4:  # two halves
        edge = rng.uniform(0.35, 0.7)
        printed = soft_step(height, edge, 0.03 + 0.1 * rng.random() + 0.02)
    elif pattern == 5:  # clouds
        frequency = rng.uniform(1.5, 5)
        printed = soft_step(noise(mesh.vertices / size, frequency, seed, 3), 0.2, 0.2)
    else:  # one band
        from_band = np.abs(height - rng.uniform(0.4, 0.7))
        printed = soft_step(from_band, rng.uniform(0.08, 0.16), 0.02)
    if rng.random() < 0.35:  # whitish
        colour = hsv(0.1, rng.uniform(0, 0.15), rng.uniform(0.7, 0.95))
    return mix(colour, print_colour, printed) * mottle(mesh, 0.05, 5 / size, seed)


def facing_either_way(rng: np.random.Generator, spread: float) -> float:
    """A turn about the z axis in radians: to the left or to the right, give or take `spread`."""
    return rng.choice([0, np.pi]) + rng.uniform(-spread, spread)
