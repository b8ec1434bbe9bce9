"""A square goes over a picture: the places in blocks, and who computes what the network says."""

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lecture_utils.exact.incremental import Incremental
from lecture_utils.exact.prepared import prepared
from lecture_utils.exact.whole import Whole
from lecture_utils.exact.windows import Window, covered
from lecture_utils.layers import resolve
from lecture_utils.models import Network

COARSE = 5  # squares a side in the first, coarse look
BATCH = 4e6  # numbers in one batch of the largest windows (16 MB): more would be slower
TOGETHER = 400  # squares that go together through what comes after the feature maps
TOLERANCE = 1e-4  # between windows and a plain pass, relative to the largest number


class Answers(NamedTuple):
    """What a network says for a grid of squares; NaN where that is not computed yet.

    logits: [rows, columns, classes]. sums: of each layer's feature maps over their positions,
    {layer: [rows, columns, maps]}. clean_logits, clean_sums: with nothing covered. method: how they
    were computed, in words. multiply_adds: so far; plain_multiply_adds: of passes over whole
    pictures for the complete grid; both 0 where they are not counted.
    """

    logits: np.ndarray
    clean_logits: np.ndarray
    sums: dict[str, np.ndarray]
    clean_sums: dict[str, np.ndarray]
    method: str
    multiply_adds: int
    plain_multiply_adds: int


class Sweeper:
    """A network made ready for sweeps over any number of pictures; whoever makes it holds it.

    The forward pass is followed and the filters are prepared when it is made. They are not
    watched: a network that was changed needs a new one.

    Args:
        network: never modified.
        layers: whose feature maps are to be summed, as `layers.resolve` takes them.

    Raises UnknownLayer.
    """

    def __init__(self, network: Network, layers: str | Iterable[str] = ()):
        self.network = network
        self.layers = [layers] if isinstance(layers, str) else list(dict.fromkeys(layers))
        self.fingerprint = network.fingerprint()
        self._paths = [resolve(network, name) for name in self.layers]
        self._weights = next(
            (w for w in network.module.parameters() if w.is_floating_point()), None
        )
        self._tried: set[torch.Size] = set()  # of pictures: equal to a plain pass
        self._problem = ""  # why only plain passes will do
        if self._weights is not None:
            kind, place = str(self._weights.dtype).removeprefix("torch."), self._weights.device.type
            if kind not in ("float32", "float64") or place != "cpu":
                self._problem = f"the short cut is not made for {kind} weights on {place}"
                return
        try:
            self._prepared = prepared(network.module)
        except Exception as error:  # tracing runs the network's own code, which may raise anything
            self._problem = f"the forward pass cannot be traced ({error})"

    def answers(
        self, picture: Tensor, under: Tensor, tops: np.ndarray, lefts: np.ndarray, size: int
    ) -> Iterator[Answers]:
        """What the network says for every place of a square: first a coarse grid, then more.

        Args:
            picture, under: Tensors [channels, H, W]; the squares are taken from `under`.
            tops, lefts: int64, first rows and first columns of the grid of squares.
        """
        if self._weights is not None:
            picture, under = (tensor.to(self._weights.dtype) for tensor in (picture, under))
        todo = np.ones((len(tops), len(lefts)), bool)
        ends = (np.linspace(0, count - 1, COARSE).round().astype(int) for count in todo.shape)
        todo[np.ix_(*ends)] = False
        blocks = [np.nonzero(~todo)]

        def squares(rows: np.ndarray, columns: np.ndarray) -> Window:
            return covered(picture, under, tops[rows], lefts[columns], size)

        engine, found = self._begun(picture, squares(*blocks[0]))
        side = max(1, math.isqrt(int(BATCH / engine.largest)))
        together = max(1, TOGETHER // side**2) if isinstance(engine, Incremental) else 1
        method = "only what can change is computed"
        if self._problem:
            method = f"whole pictures are computed: {self._problem}"
        clean = [part[0].numpy() for part in (engine.clean[0], *engine.clean[1])]
        grids = [np.full((*todo.shape, *part.shape), np.nan, part.dtype) for part in clean]
        rest = batches(todo, side)
        while blocks:
            place = tuple(np.concatenate(blocks, axis=1))
            for grid, part in zip(grids, (found[0], *found[1])):
                grid[place] = part.numpy()
            logits, *sums = (grid.copy() for grid in grids)
            named, named_clean = (dict(zip(self.layers, part)) for part in (sums, clean[1:]))
            counts = engine.multiply_adds, engine.plain * todo.size
            yield Answers(logits, clean[0], named, named_clean, method, *counts)
            if blocks := list(itertools.islice(rest, together)):
                found = engine.run(squares(*block) for block in blocks)

    def _begun(
        self, picture: Tensor, first: Window
    ) -> tuple[Incremental | Whole, tuple[Tensor, list[Tensor]]]:
        """The engine, and what it says of the first squares.

        The incremental one, if it says of the square that changes most what a plain pass says.
        """
        whole = Whole(self.network, picture, self.layers)
        if not self._problem:
            try:
                engine = Incremental(self._prepared, picture, self._paths)
                found = engine.run([first])
                if picture.shape in self._tried or _agree(engine, found, whole, first):
                    self._tried.add(picture.shape)
                    return engine, found
                self._problem = "computing only what can change would give other numbers"
            except Exception as error:  # again the network's own code
                self._problem = f"the short cut cannot follow this network ({error})"
        return whole, whole.run([first])


def _agree(engine: Incremental, found: tuple, whole: Whole, first: Window) -> bool:
    """Whether both say the same of that square which changes the logits most."""
    most = int((found[0] - engine.clean[0]).abs().flatten(1).amax(1).argmax())
    one = slice(most, most + 1)
    trial = whole.run([Window(first.value[one], first.top[one], first.left[one])])
    pairs = zip([found[0], *found[1]], [trial[0], *trial[1]])
    return all((a[one] - b).abs().max() <= TOLERANCE * b.abs().max() for a, b in pairs)


def batches(todo: np.ndarray, side: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and columns of the squares whose windows form a batch, about `side` x `side` of them.

    Rows, and columns, that are equally far from the edge: there windows are cut off alike.

    Args:
        todo: bool [rows, columns], which squares are asked for.
    """
    bands = []
    for count in todo.shape:
        inner = np.argsort(np.abs(np.arange(count) - (count - 1) / 2), kind="stable")
        bands.append(np.array_split(inner, math.ceil(count / side)))
    for rows, columns in itertools.product(*bands):
        row, column = np.nonzero(todo[np.ix_(rows, columns)])
        if len(row):
            yield rows[row], columns[column]
