"""Plain passes over whole pictures: the reference for `incremental`, and its substitute."""

import functools
from collections.abc import Iterable

import torch
from torch import Tensor

from lecture_utils import layers
from lecture_utils.models import Network
from lecture_utils.exact.windows import Window


class Plain:
    """What `Incremental` does, with a plain pass over every whole picture.

    `names`: the watched layers, as `layers.record` takes them; it raises UnknownLayer.
    """

    multiply_adds = plain_multiply_adds = 0  # not counted
    largest = 150_000  # not known; large enough for small batches

    def __init__(self, network: Network, image: Tensor, names: list[str]):
        self.network, self.image, self.names = network, image, names

    @functools.cached_property
    def clean(self) -> tuple[Tensor, list[Tensor]]:
        """As `run`, for the unchanged picture."""
        return self._pass(self.image[None])

    def run(self, windows: Iterable[Window]) -> tuple[Tensor, list[Tensor]]:
        """As `Incremental.run`."""
        parts = [self._pass(self._changed(window)) for window in windows]
        outputs, sums = zip(*parts)
        return torch.cat(outputs), [torch.cat(layer) for layer in zip(*sums)]

    def _changed(self, window: Window) -> Tensor:
        """The whole pictures [B, 3, H, W]."""
        batch = self.image.repeat(len(window.value), 1, 1, 1)
        height, width = window.value.shape[2:]
        for image, value, top, left in zip(batch, window.value, window.top, window.left):
            image[:, top : top + height, left : left + width] = value
        return batch

    def _pass(self, batch: Tensor) -> tuple[Tensor, list[Tensor]]:
        record = functools.partial(layers.record, self.network, batch, keep=map_sums)
        sums = record(self.names).values() if self.names else []
        with layers.evaluating(self.network.module):
            return self.network.module(batch), list(sums)


def map_sums(maps: Tensor) -> Tensor:
    """Sum of each feature map over its positions: [B, maps, ...] -> [B, maps]."""
    return maps.flatten(2).sum(2) if maps.ndim > 2 else maps
