"""A house."""

from dataclasses import dataclass

import numpy as np

from ..colours import bright_colour, hsv, linear, natural_colour, soft_step
from ..meshes import Mesh, join
from ..noise import noise
from ..shapes import box, sheet
from .parts import Model

PLAIN, BOARDS, BRICKS = range(3)


@dataclass(frozen=True)
class Plan:
    """Sizes in scene units, and colours, of one house."""

    width: float
    depth: float
    height: float  # of the walls
    wall_colour: np.ndarray
    frame_colour: np.ndarray
    wall_kind: int


def house(rng: np.random.Generator) -> Model:
    """A house with a gable roof, windows and a door; the side with the door is its front."""
    plan = _plan(rng)
    w, d, h = plan.width, plan.depth, plan.height
    walls = box(w, d, h, 0.01, 60).place(at=(0, 0, h / 2))
    parts = [walls.paint(_wall_colours(walls, plan))]
    roof_height = rng.uniform(0.3, 0.65)
    hue = rng.choice([0.02, 0.04, 0.06, 0.6, 0.1])
    roof_colour = hsv(hue, rng.uniform(0.2, 0.7), rng.uniform(0.25, 0.65))
    parts += [_gable(plan, roof_height, side) for side in (1, -1)]
    for side in (-1, 1):
        parts += _roof(rng, plan, roof_height, roof_colour, side)
    parts += _front_windows(rng, plan)
    for side in (1, -1):
        for y in (-0.18, 0.18):
            window = _window(rng, plan, 0.14, 0.2)
            at = (side * (w / 2 + 0.01), y * d / 0.7, h * 0.55)
            parts.append(window.place(turn_z=np.pi / 2, at=at))
    if rng.random() < 0.75:
        x = rng.uniform(-0.3, 0.3) * w
        chimney = box(0.11, 0.11, 0.4, 0.01, 10).place(at=(x, 0.1, h + roof_height * 0.75))
        joints = 1 + 0.3 * (np.cos(chimney.vertices[:, 2] * 110) > 0.5)
        parts.append(chimney.paint(hsv(0.03, 0.5, 0.45) * joints[:, None]))
    turn = rng.uniform(-0.8, 0.8)
    mesh = join(parts).place(turn_z=turn)
    front = -90 + np.rad2deg(turn)
    return Model(mesh, "outdoor", (3, 30), azimuth_spread=10, front=front)


def _plan(rng) -> Plan:
    width, depth, height = rng.uniform(0.7, 1.2), rng.uniform(0.6, 0.8), rng.uniform(0.45, 0.85)
    if rng.random() < 0.7:
        wall_colour = natural_colour(rng) * 0.6 + 0.3 * linear([0.9, 0.85, 0.75])
    else:
        wall_colour = bright_colour(rng, (0.2, 0.6), (0.5, 0.9))
    white = rng.random() < 0.6
    frame_colour = hsv(0.1, 0.05, 0.9) if white else natural_colour(rng) * 0.5
    return Plan(width, depth, height, wall_colour, frame_colour, rng.integers(3))


def _wall_colours(mesh: Mesh, plan: Plan) -> np.ndarray:
    x, y, z = mesh.vertices.T
    colours = plan.wall_colour * (1 + 0.07 * noise(mesh.vertices, 5, 1, 4))[:, None]
    if plan.wall_kind == BOARDS:
        colours = colours * (1 - 0.35 * soft_step(np.cos(z * 95), 0.8, 0.2))[:, None]
    if plan.wall_kind == BRICKS:
        course = np.floor(z * 16)
        along = (x + y) * 9 + 0.5 * (course % 2)
        joint = (along % 1 < 0.12) | ((z * 16) % 1 < 0.15)
        # the sine of a large number stands for a random tone of every brick
        tone = 1 + 0.15 * np.sin(course * 12.3 + np.floor(along) * 78.2)
        colours = np.where(joint[:, None], hsv(0.1, 0.1, 0.6), colours * tone[:, None])
    damp = 0.35 * np.exp(-z * 9)
    return colours * (1 - damp)[:, None]


def _gable(plan: Plan, roof_height: float, side: int) -> Mesh:
    def surface(u, v):
        return side * plan.width / 2, v * plan.depth / 2 * (1 - u), plan.height + roof_height * u

    gable = sheet(surface, 30, 40)
    return gable.paint(_wall_colours(gable, plan))


def _roof(rng, plan: Plan, roof_height: float, colour, side: int) -> list[Mesh]:
    """One side of the roof: tiles, and boards below them."""
    overhang = 0.08

    def surface(u, v):
        out = (1 - u) * (1 + overhang * 2)
        y = side * (plan.depth / 2) * out
        return v * (plan.width / 2 + overhang), y, plan.height + roof_height * (1 - out)

    roof = sheet(surface, 90, 110)
    boards = roof.copy()
    boards.colours[:] = colour * 0.4
    rows = rng.integers(9, 15)
    u, v = roof.uv.T
    row = np.floor(u * rows)
    along = v * rows * 0.9 + 0.5 * (row % 2)
    joint = ((u * rows) % 1 < 0.18) | (along % 1 < 0.1)
    tone = 1 + 0.22 * np.sin(row * 12.9 + np.floor(along) * 78.2)
    tone = tone + 0.15 * noise(roof.vertices, 4, 7, 3)
    roof.paint(np.where(joint[:, None], colour * 0.35, colour * tone[:, None]))
    return [roof.place(at=(0, 0, 0.02)), boards]


def _front_windows(rng, plan: Plan) -> list[Mesh]:
    """Windows on one or two floors, and a door in place of one of them."""
    count = rng.integers(2, 4)
    places = (np.arange(count) - (count - 1) / 2) * plan.width / count
    door = rng.integers(count)
    width = min(0.17, plan.width / count * 0.6)
    floors = 2 if plan.height > 0.65 else 1
    y = -plan.depth / 2 - 0.01
    parts = []
    for number, x in enumerate(places):
        for floor in range(floors):
            if floor == 0 and number == door:
                one = _window(rng, plan, width * 0.95, 0.34, door=True)
                parts.append(one.place(at=(x, y, 0.17)))
            else:
                one = _window(rng, plan, width, 0.2)
                parts.append(one.place(at=(x, y, plan.height * (floor + 0.55) / floors)))
    return parts


def _window(rng, plan: Plan, width: float, height: float, door: bool = False) -> Mesh:
    """A window or a door in its frame, at the origin, looking along y."""
    if door:
        pane = bright_colour(rng, (0.3, 0.8), (0.2, 0.6))
    else:
        pane = np.array([0.03, 0.04, 0.06]) + 0.1 * rng.random() * linear([0.6, 0.7, 0.9])
    window = box(width, 0.03, height, 0.008, 24)
    x = np.abs(window.vertices[:, 0]) / width * 2
    z = np.abs(window.vertices[:, 2]) / height * 2
    bars = np.abs(x - 0.5) < 0.03 if door else (x < 0.09) | (z < 0.07)
    frame = (x > 0.82) | (z > 0.86) | bars
    window.paint(np.where(frame[:, None], plan.frame_colour, pane))
    return window.polish(roughness=0.12)
