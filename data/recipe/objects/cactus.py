"""A cactus."""

import numpy as np

from ..colours import bright_colour, hsv, mix
from ..meshes import Mesh, join
from ..noise import noise
from ..shapes import lathe, tube
from .flower import DAISY, flower_head
from .parts import Model, decoration, mottle

BALL, COLUMN, ARMS = range(3)


def cactus(rng: np.random.Generator) -> Model:
    """A ball, a column or a column with arms, in a pot indoors or in the desert."""
    potted = rng.random() < 0.7
    green = hsv(rng.uniform(0.24, 0.42), rng.uniform(0.25, 0.6), rng.uniform(0.3, 0.6))
    pot_height = 0.38 if potted else 0
    parts = [_pot(rng, pot_height)] if potted else []
    ribs = rng.integers(9, 20)
    spine_rows = rng.integers(12, 26)
    kind = rng.integers(3)
    if kind == BALL:
        height, radius = rng.uniform(0.35, 0.6), rng.uniform(0.24, 0.32)
        profile = [(0.55, -0.03), (0.95, height * 0.3), (1, height * 0.55), (0.7, height * 0.9)]
    else:
        height, radius = rng.uniform(0.7, 1.1), rng.uniform(0.12, 0.2)
        profile = [(0.8, -0.03), (1, height * 0.3), (1, height * 0.75), (0.75, height * 0.93)]
    profile = [(radius * width, z) for width, z in profile + [(0, height)]]
    body = lathe(profile, ribs * 8, 80 if kind == BALL else 90)
    body = _ribbed(body, ribs, radius * 0.16, spine_rows, green)
    parts.append(body.place(at=(0, 0, pot_height * 0.86)))
    if kind == ARMS:
        for side in (-1, 1):
            if rng.random() < 0.8:
                arm = _arm(rng, side, pot_height, height, radius, ribs)
                parts.append(_ribbed(arm, ribs - 3, radius * 0.1, spine_rows, green))
    parts.append(_spines(rng, body, ribs, pot_height + height * 0.4))
    if rng.random() < 0.35:
        colour = bright_colour(rng, (0.6, 0.9), (0.8, 0.95), (0.8, 1.1))
        bloom = flower_head(rng, DAISY, colour, bright_colour(rng), hsv(0.14, 0.8, 0.9))
        at = (0, 0, pot_height * 0.86 + height)
        parts.append(bloom.place(scale=rng.uniform(0.3, 0.5), turn_x=0.3, at=at))
    return Model(join(parts), "indoor" if potted else "desert", (0, 30))


def _pot(rng, height: float) -> Mesh:
    r = rng.uniform(0.28, 0.36)
    outside = [
        (r * 0.68, 0),
        (r * 0.95, height * 0.75),
        (r * 1.1, height * 0.76),
        (r * 1.12, height),
    ]
    inside = [(r * 1.0, height), (r * 0.95, height * 0.85), (0, height * 0.86)]
    pot = lathe(outside + inside, 60, 80, smooth=False)
    along, angle = pot.uv.T
    if rng.random() < 0.4:
        pot.colours = decoration(rng, pot, pot.vertices[:, 2] / height, angle, 0.5)
    else:
        clay = hsv(rng.uniform(0.03, 0.06), rng.uniform(0.5, 0.75), rng.uniform(0.5, 0.75))
        pot.colours = clay * mottle(pot, 0.1, 6)
    pot.colours[along > 0.75] = hsv(0.07, 0.4, 0.2)  # soil
    return pot.polish(roughness=0.7)


def _arm(rng, side: int, pot_height: float, height: float, radius: float, ribs: int) -> Mesh:
    z = pot_height + height * rng.uniform(0.3, 0.5)
    out, up = rng.uniform(0.2, 0.3), rng.uniform(0.2, 0.45)
    path = [
        (side * radius * 0.6, 0, z),
        (side * (radius + out * 0.6), 0, z + 0.02),
        (side * (radius + out), 0, z + 0.14),
        (side * (radius + out), 0, z + up),
    ]
    return tube(path, [radius * 0.62] * 9 + [radius * 0.35, 0.01], ribs * 5, 70)


def _ridge(angle: np.ndarray, ribs: int) -> np.ndarray:
    """1 on the ribs, 0 in the grooves between them."""
    return np.abs(np.cos(angle * ribs / 2))


def _ribbed(mesh: Mesh, ribs: int, depth: float, spine_rows: int, green) -> Mesh:
    along, angle = mesh.uv.T
    ridge = _ridge(angle, ribs)
    mesh.displace(depth * (ridge - 1))
    areoles = (ridge > 0.985) & ((along * spine_rows) % 1 < 0.3)
    skin = mix(green * 0.45, green * 1.15, ridge**2)
    skin = skin * (1 + 0.12 * noise(mesh.vertices, 6, 1, 3))[:, None]
    mesh.paint(np.where(areoles[:, None], hsv(0.12, 0.15, 0.9), skin))
    return mesh.polish(roughness=0.55)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _spines(rng, body: Mesh, ribs: int, middle: float) -> Mesh:
    """Three thin triangles at some places on the ribs, pointing away from the middle."""
    on_rib = np.flatnonzero(_ridge(body.uv[:, 1], ribs) > 0.985)
    on_rib = on_rib[rng.random(len(on_rib)) < 0.25][:260]
    foot, normals = body.vertices[on_rib], body.normals()[on_rib]
    length = rng.uniform(0.04, 0.1)
    triangles = []
    for _ in range(3):
        direction = _unit(normals + rng.normal(0, 0.5, normals.shape))
        outward = foot - np.array([0, 0, middle])
        direction *= np.sign((direction * outward).sum(1))[:, None]
        side = _unit(np.cross(direction, rng.normal(0, 1, direction.shape))) * 0.005
        triangles.append(np.stack([foot - side, foot + side, foot + direction * length], 1))
    vertices = np.concatenate(triangles).reshape(-1, 3)
    faces = np.arange(len(vertices)).reshape(-1, 3)
    return Mesh(vertices, faces, hsv(0.11, 0.25, 0.85))
