"""Flowers, and the flower heads and leaves that other things borrow."""

from typing import NamedTuple

import numpy as np

from ..colours import hsv, linear, mix
from ..meshes import Mesh, join
from ..noise import noise
from ..shapes import lathe, sheet, tube
from .parts import Model, mottle

DAISY, TULIP, SUNFLOWER, ROSE = range(4)
HUES = [0.0, 0.98, 0.93, 0.88, 0.78, 0.7, 0.13, 0.15, 0.06, 0.62]


def flower(rng: np.random.Generator) -> Model:
    """One to three daisies, tulips, sunflowers or wild roses, with stems and leaves."""
    kind = rng.integers(4)
    rng.uniform(0, 1)  # not used, but without this draw the pictures would change
    colour, inner, disc = _colours(rng, kind)
    green = hsv(rng.uniform(0.23, 0.35), rng.uniform(0.4, 0.7), rng.uniform(0.3, 0.55))
    parts = []
    for number in range(rng.choice([1, 1, 2, 3])):
        height = rng.uniform(0.5, 1.1)
        bend = rng.uniform(-0.3, 0.3, 2)
        angle = rng.uniform(0, 2 * np.pi)
        away = 0.0 if number == 0 else rng.uniform(0.4, 0.75)
        x, y = np.array([np.cos(angle), np.sin(angle)]) * away
        tip = (x + bend[0], y + bend[1] - 0.1, height)
        middle = (x + bend[0] * 0.2, y + bend[1] * 0.1, height * 0.5)
        stem = tube([(x, y, -0.05), middle, tip], [0.03, 0.022], 12, 30)
        parts.append(stem.paint(green * mottle(stem)))
        head = flower_head(rng, kind, colour, inner, disc)
        scale = rng.uniform(0.75, 1.05)
        nod = rng.uniform(-0.2, 0.3) if kind == TULIP else rng.uniform(0.1, 1.1)
        head.place(scale=scale, turn_x=nod, turn_z=rng.uniform(-0.7, 0.7))
        parts.append(head.place(at=tip))
        for _ in range(rng.integers(1, 5)):
            length, width = rng.uniform(0.3, 0.6), rng.uniform(0.05, 0.13)
            shade = green * rng.uniform(0.7, 1.2)
            one = leaf(length, width, shade, droop=rng.uniform(0.2, 0.9))
            turn = rng.uniform(0, 2 * np.pi)
            at = (x + bend[0] * 0.1, y, height * rng.uniform(0, 0.45))
            parts.append(one.place(turn_z=turn, at=at))
    return Model(join(parts), "nature", (12, 60), azimuth_spread=50)


def _colours(rng, kind: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the petals' tips, of their feet, and of the disc between them."""
    if rng.random() < 0.75:
        hue = rng.choice(HUES) + rng.normal(0, 0.012)
        colour = hsv(hue, rng.uniform(0.35, 0.9), rng.uniform(0.85, 0.99))
    else:
        colour = hsv(0.12, 0.06, 0.93)
    if kind == SUNFLOWER:
        colour = hsv(rng.uniform(0.1, 0.15), 0.9, 0.92)
    inner = colour * rng.uniform(0.65, 1.15)
    inner = inner + rng.choice([0, 0.2]) * linear([0.9, 0.85, 0.3])
    if kind == SUNFLOWER:
        disc = hsv(0.06, 0.6, 0.25)
    else:
        disc = hsv(rng.uniform(0.08, 0.15), 0.85, rng.uniform(0.6, 0.9))
    return colour, inner, disc


class Petals(NamedTuple):
    """The petals of a flower: lengths in scene units, angles in radians."""

    count: int  # in one layer
    layers: int
    width: float
    rise: float  # how steeply they go up
    curl: float


def _petals(rng, kind: int) -> Petals:
    count = [rng.integers(10, 22), 3, rng.integers(18, 34), rng.integers(5, 7)][kind]
    layers = [1, 2, 2, rng.integers(1, 3)][kind]
    width = [0.11, 0.26, 0.09, 0.3][kind] * rng.uniform(0.8, 1.2)
    rise = [rng.uniform(0, 0.5), 1.35, rng.uniform(0.1, 0.5), rng.uniform(0.2, 0.9)][kind]
    curl = rng.uniform(-0.5, 0.5) * (0.5 if kind == TULIP else 1)
    return Petals(count, layers, width, rise, curl)


def flower_head(rng: np.random.Generator, kind: int, colour, inner, disc_colour) -> Mesh:
    """Petals round a disc, looking up, at the origin."""
    petals = _petals(rng, kind)
    parts = []
    for layer in range(petals.layers):
        for number in range(petals.count):
            rise = petals.rise - layer * 0.15 + rng.normal(0, 0.06)
            petal = _petal(kind, petals, rise)
            u, v = petal.uv.T
            colours = mix(
                mix(colour, inner, 1 - u * 1.5), colour * 0.55, 0.35 * np.cos(v * 14) ** 8
            )
            petal.paint(colours * (1 + 0.08 * noise(petal.vertices, 9, number, 2))[:, None])
            turn = 2 * np.pi * (number + 0.5 * layer) / petals.count + rng.normal(0, 0.04)
            parts.append(petal.place(turn_z=turn, at=(0, 0, 0.012 * layer)))
    r = [0.13, 0.03, 0.26, 0.08][kind] * rng.uniform(0.8, 1.2)
    disc = lathe([(r, -0.02), (r * 0.95, 0.04), (r * 0.5, 0.07), (0, 0.08)], 50, 26)
    disc.paint(disc_colour * (1 + 0.35 * noise(disc.vertices, 26, 3, 2))[:, None])
    disc.displace(0.014 * noise(disc.vertices, 24, 3, 1))
    return join(parts + [disc])


def _petal(kind: int, petals: Petals, rise: float) -> Mesh:
    """One petal that grows from the origin along x."""
    length = 0.5
    broad = 1.1 if kind == TULIP else 1
    hollow = {DAISY: 0.12, TULIP: 0.35, SUNFLOWER: 0.12, ROSE: 0.35}[kind]
    deep = 2 if kind == TULIP else 1

    def surface(u, v):
        outline = np.sin(np.clip(u * 0.93 + 0.07, 0, 1) ** 0.75 * np.pi) ** 0.6
        half = petals.width * outline
        angle = rise + petals.curl * u
        x = (0.06 + length * u) * np.cos(angle * u**0.3)
        cup = hollow * half * v**2 * deep
        z = length * u * np.sin(angle) + cup + 0.01 * np.sin(9 * v + u * 5)
        return x, half * v * broad, z

    return sheet(surface, 22, 13)


def leaf(length: float, width: float, colour, droop: float = 0.4) -> Mesh:
    """A leaf that grows from the origin along x, rises, and droops."""

    def surface(u, v):
        half = width * np.sin(np.clip(u, 0, 1) ** 0.7 * np.pi) ** 0.8
        x = length * u * np.cos(droop * u)
        z = length * (0.7 * u - droop * u * u) + 0.25 * half * v * v * 2
        return x, half * v, z

    mesh = sheet(surface, 24, 11)
    u, v = mesh.uv.T
    rib = np.exp(-((v * 8) ** 2))
    veins = np.cos(u * 18 - np.abs(v) * 5) ** 6
    shade = 1 - 0.25 * rib + 0.15 * veins + 0.1 * noise(mesh.vertices, 6, 1, 2)
    return mesh.paint(colour * shade[:, None]).polish(roughness=0.45)
