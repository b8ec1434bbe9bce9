"""Which pictures, and which patches of them, excite each unit of a network most.

`scan` reads the pictures once. Of each picture it keeps, for every unit, one response: the largest
value in the unit's feature map (one maximum per picture, as Zeiler & Fergus 2014, fig. 2). What is
kept does not grow with the number of pictures.
"""

import functools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from lecture_utils import images, layers, store
from lecture_utils.models import Network

BINS = 128  # of a histogram, half of them above zero
SAMPLE = 200  # pictures kept whatever their responses are
TINY = 2.0**-40  # the narrowest histogram reaches from -TINY to TINY
PIXELS = 50 * 160**2  # of one batch: larger pictures come in smaller batches
VERSION = 1  # part of the cache key: raise it when results change


class Ranking(NamedTuple):
    """Pictures in an order of their own for each unit; four arrays [units, pictures kept].

    `values` are what the order follows. `rows` and `columns` say where in the unit's feature map
    the largest response lies, also where the order follows something else.
    """

    pictures: np.ndarray
    values: np.ndarray
    rows: np.ndarray
    columns: np.ndarray


@dataclass(frozen=True)
class LayerScan:
    """What one layer answered to all pictures.

    Attributes:
        units: number of units; columns behind them, if any, are the random directions asked for.
        seen: number of pictures; fewer than there are if the scan was interrupted.
        strongest, weakest: ranked by response, best first, worst first; ties by picture number.
        fullest: ranked by the mean of the rectified feature map instead of its maximum.
        sample: pictures spread evenly over all, the same for each unit, in no order.
        counts: histogram of the responses, int [units, BINS]; see `edges`.
        limits: half the width of each histogram, [units].
        classes, class_counts: the labels met, and how often.
        class_sums: sum of the rectified responses to each class, [classes, units].
    """

    units: int
    seen: int
    strongest: Ranking
    weakest: Ranking
    fullest: Ranking
    sample: Ranking
    counts: np.ndarray
    limits: np.ndarray
    classes: np.ndarray
    class_counts: np.ndarray
    class_sums: np.ndarray

    def edges(self, unit: int) -> np.ndarray:
        """Bounds of the histogram's bins, [BINS + 1]; one is 0. A bin owns its upper bound."""
        return np.linspace(-1, 1, BINS + 1) * self.limits[unit]

    def firing(self) -> np.ndarray:
        """Share of the pictures to which each unit responds above zero, [units]."""
        return self.counts[:, BINS // 2 :].sum(1) / self.seen

    def profile(self) -> np.ndarray:
        """Mean rectified response to each class, [classes, units]."""
        return self.class_sums / self.class_counts[:, None]

    def middle(self, k: int = 9) -> Ranking:
        """The k pictures in the middle of the sample, by response, [units, k]."""
        ranking = _ranked([self.sample], -self.sample.values, SAMPLE)
        start = max(0, (ranking.values.shape[1] - k) // 2)
        return Ranking(*(part[:, start : start + k] for part in ranking))


def scan(
    network: Network,
    pictures: Iterable,
    layer: str | Iterable[str],
    k: int = 9,
    directions: int = 0,
) -> dict[str, LayerScan]:
    """Go once through the pictures and keep what excites each unit of one or more layers.

    Args:
        pictures: Picture or PIL images; a generator will do, it is read once and not kept.
        layer: names as `layers.resolve` takes them, with outputs [B, C] or [B, C, H, W].
        k: pictures kept in each ranking.
        directions: also rank this many random directions of each layer's space: unit vectors, the
            same for layers of one width, multiplied with the rectified responses (Szegedy et al.
            2014, section 3). They stand behind the units in every array.

    Returns:
        {name as asked: LayerScan}. Interrupted from the keyboard, what was seen so far. Results
        for a sequence of pictures are kept in the cache of `store`; those of a generator are not.

    Raises:
        UnknownLayer; ValueError if there are no pictures or a layer gives something else.
    """
    names = [layer] if isinstance(layer, str) else list(layer)
    key = None
    if isinstance(pictures, Sequence):
        given = getattr(pictures, "labels", None) or [getattr(p, "label", "") for p in pictures]
        settings = f"{names} {k} {directions} {BINS} {SAMPLE} {given}"
        key = f"topk {VERSION} {network.fingerprint()} {images.fingerprint(pictures)} {settings}"
        if kept := store.load(key):
            return {name: _unpack(kept, name) for name in names}
    scans: dict[str, LayerScan] = {}
    labels: deque[str] = deque()
    keep = functools.partial(_summary, directions=directions)
    size = max(1, PIXELS // network.input_size**2)
    total = len(pictures) if hasattr(pictures, "__len__") else None
    seen = 0
    try:
        with tqdm(total=total, unit="picture", leave=False) as bar:
            for batch in network.batches(_noting(pictures, labels), size):
                summaries = layers.record(network, batch, names, keep)
                known = [labels.popleft() for _ in batch]
                fresh = {
                    name: _of_batch(summary.numpy(), known, seen, directions)
                    for name, summary in summaries.items()
                }
                # one assignment, so that an interruption never leaves half a batch behind
                scans = {name: _merged(scans.get(name), new, k) for name, new in fresh.items()}
                seen += len(batch)
                bar.update(len(batch))
    except KeyboardInterrupt:
        if not scans:
            raise
        return scans
    if not scans:
        raise ValueError("there is nothing to scan: no pictures, or no layer named")
    if key:
        store.save(
            key, {part: array for name in names for part, array in _packed(scans[name], name)}
        )
    return scans


def _noting(pictures: Iterable, labels: deque[str]) -> Iterator:
    for picture in pictures:
        labels.append(getattr(picture, "label", ""))
        yield picture


def _summary(maps: Tensor, directions: int) -> Tensor:
    """A layer's output -> [B, 4, units + directions]: largest value, its row, its column, mean."""
    if maps.ndim == 2:
        maps = maps[:, :, None, None]
    if maps.ndim != 4:
        raise ValueError(f"a layer to scan gives [B, C] or [B, C, H, W], this one {maps.shape}")
    if directions:
        along = torch.einsum(
            "dc,bchw->bdhw", random_directions(maps.shape[1], directions), maps.relu()
        )
        maps = torch.cat([maps, along], 1)
    peak, place = maps.flatten(2).max(-1)  # the first of equal values
    mean = maps.relu_().mean((2, 3))  # `record` hands over a copy: it may be overwritten
    width = maps.shape[3]
    return torch.stack([peak, place // width, place % width, mean], 1)


def random_directions(width: int, count: int) -> Tensor:
    """Random unit vectors [count, width], the same at each call."""
    vectors = torch.randn(count, width, generator=torch.Generator().manual_seed(0))
    return vectors / vectors.norm(dim=1, keepdim=True)


# --- one batch, and how two scans become one ----------------------------------------------------


def _of_batch(summary: np.ndarray, labels: list[str], first: int, directions: int) -> LayerScan:
    """The scan of one batch, its rankings not yet in order."""
    peaks, rows, columns, means = summary.transpose(1, 2, 0)
    if not np.isfinite(peaks).all():
        raise ValueError("the network gives values that are not finite")
    numbers = np.broadcast_to(np.arange(first, first + len(labels)), peaks.shape)
    places = rows.astype(np.int32), columns.astype(np.int32)
    by_peak = Ranking(numbers, peaks, *places)
    limits = np.ldexp(1.0, np.frexp(np.maximum(np.abs(peaks).max(1), TINY))[1])
    bins = np.ceil(peaks / limits[:, None] * (BINS // 2)).astype(int) + BINS // 2 - 1
    bins += np.arange(len(peaks))[:, None] * BINS
    classes, members = np.unique(labels, return_inverse=True)
    belongs = np.eye(len(classes))[:, members]
    return LayerScan(
        units=len(peaks) - directions,
        seen=len(labels),
        strongest=by_peak,
        weakest=by_peak,
        fullest=Ranking(numbers, means, *places),
        sample=by_peak,
        counts=np.bincount(bins.ravel(), minlength=len(peaks) * BINS).reshape(-1, BINS),
        limits=limits,
        classes=classes,
        class_counts=belongs.sum(1),
        class_sums=belongs @ peaks.clip(min=0).T,
    )


def _merged(old: LayerScan | None, new: LayerScan, k: int) -> LayerScan:
    """Both scans as one, in order; the pictures of `new` come after those of `old`."""
    scans = [new] if old is None else [old, new]
    rankings = {"sample": _sampled([scan.sample for scan in scans])}
    for name, sign in (("strongest", -1), ("weakest", 1), ("fullest", -1)):
        parts = [getattr(scan, name) for scan in scans]
        rankings[name] = _ranked(parts, sign * np.hstack([part.values for part in parts]), k)
    if old is None:
        return replace(new, **rankings)
    limits = np.maximum(old.limits, new.limits)
    classes = np.union1d(old.classes, new.classes)
    class_counts = np.zeros(len(classes))
    class_sums = np.zeros((len(classes), len(limits)))
    for part in (old, new):
        here = np.searchsorted(classes, part.classes)
        class_counts[here] += part.class_counts
        class_sums[here] += part.class_sums
    return LayerScan(
        units=old.units,
        seen=old.seen + new.seen,
        **rankings,
        counts=_widened(old, limits) + _widened(new, limits),
        limits=limits,
        classes=classes,
        class_counts=class_counts,
        class_sums=class_sums,
    )


def _ranked(rankings: list[Ranking], key: np.ndarray, k: int) -> Ranking:
    """The first k by `key`; a stable sort leaves equal ones in the order of their numbers."""
    order = np.argsort(key, axis=1, kind="stable")[:, :k]
    return Ranking(*(np.take_along_axis(np.hstack(part), order, 1) for part in zip(*rankings)))


def _sampled(rankings: list[Ranking]) -> Ranking:
    """Pictures whose number times the golden ratio has the smallest fraction: evenly spread."""
    numbers = np.hstack([ranking.pictures[0] for ranking in rankings])
    order = np.argsort(numbers * 0.6180339887498949 % 1, kind="stable")[:SAMPLE]
    return Ranking(*(np.hstack(part)[:, order] for part in zip(*rankings)))


def _widened(part: LayerScan, limits: np.ndarray) -> np.ndarray:
    """The histogram at larger limits. Limits are powers of two, so bins join in pairs, exactly."""
    counts, have, quarter = part.counts.copy(), part.limits.copy(), BINS // 4
    while (narrow := have < limits).any():
        joined = counts[narrow].reshape(-1, BINS // 2, 2).sum(2)
        counts[narrow] = np.pad(joined, ((0, 0), (quarter, quarter)))
        have[narrow] *= 2
    return counts


def _packed(scan: LayerScan, name: str) -> Iterator[tuple[str, np.ndarray]]:
    for field in fields(scan):
        value = getattr(scan, field.name)
        parts = value._asdict() if isinstance(value, Ranking) else {"": np.asarray(value)}
        yield from ((f"{name}|{field.name}|{part}", array) for part, array in parts.items())


def _unpack(arrays: dict[str, np.ndarray], name: str) -> LayerScan:
    values = {}
    for field in fields(LayerScan):
        if field.type is Ranking:
            values[field.name] = Ranking(
                *(arrays[f"{name}|{field.name}|{part}"] for part in Ranking._fields)
            )
        else:
            value = arrays[f"{name}|{field.name}|"]
            values[field.name] = value if value.ndim else int(value)
    return LayerScan(**values)
