"""Plain passes over whole pictures: the reference for `incremental`, and its substitute."""

import functools
from collections.abc import Iterable

import torch
from torch import Tensor

from lecture_utils.exact.windows import Window
from lecture_utils.layers import record
from lecture_utils.models import Network


class Whole:
    """What `Incremental` does, with a plain pass over every whole picture.

    `layers`: the watched ones, as `layers.record` takes them; it raises UnknownLayer.
    """

    multiply_adds = plain = 0  # not counted
    largest = 150_000  # not known; large enough for small batches

    def __init__(self, network: Network, picture: Tensor, layers: list[str]):
        self.network, self.picture, self.layers = network, picture, layers

    @functools.cached_property
    def clean(self) -> tuple[Tensor, list[Tensor]]:
        """As `run`, for the unchanged picture."""
        return self._pass(self.picture[None])

    def run(self, windows: Iterable[Window]) -> tuple[Tensor, list[Tensor]]:
        """As `Incremental.run`."""
        outputs, sums = zip(*(self._pass(self._changed(window)) for window in windows))
        return torch.cat(outputs), [torch.cat(layer) for layer in zip(*sums)]

    def _changed(self, window: Window) -> Tensor:
        """The whole pictures [B, channels, H, W]."""
        batch = self.picture.repeat(len(window.value), 1, 1, 1)
        height, width = window.value.shape[2:]
        for picture, value, top, left in zip(batch, window.value, window.top, window.left):
            picture[:, top : top + height, left : left + width] = value
        return batch

    def _pass(self, batch: Tensor) -> tuple[Tensor, list[Tensor]]:
        sums = record(self.network, batch, self.layers, map_sums) if self.layers else {}
        return self.network(batch), [sums[name] for name in self.layers]


def map_sums(maps: Tensor) -> Tensor:
    """Sum of each feature map over its positions: [B, maps, ...] -> [B, maps]."""
    return maps.flatten(2).sum(2) if maps.ndim > 2 else maps
