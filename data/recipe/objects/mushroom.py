"""Mushrooms, one to three of a kind."""

import numpy as np

from ..colours import hsv, mix
from ..meshes import Mesh, join
from ..noise import noise
from ..shapes import lathe
from .parts import Model, mottle, spots

FLY_AGARIC = 0


def mushroom(rng: np.random.Generator) -> Model:
    """A red, brown, white or yellow mushroom, sometimes with smaller ones beside it."""
    count = rng.choice([1, 1, 1, 2, 3])
    kind = rng.integers(4)
    colour = [
        hsv(rng.uniform(-0.02, 0.04), 0.85, rng.uniform(0.55, 0.85)),
        hsv(rng.uniform(0.05, 0.1), rng.uniform(0.4, 0.7), rng.uniform(0.35, 0.7)),
        hsv(0.1, rng.uniform(0.05, 0.25), rng.uniform(0.7, 0.95)),
        hsv(rng.uniform(0.07, 0.13), 0.75, rng.uniform(0.6, 0.9)),
    ][kind]
    height, width = rng.uniform(0.6, 1.1), rng.uniform(0.35, 0.62)
    cap_height, flatness = rng.uniform(0.2, 0.5), rng.random()
    parts = []
    for number in range(count):
        scale = 1 if number == 0 else rng.uniform(0.4, 0.8)
        h, w = height * rng.uniform(0.9, 1.1), width * rng.uniform(0.9, 1.1)
        radius = rng.uniform(0.08, 0.14) * (1 + w)
        bend = rng.uniform(-0.25, 0.25)
        stem, stem_colour = _stem(rng, h, radius, bend, number)
        cap = _cap(rng, kind, colour, stem_colour, (h, w, cap_height, flatness), radius, number)
        cap.vertices[:, 0] += bend * cap.vertices[:, 2] ** 2
        one = join([stem, cap])
        one.place(scale=scale, turn_y=rng.uniform(-0.15, 0.15))
        if number > 0:
            angle = rng.uniform(0, 2 * np.pi)
            x = np.cos(angle) * width * rng.uniform(0.7, 1.1)
            y = np.sin(angle) * width * rng.uniform(0.7, 1.1)
            one.place(at=(x, y, 0))
        parts.append(one)
    return Model(join(parts), "nature", elevation=(-2, 30))


def _stem(rng, height: float, r: float, bend: float, seed: int) -> tuple[Mesh, np.ndarray]:
    profile = [(1.4, -0.05), (1.3, 0.05), (1, 0.3 * height), (0.85, 0.7 * height)]
    profile = [(r * width, z) for width, z in profile + [(0.9, height)]]
    stem = lathe(profile, 40, 40)
    stem.vertices[:, 0] += bend * stem.vertices[:, 2] ** 2
    colour = hsv(0.11, rng.uniform(0.05, 0.3), rng.uniform(0.65, 0.9))
    fibres = noise(stem.vertices * [8, 8, 1.5], 3, seed, 3)
    stem.paint(colour * (1 + 0.12 * fibres)[:, None])
    stem.displace(0.008 * noise(stem.vertices, 6, seed, 2))
    return stem, colour


def _cap(rng, kind, colour, stem_colour, size, stem_radius: float, seed: int) -> Mesh:
    h, w, cap_height, flatness = size
    profile = [
        (stem_radius * 0.6, h - 0.02),
        (w * 0.7, h - 0.02 - 0.08 * flatness),
        (w * 0.98, h - 0.03 - 0.1 * flatness),
        (w * 1.0, h + 0.03),
        (w * 0.8, h + cap_height * 0.62),
        (w * 0.4, h + cap_height * 0.93),
        (0, h + cap_height),
    ]
    cap = lathe(profile, 90, 80)
    along, angle = cap.uv.T
    below = along < 0.36
    warts = spots(cap.vertices, rng, rng.integers(25, 70), rng.uniform(0.03, 0.07))
    warts = warts * (kind == FLY_AGARIC or rng.random() < 0.25) * ~below

    towards_top = (along - 0.5) * 1.6 + 0.25 * noise(cap.vertices, 3, seed + 5, 3)
    skin = mix(colour, colour * rng.uniform(0.4, 1.3) * [1, 0.85, 0.7], towards_top)
    skin = mix(skin, hsv(0.12, 0.12, 0.9), warts)
    gills = 0.55 + 0.45 * np.cos(angle * rng.integers(40, 60))[:, None] ** 2
    gills = stem_colour * gills * 0.8
    cap.paint(np.where(below[:, None], gills, skin) * mottle(cap, 0.08, 8, seed))
    cap.displace(0.015 * warts + 0.012 * noise(cap.vertices, 3.5, seed + 9, 2) * ~below)
    return cap.polish(roughness=rng.uniform(0.25, 0.7))
