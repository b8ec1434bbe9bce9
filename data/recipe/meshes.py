"""Triangle meshes with a colour and a finish at every vertex."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


class Mesh:
    """A triangle mesh that can be painted, moved and displaced.

    vertices [V, 3] in scene units, z up; faces [F, 3] vertex numbers, counter-clockwise seen from
    outside; colours [V, 3] linear RGB; finish [V, 3] roughness, metallic and clearcoat, each in
    0..1 (the parameters of Burley, Physically based shading at Disney, 2012); uv [V, 2] the
    place of each vertex on the surface, or None. Methods change the mesh and return it.
    """

    def __init__(self, vertices, faces, colour=(0.5, 0.5, 0.5), uv=None):
        self.vertices = np.asarray(vertices, np.float64)
        self.faces = np.asarray(faces, np.int64)
        count = len(self.vertices)
        self.colours = np.broadcast_to(np.asarray(colour, float), (count, 3)).copy()
        self.finish = np.tile([0.6, 0.0, 0.0], (count, 1))
        self.uv = uv

    def paint(self, colours) -> Mesh:
        """Set the colours, [V, 3] or [3]; no surface is quite black or quite white."""
        self.colours = np.clip(np.broadcast_to(colours, self.colours.shape), 0.003, 0.95).copy()
        return self

    def polish(self, roughness=None, metallic=None, clearcoat=None) -> Mesh:
        """Set the parts of the finish that are given, each [V] or a number."""
        for column, value in enumerate((roughness, metallic, clearcoat)):
            if value is not None:
                self.finish[:, column] = value
        return self

    def place(self, at=(0, 0, 0), scale=1.0, turn_x=0.0, turn_y=0.0, turn_z=0.0) -> Mesh:
        """Scale, turn about the x, y and z axes in this order (radians), then shift."""
        self.vertices = self.vertices * np.asarray(scale)
        for angle, (i, j) in ((turn_x, (1, 2)), (turn_y, (2, 0)), (turn_z, (0, 1))):
            if angle:
                cos, sin = np.cos(angle), np.sin(angle)
                first, second = self.vertices[:, i].copy(), self.vertices[:, j].copy()
                self.vertices[:, i] = cos * first - sin * second
                self.vertices[:, j] = sin * first + cos * second
        self.vertices = self.vertices + np.asarray(at)
        return self

    def displace(self, distance) -> Mesh:
        """Move every vertex along its normal by distance [V]."""
        self.vertices = self.vertices + self.normals() * np.asarray(distance)[:, None]
        return self

    def normals(self) -> np.ndarray:
        """Unit normals [V, 3]: the mean of the adjoining faces', weighted by their areas."""
        a, b, c = (self.vertices[self.faces[:, corner]] for corner in range(3))
        of_faces = np.cross(b - a, c - a)
        of_vertices = np.zeros_like(self.vertices)
        for corner in range(3):
            for axis in range(3):
                of_vertices[:, axis] += np.bincount(
                    self.faces[:, corner], of_faces[:, axis], len(self.vertices)
                )
        lengths = np.linalg.norm(of_vertices, axis=1, keepdims=True)
        return of_vertices / np.maximum(lengths, 1e-12)

    def copy(self) -> Mesh:
        """A mesh of its own with the same content."""
        twin = Mesh(self.vertices.copy(), self.faces, self.colours, self.uv)
        twin.finish = self.finish.copy()
        return twin


def join(meshes: Iterable[Mesh]) -> Mesh:
    """One mesh made of several."""
    meshes = list(meshes)
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    joined = Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts)]),
        np.concatenate([mesh.colours for mesh in meshes]),
    )
    joined.finish = np.concatenate([mesh.finish for mesh in meshes])
    return joined


def grid_faces(rows: int, columns: int, wrap: bool = False) -> np.ndarray:
    """Two triangles for every cell of a grid of vertices; `wrap` closes it along the columns."""
    cells = columns if wrap else columns - 1
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(cells), indexing="ij")
    k = (j + 1) % columns
    here, right = i * columns + j, i * columns + k
    above, above_right = (i + 1) * columns + j, (i + 1) * columns + k
    lower = np.stack([here, right, above_right], -1).reshape(-1, 3)
    upper = np.stack([here, above_right, above], -1).reshape(-1, 3)
    return np.concatenate([lower, upper])
