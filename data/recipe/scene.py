"""A whole scene in numpy: object, clutter, ground, wall, environment and camera."""

from dataclasses import dataclass, replace

import numpy as np

from .camera import LOWEST_CAMERA, Lens, View, choose_lens, choose_view
from .meshes import Mesh, join
from .objects import CLASSES, Model
from .places import Place, make_place
from .scenery import ground, rock
from .textures import TEXTURES, Texture


@dataclass(frozen=True)
class Surface:
    """A mesh with a texture on it; uv [V, 2], one texture covers a unit square."""

    mesh: Mesh
    texture: Texture
    uv: np.ndarray


@dataclass(frozen=True)
class Scene:
    """All that is needed to render one picture."""

    model: Model
    clutter: Mesh
    ground: Surface
    wall: Surface | None
    place: Place
    view: View
    lens: Lens


def build(name: str, index: int) -> tuple[Scene, np.random.Generator]:
    """The scene of one picture, and the random numbers that are left for developing it.

    A pure function of the class name and the index; KeyError for an unknown class.
    """
    rng = np.random.default_rng([index, sum(map(ord, name)) * 7919])
    model = CLASSES[name](rng)
    view = choose_view(rng, model)
    place = make_place(model.place, rng, view)
    texture = TEXTURES[place.ground](rng)
    flat_radius = -1 if model.place == "water" else 0.75  # the object stands on even ground
    ground_mesh, ground_uv = ground(
        rng, texture.relief, place.relief, flat_radius, place.texture_size, place.hills
    )
    view = _above_ground(view, ground_mesh)
    hidden_rock = rock(rng, 0.05).place(at=(0, 0, -3))  # so that there always is some clutter
    clutter = join(place.clutter + [hidden_rock])
    wall = _wall(rng, view, place.wall)
    scene = Scene(
        model=model,
        clutter=clutter,
        ground=Surface(ground_mesh, texture, ground_uv),
        wall=wall,
        place=place,
        view=view,
        lens=choose_lens(rng, view),
    )
    return scene, rng


def _above_ground(view: View, ground_mesh: Mesh) -> View:
    """A camera that looks up from afar may stand inside a hill: it is lifted out of it."""
    x, y, z = ground_mesh.vertices.T
    ground_height = z[np.hypot(x - view.position[0], y - view.position[1]).argmin()]
    if view.position[2] > ground_height:
        return view
    return replace(view, position=np.array([*view.position[:2], ground_height + LOWEST_CAMERA]))


def _wall(rng: np.random.Generator, view: View, name: str | None) -> Surface | None:
    """A wall behind the object, seen a little from the side; it is drawn also where none is."""
    distance = rng.uniform(2.2, 5.0) if name else 60.0
    texture = TEXTURES[name or "stone"](rng)
    tilt = rng.normal(0, 0.25)
    texture_size = rng.uniform(2.0, 5.0)
    if name is None:
        return None
    away = np.array([-view.towards_camera[0], -view.towards_camera[1], 0])
    away /= np.linalg.norm(away)
    cos, sin = np.cos(tilt), np.sin(tilt)
    away = np.array([away[0] * cos - away[1] * sin, away[0] * sin + away[1] * cos, 0])
    sideways = np.array([away[1], -away[0], 0])
    half_width, bottom, top = 14.0, -0.1, 8
    corners = []
    for height in (bottom, top):
        for side in (-1, 1):
            foot = away * distance + sideways * side * half_width
            corners.append(foot + np.array([0, 0, height]))
    across, up = 2 * half_width / texture_size, 8 / texture_size
    uv = np.array([[0, 0], [across, 0], [0, up], [across, up]])
    return Surface(Mesh(np.array(corners), [[0, 1, 3], [0, 3, 2]]), texture, uv)
