"""A snail."""

import numpy as np

from ..colours import hsv, mix, soft_step
from ..meshes import Mesh, grid_faces, join
from ..noise import noise
from ..shapes import superellipsoid, tube
from .parts import Model, facing_either_way


def snail(rng: np.random.Generator) -> Model:
    """A snail with a spiral shell; its head is its front."""
    shell = _shell(rng)
    length = rng.uniform(0.55, 0.75)
    colour = hsv(rng.uniform(0.05, 0.13), rng.uniform(0.2, 0.5), rng.uniform(0.35, 0.75))
    head_height = rng.uniform(0.1, 0.32)
    parts = [shell, _body(length, colour, head_height)]
    for side in (-1, 1):
        parts += _feelers(rng, side, length, colour, head_height)
    turn = facing_either_way(rng, 0.7)
    mesh = join(parts).place(turn_z=turn)
    return Model(mesh, "nature", (5, 35), azimuth_spread=15, front=np.rad2deg(turn))


def _shell(rng) -> Mesh:
    """A tube whose radius grows along a logarithmic spiral (Raup, 1966)."""
    steps, around, size = 220, 36, 0.36
    turns, growth = rng.uniform(2.6, 3.6), rng.uniform(0.13, 0.19)
    theta = np.linspace(0, turns * 2 * np.pi, steps)
    spiral = np.exp(growth * theta)
    spiral /= spiral[-1]
    sideways = 0.28 * size * (1 - spiral) * rng.uniform(0.5, 1.6)
    x, z = size * spiral * np.cos(-theta), size * spiral * np.sin(-theta)
    path = np.stack([x, sideways, z], 1)
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    normal = np.cross(tangent, np.array([0, 1.0, 0]))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    binormal = np.cross(normal, tangent)
    radius = size * spiral * rng.uniform(0.46, 0.55)
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)
    ring = np.cos(angle)[None, :, None] * normal[:, None]
    ring = ring + 1.15 * np.sin(angle)[None, :, None] * binormal[:, None]
    vertices = path[:, None] + radius[:, None, None] * ring
    shell = Mesh(vertices.reshape(-1, 3), grid_faces(steps, around, True))

    along, across = (a.ravel() for a in np.meshgrid(theta, angle, indexing="ij"))
    light = hsv(rng.uniform(0.03, 0.13), rng.uniform(0.25, 0.7), rng.uniform(0.5, 0.9))
    dark = light * rng.uniform(0.15, 0.5)
    pattern = rng.integers(3)
    count = rng.integers(5, 9)
    if pattern == 0:  # bands along the spiral
        bands = np.cos(across * rng.integers(1, 4) + rng.uniform(0, 6))
    elif pattern == 1:  # bars across it
        bands = np.cos(along * count)
    else:
        bands = noise(shell.vertices, 4, 2, 3)
    bands = soft_step(bands + 0.35 * noise(shell.vertices, 5, 3, 3), 0.3, 0.5)
    growth_lines = 1 + 0.1 * np.cos(along * 40) + 0.08 * noise(shell.vertices, 12, 4, 2)
    shell.paint(mix(light, dark, bands) * growth_lines[:, None])
    shell.polish(roughness=rng.uniform(0.15, 0.5))
    shell.displace(0.004 * np.cos(along * 24))
    lean = rng.uniform(-0.6, 0.6)
    shell.place(turn_y=lean, turn_x=rng.uniform(-0.2, 0.2), at=(0, 0, 0.5))
    shell.vertices[:, 2] += 0.05 - shell.vertices[:, 2].min()
    return shell


def _body(length: float, colour, head_height: float) -> Mesh:
    path = [
        (-length, 0, 0.02),
        (-0.3, 0, 0.07),
        (0.2, 0, 0.1),
        (0.45, 0.03, 0.12),
        (length, 0.02, head_height),
        (length + 0.08, 0.02, head_height + 0.02),
    ]
    body = tube(path, [0.015, 0.07, 0.13, 0.13, 0.1, 0.085, 0.03], 24, 70)
    body.vertices[:, 2] = np.maximum(body.vertices[:, 2], 0)
    body.vertices[:, 1] *= 1.25
    sole = body.vertices[:, 2] < 0.06
    body.paint(colour * (1 + 0.3 * noise(body.vertices, 11, 5, 2) - 0.3 * sole)[:, None])
    body.displace(0.006 * noise(body.vertices, 22, 5, 1))
    return body.polish(roughness=0.3)


def _feelers(rng, side: int, length: float, colour, z: float) -> list[Mesh]:
    """A long feeler with an eye on it, and a short one."""
    eye_x = length + 0.1 + rng.uniform(-0.03, 0.08)
    eye = (eye_x, side * 0.12 + 0.02, z + rng.uniform(0.2, 0.32))
    middle = ((length + eye_x) / 2, side * 0.07, z + 0.14)
    long = tube([(length, side * 0.04, z + 0.05), middle, eye], [0.022, 0.013], 10, 16)
    ball = superellipsoid((0.026,) * 3, 16, 12).place(at=eye)
    end = (length + 0.15, side * 0.07, z - 0.03)
    short = tube([(length + 0.06, side * 0.04, z - 0.02), end], [0.016, 0.01], 8, 6)
    return [long.paint(colour * 1.05), ball.paint(colour * 0.25), short.paint(colour)]
