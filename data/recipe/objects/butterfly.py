"""A butterfly."""

from dataclasses import dataclass

import numpy as np

from ..colours import bright_colour, hsv, mix, soft_step
from ..meshes import Mesh, join
from ..noise import noise
from ..shapes import sheet, tube
from .parts import Model

HUES = [0.06, 0.1, 0.15, 0.58, 0.62, 0.02, 0.75, 0.12]
FORE, HIND = 0, 1


@dataclass(frozen=True)
class Wings:
    """What the four wings of one butterfly have in common."""

    colour: np.ndarray
    edge_colour: np.ndarray
    spot_colour: np.ndarray
    raised: float  # angle above the ground, radians
    seed: int
    veins: int
    edge: float  # width of the border, as a share of the wing
    lengths: tuple[float, float]
    has_eyes: bool


def butterfly(rng: np.random.Generator) -> Model:
    """A butterfly at rest with its wings open, the same left and right; its head is its front."""
    wings = _wings(rng)
    parts = []
    for side in (-1, 1):
        for pair in (FORE, HIND):
            rng.uniform(0.0, 0.06)  # not used, but without this draw the pictures would change
            wing = _wing(wings, pair)
            wing.vertices[:, 0] *= side
            parts.append(wing)
    parts += _body_and_antennae(wings.edge_colour)
    tilt = rng.uniform(-0.1, 0.6)
    turn = rng.uniform(-0.9, 0.9) + rng.choice([0, np.pi])
    mesh = join(parts).place(turn_x=tilt, turn_z=turn)
    mesh.vertices[:, 2] -= mesh.vertices[:, 2].min() - 0.04
    return Model(mesh, "nature", (30, 75), azimuth_spread=60, front=90 + np.rad2deg(turn))


def _wings(rng) -> Wings:
    colour = hsv(rng.choice(HUES), rng.uniform(0.4, 0.95), rng.uniform(0.6, 0.95))
    edge_colour = hsv(rng.random(), 0.3, 0.06) if rng.random() < 0.7 else colour * 0.25
    return Wings(
        colour=colour,
        edge_colour=edge_colour,
        spot_colour=bright_colour(rng, (0.3, 0.9), (0.7, 0.95)),
        raised=rng.uniform(0.05, 0.9),
        seed=rng.integers(1e9),
        veins=rng.integers(5, 9),
        edge=rng.uniform(0.1, 0.28),
        lengths=(rng.uniform(0.45, 0.62), rng.uniform(0.34, 0.5)),
        has_eyes=rng.random() < 0.5,
    )


def _wing(wings: Wings, pair: int) -> Mesh:
    """A right wing: u runs from the body outward, v from the hind to the fore edge."""
    length = wings.lengths[pair]
    middle, half = ((0.75, 0.62), (-0.75, 0.75))[pair]  # angles, radians

    def surface(u, v):
        angle = middle + v * half
        corner = 0.3 * np.maximum(0, v) if pair == FORE else 0.08
        scallops = 0.025 * np.cos(v * wings.veins * 3) * u
        r = length * u * (1 - np.abs(v) ** 2.5 * 0.45 + corner + scallops)
        x = r * np.cos(angle) + 0.02
        y = r * np.sin(angle) * 0.95 + 0.03
        z = x * np.sin(wings.raised) + 0.02 * np.sin(u * 5 + v * 3)
        return x * np.cos(wings.raised), y, z

    wing = sheet(surface, 50, 50)
    wing.colours = np.clip(_wing_colours(wing, wings, pair, half), 0.004, 0.95)
    return wing.polish(roughness=0.7)


def _wing_colours(wing: Mesh, wings: Wings, pair: int, half: float) -> np.ndarray:
    u, v = wing.uv.T
    n = wings.veins
    veins = np.exp(-((np.sin(v * n * 1.1 + 0.3) * (5.0 + 5 * u)) ** 2))
    border = soft_step(u + 0.12 * np.cos(v * n * 2.2), 1 - wings.edge, 0.08)
    in_border = ((u - (1 - wings.edge * 0.5)) / 0.05) ** 2
    dots = soft_step(np.cos(v * n * 1.1 * 2) - in_border, 0.4, 0.3)
    colours = mix(wings.colour, wings.colour * 0.5, (0.6 - u) * 1.2)
    colours = mix(colours, wings.edge_colour, np.maximum(border, veins * 0.85))
    colours = mix(colours, wings.spot_colour if pair == HIND else hsv(0.1, 0.05, 0.95), dots)
    if wings.has_eyes:
        rng = np.random.default_rng(wings.seed + pair)  # left and right alike
        at_u, at_v = rng.uniform(0.5, 0.65), rng.uniform(-0.3, 0.3)
        length = wings.lengths[pair]
        away = np.hypot((u - at_u) * length, (v - at_v) * length * at_u * half)
        colours = mix(colours, wings.edge_colour, soft_step(-away, -0.085, 0.01))
        colours = mix(colours, wings.spot_colour, soft_step(-away, -0.06, 0.01))
        colours = mix(colours, [0.01] * 3, soft_step(-away, -0.035, 0.01))
    return colours * (1 + 0.1 * noise(wing.vertices, 14, 2, 2))[:, None]


def _body_and_antennae(colour) -> list[Mesh]:
    path = [(0, -0.24, 0.0), (0, -0.1, 0.01), (0, 0.06, 0.03), (0, 0.16, 0.03), (0, 0.22, 0.03)]
    body = tube(path, [0.012, 0.03, 0.045, 0.035, 0.02], 16, 40)
    rings = 0.02 * (1 + np.cos(body.vertices[:, 1] * 120))[:, None]
    parts = [body.paint(colour * 0.8 + rings + 0.01)]
    for side in (-1, 1):
        path = [(side * 0.01, 0.2, 0.04), (side * 0.08, 0.33, 0.09), (side * 0.12, 0.42, 0.12)]
        parts.append(tube(path, [0.006, 0.005, 0.014], 6, 16).paint(0.02))
    return parts
