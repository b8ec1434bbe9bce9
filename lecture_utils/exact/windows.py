"""Rectangles of feature maps: cutting them out, pasting them in, sliding filters over them.

The geometry under `incremental`: which outputs of a layer a change can reach, and which inputs
these outputs need. Corners are arrays [2, B], first row and first column in each picture; sizes
are pairs (rows, columns).
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lecture_utils.exact.polynomials import Spread, spread
from lecture_utils.methods.receptive_fields import pair


@dataclass(frozen=True)
class Window:
    """The part of a stack of feature maps that a change can reach, of one size in all pictures.

    value: Tensor [B, maps, rows, columns]; corner: int64 [2, B], its place in the maps.
    """

    value: Tensor
    corner: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        return tuple(self.value.shape[2:])


def covered(image: Tensor, under: Tensor, corner: np.ndarray, side: int) -> Window:
    """Windows of a picture where squares are taken from another one; both Tensors [channels, H, W].

    Args:
        corner: int64 [2, B]; a square may hang over the edge, its window does not.
    """
    visible = corner.clip(0, np.subtract(image.shape[1:], side)[:, None])
    within = (visible - corner)[:, :, None] + np.arange(side)
    rows, columns = torch.from_numpy((0 <= within) & (within < side))
    value = cut(under[None], visible, (side, side))
    if not (rows.all() and columns.all()):
        inside = (rows[:, :, None] & columns[:, None])[:, None]
        value = torch.where(inside, value, cut(image[None], visible, (side, side)))
    return Window(value, visible)


def cut(maps: Tensor, corner: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Cut one rectangle out of each stack of maps, or all rectangles out of the only one.

    Args:
        maps: Tensor [B or 1, maps, H, W]; the rectangles lie inside the maps.

    Returns:
        A new Tensor [B, maps, *size], channels last.
    """
    pieces, rows = _pieces(maps, corner, size)
    return pieces.index_select(0, rows).view(-1, *size, maps.shape[1]).permute(0, 3, 1, 2)


def _pieces(maps: Tensor, corner: np.ndarray, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """All pieces of neighbouring positions in a row, and which of them are the rectangles' rows.

    With channels last, a row of a rectangle is one piece of memory: the fastest thing to copy.
    """
    dense = maps.permute(0, 2, 3, 1).contiguous()
    count, rows, columns, channels = dense.shape
    height, width = size
    pieces = dense.as_strided((count * rows * columns - width + 1, width * channels), (channels, 1))
    top, left = corner[:, :, None]
    start = (np.arange(count)[:, None] * rows + top + np.arange(height)) * columns + left
    return pieces, torch.from_numpy(start.ravel())


def look(clean: Tensor, window: Window, corner: np.ndarray, size: tuple[int, int]) -> Tensor:
    """See a rectangle of each changed map: the window's values, the clean ones around it.

    Args:
        clean: Tensor [1, maps, H, W], which holds the windows and the rectangles.

    Returns:
        Tensor [B, maps, *size].
    """
    around, whole = union([(corner, size), (window.corner, window.size)], clean.shape[2:])
    found = window.value
    if whole != window.size:
        found = cut(clean, around, whole)
        pieces, rows = _pieces(found, window.corner - around, window.size)
        pieces.index_copy_(0, rows, window.value.permute(0, 2, 3, 1).reshape(len(rows), -1))
    return found if whole == size else cut(found, corner - around, size)


def union(
    rectangles: list[tuple[np.ndarray, tuple[int, int]]], extent: tuple[int, int]
) -> tuple[np.ndarray, tuple[int, int]]:
    """Smallest (corner, size), one size for all pictures, that covers the given ones."""
    first = np.minimum.reduce([corner for corner, _ in rectangles])
    stop = np.maximum.reduce([corner + np.reshape(size, (2, 1)) for corner, size in rectangles])
    return _inside(first, stop, extent)


def _inside(
    first: np.ndarray, stop: np.ndarray, extent: tuple[int, int]
) -> tuple[np.ndarray, tuple[int, int]]:
    """(corner, size) of rectangles as large as the largest, moved inside maps of this extent."""
    size = (stop - first).max(1).clip(1)
    return np.minimum(first, (extent - size)[:, None]), tuple(size.tolist())


class Slide:
    """How a convolution or pooling slides over its input; arrays [2, 1] for rows and columns.

    Attributes:
        span: distance between the first and the last input that one output sees.
        outside: the value of padding.
        frame: what `F.pad` is to put around the inputs; with `spread` around the outputs.
        apply: the layer without its padding.
        spread: where it saves time: what inputs add to the outputs.
    """

    def __init__(self, layer: nn.Module, outside: float, spread: Spread | None):
        kernel, self.stride, self.padding, dilation = (
            np.reshape(pair(getattr(layer, name, 1)), (2, 1))
            for name in ("kernel_size", "stride", "padding", "dilation")
        )
        self.span = (kernel - 1) * dilation
        self.outside, self.spread = outside, spread
        (down, right), (low, far) = self.padding[:, 0], (self.padding + self.stride - 1)[:, 0]
        self.frame = (right, far, down, low)
        if spread is not None:  # a change at the edge adds to outputs outside of the maps, too
            self.frame = (*self.span[[1, 1], 0], *self.span[[0, 0], 0])
        self.apply = copy.copy(layer)
        self.apply.padding = (0, 0)

    def reached(
        self, corner: np.ndarray, size: tuple[int, int], extent: tuple[int, int]
    ) -> tuple[np.ndarray, tuple[int, int]]:
        """Which outputs, of `extent` in all, see a rectangle of inputs: (corner, size)."""
        padded = corner + self.padding
        first = np.maximum(-((self.span - padded) // self.stride), 0)
        last = np.minimum(
            (padded + np.reshape(size, (2, 1)) - 1) // self.stride, np.reshape(extent, (2, 1)) - 1
        )
        return _inside(first, last + 1, extent)

    def needed(
        self, corner: np.ndarray, size: tuple[int, int]
    ) -> tuple[np.ndarray, tuple[int, int]]:
        """The inputs that a rectangle of outputs sees, counted from the first one of padding."""
        wide = (np.reshape(size, (2, 1)) - 1) * self.stride + self.span + 1
        return corner * self.stride, tuple(wide.ravel().tolist())


def sliding(layer: nn.Module) -> Slide | None:
    """How a layer slides; None if it does not, or in a way that needs its whole input."""
    match layer:
        case nn.Conv2d(padding_mode="zeros", padding=tuple()):
            return Slide(layer, 0.0, spread(layer))
        case nn.MaxPool2d(return_indices=False):
            return Slide(layer, -torch.inf, None)
        case nn.AvgPool2d(count_include_pad=True, ceil_mode=False):
            return Slide(layer, 0.0, None)
