"""A hot-air balloon."""

import numpy as np

from ..colours import bright_colour, hsv
from ..meshes import Mesh, join
from ..noise import noise
from ..shapes import box, lathe, superellipsoid, tube
from .parts import Model


def balloon(rng: np.random.Generator) -> Model:
    """A hot-air balloon with a basket and up to two people, always in the sky."""
    parts = [_envelope(rng)]
    bottom, size = -rng.uniform(0.22, 0.32), rng.uniform(0.1, 0.14)
    parts.append(_basket(size, bottom))
    for x in (-1, 1):
        for y in (-1, 1):
            start = (x * size * 0.45, y * size * 0.45, bottom + size * 0.4)
            rope = tube([start, (x * 0.05, y * 0.05, 0.02)], 0.005, 6, 4, smooth=False)
            parts.append(rope.paint(0.1))
    for _ in range(rng.integers(0, 3)):
        x, y = rng.uniform(-0.03, 0.03), rng.uniform(-0.03, 0.03)
        head = superellipsoid((0.02, 0.02, 0.026), 14, 12).place(at=(x, y, bottom + size * 0.62))
        parts.append(head.paint(hsv(0.06, 0.4, 0.6)))
    lean, turn = rng.uniform(-0.12, 0.12), rng.uniform(0, 6)
    mesh = join(parts).place(turn_y=lean, turn_z=turn)
    mesh.vertices[:, 2] += rng.uniform(1.2, 3.0)
    return Model(mesh, "sky", (-22, 6))


def _envelope(rng) -> Mesh:
    gores = rng.integers(8, 20)
    profile = [(0.07, 0), (0.16, 0.16), (0.36, 0.48), (0.5, 0.85)]
    profile += [(0.42, 1.18), (0.2, 1.34), (0, 1.37)]
    envelope = lathe(profile, gores * 8, 90)
    up, angle = envelope.uv.T
    gore = angle * gores / (2 * np.pi)  # its whole part numbers the gores
    colours = []
    for _ in range(rng.integers(2, 5)):
        colours.append(bright_colour(rng, (0.4, 0.95), (0.45, 0.95)))
    sector = np.floor(gore).astype(int)
    pattern = rng.integers(5)
    rows = rng.integers(4, 9)
    number = [
        sector,
        sector + np.floor(up * rows).astype(int),  # chequered
        np.floor(up * rows + np.abs(gore % 1 - 0.5) * 2).astype(int),  # zigzag
        np.floor(up * rows + gore).astype(int),  # a spiral
        np.where(np.abs(up - 0.55) < 0.13, sector, 0),  # a band
    ][pattern] % len(colours)
    from_seam = 1 - np.abs(np.cos(gore * np.pi))
    shade = 0.75 + 0.25 * np.minimum(1, from_seam * 4)
    shade = shade + 0.04 * noise(envelope.vertices, 5, 1, 2)
    envelope.paint(np.stack(colours)[number] * shade[:, None])
    bulge = 1 + 0.03 * np.sqrt(np.abs(np.sin(gore * np.pi)))
    envelope.vertices[:, :2] *= bulge[:, None]
    return envelope.polish(roughness=0.6)


def _basket(size: float, z: float) -> Mesh:
    basket = box(size, size, size * 0.9, 0.012, 26).place(at=(0, 0, z))
    x, y, z = basket.vertices.T
    weave = np.sign(np.cos(z * 260) * np.cos((x + y) * 200))
    return basket.paint(hsv(0.08, 0.5, 0.45) * (0.7 + 0.3 * weave)[:, None])
