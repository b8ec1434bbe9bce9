"""t-SNE: points of a plane that keep the company of the codes (van der Maaten & Hinton 2008)."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.metrics import euclidean_distances

EXAGGERATED = 250  # iterations with attraction multiplied by EXAGGERATION
EXAGGERATION = 12.0
DOUBLINGS = 40  # and halvings: how often a width is corrected


def similarities(codes: np.ndarray, perplexity: float) -> np.ndarray:
    """How near t-SNE takes two codes to be: symmetric float64 [n, n], its sum is 1.

    Each row is a Gaussian of the distances, its width chosen (by bisection) such that its entropy
    is that of `perplexity` equally near neighbours (van der Maaten & Hinton 2008, eq. 1).
    """
    distances = euclidean_distances(np.asarray(codes, float), squared=True)
    np.fill_diagonal(distances, np.inf)
    distances -= distances.min(1, keepdims=True)
    finite = np.where(np.isinf(distances), 0, distances)
    low, high = np.zeros(len(codes)), np.full(len(codes), np.inf)
    sharpness = 1 / np.maximum(finite.mean(1), 1e-12)  # 1 / (2 variance)
    for _ in range(DOUBLINGS):
        near = np.exp(-distances * sharpness[:, None])
        total = near.sum(1)
        entropy = np.log(total) + sharpness * np.einsum("ij,ij->i", finite, near) / total
        too_wide = entropy > math.log(perplexity)
        low, high = np.where(too_wide, sharpness, low), np.where(too_wide, high, sharpness)
        sharpness = np.where(np.isinf(high), 2 * low, (low + high) / 2)
    near /= total[:, None]
    return (near + near.T) / (2 * len(codes))


def descend(similar: np.ndarray, start: np.ndarray, frames: Sequence[int]) -> np.ndarray:
    """Move points [n, 2] downhill on the Kullback-Leibler divergence; their places at `frames`.

    The gradient is exact, not the Barnes-Hut approximation: for some thousand points that is
    as fast, and every iteration can be looked at. Momentum, gains and rates are scikit-learn's.
    """
    similar = torch.tensor(similar, dtype=torch.float32)
    points = torch.tensor(start, dtype=torch.float32)
    speed, gain = torch.zeros_like(points), torch.ones_like(points)
    rate = max(len(points) / EXAGGERATION / 4, 50)
    kept = {}
    for iteration in range(max(frames) + 1):
        if iteration in frames:
            kept[iteration] = points.numpy().copy()
        early = iteration < EXAGGERATED
        square = (points * points).sum(1)
        near = (square[:, None] + (1 + square)).addmm_(points, points.T, alpha=-2)
        near.reciprocal_().fill_diagonal_(0)
        wanted = similar * EXAGGERATION if early else similar
        pull = torch.sub(wanted, near, alpha=1 / near.sum().item()).mul_(near)
        gradient = 4 * (pull.sum(1, keepdim=True) * points - pull @ points)
        gain = torch.where(gradient * speed < 0, gain + 0.2, gain * 0.8).clamp(min=0.01)
        speed = (0.5 if early else 0.8) * speed - rate * gain * gradient
        points = points + speed
    return np.stack([kept[frame] for frame in frames])
