"""A square goes over a picture: the places in blocks, and who computes what the network says."""

import itertools
import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from lecture_utils.exact.incremental import Incremental, Prepared, map_sums
from lecture_utils.exact.windows import Window, covered, look
from lecture_utils.layers import record, resolve
from lecture_utils.models import Network

COARSE = 5  # squares a side in the first, coarse look
BATCH = 4e6  # numbers in one batch of the largest windows (16 MB): more would be slower
TOGETHER = 400  # squares that go together through what comes after the feature maps
TOLERANCE = 1e-4  # between windows and a plain pass, relative to the largest number


class Whole:
    """What `Incremental` does, with a plain pass over every whole picture."""

    multiply_adds = plain = 0  # not counted
    largest = 150_000  # not known; large enough for small batches

    def __init__(self, network: Network, picture: Tensor, layers: list[str]):
        self.network, self.picture, self.layers = network, picture[None], layers
        self.clean = self._pass(self.picture)

    def run(self, windows: Iterable[Window]) -> list[Tensor]:
        size = tuple(self.picture.shape[2:])
        batches = (look(self.picture, w, np.zeros_like(w.corner), size) for w in windows)
        return [torch.cat(parts) for parts in zip(*map(self._pass, batches))]

    def _pass(self, batch: Tensor) -> list[Tensor]:
        batch = batch.contiguous()
        sums = record(self.network, batch, self.layers, map_sums) if self.layers else {}
        return [self.network(batch), *(sums[name] for name in self.layers)]


class Sweeper:
    """A network made ready for sweeps over any number of pictures; whoever makes it holds it.

    The network is never modified, and not watched: one that was changed needs a new Sweeper.

    Args:
        layers: whose feature maps are to be summed, as `layers.resolve` takes them.

    Raises UnknownLayer.
    """

    def __init__(self, network: Network, layers: str | Iterable[str] = ()):
        self.network = network
        self.layers = [layers] if isinstance(layers, str) else list(dict.fromkeys(layers))
        self.fingerprint = network.fingerprint()
        self._paths = [resolve(network, name) for name in self.layers]
        weights = (w for w in network.module.parameters() if w.is_floating_point())
        like = next(weights, torch.empty(0))
        self._kind = like.dtype
        self._tried: set[torch.Size] = set()  # of pictures: equal to a plain pass
        self._problem = ""  # why only plain passes will do
        if like.dtype not in (torch.float32, torch.float64) or like.device.type != "cpu":
            kind = str(like.dtype).removeprefix("torch.")
            self._problem = f"the short cut is not made for {kind} weights on {like.device.type}"
            return
        try:
            self._prepared = Prepared(network.module)
        except Exception as error:  # tracing runs the network's own code, which may raise anything
            self._problem = f"the forward pass cannot be traced ({error})"

    def answers(
        self, picture: Tensor, under: Tensor, tops: np.ndarray, lefts: np.ndarray, size: int
    ) -> Iterator[dict]:
        """What the network says for every place of a square: first a coarse grid, then more.

        Args:
            picture, under: Tensors [channels, H, W]; the squares are taken from `under`.
            tops, lefts: int64, first rows and first columns of the grid of squares.

        Gives the last seven fields of `occlusion.Sweep`; NaN where it is not computed yet.
        """
        picture, under = picture.to(self._kind), under.to(self._kind)
        todo = np.ones((len(tops), len(lefts)), bool)
        ends = (np.linspace(0, count - 1, COARSE).round().astype(int) for count in todo.shape)
        todo[np.ix_(*ends)] = False
        blocks = [np.nonzero(~todo)]

        def squares(rows: np.ndarray, columns: np.ndarray) -> Window:
            return covered(picture, under, np.stack([tops[rows], lefts[columns]]), size)

        engine, found = self._begun(picture, squares(*blocks[0]))
        side = max(1, math.isqrt(int(BATCH / engine.largest)))
        together = math.ceil(TOGETHER / side**2) if isinstance(engine, Incremental) else 1
        whole = f"whole pictures are computed: {self._problem}"
        method = whole if self._problem else "only what can change is computed"
        rest = batches(todo, side)
        clean = [part[0].numpy() for part in engine.clean]
        grids = [np.full((*todo.shape, *part.shape), np.nan, part.dtype) for part in clean]
        while blocks:
            place = tuple(np.concatenate(blocks, axis=1))
            for grid, part in zip(grids, found):
                grid[place] = part.numpy()
            yield {
                "logits": grids[0].copy(),
                "clean_logits": clean[0],
                "totals": {name: grid.copy() for name, grid in zip(self.layers, grids[1:])},
                "clean_totals": dict(zip(self.layers, clean[1:])),
                "method": method,
                "multiply_adds": engine.multiply_adds,
                "plain_multiply_adds": engine.plain * todo.size,
            }
            if blocks := list(itertools.islice(rest, together)):
                found = engine.run(squares(*block) for block in blocks)

    def _begun(self, picture: Tensor, first: Window) -> tuple[Incremental | Whole, list[Tensor]]:
        """The engine, and what it says of the first squares: incremental, if it proves right."""
        if not self._problem:
            try:
                engine = Incremental(self._prepared, picture, self._paths)
                found = engine.run([first])
                if picture.shape in self._tried or self._agrees(engine, found, picture, first):
                    self._tried.add(picture.shape)
                    return engine, found
                self._problem = "computing only what can change would give other numbers"
            except Exception as error:  # again the network's own code
                self._problem = f"the short cut cannot follow this network ({error})"
        whole = Whole(self.network, picture, self.layers)
        return whole, whole.run([first])

    def _agrees(
        self, engine: Incremental, found: list[Tensor], picture: Tensor, first: Window
    ) -> bool:
        """Whether a plain pass says the same of that square which changes the logits most."""
        most = int((found[0] - engine.clean[0]).abs().flatten(1).amax(1).argmax())
        one = Window(first.value[most : most + 1], first.corner[:, most : most + 1])
        plain = Whole(self.network, picture, self.layers).run([one])
        return all(
            (part[most] - right[0]).abs().max() <= TOLERANCE * right.abs().max()
            for part, right in zip(found, plain)
        )


def batches(todo: np.ndarray, side: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and columns of the squares whose windows form a batch, about `side` x `side` of them.

    Rows, and columns, that are equally far from the edge: there windows are cut off alike.
    `todo`, bool [rows, columns], says which squares are asked for.
    """
    bands = []
    for count in todo.shape:
        inner = np.argsort(np.abs(np.arange(count) - (count - 1) / 2), kind="stable")
        bands.append(np.array_split(inner, math.ceil(count / side)))
    for rows, columns in itertools.product(*bands):
        row, column = np.nonzero(todo[np.ix_(rows, columns)])
        if len(row):
            yield rows[row], columns[column]
