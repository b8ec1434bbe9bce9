"""Rectangles of feature maps: cutting them out, pasting them in, sliding filters over them.

The geometry under `incremental`: which outputs of a layer a change can reach, and which inputs
these outputs need. Places are numpy arrays, values are Tensors.
"""

import copy
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from torch import Tensor, nn

from lecture_utils.exact.polynomials import Spread, spread
from lecture_utils.methods.receptive_fields import pair


@dataclass(frozen=True)
class Window:
    """The part of a stack of feature maps that a change can reach, of one size in all pictures.

    value: Tensor [B, maps, height, width]; top, left: int64 [B], its place in the maps.
    """

    value: Tensor
    top: np.ndarray
    left: np.ndarray


def covered(image: Tensor, under: Tensor, top: np.ndarray, left: np.ndarray, size: int) -> Window:
    """Windows of a picture where squares are taken from another one; both Tensors [channels, H, W].

    Args:
        top, left: int64 [B]; a square may hang over the edge, but not lie beyond it.
    """
    spans, inside = [], []
    for first, extent in ((top, image.shape[1]), (left, image.shape[2])):
        visible = np.maximum(first, 0)
        start, length = union([(visible, np.minimum(first + size, extent) - visible)], extent)
        place = start[:, None] + np.arange(length)
        spans += [(start, length)]
        inside += [(place >= first[:, None]) & (place < first[:, None] + size)]
    (top, height), (left, width) = spans
    inside = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    new = cut(under[None], top, left, height, width)
    if not inside.all():
        old = cut(image[None], top, left, height, width)
        new = torch.where(torch.from_numpy(inside), new, old)
    return Window(new, top, left)


def cut(maps: Tensor, top: np.ndarray, left: np.ndarray, height: int, width: int) -> Tensor:
    """Cut one rectangle out of each stack of maps, or all rectangles out of the only one.

    Args:
        maps: Tensor [B or 1, maps, H, W]; top, left: int64 [B], rectangles inside the maps.

    Returns:
        A new Tensor [B, maps, height, width], channels last.
    """
    pieces, rows = _pieces(maps, top, left, height, width)
    found = pieces.index_select(0, rows)
    return found.view(len(top), height, width, -1).permute(0, 3, 1, 2)


def paste(part: Tensor, maps: Tensor, top: np.ndarray, left: np.ndarray) -> None:
    """Overwrite a rectangle of each stack of maps [B, ...] made by `cut`: its inverse."""
    height, width = part.shape[2:]
    pieces, rows = _pieces(maps, top, left, height, width)
    pieces.index_copy_(0, rows, part.permute(0, 2, 3, 1).reshape(len(rows), -1))


def _pieces(
    maps: Tensor, top: np.ndarray, left: np.ndarray, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """All pieces of `width` neighbouring positions, and which of them are the rectangles' rows.

    With channels last, a row of a rectangle is one piece of memory: the fastest thing to copy.
    """
    dense = maps.permute(0, 2, 3, 1).contiguous()
    count, rows, columns, channels = dense.shape
    pieces = dense.as_strided((count * rows * columns - width + 1, width * channels), (channels, 1))
    start = (top[:, None] + np.arange(height)) * columns + left[:, None]
    if count > 1:
        start += np.arange(count)[:, None] * (rows * columns)
    return pieces, torch.from_numpy(start.ravel())


def look(
    clean: Tensor, window: Window, top: np.ndarray, left: np.ndarray, height: int, width: int
) -> Tensor:
    """See a rectangle of each changed map: the window's values, the clean ones around it.

    Args:
        clean: Tensor [1, maps, H, W], which holds the windows and the rectangles.

    Returns:
        Tensor [B, maps, height, width].
    """
    high, wide = window.value.shape[2:]
    around_top, rows = union([(top, height), (window.top, high)], clean.shape[2])
    around_left, columns = union([(left, width), (window.left, wide)], clean.shape[3])
    if (rows, columns) == (high, wide):
        found = window.value
    else:
        found = cut(clean, around_top, around_left, rows, columns)
        paste(window.value, found, window.top - around_top, window.left - around_left)
    if (rows, columns) == (height, width):
        return found
    return cut(found, top - around_top, left - around_left, height, width)


def cut_or_zero(maps: Tensor, top: np.ndarray, left: np.ndarray, height: int, width: int) -> Tensor:
    """Cut one rectangle out of each stack of maps; where it reaches over the edge, there is 0.

    Args:
        maps: Tensor [H, B, W, maps], in this order.

    Returns:
        Tensor [B, maps, height, width].
    """
    rows, count, columns, _ = maps.shape
    y, x = top[:, None] + np.arange(height), left[:, None] + np.arange(width)
    index = ((y * count + np.arange(count)[:, None]) * columns)[:, :, None] + x[:, None]
    high, wide = (y >= 0) & (y < rows), (x >= 0) & (x < columns)
    there = None if high.all() and wide.all() else high[:, :, None] & wide[:, None]
    if there is not None:
        index *= there
    found = maps.flatten(0, 2).index_select(0, torch.from_numpy(index.ravel()))
    found = found.view(count, height, width, -1).permute(0, 3, 1, 2)
    return found if there is None else found.mul_(torch.from_numpy(there[:, None]))


def union(spans: list[tuple[np.ndarray, int | np.ndarray]], extent: int) -> tuple[np.ndarray, int]:
    """Smallest span of one size for all pictures that covers all given (first, size)."""
    first = reduce(np.minimum, [start for start, _ in spans])
    stop = reduce(np.maximum, [start + size for start, size in spans])
    size = int((stop - first).max())
    return np.minimum(first, extent - size), size


@dataclass(frozen=True)
class Slide:
    """How a convolution or pooling slides over its input; pairs are (rows, columns)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    outside: float  # the value of padding
    apply: nn.Module  # the layer without its padding
    spread: Spread | None  # where it saves time: what inputs add to the outputs

    def span(self, axis: int) -> int:
        """Distance between the first and the last input that one output sees."""
        return (self.kernel[axis] - 1) * self.dilation[axis]

    def first(self, axis: int, pixel: np.ndarray) -> np.ndarray:
        """The first output that sees an input; below 0 if that would lie outside."""
        stride = self.stride[axis]
        return (pixel + (self.padding[axis] - self.span(axis) + stride - 1)) // stride

    def reached(
        self, axis: int, first: np.ndarray, size: int, count: int
    ) -> tuple[np.ndarray, int]:
        """Which of `count` outputs see inputs `first` to `first + size`: (first, how many)."""
        start = np.maximum(self.first(axis, first), 0)
        last = (first + (size - 1 + self.padding[axis])) // self.stride[axis]
        size = max(1, int((np.minimum(last, count - 1) - start).max()) + 1)
        return np.minimum(start, count - size), size

    def needed(self, axis: int, first: np.ndarray, size: int) -> tuple[np.ndarray, int]:
        """The inputs that outputs `first` to `first + size` see: (first, how many).

        Counted from the first row or column of padding.
        """
        stride = self.stride[axis]
        return first * stride, (size - 1) * stride + self.span(axis) + 1

    def around(self, axis: int, inputs: int, outputs: int) -> tuple[int, int]:
        """Rows or columns of padding (before, after) that all outputs of a layer see."""
        _, size = self.needed(axis, np.zeros(1, int), outputs)
        return self.padding[axis], max(0, size - self.padding[axis] - inputs)


def sliding(layer: nn.Module) -> Slide | None:
    """How a layer slides; None if it does not, or in a way that needs its whole input."""
    found = None
    if isinstance(layer, nn.Conv2d):
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            return None
        found = spread(layer)
    elif isinstance(layer, nn.MaxPool2d):
        if layer.return_indices:
            return None
    elif not isinstance(layer, nn.AvgPool2d) or layer.ceil_mode or not layer.count_include_pad:
        return None
    sizes = (getattr(layer, name, 1) for name in ("kernel_size", "stride", "padding", "dilation"))
    outside = -torch.inf if isinstance(layer, nn.MaxPool2d) else 0.0
    unpadded = copy.copy(layer)
    unpadded.padding = (0, 0)
    return Slide(*map(pair, sizes), outside, unpadded, found)
