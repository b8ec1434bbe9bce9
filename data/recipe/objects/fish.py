"""A fish."""

import numpy as np

from ..colours import bright_colour, hsv, mix, soft_step
from ..meshes import Mesh, grid_faces, join
from ..noise import noise
from ..shapes import sheet, spline, superellipsoid
from .parts import Model, facing_either_way


def fish(rng: np.random.Generator) -> Model:
    """A fish that swims above the ground, always under water; its head is its front."""
    height = rng.uniform(0.2, 0.36)
    width = height * rng.uniform(0.4, 0.65)
    highest = rng.uniform(0.3, 0.45)  # where along the body
    colour = bright_colour(rng, (0.5, 0.95), (0.5, 0.95))
    print_colour = bright_colour(rng, (0.2, 0.9), (0.3, 0.95))
    odd_colour = bright_colour(rng)
    if rng.random() < 0.4:  # a clownfish or goldfish
        colour = hsv(rng.uniform(0.02, 0.1), 0.9, 0.9)
        print_colour = hsv(0.1, 0.1, 0.9)

    outline = [(0, 0.005), (0.06, 0.45), (highest, 1), (0.75, 0.5), (0.95, 0.2), (1, 0.2)]
    outline = spline(outline, 80)  # along 0..1, height as a share
    swing = rng.uniform(-0.25, 0.25)  # of the tail
    body = _body(rng, outline, height, width, colour, print_colour)
    fin_colour = odd_colour if rng.random() < 0.4 else colour * rng.uniform(0.5, 1.1)
    parts = [body] + _fins(rng, height, width, fin_colour)
    eye_x = -0.36
    at_eye = np.argmin(abs(outline[:, 0] - 0.5 - eye_x))
    for side in (-1, 1):
        at = (eye_x, side * (outline[at_eye, 1] * width * 0.9), height * 0.2)
        parts.append(_side_fin(side, height, width, fin_colour))
        parts.append(_eye(at))

    mesh = join(parts)
    mesh.vertices[:, 1] += swing * np.clip(mesh.vertices[:, 0] + 0.1, 0, None) ** 2
    turn = facing_either_way(rng, 0.6)
    mesh.place(turn_z=turn, turn_y=rng.uniform(-0.25, 0.25))
    mesh.vertices[:, 2] += -mesh.vertices[:, 2].min() + rng.uniform(0.1, 0.5)
    front = 180 + np.rad2deg(turn)
    return Model(mesh, "under water", (-8, 25), azimuth_spread=10, front=front)


def _body(rng, outline, height: float, width: float, colour, print_colour) -> Mesh:
    steps, around = len(outline), 48
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)
    x = np.broadcast_to((outline[:, 0] - 0.5)[:, None], (steps, around))
    y = outline[:, 1:] * width * np.sin(angle)
    z = outline[:, 1:] * height * np.cos(angle) * (1 + 0.12 * (np.cos(angle) < 0))
    body = Mesh(np.stack([x, y, z], -1).reshape(-1, 3), grid_faces(steps, around, True))

    u, v = (a.ravel() for a in np.meshgrid(outline[:, 0], angle, indexing="ij"))
    pattern = rng.integers(5)
    count = rng.integers(3, 7)
    wobble = 0.25 * noise(body.vertices, 3, 1, 3)
    up = body.vertices[:, 2] / height
    printed = [
        soft_step(up + wobble, 0, 0.8),  # a dark back
        soft_step(np.cos(u * np.pi * 2 * count + wobble * 2), 0.2, 0.3),  # bars
        soft_step(np.cos(up * 9 + wobble * 2), 0.2, 0.4),  # stripes
        soft_step(noise(body.vertices, 5, 4, 2), 0.1, 0.3),  # blotches
        np.zeros_like(u),
    ][pattern]
    behind_head = u > 0.25
    scales = np.cos(u * 95) * np.cos(v * 13 + np.floor(u * 30) % 2 * np.pi)
    belly = soft_step(-up, 0.55, 0.5) * 0.7
    colours = mix(mix(colour, print_colour, printed), colour * 1.1 + 0.25, belly)
    body.paint(colours * (1 + 0.13 * scales * behind_head)[:, None])
    body.polish(roughness=0.25, clearcoat=0.6, metallic=rng.choice([0, 0.3]))
    return body.displace(0.004 * scales * behind_head)


def _fin(base, tip, colour, rays: int, bend: float = 0.0) -> Mesh:
    """A fin between two curves [P, 3], wavy by `bend`."""
    base, tip = spline(base, 30), spline(tip, 30)

    def surface(u, v):
        i = np.clip((u * 29).astype(int), 0, 29)
        t = (v + 1) / 2
        x, y, z = np.moveaxis(base[i] * (1 - t[..., None]) + tip[i] * t[..., None], -1, 0)
        return x, y + bend * t * np.sin(u * 7), z

    fin = sheet(surface, 30, 14)
    u, v = fin.uv.T
    outward = 0.3 + 0.7 * (v + 1) / 2
    shade = 1 + 0.35 * np.cos(u * rays * 2 * np.pi) * outward - 0.2 * v
    return fin.paint(colour * shade[:, None]).polish(roughness=0.4)


def _fins(rng, height: float, width: float, colour) -> list[Mesh]:
    """The tail fin, the fin on the back and the fin behind the belly."""
    size, fork = rng.uniform(0.22, 0.42), rng.uniform(-0.05, 0.15)
    x, z = 0.46, 0.06 * height * 3
    root = [(x, 0, -z), (x, 0, 0), (x, 0, z)]
    ends = [(x + size, 0, -size * 0.9), (x + size - fork, 0, 0), (x + size, 0, size * 0.9)]
    tail = _fin(root, ends, colour, 9, 0.05)
    h, rise = height, rng.uniform(0.1, 0.3)
    back = [(-0.2, 0, h * 0.85), (0.05, 0, h * 0.9), (0.3, 0, h * 0.45)]
    crest = [(-0.1, 0, h * 0.9 + rise * 0.8), (0.12, 0, h * 0.9 + rise)]
    crest.append((0.4, 0, h * 0.5 + rise * 0.4))
    belly = [(0.1, 0, -h * 0.9), (0.3, 0, -h * 0.55)]
    keel = [(0.22, 0, -h - rise * 0.6), (0.4, 0, -h * 0.6 - rise * 0.3)]
    return [tail, _fin(back, crest, colour, 10, 0.02), _fin(belly, keel, colour, 8, 0.02)]


def _side_fin(side: int, height: float, width: float, colour) -> Mesh:
    root = [(-0.12, side * width * 0.9, -height * 0.1), (-0.12, side * width * 0.9, -height * 0.35)]
    tip = [
        (0.12, side * (width + 0.12), -height * 0.05),
        (0.08, side * (width + 0.1), -height * 0.7),
    ]
    return _fin(root, tip, colour, 6)


def _eye(at: tuple) -> Mesh:
    eye = superellipsoid((0.045, 0.02, 0.045), 24, 18).place(at=at)
    from_centre = np.hypot(eye.vertices[:, 0] - at[0], eye.vertices[:, 2] - at[2])
    pupil = soft_step(-from_centre, -0.026, 0.008)
    eye.paint(mix(hsv(0.13, 0.3, 0.9), [0.01] * 3, pupil))
    return eye.polish(roughness=0.05, clearcoat=1)
