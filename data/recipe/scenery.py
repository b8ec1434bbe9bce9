"""What stands and lies round an object: ground, grass, bushes, rocks and neutral things.

Every function draws one random mesh, at the origin unless it says otherwise.
"""

import numpy as np
from scipy import ndimage

from .colours import bright_colour, linear, mix, natural_colour
from .meshes import Mesh, grid_faces
from .noise import noise
from .shapes import box, lathe, superellipsoid, tube


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(99))


def ground(
    rng: np.random.Generator,
    relief: np.ndarray,
    height: float,
    flat_radius: float,
    texture_size: float,
    hills: float,
) -> tuple[Mesh, np.ndarray]:
    """The ground up to 45 units away, denser at the centre, and its texture coordinates [V, 2].

    relief [N, N] is a texture's, raised to `height` outside flat_radius; texture_size is how many
    units one texture covers; hills is how high the land rolls far away.
    """
    radius, count = 45.0, 150
    line = np.sinh(np.linspace(-1, 1, count) * 4.2) / np.sinh(4.2) * radius
    x, y = np.meshgrid(line, line, indexing="ij")
    vertices = np.stack([x, y, 0 * x], -1).reshape(-1, 3)
    turn = rng.uniform(0, 2 * np.pi)
    cos, sin = np.cos(turn), np.sin(turn)
    u = cos * vertices[:, 0] - sin * vertices[:, 1]
    v = sin * vertices[:, 0] + cos * vertices[:, 1]
    uv = np.stack([u, v], 1) / texture_size
    pixels = np.stack([1 - uv[:, 1], uv[:, 0]], 0) * len(relief)
    bumps = ndimage.map_coordinates(relief, pixels, order=1, mode="grid-wrap")
    away = np.hypot(vertices[:, 0], vertices[:, 1])
    bumps = height * bumps * np.clip((away - flat_radius) / 0.6, 0, 1) * np.exp(-away / 25)
    rolling = hills * noise(vertices * [1, 1, 0], 0.05, _seed(rng), 2)
    vertices[:, 2] = bumps + rolling * np.clip((away - 2) / 4, 0, 1)
    return Mesh(vertices, grid_faces(count, count)), uv


def grass(
    rng: np.random.Generator, count: int, inner: float, outer: float, height: float, colour
) -> Mesh:
    """Blades of grass or water weed in a ring between two radii."""
    angle = rng.uniform(0, 2 * np.pi, count)
    radius = np.sqrt(rng.uniform(inner * inner, outer * outer, count))
    foot = np.stack([radius * np.cos(angle), radius * np.sin(angle), 0 * angle], 1)
    bend = rng.normal(0, 0.35, (count, 2))
    heights = height * rng.uniform(0.4, 1.3, count)
    side = np.stack([np.cos(angle * 7), np.sin(angle * 7), 0 * angle], 1)
    side = side * (0.012 + 0.018 * rng.random(count))[:, None]
    rows = []
    for t in (0, 0.5, 1.0):
        x = bend[:, 0] * heights * t * t
        y = bend[:, 1] * heights * t * t
        middle = foot + np.stack([x, y, heights * (t - 0.25 * t * t)], 1)
        rows += [middle - side * (1 - t * 0.9), middle + side * (1 - t * 0.9)]
    one_blade = np.array([[0, 1, 2], [1, 3, 2], [2, 3, 4], [3, 5, 4]])
    faces = (one_blade[None] + 6 * np.arange(count)[:, None, None]).reshape(-1, 3)
    mesh = Mesh(np.stack(rows, 1).reshape(-1, 3), faces)
    shades = colour[None] * rng.uniform(0.5, 1.4, (count, 1))
    dry = rng.random((count, 1)) ** 4 * linear([0.5, 0.45, 0.2])
    up = np.tile([0, 0, 0.5, 0.5, 1, 1], count)
    lighter_above = (0.35 + 0.9 * up)[:, None]
    mesh.colours = np.clip(np.repeat(shades + dry, 6, 0) * lighter_above, 0.004, 0.9)
    return mesh.polish(roughness=0.5)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def foliage(rng: np.random.Generator, count: int, centre, radii, size: float, colour) -> Mesh:
    """A bush: four-cornered leaves in an uneven ellipsoid round a centre, darker inside."""
    place = _unit(rng.normal(0, 1, (count, 3)))
    spread = rng.random(count)[:, None] ** 0.4
    uneven = 1 + 0.25 * noise(place, 1.5, _seed(rng))[:, None]
    place = place * spread * radii * uneven
    along = _unit(rng.normal(0, 1, (count, 3)))
    across = _unit(np.cross(along, rng.normal(0, 1, (count, 3))))
    sizes = size * rng.uniform(0.5, 1.4, (count, 1))
    along, across = along * sizes, across * sizes * 0.45
    corners = [place - along, place + across, place + along, place - across]
    vertices = (np.stack(corners, 1) + np.asarray(centre)).reshape(-1, 3)
    one_leaf = np.array([[0, 1, 2], [0, 2, 3]])
    faces = (one_leaf[None] + 4 * np.arange(count)[:, None, None]).reshape(-1, 3)
    mesh = Mesh(vertices, faces)
    outward = np.clip(np.linalg.norm(place / np.asarray(radii), axis=1), 0, 1.2)
    shades = colour[None] * rng.uniform(0.5, 1.4, (count, 1)) * (0.35 + 0.65 * outward)[:, None]
    shades = shades + 0.03 * rng.random((count, 3))
    mesh.colours = np.clip(np.repeat(shades, 4, 0), 0.004, 0.9)
    return mesh.polish(roughness=0.45)


def rock(rng: np.random.Generator, size: float) -> Mesh:
    """A rounded, uneven rock."""
    vertical, horizontal = rng.uniform(0.6, 1), rng.uniform(0.6, 1)
    radii = size * rng.uniform(0.6, 1.2, 3)
    mesh = superellipsoid(radii, 30, 20, vertical, horizontal)
    mesh.vertices *= (1 + 0.18 * noise(mesh.vertices / size, 1.6, _seed(rng), 3))[:, None]
    colour = natural_colour(rng) * 0.8
    spots = noise(mesh.vertices / size, 4, _seed(rng), 3)
    return mesh.paint(colour * (1 + 0.25 * spots)[:, None]).polish(roughness=0.9)


def thing(rng: np.random.Generator, size: float) -> Mesh:
    """A neutral distractor: a ball, block, bottle, cone, tin or stick, plain or ringed."""
    kind = rng.integers(6)
    colour = natural_colour(rng) if rng.random() < 0.6 else bright_colour(rng)
    ring_colour = natural_colour(rng)
    seed = _seed(rng)
    mesh = _thing_shape(rng, kind, size)
    rings = rng.choice([0, 3, 12])
    phase = rng.uniform(0, 6)
    on_ring = 1 + np.sign(np.cos(mesh.vertices[:, 2] * rings / size + phase))
    painted = mix(colour, ring_colour, 0.5 * (rings > 0) * on_ring * 0.8)
    painted = painted * (1 + 0.1 * noise(mesh.vertices / size, 4, seed, 3))[:, None]
    mesh.paint(painted)
    mesh.polish(roughness=rng.uniform(0.1, 0.9), clearcoat=rng.choice([0, 0.7]))
    return mesh.place(turn_z=rng.uniform(0, 6))


def _thing_shape(rng: np.random.Generator, kind: int, s: float) -> Mesh:
    if kind == 0:
        return superellipsoid((s * 0.5,) * 3, 36, 26).place(at=(0, 0, s * 0.5))
    if kind == 1:
        block = box(*(s * rng.uniform(0.4, 1.3, 3)), 0.04 * s, 14)
        block.vertices[:, 2] -= block.vertices[:, 2].min()
        return block
    if kind == 2:
        profile = [
            (s * 0.3, 0),
            (s * 0.32, s * 0.7),
            (s * 0.1, s),
            (s * 0.1, s * 1.3),
            (0, s * 1.3),
        ]
        return lathe(profile, 36, 40)
    if kind == 3:
        return lathe([(s * 0.4, 0), (0, s * rng.uniform(0.7, 1.5))], 36, 24, smooth=False)
    if kind == 4:
        profile = [(s * 0.3, 0), (s * 0.3, s * rng.uniform(0.3, 1.5)), (0, s * 0.3)]
        return lathe(profile, 36, 24, smooth=False)
    path = [(0, 0, 0), (rng.normal(0, 0.2) * s, 0, s), (rng.normal(0, 0.4) * s, 0, 2 * s)]
    return tube(path, s * 0.09, 10, 16)
