"""A teapot."""

import numpy as np

from ..colours import hsv
from ..meshes import Mesh, join
from ..noise import noise
from ..shapes import lathe, tube
from .parts import Model, decoration, facing_either_way


def teapot(rng: np.random.Generator) -> Model:
    """A decorated teapot with a lid and a handle behind or above; the spout is its front."""
    h, r = rng.uniform(0.55, 0.85), rng.uniform(0.4, 0.52)  # height and radius of the belly
    widest = rng.uniform(0.35, 0.6)
    profile = [(0, 0), (r * 0.6, 0), (r * 0.75, h * 0.08), (r, h * widest)]
    profile += [(r * 0.8, h * 0.82), (r * 0.45, h * 0.98), (r * 0.42, h)]
    belly = lathe(profile, 90, 100)
    belly.colours = decoration(rng, belly, belly.vertices[:, 2] / h, belly.uv[:, 1], 1.0)
    lid = _lid(h, r)
    lid_colour = belly.colours[rng.integers(len(belly.colours))]
    lid.colours[:] = lid_colour
    spout = _spout(rng, h, r)
    spout.colours[:] = belly.colours[0]
    handle = _handle(rng, h, r)
    handle.colours[:] = lid_colour if rng.random() < 0.6 else hsv(0.07, 0.6, 0.25)

    mesh = join([belly, lid, spout, handle])
    glaze = (1 + 0.05 * noise(mesh.vertices, 4, 3, 3))[:, None]
    mesh.colours = np.clip(mesh.colours * glaze, 0.004, 0.95)
    metallic = 1.0 if rng.random() < 0.15 else 0.0
    roughness, clearcoat = rng.uniform(0.08, 0.4), rng.choice([0, 0.8])
    mesh.polish(roughness, metallic, clearcoat)
    turn = facing_either_way(rng, 0.8)
    mesh.place(turn_z=turn)
    return Model(mesh, "indoor", (5, 38), azimuth_spread=15, front=np.rad2deg(turn))


def _lid(h: float, r: float) -> Mesh:
    cover = [(r * 0.47, h * 0.98), (r * 0.45, h + 0.03), (r * 0.28, h + 0.1), (r * 0.08, h + 0.13)]
    knob = [(0.03, h + 0.15), (0.065, h + 0.2), (0.05, h + 0.24), (0, h + 0.25)]
    return lathe(cover + knob, 70, 60)


def _spout(rng, h: float, r: float) -> Mesh:
    path = [(r * 0.75, 0, h * 0.3), (r * 1.15, 0, h * 0.38), (r * 1.35, 0, h * 0.72)]
    path.append((r * 1.35 + rng.uniform(0.1, 0.2), 0, h * rng.uniform(0.88, 1.02)))
    return tube(path, [0.14, 0.1, 0.065, 0.05], 24, 50, closed=False)


def _handle(rng, h: float, r: float) -> Mesh:
    above = [(-0.65, 0.95), (-0.6, 1.45), (0, 1.65), (0.6, 1.45), (0.65, 0.95)]
    behind = [(-0.7, 0.85), (-1.25, 0.98), (-1.5, 0.7), (-1.3, 0.35), (-0.85, 0.22)]
    outline = above if rng.random() < 0.3 else behind
    path = [(r * x, 0, h * z) for x, z in outline]
    return tube(path, rng.uniform(0.035, 0.055), 18, 60)
