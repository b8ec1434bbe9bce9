"""Reading a unit: the patch it saw, how selective it is, whether it looks at the object.

The companion of `topk`, which finds the pictures; nothing here runs a network but `views`.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from lecture_utils.methods.receptive_fields import ReceptiveField, pair
from lecture_utils.models import Network
from lecture_utils.topk import LayerScan, Ranking


def views(network: Network, pictures: Iterable) -> tuple[np.ndarray, np.ndarray | None]:
    """Pictures as the network sees them, scaled and cut, and their object masks the same way.

    Returns:
        uint8 [N, H, W, 3], and uint8 [N, H, W] or None if a picture has no mask.
    """
    seen, masks = [], []
    for picture in pictures:
        image, mask = getattr(picture, "image", picture), getattr(picture, "mask", None)
        seen.append(_view(network, image))
        if mask is not None:
            masks.append(_view(network, mask.convert("RGB"))[:, :, 0])
    return np.stack(seen), np.stack(masks) if len(masks) == len(seen) else None


def _view(network: Network, image) -> np.ndarray:
    return (network.to_image(network.preprocess(image)) * 255).round().astype(np.uint8)


def patch(view: np.ndarray, box: tuple[int, int, int, int], outside: int = 255) -> np.ndarray:
    """Cut (top, left, bottom, right) out of a picture [H, W, 3]; where there is none, `outside`."""
    rows, columns = np.arange(box[0], box[2]), np.arange(box[1], box[3])
    height, width = view.shape[:2]
    cut = view[rows.clip(0, height - 1)][:, columns.clip(0, width - 1)]
    cut[(rows < 0) | (rows >= height)] = outside
    cut[:, (columns < 0) | (columns >= width)] = outside
    return cut


def patches(
    seen: np.ndarray, field: ReceptiveField, ranking: Ranking, unit: int
) -> list[np.ndarray]:
    """What one unit saw of its pictures, in their order: the patch around each largest response."""
    pictures, _, rows, columns = (part[unit] for part in ranking)
    return [patch(seen[p], field.box(r, c)) for p, r, c in zip(pictures, rows, columns)]


def only(batch: Tensor, box: tuple[int, int, int, int]) -> Tensor:
    """A batch [B, 3, H, W] with everything outside the box set to 0, the network's middle grey."""
    top, left, bottom, right = box
    kept = torch.zeros_like(batch)
    kept[:, :, top:bottom, left:right] = batch[:, :, top:bottom, left:right]
    return kept


def purity(pictures: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Share of the commonest label among the pictures of each row, [rows, k] -> [rows]."""
    _, numbers = np.unique(labels, return_inverse=True)
    chosen = numbers[pictures]
    return (chosen[:, :, None] == chosen[:, None]).sum(2).max(1) / pictures.shape[1]


def selectivity(scan: LayerScan) -> np.ndarray:
    """(best class - mean of the others) / (best + mean of the others), [units].

    The index of Morcos et al. 2018 (ICLR): 1 fires for one class only, 0 for all
    alike. They average a feature map, here its largest response counts. NaN for a unit that never
    fires, and where there is only one class.
    """
    profile = np.sort(scan.profile(), axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        best, others = profile[-1], profile[:-1].sum(0) / (len(profile) - 1)
        return (best - others) / (best + others)


def on_object(masks: np.ndarray, field: ReceptiveField, ranking: Ranking) -> np.ndarray:
    """How far the places of the largest responses lie on the object, 0..1, [units, k].

    Of the receptive field only the middle counts, one stride wide: deep units see nearly the whole
    picture, and what the object covers of that says nothing. Compare with `masks.mean()`.

    Args:
        masks: uint8 [N, H, W], as `views` gives them.

    Raises:
        ValueError: for a layer without positions.
    """
    (size, _), (stride, _), (start, _) = map(pair, (field.size, field.stride, field.start))
    if stride == 0:
        raise ValueError("the units of this layer have no place in the picture")
    offset, side = start + (size - stride) // 2, masks.shape[1]
    tops = (offset + ranking.rows * stride).clip(0, side - 1)
    lefts = (offset + ranking.columns * stride).clip(0, side - 1)
    shares = [
        masks[number, top : top + stride, left : left + stride].mean() / 255
        for number, top, left in zip(ranking.pictures.flat, tops.flat, lefts.flat)
    ]
    return np.reshape(shares, ranking.pictures.shape)


def along(responses: np.ndarray, direction: np.ndarray, k: int = 9) -> Ranking:
    """The k pictures that go furthest along one direction of a layer's space, arrays [1, k].

    Args:
        responses: [N, C] or [N, C, H, W], one layer's answers to all pictures.
        direction: [C]; a unit of the layer is a direction with a single 1.
    """
    maps = np.tensordot(responses.astype(np.float32), direction.astype(np.float32), (1, 0))
    maps = maps.reshape(len(maps), *(maps.shape[1:] or (1, 1)))
    peaks = maps.max((1, 2))
    order = np.argsort(-peaks, kind="stable")[:k]
    places = maps[order].reshape(len(order), -1).argmax(1)
    rows, columns = np.unravel_index(places, maps.shape[1:])
    return Ranking(*(part[None] for part in (order, peaks[order], rows, columns)))
