"""A teddy bear."""

from dataclasses import dataclass

import numpy as np

from ..colours import bright_colour, hsv, mix, soft_step
from ..meshes import Mesh, join
from ..noise import noise
from ..shapes import blend, capsule_distance, ellipsoid_distance, solid, superellipsoid
from .parts import Model, mottle

HUES = [0.07, 0.08, 0.09, 0.1, 0.06, 0.95, 0.55]
BELLY = 0.36  # height of its centre
SIDES = (-1, 1)


@dataclass(frozen=True)
class Plan:
    """Sizes of one bear in scene units."""

    head: float  # radius
    arm: float
    ear: float
    raised: np.ndarray  # how far each arm goes up, radians [2]
    apart: float  # how far the legs spread

    @property
    def head_z(self) -> float:
        return BELLY + 0.3 + self.head * 0.75

    @property
    def snout(self) -> tuple[float, float, float]:
        return (0, -self.head * 0.85, self.head_z - self.head * 0.25)

    def ear_at(self, side: int) -> tuple[float, float, float]:
        return (side * self.head * 0.8, 0, self.head_z + self.head * 0.72)

    def hand_at(self, side: int, angle: float) -> np.ndarray:
        x, z = 0.3 + 0.22 * np.cos(angle), BELLY + 0.2 + 0.22 * np.sin(angle) - 0.1
        return np.array([side * x, -0.12, z])


def teddy(rng: np.random.Generator) -> Model:
    """A sitting teddy bear, sometimes with a bow tie; its face is its front."""
    hue = rng.choice(HUES) + rng.normal(0, 0.01)
    colour = hsv(hue, rng.uniform(0.2, 0.7), rng.uniform(0.35, 0.85))
    plan = Plan(
        head=rng.uniform(0.27, 0.34),
        arm=rng.uniform(0.1, 0.14),
        ear=rng.uniform(0.08, 0.13),
        raised=rng.uniform(-0.3, 0.9, 2),
        apart=rng.uniform(0.2, 0.5),
    )
    body = solid(lambda points: _distance(points, plan), (-0.75, -0.7, -0.05), (0.75, 0.4, 1.5), 90)
    parts = [_fur(rng, body, plan, colour)]
    z, head = plan.head_z, plan.head
    for side in SIDES:
        at = (side * head * 0.38, -head * 0.83 - 0.02, z + head * 0.18)
        eye = superellipsoid((0.035, 0.03, 0.038), 24, 18).place(at=at)
        parts.append(eye.paint(0.01).polish(roughness=0.05, clearcoat=1))
    nose = superellipsoid((0.055, 0.04, 0.038), 24, 18, 0.8, 0.8)
    nose.place(at=(0, -head * 1.2, z - head * 0.1))
    parts.append(nose.paint(0.012).polish(roughness=0.25))
    if rng.random() < 0.5:
        bow_colour = bright_colour(rng)
        for side in SIDES:
            bow = superellipsoid((0.12, 0.05, 0.07), 24, 18)
            bow.place(turn_y=side * 0.3, at=(side * 0.1, -0.26, z - head * 0.95))
            parts.append(bow.paint(bow_colour * mottle(bow)))
    mesh = join(parts)
    mesh.vertices[:, 2] -= mesh.vertices[:, 2].min()
    turn = rng.uniform(-0.7, 0.7)
    mesh.place(turn_z=turn)
    place = str(rng.choice(["indoor", "indoor", "indoor", "nature"]))
    return Model(mesh, place, (0, 28), azimuth_spread=20, front=-90 + np.rad2deg(turn))


def _distance(points: np.ndarray, plan: Plan) -> np.ndarray:
    """Belly, head, ears, arms, legs and snout, sewn together with soft seams."""
    head = plan.head
    bear = ellipsoid_distance(points, (0, 0, BELLY), (0.29, 0.25, 0.36))
    radii = (head, head * 0.9, head * 0.88)
    bear = blend(bear, ellipsoid_distance(points, (0, -0.03, plan.head_z), radii), 0.05)
    for side in SIDES:
        radii = (plan.ear, plan.ear * 0.5, plan.ear)
        bear = blend(bear, ellipsoid_distance(points, plan.ear_at(side), radii), 0.03)
    for side, angle in zip(SIDES, plan.raised):
        shoulder, hand = (side * 0.22, 0, BELLY + 0.2), plan.hand_at(side, angle)
        arm = capsule_distance(points, shoulder, hand, plan.arm * 0.9, plan.arm)
        bear = blend(bear, arm, 0.04)
    for side in SIDES:
        hip, foot = (side * 0.17, -0.05, 0.13), (side * (0.17 + plan.apart * 0.4), -0.42, 0.13)
        bear = blend(bear, capsule_distance(points, hip, foot, 0.14, 0.12), 0.04)
    radii = (head * 0.45, head * 0.38, head * 0.36)
    return blend(bear, ellipsoid_distance(points, plan.snout, radii), 0.03)


def _fur(rng, body: Mesh, plan: Plan, colour) -> Mesh:
    """Fur, of a second colour on snout, soles and ears, and on some bellies."""
    points, head = body.vertices, plan.head
    snout = ellipsoid_distance(points, plan.snout, (head * 0.5, head * 0.42, head * 0.4))
    belly = ellipsoid_distance(points, (0, -0.2, BELLY), (0.2, 0.12, 0.25))
    soles, ears = [], []
    for side in SIDES:
        sole = np.array([side * (0.17 + plan.apart * 0.4), -0.54, 0.13])
        soles.append(np.linalg.norm(points - sole, axis=1) - 0.1)
        ear = np.array(plan.ear_at(side)) - [0, plan.ear * 0.5, 0]
        ears.append(np.linalg.norm(points - ear, axis=1) - plan.ear * 0.6)
    second = colour * 0.5 + 0.5 * hsv(0.1, 0.25, 0.9) if rng.random() < 0.7 else colour * 0.5
    places = [snout, *soles, *ears]
    if rng.random() < 0.5:
        places.append(belly)
    patches = soft_step(-np.min(places, 0), 0, 0.02)
    uneven = 1 + 0.14 * noise(points, 18, 1, 3) + 0.1 * noise(points, 3, 2, 2)
    body.paint(mix(colour, second, patches) * uneven[:, None])
    body.displace(0.012 * noise(points, 26, 1, 2))
    return body.polish(roughness=0.95)
