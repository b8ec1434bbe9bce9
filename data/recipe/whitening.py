"""Coordinates in which a first layer learns fine and faint patterns as fast as coarse, strong ones.

Pictures have little contrast in fine patterns, so that plain gradient descent hardly moves a
filter in their direction. Here the filters are v P, and v is trained: P amplifies the directions
in which patches of the pictures vary little.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

FLOOR = 1e-2  # directions with less than this share of the largest variance get no more
COLOUR_FLOOR = 1e-3  # the same among the three directions of colour
COLOUR_POWER = 0.5  # 1 whitens colour wholly: filters full of coloured grain; 0: nearly all grey


def coordinates(patches: np.ndarray) -> Tensor:
    """The matrix P for patches [count, 3 * size * size]: space whitened, colour by half."""
    sheets = patches.reshape(len(patches), 3, -1).astype(float)
    space = _whitening(sheets.mean(1), FLOOR, 1.0)
    colour = _whitening(sheets.transpose(0, 2, 1).reshape(-1, 3), COLOUR_FLOOR, COLOUR_POWER)
    return torch.from_numpy(np.kron(colour, space)).float()


def _whitening(values: np.ndarray, floor: float, power: float) -> np.ndarray:
    """Covariance of values [count, n] to the power -power / 2, with a mean diagonal of 1."""
    variance, axes = np.linalg.eigh(np.cov(values, rowvar=False, bias=True))
    matrix = (axes * (variance + floor * variance.max()) ** (-power / 2)) @ axes.T
    return matrix / matrix.diagonal().mean()


class Coordinates(nn.Module):
    """Weights as v P: what a convolution uses, while v is what the optimiser moves."""

    def __init__(self, basis: Tensor):
        super().__init__()
        self.register_buffer("basis", basis)

    def forward(self, v: Tensor) -> Tensor:
        return (v.flatten(1) @ self.basis).view_as(v)

    def right_inverse(self, weight: Tensor) -> Tensor:
        flat = torch.linalg.solve(self.basis.double().T, weight.double().flatten(1).T).T
        return flat.to(weight.dtype).reshape(weight.shape)


def use_coordinates(layer: nn.Conv2d, basis: Tensor | None) -> None:
    """Let a layer learn in these coordinates, None: those of its weights, from the same start."""
    basis = torch.eye(layer.weight[0].numel()) if basis is None else basis
    parametrize.register_parametrization(layer, "weight", Coordinates(basis))
