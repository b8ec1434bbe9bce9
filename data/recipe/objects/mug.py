"""A mug."""

import numpy as np

from ..colours import bright_colour, hsv
from ..meshes import Mesh, join
from ..shapes import lathe, tube
from .parts import Model, decoration


def mug(rng: np.random.Generator) -> Model:
    """A decorated mug with a handle, often with something to drink in it."""
    height, radius = rng.uniform(0.8, 1.15), rng.uniform(0.36, 0.5)
    flare, belly = rng.uniform(-0.12, 0.15), rng.uniform(0, 0.12)
    body = _body(rng, height, radius, flare, belly)
    parts = [body, _handle(rng, height, radius, body)]
    if rng.random() < 0.6:
        level = height * rng.uniform(0.7, 0.88)
        drink = lathe([(0, 0), (radius * (1 + min(flare, belly)) * 0.9, 0)], 60, 20)
        drink.place(at=(0, 0, level))
        drink.colours[:] = hsv(rng.uniform(0.05, 0.1), rng.uniform(0.5, 0.9), rng.uniform(0.1, 0.5))
        parts.append(drink.polish(roughness=0.08))
    turn = rng.uniform(-1, 1) * 1.2 + (np.pi if rng.random() < 0.5 else 0)
    mesh = join(parts).place(turn_z=turn)
    # the handle is its front
    return Model(mesh, "indoor", (8, 45), azimuth_spread=20, front=np.rad2deg(turn))


def _body(rng, h: float, r: float, flare: float, belly: float) -> Mesh:
    wall = 0.045
    outside = [
        (0, 0),
        (r * 0.9, 0),
        (r * (1 - flare * 0.5), 0.04),
        (r * (1 + belly), h * 0.5),
        (r * (1 + flare), h - 0.01),
    ]
    inside = [
        (r * (1 + flare) - wall * 0.5, h + 0.01),
        (r * (1 + flare) - wall, h - 0.02),
        (r * (1 + belly) - wall, h * 0.5),
        (r * (1 - flare * 0.5) - wall, 0.1),
        (0, 0.07),
    ]
    rng.random()  # not used, but without this draw the pictures would change
    body = lathe(outside + inside, 90, 150, smooth=False)
    along, angle = body.uv.T
    colours = decoration(rng, body, body.vertices[:, 2] / h, angle, 1.0)
    if rng.random() < 0.6:
        lining = hsv(0.1, rng.uniform(0, 0.2), rng.uniform(0.6, 0.95))
    else:
        lining = colours[len(colours) // 4]
    body.colours = np.where((along > 0.56)[:, None], lining, colours)
    return body.polish(roughness=rng.uniform(0.08, 0.45), clearcoat=rng.choice([0, 0.8]))


def _handle(rng, height: float, radius: float, body: Mesh) -> Mesh:
    half = rng.uniform(0.22, 0.34)
    z = height * rng.uniform(0.45, 0.55)
    w = rng.uniform(0.2, 0.36)
    start = radius * 0.93
    path = [
        (start, 0, z + half),
        (start + w * 0.7, 0, z + half * 1.02),
        (start + w, 0, z + half * 0.3),
        (start + w * 0.85, 0, z - half * 0.5),
        (start, 0, z - half),
    ]
    handle = tube(path, rng.uniform(0.04, 0.065), 20, 50)
    handle.vertices[:, 1] *= rng.uniform(1, 1.7)
    handle.colours[:] = body.colours[0] if rng.random() < 0.7 else bright_colour(rng)
    handle.finish[:] = body.finish[0]
    return handle
