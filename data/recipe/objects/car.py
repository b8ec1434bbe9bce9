"""A car."""

from dataclasses import dataclass

import numpy as np

from ..colours import bright_colour, hsv
from ..meshes import Mesh, join
from ..shapes import blend, lathe, rounded_box_distance, solid
from .parts import Model, facing_either_way

LENGTH = 1.2
AXLES = (0.37, -0.37)
VAN = 1


@dataclass(frozen=True)
class Plan:
    """Sizes of one car in scene units; heights and lengths of boxes are halves."""

    width: float
    height: float  # of the body
    cabin_length: float
    cabin_height: float
    cabin_x: float
    wheel_radius: float
    softness: float  # of the seam between body and cabin

    @property
    def floor(self) -> float:
        return self.wheel_radius * 0.75

    @property
    def belt(self) -> float:
        """Where the cabin begins."""
        return self.floor + 2 * self.height


def car(rng: np.random.Generator) -> Model:
    """A car with wheels, windows and lights, outdoors or as a toy indoors; it has a front."""
    plan = _plan(rng)
    body = solid(lambda points: _distance(points, plan), (-0.7, -0.36, 0), (0.7, 0.36, 0.85), 110)
    if rng.random() < 0.7:
        colour = bright_colour(rng, (0.5, 1), (0.3, 0.9))
    else:
        colour = hsv(0.6, 0.03, rng.uniform(0.1, 0.9))
    roof_colour = colour if rng.random() < 0.75 else hsv(0.1, 0.05, 0.9)
    parts = [_painted(body, plan, colour, roof_colour)]
    for x in AXLES:
        for side in (-1, 1):
            wheel = _wheel(plan.wheel_radius)
            wheel.place(turn_x=-side * np.pi / 2)
            parts.append(wheel.place(at=(x, side * plan.width * 0.92, plan.wheel_radius)))
    turn = facing_either_way(rng, 0.9)
    mesh = join(parts).place(turn_z=turn)
    place = str(rng.choice(["outdoor", "outdoor", "indoor"]))
    return Model(mesh, place, (5, 32), azimuth_spread=10, front=180 + np.rad2deg(turn))


def _plan(rng) -> Plan:
    width, height = rng.uniform(0.24, 0.29), rng.uniform(0.11, 0.15)
    cabin_length, cabin_height = rng.uniform(0.26, 0.38), rng.uniform(0.1, 0.15)
    cabin_x = rng.uniform(-0.08, 0.06)
    wheel_radius = rng.uniform(0.105, 0.14)
    softness = rng.uniform(0.03, 0.09)
    if rng.integers(3) == VAN:
        cabin_x, cabin_length = -0.12, 0.46
    return Plan(width, height, cabin_length, cabin_height, cabin_x, wheel_radius, softness)


def _distance(points: np.ndarray, plan: Plan) -> np.ndarray:
    """Two rounded boxes, the upper one narrower towards its top, less room for the wheels."""
    width, height = plan.width, plan.height
    body = rounded_box_distance(
        points, (0, 0, plan.floor + height), (LENGTH / 2, width, height), 0.09
    )
    up = np.clip((points[:, 2] - plan.belt) / (2 * plan.cabin_height), 0, 1)
    wide = points.copy()
    wide[:, 0] = (wide[:, 0] - plan.cabin_x) / (1 - 0.35 * up) + plan.cabin_x
    wide[:, 1] = wide[:, 1] / (1 - 0.22 * up)
    centre = (plan.cabin_x, 0, plan.belt + plan.cabin_height * 0.8)
    half = (plan.cabin_length, width * 0.95, plan.cabin_height)
    cabin = rounded_box_distance(wide, centre, half, 0.07) * 0.7
    distance = blend(body, cabin, plan.softness)
    for x in AXLES:
        from_axle = np.hypot(points[:, 0] - x, points[:, 2] - plan.wheel_radius)
        inward = width * 0.72 - np.abs(points[:, 1])
        arch = np.maximum(from_axle - plan.wheel_radius * 1.15, inward)
        distance = np.maximum(distance, -arch)
    return distance


def _painted(body: Mesh, plan: Plan, colour, roof_colour) -> Mesh:
    """Windows, lights, grille, sill and doors, painted on."""
    x, y, z = body.vertices.T
    width, height, floor = plan.width, plan.height, plan.floor
    up = (z - plan.belt) / (2 * plan.cabin_height * 0.9)
    side = np.abs(body.normals()[:, 1]) > 0.6
    glazed = (up > 0.12) & (up < 0.72)
    along = (x - plan.cabin_x) / plan.cabin_length / (1 - 0.3 * np.clip(up, 0, 1))
    pillars = side & ((np.abs(along) > 0.88) | (np.abs(along - 0.05) < 0.06))
    corners = ~side & (np.abs(y) > width * 0.78)

    lamps = (np.abs(np.abs(y) - width * 0.68) < 0.05) & (np.abs(z - floor - height * 1.25) < 0.04)
    lamps = lamps & (np.abs(x) > 0.5)
    lamp_colours = np.where((x < 0)[:, None], [0.9, 0.9, 0.8], [0.6, 0.02, 0.02])
    grille = (np.abs(y) < width * 0.45) & (np.abs(z - floor - height * 0.9) < 0.03) & (x < -0.55)
    sill = np.abs(z - floor - 0.03) < 0.025
    from_cabin = x - plan.cabin_x
    joints = np.abs(from_cabin - 0.02) < 0.006
    joints = joints | (np.abs(from_cabin + plan.cabin_length * 0.8) < 0.006)
    joints = side & joints & (z > floor + 0.05)

    colours = np.where((z > plan.belt + 0.02)[:, None], roof_colour, colour)
    glass = glazed & ~pillars & ~corners
    colours = np.where(glass[:, None], [0.015, 0.02, 0.025], colours)
    colours = np.where(lamps[:, None], lamp_colours, colours)
    colours = np.where(grille[:, None], 0.03, colours)
    colours = np.where(sill[:, None], 0.12, colours)
    body.paint(np.where(joints[:, None], colours * 0.3, colours))
    return body.polish(roughness=np.where(glazed, 0.05, 0.3), clearcoat=1.0)


def _wheel(r: float) -> Mesh:
    """A tyre with a rim of five spokes, its outer side down."""
    rim = [(0, -0.035), (r * 0.4, -0.035), (r * 0.55, -0.04), (r * 0.62, -0.045)]
    tyre = [(r * 0.95, -0.05), (r, -0.03), (r, 0.05)]
    wheel = lathe(rim + tyre, 40, 60, smooth=False)
    x, y, _ = wheel.vertices.T
    is_tyre = np.hypot(x, y) / r > 0.62
    spokes = np.where(np.cos(np.arctan2(y, x) * 5) > -0.2, 0.6, 0.08)
    return wheel.paint(np.where(is_tyre, 0.025, spokes)[:, None]).polish(roughness=0.4)
