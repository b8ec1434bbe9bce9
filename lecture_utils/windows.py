"""Rectangles of feature maps: cutting them out, laying them together, sliding filters over them.

The geometry under `incremental`: which outputs of a layer a change can reach, and which inputs
these outputs need.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lecture_utils.graph import pair


@dataclass(frozen=True)
class Window:
    """The part of a stack of feature maps that a change can reach, of one size in all pictures.

    value: Tensor [B, maps, height, width]; top, left: int64 Tensors [B], its place in the maps.
    """

    value: Tensor
    top: Tensor
    left: Tensor


def covered(image: Tensor, under: Tensor, top: Tensor, left: Tensor, size: int) -> Window:
    """Windows of a picture where squares are taken from another one; both Tensors [3, H, W].

    Args:
        top, left: int64 [B]; a square may hang over the edge, but not lie beyond it.
    """
    spans, inside = [], []
    for first, extent in ((top, image.shape[1]), (left, image.shape[2])):
        stop = (first + size).clamp(max=extent)
        start, length = union([(first.clamp(min=0), stop - first.clamp(min=0))], extent)
        place = start[:, None] + torch.arange(length)
        spans += [(start, length)]
        inside += [(place >= first[:, None]) & (place < first[:, None] + size)]
    (top, height), (left, width) = spans
    inside = (inside[0][:, :, None] & inside[1][:, None, :])[:, None]
    old, new = (look(maps[None], None, top, left, height, width) for maps in (image, under))
    return Window(torch.where(inside, new, old), top, left)


def look(
    clean: Tensor,
    window: Window | None,
    top: Tensor,
    left: Tensor,
    height: int,
    width: int,
    outside: float = 0.0,
) -> Tensor:
    """Cut a rectangle out of each changed map: the window's values, the clean ones around it.

    Args:
        clean: Tensor [1, maps, H, W]; top, left: int64 [B], may lie beyond the map, where the
            value is `outside`.

    Returns:
        Tensor [B, maps, height, width], channels last, so that one position is one row to copy.
    """
    if window is not None and window.value.shape[2:] == (height, width):
        if torch.equal(top, window.top) and torch.equal(left, window.left):
            return window.value
    maps, rows, columns = clean.shape[1:]
    y = (top[:, None] + torch.arange(height))[:, :, None]
    x = (left[:, None] + torch.arange(width))[:, None, :]
    there = ((y >= 0) & (y < rows)) & ((x >= 0) & (x < columns))
    index = torch.where(there, y * columns + x, rows * columns)
    table = [_as_rows(clean), clean.new_full((1, maps), outside)]
    if window is not None:
        _, _, high, wide = window.value.shape
        y, x = y - window.top[:, None, None], x - window.left[:, None, None]
        changed = ((y >= 0) & (y < high)) & ((x >= 0) & (x < wide))
        start = rows * columns + 1 + torch.arange(len(top))[:, None, None] * high * wide
        index = torch.where(changed, (start + y * wide) + x, index)
        table.append(_as_rows(window.value))
    found = torch.cat(table).index_select(0, index.flatten())
    return found.view(len(top), height, width, maps).permute(0, 3, 1, 2)


def _as_rows(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def union(spans: list[tuple[Tensor, int | Tensor]], extent: int) -> tuple[Tensor, int]:
    """Smallest span of one size for all pictures that covers all given (first, size)."""
    first = torch.stack([start for start, _ in spans]).amin(0)
    stop = torch.stack([start + size for start, size in spans]).amax(0)
    size = int((stop - first).max())
    return first.clamp(max=extent - size), size


@dataclass(frozen=True)
class Slide:
    """How a convolution or pooling slides over its input; pairs are (rows, columns)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    outside: float  # the value of padding
    apply: Callable[[Tensor], Tensor]  # without padding
    # what a difference of inputs adds to all outputs that see it; None if it does not simply add
    effect: Callable[[Tensor], Tensor] | None = None

    def first(self, axis: int, pixel: Tensor) -> Tensor:
        """The first output that sees an input; below 0 if that would lie outside."""
        span, stride = (self.kernel[axis] - 1) * self.dilation[axis], self.stride[axis]
        return (pixel + self.padding[axis] - span + stride - 1) // stride

    def reached(self, axis: int, first: Tensor, size: int, count: int) -> tuple[Tensor, int]:
        """Which of `count` outputs see inputs `first` to `first + size`: (first, how many)."""
        start = self.first(axis, first).clamp(0, count - 1)
        last = (first + size - 1 + self.padding[axis]) // self.stride[axis]
        stop = last.clamp(0, count - 1) + 1
        size = max(1, int((stop - start).max()))
        return start.clamp(max=count - size), size

    def needed(self, axis: int, first: Tensor, size: int) -> tuple[Tensor, int]:
        """The inputs that outputs `first` to `first + size` see: (first, how many)."""
        stride = self.stride[axis]
        span = (self.kernel[axis] - 1) * self.dilation[axis] + 1
        return first * stride - self.padding[axis], (size - 1) * stride + span


def sliding(layer: nn.Module) -> Slide | None:
    """How a layer slides; None if it does not, or in a way that needs its whole input."""
    if isinstance(layer, nn.Conv2d) and layer.padding_mode == "zeros":
        if isinstance(layer.padding, str):
            return None
        settings = {
            "weight": layer.weight.contiguous(memory_format=torch.channels_last),
            **{name: getattr(layer, name) for name in ("stride", "dilation", "groups")},
        }
        apply = partial(F.conv2d, bias=layer.bias, **settings)
        effect = None
        if layer.stride == (1, 1):
            span = [(k - 1) * d for k, d in zip(layer.kernel_size, layer.dilation)]
            effect = partial(F.conv2d, padding=span, **settings)
        sizes = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        return Slide(*sizes, 0.0, apply, effect)
    if isinstance(layer, nn.MaxPool2d) and not layer.return_indices:
        kernel, stride, padding, dilation = (
            pair(number)
            for number in (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        )
        apply = partial(F.max_pool2d, kernel_size=kernel, stride=stride, dilation=dilation)
        return Slide(kernel, stride, padding, dilation, -torch.inf, apply)
    if isinstance(layer, nn.AvgPool2d) and not layer.ceil_mode and layer.count_include_pad:
        kernel, stride, padding = map(pair, (layer.kernel_size, layer.stride, layer.padding))
        divisor = layer.divisor_override
        apply = partial(F.avg_pool2d, kernel_size=kernel, stride=stride, divisor_override=divisor)
        return Slide(kernel, stride, padding, (1, 1), 0.0, apply)
    return None
