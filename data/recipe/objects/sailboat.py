"""A sailing boat."""

import numpy as np

from ..colours import bright_colour, hsv, mix, soft_step
from ..meshes import Mesh, join
from ..noise import noise
from ..shapes import box, sheet, tube
from .parts import Model, facing_either_way, mottle


def sailboat(rng: np.random.Generator) -> Model:
    """A boat with one mast, afloat, or as a model in a room; the bow is its front."""
    length, width, depth = rng.uniform(0.9, 1.3), rng.uniform(0.17, 0.25), rng.uniform(0.16, 0.26)
    parts = _hull_and_deck(rng, length, width, depth)
    wood = hsv(0.08, 0.5, 0.6)

    height = rng.uniform(0.95, 1.4)
    mast_x = rng.uniform(-0.02, 0.1)
    mast = tube(
        [(mast_x, 0, depth * 0.6), (mast_x, 0, depth + height)], [0.018, 0.01], 12, 12, False
    )
    mast.colours[:] = hsv(0.09, 0.4, 0.5) if rng.random() < 0.5 else 0.7
    parts.append(mast)

    if rng.random() < 0.55:
        cloth = hsv(0.1, rng.uniform(0, 0.15), 0.93)
    else:
        cloth = bright_colour(rng)
    print_colour = bright_colour(rng)
    belly = rng.uniform(0.04, 0.16) * rng.choice([-1, 1])
    swing = rng.uniform(-0.5, 0.5)
    rig = (cloth, print_colour, belly, swing)

    main = _sail(rng, -rng.uniform(0.38, 0.52) * length, depth + 0.12, height * 0.95, *rig)
    parts.append(main.place(at=(mast_x - 0.01, 0, 0)))
    boom_end = (mast_x - 0.45 * length, swing * 0.4, depth + 0.13)
    parts.append(tube([(mast_x, 0, depth + 0.1), boom_end], 0.013, 10, 10).paint(wood))
    if rng.random() < 0.8:
        jib = _sail(rng, length * 0.42, depth + 0.05, height * rng.uniform(0.7, 0.9), *rig)
        parts.append(jib.place(at=(mast_x + 0.03, 0, 0)))
    if rng.random() < 0.5:
        parts.append(_cabin(length, depth))

    mesh = join(parts)
    afloat = rng.random() < 0.8
    heel, pitch = rng.uniform(-0.2, 0.2), rng.uniform(-0.06, 0.06)
    turn = facing_either_way(rng, 0.7)
    mesh.place(turn_x=heel, turn_y=pitch, turn_z=turn)
    if not afloat:
        mesh.vertices[:, 2] += depth * 0.1 - mesh.vertices[:, 2].min()
    place = "water" if afloat else "indoor"
    return Model(mesh, place, (2, 22), azimuth_spread=15, front=np.rad2deg(turn))


def _hull_and_deck(rng, length: float, width: float, depth: float) -> list[Mesh]:
    if rng.random() < 0.6:
        colour = bright_colour(rng)
    else:
        colour = hsv(0.1, 0.05, 0.9)
    band = bright_colour(rng)
    fullness = rng.uniform(2, 3)

    def beam(u):  # half the width at u, 0 at the stern and 1 at the bow
        return np.clip(1 - np.abs((u - 0.42) / 0.58) ** fullness, 0, 1) ** 0.6

    def hull_surface(u, v):
        girth = np.abs(v) * np.pi / 2
        z = depth * (0.9 - 1.0 * np.cos(girth) ** 0.7) + 0.1 * (u - 0.45) ** 2
        return (u - 0.5) * length, np.sign(v) * (width * beam(u)) * np.sin(girth) ** 0.6, z

    def deck_surface(u, v):
        z = depth * 0.84 + 0.1 * (u - 0.45) ** 2
        return (u - 0.5) * length, v * (width * 0.98 * beam(u)), z

    hull = sheet(hull_surface, 60, 41)
    up = np.abs(hull.uv[:, 1])
    antifouling = bright_colour(np.random.default_rng(3)) * 0.5
    colours = mix(colour, band, soft_step(up, 0.86, 0.03))
    colours = mix(colours, antifouling, soft_step(-up, -0.38, 0.05))
    hull.paint(colours * mottle(hull, 0.06)).polish(roughness=0.25, clearcoat=0.5)

    deck = sheet(deck_surface, 40, 15)
    planks = 0.8 + 0.25 * np.cos(deck.vertices[:, 1] * 130)
    planks = planks + 0.1 * noise(deck.vertices, 8, 2, 2)
    deck.paint(hsv(0.08, 0.5, 0.6) * planks[:, None])
    return [hull, deck]


def _sail(
    rng, foot: float, bottom: float, height: float, cloth, print_colour, belly, swing
) -> Mesh:
    """A three-cornered sail; foot is the length of its lower edge, negative towards the stern."""

    def surface(u, v):
        t = (v + 1) / 2
        y = belly * np.sin(t * np.pi * 0.9) * (1 - u * 0.8) + swing * t * (1 - u) * 0.4
        return foot * t * (1 - u), y, bottom + height * u + 0.05 * t * (1 - u)

    sail = sheet(surface, 40, 30)
    u = sail.uv[:, 0]
    pattern = rng.integers(4)
    stripes = rng.integers(3, 8)
    printed = [
        0 * u,
        soft_step(np.sin(u * np.pi * stripes), 0, 0.1),
        soft_step(u, 0.6, 0.03),
        soft_step(-np.abs(u - 0.35), -0.12, 0.02),
    ][pattern]
    seams = np.exp(-((np.sin(u * np.pi * stripes) * 7) ** 2))
    shade = 1 - 0.15 * seams + 0.03 * noise(sail.vertices, 5, 1, 2)
    sail.paint(mix(cloth, print_colour, printed) * shade[:, None])
    return sail.polish(roughness=0.9)


def _cabin(length: float, depth: float) -> Mesh:
    cabin = box(0.3 * length, 0.2, 0.12, 0.03, 12).place(at=(-0.1 * length, 0, depth + 0.02))
    x, _, z = cabin.vertices.T
    window = (np.abs(z - depth - 0.03) < 0.025) * (np.sin(x * 70) > -0.3)
    return cabin.paint(mix(hsv(0.1, 0.1, 0.85), [0.02] * 3, window))
