"""Shapes as meshes: turned on a lathe, drawn as tubes, boxes, sheets, and blended solids."""

from collections.abc import Callable

import numpy as np
from scipy.interpolate import make_interp_spline

from .meshes import Mesh, grid_faces

# ---------------------------------------------------------------- curves


def spline(points, count: int) -> np.ndarray:
    """`count` points [count, D] on a smooth curve through points [P, D], by length of chord."""
    points = np.asarray(points, float)
    length = _length_so_far(points)
    curve = make_interp_spline(length / length[-1], points, k=min(3, len(points) - 1))
    return curve(np.linspace(0, 1, count))


def polyline(points, count: int) -> np.ndarray:
    """`count` points [count, D], equally far apart, on straight lines between points [P, D]."""
    points = np.asarray(points, float)
    length = _length_so_far(points)
    places = np.linspace(0, length[-1], count)
    return np.stack([np.interp(places, length, axis) for axis in points.T], 1)


def _length_so_far(points: np.ndarray) -> np.ndarray:
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1) + 1e-9
    return np.r_[0, np.cumsum(steps)]


def _angles(count: int) -> np.ndarray:
    return np.linspace(0, 2 * np.pi, count, endpoint=False)


def _grid_uv(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.stack(np.meshgrid(u, v, indexing="ij"), -1).reshape(-1, 2)


# ---------------------------------------------------------------- surfaces


def lathe(profile, around: int = 72, along: int = 80, smooth: bool = True) -> Mesh:
    """A profile of (radius, height) turned about the z axis; uv = (0..1 along it, angle).

    The profile goes up the outside, so that the faces look outward.
    """
    curve = spline(profile, along) if smooth else polyline(profile, along)
    radius = np.maximum(curve[:, 0], 0)[:, None]
    height = np.broadcast_to(curve[:, None, 1], (along, around))
    angle = _angles(around)
    vertices = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], -1)
    uv = _grid_uv(np.linspace(0, 1, along), angle)
    return Mesh(vertices.reshape(-1, 3), grid_faces(along, around, True), uv=uv)


def tube(
    path, radius, around: int = 20, along: int = 40, smooth: bool = True, closed: bool = True
) -> Mesh:
    """A tube along a path [P, 3]; uv = (0..1 along it, angle).

    radius is a number or a list of radii spread evenly over the path; `closed` closes the start
    (the end always is).
    """
    path = spline(path, along) if smooth else polyline(path, along)
    radii = np.atleast_1d(radius)
    knots = np.linspace(0, 1, len(radii)) if len(radii) > 1 else [0]
    radii = np.interp(np.linspace(0, 1, along), knots, radii)
    side, other_side = _frames(path)
    angle = _angles(around)
    ring = np.cos(angle)[None, :, None] * side[:, None]
    ring = ring + np.sin(angle)[None, :, None] * other_side[:, None]
    vertices = path[:, None] + radii[:, None, None] * ring
    for end in (0, -1) if closed else (-1,):
        vertices[end] = path[end] + (vertices[end] - path[end]) * 1e-3
    uv = _grid_uv(np.linspace(0, 1, along), angle)
    return Mesh(vertices.reshape(-1, 3), grid_faces(along, around, True), uv=uv)


def _frames(path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors across the path at each of its points, turning as little as possible."""
    tangents = np.gradient(path, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    steep = abs(tangents[0, 2]) >= 0.9
    helper = np.array([1.0, 0, 0]) if steep else np.array([0, 0, 1.0])
    vector = np.cross(tangents[0], helper)
    sides = np.empty_like(tangents)
    for i, tangent in enumerate(tangents):
        vector = vector - tangent * (vector @ tangent)
        vector /= np.linalg.norm(vector)
        sides[i] = vector
    return sides, np.cross(tangents, sides)


def superellipsoid(
    radii, around: int = 64, along: int = 40, vertical: float = 1.0, horizontal: float = 1.0
) -> Mesh:
    """An ellipsoid with three radii; exponents below 1 make it boxy (Barr, 1981)."""

    def power(x, exponent):
        return np.sign(x) * np.abs(x) ** exponent

    up = np.linspace(-np.pi / 2, np.pi / 2, along)[:, None]
    turn = np.linspace(-np.pi, np.pi, around, endpoint=False)[None]
    x = power(np.cos(up), vertical) * power(np.cos(turn), horizontal)
    y = power(np.cos(up), vertical) * power(np.sin(turn), horizontal)
    z = power(np.sin(up), vertical) * np.ones_like(turn)
    vertices = np.stack([x, y, z], -1).reshape(-1, 3) * np.asarray(radii)
    return Mesh(vertices, grid_faces(along, around, True))


def box(width: float, depth: float, height: float, bevel: float = 0.03, cells: int = 18) -> Mesh:
    """A box with rounded edges, from six grids, so that its faces are dense enough to paint.

    Its faces look inward, which a two-sided finish does not show.
    """
    line = np.linspace(-1, 1, cells)
    u, w = (axis.ravel() for axis in np.meshgrid(line, line, indexing="ij"))
    one = np.ones_like(u)
    half = np.array([width, depth, height]) / 2
    sides = [(u, w, one), (u, w, -one), (one, u, w), (-one, u, w), (w, one, u), (w, -one, u)]
    faces = grid_faces(cells, cells)
    every_face = []
    for number in range(6):
        same_way_round = faces[:, ::-1] if number % 2 else faces
        every_face.append(same_way_round + number * cells * cells)
    vertices = np.concatenate([np.stack(side, 1) * half for side in sides])
    # every point is drawn to the distance `bevel` from a core that is smaller by it
    bevel = min(bevel, *(half * 0.9))
    core = np.clip(vertices, -(half - bevel), half - bevel)
    outward = vertices - core
    length = np.linalg.norm(outward, axis=1, keepdims=True)
    vertices = core + np.where(length > 0, outward / np.maximum(length, 1e-9) * bevel, 0)
    return Mesh(vertices, np.concatenate(every_face))


def sheet(function: Callable, along: int = 30, across: int = 20) -> Mesh:
    """The surface function(u, v) -> x, y, z with u in 0..1 and v in -1..1; uv = (u, v)."""
    u, v = np.meshgrid(np.linspace(0, 1, along), np.linspace(-1, 1, across), indexing="ij")
    vertices = np.stack(np.broadcast_arrays(*function(u, v)), -1).reshape(-1, 3)
    uv = np.stack([u, v], -1).reshape(-1, 2)
    return Mesh(vertices, grid_faces(along, across), uv=uv)


# ---------------------------------------------------------------- solids by signed distance


def solid(distance: Callable, low, high, cells: int = 64) -> Mesh:
    """The surface where distance(points [N, 3]) -> [N] is zero, by marching cubes.

    The distance is negative inside; the search goes from corner low to corner high, with `cells`
    steps along the longest side (Lorensen & Cline, 1987).
    """
    from skimage.measure import marching_cubes

    low, high = np.asarray(low, float), np.asarray(high, float)
    step = (high - low).max() / cells
    counts = np.ceil((high - low) / step).astype(int) + 1
    axes = [low[axis] + step * np.arange(counts[axis]) for axis in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    vertices, faces, _, _ = marching_cubes(distance(points).reshape(counts), 0.0)
    return Mesh(low + vertices * step, faces)


def blend(first, second, width: float) -> np.ndarray:
    """The union of two distances with a soft seam (the polynomial smooth minimum of Quilez)."""
    h = np.clip(0.5 + 0.5 * (second - first) / width, 0, 1)
    return second * (1 - h) + first * h - width * h * (1 - h)


def ellipsoid_distance(points, centre, radii) -> np.ndarray:
    """About the distance [N] to an ellipsoid: exact on its surface."""
    scaled = (points - np.asarray(centre)) / np.asarray(radii)
    return (np.linalg.norm(scaled, axis=-1) - 1) * np.min(radii)


def capsule_distance(points, start, end, start_radius: float, end_radius: float) -> np.ndarray:
    """The distance [N] to a round stick from start to end with a radius at each end."""
    start, end = np.asarray(start, float), np.asarray(end, float)
    axis = end - start
    along = np.clip(((points - start) @ axis) / (axis @ axis), 0, 1)
    to_axis = np.linalg.norm(points - start - along[:, None] * axis, axis=-1)
    return to_axis - (start_radius + (end_radius - start_radius) * along)


def rounded_box_distance(points, centre, half, radius: float) -> np.ndarray:
    """The distance [N] to a box of half sizes `half` with edges rounded by radius."""
    q = np.abs(points - np.asarray(centre)) - np.asarray(half) + radius
    outside = np.linalg.norm(np.maximum(q, 0), axis=-1)
    return outside + np.minimum(q.max(-1), 0) - radius
