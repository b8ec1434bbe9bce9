"""A ladybird."""

import numpy as np

from ..colours import hsv, mix, soft_step
from ..meshes import Mesh, join
from ..noise import noise
from ..shapes import superellipsoid, tube
from .parts import Model

BLACK = [0.012] * 3


def ladybird(rng: np.random.Generator) -> Model:
    """A ladybird on the ground, the same left and right; its head is its front."""
    parts = [_wing_cases(rng), _neck_shield(), _head()]
    for side in (-1, 1):
        for x in (-0.33, 0, 0.28):
            knee, foot = (x * 1.25, side * 0.5, 0.17), (x * 1.4 - 0.02, side * 0.62, 0.0)
            leg = tube([(x, side * 0.3, 0.12), knee, foot], [0.03, 0.018], 8, 14)
            parts.append(leg.paint(0.015).polish(roughness=0.3))
        path = [(-0.68, side * 0.05, 0.2), (-0.78, side * 0.12, 0.27), (-0.84, side * 0.17, 0.25)]
        parts.append(tube(path, [0.012, 0.016], 6, 12).paint(0.02))
    turn = rng.uniform(0, 2 * np.pi)
    mesh = join(parts).place(turn_z=turn, turn_x=rng.uniform(-0.15, 0.15))
    return Model(mesh, "nature", (12, 60), front=180 + np.rad2deg(turn))


def _wing_cases(rng) -> Mesh:
    """Half an ellipsoid with black spots, and a seam along the middle."""
    shell = superellipsoid((0.5, 0.42, 0.36), 110, 80)
    hue = rng.choice([0, 0.01, 0.02, 0.05, 0.12])
    colour = hsv(hue, rng.uniform(0.8, 0.98), rng.uniform(0.6, 0.92))
    spots = []
    for _ in range(rng.integers(3, 8)):
        spots.append((rng.uniform(-0.35, 0.4), rng.uniform(0.08, 0.36)))
    radius = rng.uniform(0.05, 0.1)
    x, y = shell.vertices[:, 0], np.abs(shell.vertices[:, 1])
    to_spot = np.min([np.hypot(x - a, y - b) for a, b in spots], 0)
    black = np.maximum(soft_step(-to_spot, -radius, 0.02), soft_step(-y, -0.012, 0.008))
    black = np.maximum(black, soft_step(-np.hypot(x + 0.46, y), -0.14, 0.02))
    uneven = (1 + 0.07 * noise(shell.vertices, 4, 1, 3))[:, None]
    shell.paint(mix(colour * uneven, BLACK, black))
    shell.vertices[:, 2] = np.maximum(shell.vertices[:, 2], -0.04)
    shell.polish(roughness=rng.uniform(0.1, 0.3), clearcoat=1)
    return shell.place(at=(0, 0, 0.18))


def _neck_shield() -> Mesh:
    shield = superellipsoid((0.17, 0.29, 0.2), 50, 40).place(at=(-0.45, 0, 0.2))
    x, y = shield.vertices[:, 0], np.abs(shield.vertices[:, 1])
    white = soft_step(-np.hypot(x + 0.5, y - 0.19), -0.075, 0.02)
    shield.paint(mix(BLACK, hsv(0.12, 0.1, 0.9), white))
    return shield.polish(roughness=0.15, clearcoat=1)


def _head() -> Mesh:
    head = superellipsoid((0.12, 0.16, 0.12), 40, 30).place(at=(-0.6, 0, 0.16))
    y, z = np.abs(head.vertices[:, 1]), head.vertices[:, 2]
    white = soft_step(-np.hypot(y - 0.09, z - 0.21), -0.035, 0.01)
    return head.paint(mix(BLACK, [0.8] * 3, white)).polish(roughness=0.2)
