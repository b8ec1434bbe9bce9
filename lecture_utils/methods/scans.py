"""What a scan of lecture 4 keeps of the pictures, batch by batch, without growing with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

BINS = 128  # of a histogram, half of them above zero
SAMPLE = 200  # pictures kept whatever their responses are
TINY = 2.0**-40  # the narrowest histogram reaches from -TINY to TINY


class Ranking(NamedTuple):
    """Pictures in an order of their own for each unit; four arrays [units, pictures kept]."""

    pictures: np.ndarray
    values: np.ndarray  # what the order follows
    rows: np.ndarray  # where in the unit's feature map the largest response lies,
    columns: np.ndarray  # also where the order follows something else


@dataclass(frozen=True)
class LayerScan:
    """What one layer answered to all pictures."""

    units: int  # columns behind them, if any, are the random directions asked for
    total: int  # number of pictures; fewer than there are if the scan was interrupted
    strongest: Ranking  # by response, best first; ties by picture number
    weakest: Ranking  # by response, worst first; ties by picture number
    fullest: Ranking  # by the mean of the rectified feature map instead of its maximum
    sample: Ranking  # pictures spread evenly over all, the same for each unit, in no order
    counts: np.ndarray  # histogram of the responses, int [units, BINS]; see `edges`
    limits: np.ndarray  # half the width of each histogram, [units]
    classes: np.ndarray  # the labels met
    class_counts: np.ndarray  # how often each was met
    class_sums: np.ndarray  # sum of the rectified responses to each class, [classes, units]

    def edges(self, unit: int) -> np.ndarray:
        """Bounds of the histogram's bins, [BINS + 1]; one is 0. A bin owns its upper bound."""
        return np.linspace(-1, 1, BINS + 1) * self.limits[unit]

    def firing(self) -> np.ndarray:
        """Share of the pictures to which each unit responds above zero, [units]."""
        return self.counts[:, BINS // 2 :].sum(1) / self.total

    def profile(self) -> np.ndarray:
        """Mean rectified response to each class, [classes, units]."""
        return self.class_sums / self.class_counts[:, None]

    def middle(self, k: int = 9) -> Ranking:
        """The k pictures in the middle of the sample, by response, [units, k]."""
        ranking = _ranked([self.sample], -self.sample.values, SAMPLE)
        start = max(0, (ranking.values.shape[1] - k) // 2)
        return Ranking(*(part[:, start : start + k] for part in ranking))


def of_batch(summary: np.ndarray, labels: list[str], first: int, directions: int) -> LayerScan:
    """The scan of one batch, its rankings not yet in order."""
    peaks, rows, columns, means = summary.transpose(1, 2, 0)
    if not np.isfinite(peaks).all():
        raise ValueError("the network gives values that are not finite")
    numbers = np.broadcast_to(np.arange(first, first + len(labels)), peaks.shape)
    places = rows.astype(np.int32), columns.astype(np.int32)
    by_peak = Ranking(numbers, peaks, *places)
    limits = np.ldexp(1.0, np.frexp(np.maximum(np.abs(peaks).max(1), TINY))[1])
    classes, members = np.unique(labels, return_inverse=True)
    belongs = np.eye(len(classes))[:, members]
    units, total = len(peaks) - directions, len(labels)
    rankings = by_peak, by_peak, Ranking(numbers, means, *places), by_peak
    counts = _histogram(peaks, np.ones_like(peaks), limits)
    class_counts, class_sums = belongs.sum(1), belongs @ peaks.clip(min=0).T
    return LayerScan(units, total, *rankings, counts, limits, classes, class_counts, class_sums)


def merged(scans: Sequence[LayerScan], k: int) -> LayerScan:
    """Scans of pictures that follow each other as one, k pictures in each ranking."""
    units, total = scans[0].units, sum(scan.total for scan in scans)
    rankings = []
    for name, sign in (("strongest", -1), ("weakest", 1), ("fullest", -1)):
        parts = [getattr(scan, name) for scan in scans]
        rankings.append(_ranked(parts, sign * np.hstack([part.values for part in parts]), k))
    rankings.append(_sampled([scan.sample for scan in scans]))
    # limits are powers of two: old bins fall into new ones as a whole, each by its upper bound
    limits = np.max([scan.limits for scan in scans], axis=0)
    edges = np.linspace(-1, 1, BINS + 1)[1:]
    counts = sum(_histogram(edges * s.limits[:, None], s.counts, limits) for s in scans)
    names = np.hstack([scan.classes for scan in scans])
    classes, members = np.unique(names, return_inverse=True)
    belongs = np.eye(len(classes))[:, members]
    class_counts = belongs @ np.hstack([scan.class_counts for scan in scans])
    class_sums = belongs @ np.vstack([scan.class_sums for scan in scans])
    return LayerScan(units, total, *rankings, counts, limits, classes, class_counts, class_sums)


def _ranked(rankings: list[Ranking], key: np.ndarray, k: int) -> Ranking:
    """The first k by `key`; a stable sort leaves equal ones in the order of their numbers."""
    order = np.argsort(key, axis=1, kind="stable")[:, :k]
    return Ranking(*(np.take_along_axis(np.hstack(part), order, 1) for part in zip(*rankings)))


def _sampled(rankings: list[Ranking]) -> Ranking:
    """Pictures whose number times the golden ratio has the smallest fraction: evenly spread."""
    numbers = np.hstack([ranking.pictures[0] for ranking in rankings])
    order = np.argsort(numbers * 0.6180339887498949 % 1, kind="stable")[:SAMPLE]
    return Ranking(*(np.hstack(part)[:, order] for part in zip(*rankings)))


def _histogram(values: np.ndarray, weights: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Weights of the values [units, any] in the bins of each unit, int [units, BINS]."""
    bins = np.ceil(values / limits[:, None] * (BINS // 2)).astype(int) + BINS // 2 - 1
    bins += np.arange(len(limits))[:, None] * BINS
    counts = np.bincount(bins.ravel(), weights.ravel(), len(limits) * BINS)
    return counts.reshape(-1, BINS).astype(int)
