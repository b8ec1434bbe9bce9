"""The kinds of place a miniature stands in: surroundings, ground, and what else is there."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from . import environments
from .camera import View
from .colours import bright_colour, hsv, natural_colour
from .meshes import Mesh
from .noise import noise
from .objects.flower import leaf
from .scenery import foliage, grass, rock, thing
from .shapes import tube

# what lies on the ground in each kind of landscape; what is named twice is twice as common
LANDSCAPES = {
    "nature": "soil grass leaves pebbles soil grass sand stone leaves wood".split(),
    "outdoor": "soil grass pebbles sand stone snow tiles grass".split(),
    "desert": "sand soil pebbles stone".split(),
}
FLOORS = "wood wood wood fabric fabric tiles stone carpet leaves".split()
WALLS = "brick wood stone fabric shelf shelf tiles leaves carpet".split()
SEA_BEDS = "sand sand pebbles stone leaves".split()


@dataclass
class Place:
    """A place: its environment picture, textures by name, and meshes round the object."""

    environment: np.ndarray
    ground: str
    texture_size: float  # units of the scene that one ground texture covers
    relief: float = 0.06  # height of the ground's bumps
    hills: float = 0.0
    wall: str | None = None
    clutter: list[Mesh] = field(default_factory=list)


def make_place(kind: str, rng: np.random.Generator, view: View) -> Place:
    """A random place of a kind: nature, outdoor, desert, indoor, water, under water or sky."""
    # the sun stands to one side of the camera
    side = rng.choice([-1, 1]) * rng.uniform(0.2, 2.4)
    sun_azimuth = np.arctan2(view.towards_camera[0], view.towards_camera[1]) + side
    texture_size = rng.uniform(1.5, 4)
    return MAKERS[kind](rng, view, sun_azimuth, texture_size)


def _put(
    mesh: Mesh, rng: np.random.Generator, view: View, near: float, far: float, front: float = 0.35
) -> Mesh:
    """Put a mesh behind or beside the object, rarely in front of it."""
    to_camera = np.array([view.towards_camera[0], view.towards_camera[1], 0])
    for _ in range(20):
        angle = rng.uniform(0, 2 * np.pi)
        radius = rng.uniform(near, far)
        place = radius * np.array([np.cos(angle), np.sin(angle), 0])
        if place @ to_camera < front * rng.random():
            break
    return mesh.place(at=place)


def _bush(rng, count: int, radii, size: float, colour) -> Mesh:
    return foliage(rng, count, (0, 0, radii[2] * 0.7), radii, size, colour)


def _trunk(rng: np.random.Generator) -> Mesh:
    path = [(0, 0, -0.1)]
    path.append((rng.normal(0, 0.2), rng.normal(0, 0.2), 2))
    path.append((rng.normal(0, 0.4), 0, 5))
    trunk = tube(path, rng.uniform(0.05, 0.25), 14, 30)
    bark = natural_colour(rng) * 0.5
    trunk.paint(bark * (1 + 0.4 * noise(trunk.vertices * [6, 6, 1], 2, 3, 3))[:, None])
    return trunk.polish(roughness=0.95)


def _fallen_leaves(rng: np.random.Generator) -> list[Mesh]:
    count = rng.integers(20, 120)
    angle = rng.uniform(0, 6.28, count)
    radius = np.sqrt(rng.uniform(0.1, 9, count))
    colours = []
    for _ in range(3):
        hue = rng.uniform(0.02, 0.14)
        colours.append(hsv(hue, rng.uniform(0.4, 0.8), rng.uniform(0.3, 0.7)))
    meshes = []
    for i in range(min(count, 60)):
        length = 0.28 * rng.uniform(0.5, 1.3)
        colour = colours[i % 3] * rng.uniform(0.6, 1.2)
        at = (radius[i] * np.cos(angle[i]), radius[i] * np.sin(angle[i]), 0.02)
        turn, tilt = rng.uniform(0, 6), rng.normal(0, 0.5)
        fallen = leaf(length, 0.07, colour, droop=0.6)
        meshes.append(fallen.place(turn_z=turn, turn_x=tilt, at=at))
    return meshes


def _landscape(kind, rng, view, sun_azimuth, texture_size) -> Place:
    environment = environments.outdoors(rng, sun_azimuth)
    ground = str(rng.choice(LANDSCAPES[kind]))
    place = Place(environment, ground, texture_size, hills=rng.uniform(0, 0.8))
    add = place.clutter.append
    grass_hue = rng.uniform(0.22, 0.34)
    grass_colour = hsv(grass_hue, rng.uniform(0.35, 0.7), rng.uniform(0.3, 0.6))
    fertile = ground in ("grass", "soil")
    if (fertile and rng.random() < 0.8) or rng.random() < 0.2:
        count = int(rng.uniform(1500, 7000))
        height = rng.uniform(0.12, 0.45)
        if kind == "outdoor":  # round something large the grass is short and farther away
            add(grass(rng, count, 0.75, 4.5, height * 0.45, grass_colour))
        else:
            add(grass(rng, count, 0.15, 4.5, height, grass_colour))
    for _ in range(rng.integers(0, 12)):
        add(_put(rock(rng, rng.gamma(2, 0.07)), rng, view, 0.6, 4))
    for _ in range(rng.integers(0, 7)):
        radii = rng.uniform(0.3, 1.3, 3)
        count = int(rng.uniform(250, 900))
        size = rng.uniform(0.06, 0.2)
        hue = rng.uniform(0.2, 0.36) if rng.random() < 0.8 else rng.uniform(0.02, 0.12)
        colour = hsv(hue, rng.uniform(0.3, 0.65), rng.uniform(0.25, 0.55))
        add(_put(_bush(rng, count, radii, size, colour), rng, view, 2.2, 9, 0.0))
    for _ in range(rng.integers(0, 5)):
        add(_put(_trunk(rng), rng, view, 2.5, 9, 0.0))
    if rng.random() < 0.3:
        for _ in range(rng.integers(1, 4)):
            add(_put(thing(rng, rng.uniform(0.2, 0.6)), rng, view, 1.0, 4))
    if kind == "nature" and rng.random() < 0.4:
        place.clutter += _fallen_leaves(rng)
    return place


def _indoor(rng, view, sun_azimuth, texture_size) -> Place:
    if rng.random() < 0.75:
        environment = environments.indoors(rng, sun_azimuth)
    else:  # before a window
        environment = environments.outdoors(rng, sun_azimuth)
    place = Place(environment, str(rng.choice(FLOORS)), texture_size, relief=0.012)
    for _ in range(rng.integers(1, 9)):
        size = rng.uniform(0.25, 0.9)
        place.clutter.append(_put(thing(rng, size), rng, view, 1.15, 4))
    if rng.random() < 0.75:
        place.wall = str(rng.choice(WALLS))
    if rng.random() < 0.35:
        count = int(rng.uniform(100, 400))
        radii = rng.uniform(0.4, 0.8, 3)
        size = rng.uniform(0.1, 0.25)
        colour = hsv(rng.uniform(0.24, 0.36), 0.5, 0.4)
        plant = foliage(rng, count, (0, 0, 0.9), radii, size, colour)
        place.clutter.append(_put(plant, rng, view, 1.8, 3.5, 0.0))
    return place


def _water(rng, view, sun_azimuth, texture_size) -> Place:
    horizon = "sea" if rng.random() < 0.6 else "land"
    environment = environments.outdoors(rng, sun_azimuth, horizon)
    relief = rng.uniform(0.015, 0.07)
    place = Place(environment, "water", rng.uniform(2, 5), relief)
    for _ in range(rng.integers(0, 4)):
        place.clutter.append(_put(rock(rng, rng.uniform(0.2, 1.5)), rng, view, 3, 14, 0))
    return place


def _under_water(rng, view, sun_azimuth, texture_size) -> Place:
    environment = environments.under_water(rng, sun_azimuth)
    place = Place(environment, str(rng.choice(SEA_BEDS)), texture_size, relief=0.1)
    for _ in range(rng.integers(2, 14)):
        place.clutter.append(_put(rock(rng, rng.gamma(2, 0.1)), rng, view, 0.5, 4))
    for _ in range(rng.integers(1, 6)):
        count = int(rng.uniform(8, 60))
        height = rng.uniform(0.5, 1.8)
        hue = rng.uniform(0.2, 0.4) if rng.random() < 0.7 else rng.uniform(0.9, 1.1)
        weed = grass(rng, count, 0, 0.35, height, hsv(hue, 0.6, 0.45))
        place.clutter.append(_put(weed, rng, view, 0.6, 4, 0.1))
    if rng.random() < 0.5:
        coral = foliage(rng, 300, (0, 0, 0.3), (0.6, 0.6, 0.5), 0.09, bright_colour(rng))
        place.clutter.append(_put(coral, rng, view, 1, 4, 0.0))
    return place


def _sky(rng, view, sun_azimuth, texture_size) -> Place:
    environment = environments.outdoors(rng, sun_azimuth, "air")
    ground = "grass" if rng.random() < 0.6 else "soil"
    place = Place(environment, ground, texture_size=6, hills=1.0)
    for _ in range(rng.integers(0, 12)):
        radii = rng.uniform(0.3, 1.0, 3)
        colour = hsv(rng.uniform(0.2, 0.36), 0.5, 0.35)
        bush = _bush(rng, 250, radii, 0.2, colour)
        place.clutter.append(_put(bush, rng, view, 4, 14, 0.0))
    return place


MAKERS: dict[str, Callable[..., Place]] = {
    "nature": partial(_landscape, "nature"),
    "outdoor": partial(_landscape, "outdoor"),
    "desert": partial(_landscape, "desert"),
    "indoor": _indoor,
    "water": _water,
    "under water": _under_water,
    "sky": _sky,
}
