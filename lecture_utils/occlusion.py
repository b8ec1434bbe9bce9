"""Cover a part of the picture and see what the network relied on (Zeiler & Fergus 2014, figure 7).

A square moves over the picture; `sweep` keeps what the network says for every place of it. The
other functions turn a sweep into maps, judge it by the object's mask, and hide or show pixels in
an order of importance. Pictures are Tensors [3, H, W] as the network's `preprocess` makes them.
"""

import hashlib
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor
from tqdm.auto import tqdm

from lecture_utils import layers as layer_tools
from lecture_utils import store
from lecture_utils.exact.incremental import Incremental
from lecture_utils.layers import evaluating
from lecture_utils.models import Network
from lecture_utils.exact.whole import Plain
from lecture_utils.exact.windows import Window, batches, covered

VERSION = 2  # of the numbers in the cache; raise it when they would come out differently
FILLS = ("grey", "mean", "blur", "noise")
COARSE = 5  # squares a side in the first, coarse look
BATCH = 4e6  # numbers in one batch of the largest windows (16 MB): more would be slower
TOGETHER = 400  # squares that go together through what comes after the feature maps
SUMS = ("totals", "clean_totals")  # what a Sweep has one array a layer of
TOLERANCE = 1e-4  # between windows and a plain pass, relative to the largest logit


@dataclass(frozen=True)
class Sweep:
    """What a network says for every place of the occluder; NaN where it was not computed.

    Attributes:
        tops, lefts: first row and column of the squares, in pixels; a grid of rows x columns.
        size, extent: side of the square and of the picture, in pixels.
        logits: float32 [rows, columns, classes]; clean_logits: [classes], nothing covered.
        totals: for each asked-for layer the sum of each feature map over its positions,
            [rows, columns, maps]; clean_totals: [maps].
        method: how it was computed, in words; every method is exact.
        multiply_adds, plain_multiply_adds: of this sweep, and of plain passes in its place.
    """

    tops: np.ndarray
    lefts: np.ndarray
    size: int
    extent: int
    logits: np.ndarray
    clean_logits: np.ndarray
    totals: dict[str, np.ndarray]
    clean_totals: dict[str, np.ndarray]
    method: str
    multiply_adds: int = 0
    plain_multiply_adds: int = 0

    @property
    def done(self) -> np.ndarray:
        """Which places are computed, bool [rows, columns]."""
        return ~np.isnan(self.logits[..., 0])

    @property
    def probabilities(self) -> np.ndarray:
        """[rows, columns, classes]."""
        return torch.from_numpy(self.logits).softmax(-1).numpy()

    @property
    def clean_probabilities(self) -> np.ndarray:
        """[classes], of the picture as it is."""
        return torch.from_numpy(self.clean_logits).softmax(-1).numpy()

    @property
    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the squares' middles, in pixels (of what lies inside the picture)."""
        return tuple(
            (np.maximum(first, 0) + np.minimum(first + self.size, self.extent)) / 2
            for first in (self.tops, self.lefts)
        )


# --- squares and what is under them -------------------------------------------------------------


def places(extent: int, size: int, step: int, over_edge: bool = False) -> np.ndarray:
    """First pixels of squares along one side of a picture; together they cover all of it.

    Args:
        over_edge: False: all squares lie inside, and one more lies flush with the far edge where
            `step` does not divide. True: one square around the middle of every `step` pixels,
            so that the outer ones hang over the edge.

    Raises ValueError unless 1 <= size <= extent and 1 <= step <= size (wider steps leave gaps).
    """
    if not 1 <= size <= extent:
        raise ValueError(f"the square must be 1 to {extent} px wide, not {size}")
    if not 1 <= step <= size:
        raise ValueError(f"the step must be 1 to {size} px (the size), or gaps stay; not {step}")
    if over_edge:
        return np.arange(step // 2, extent + step // 2, step) - size // 2
    return np.unique(np.append(np.arange(0, extent - size + 1, step), extent - size))


def seen(network: Network, image: object) -> Tensor:
    """A Picture, PIL image or Tensor as the network sees it: Tensor [3, H, W]."""
    known = isinstance(image, Tensor)
    return image if known else network.preprocess(getattr(image, "image", image))


def filling(network: Network, image: object, fill: object = "grey", seed: int = 0) -> Tensor:
    """What comes in place of covered pixels: a whole picture, Tensor [3, H, W].

    Args:
        fill: "grey" (mid-grey), "mean" (mean colour of this picture), "blur" (this picture out
            of focus, by a 16th of its width), "noise" (random colours), or another picture.
    """
    picture = seen(network, image)
    side = picture.shape[-1]
    if not isinstance(fill, str):
        return seen(network, fill)
    if fill == "grey":
        return network.preprocess(Image.new("RGB", (side, side), (128, 128, 128)))
    if fill == "mean":
        return picture.mean((1, 2), keepdim=True).expand_as(picture)
    if fill == "blur":
        return torch.from_numpy(ndimage.gaussian_filter(picture.numpy(), (0, side / 16, side / 16)))
    if fill == "noise":
        pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
        return network.preprocess(Image.fromarray(pixels))
    raise ValueError(f"no fill {fill!r}: {', '.join(FILLS)}, or a picture")


def cover(picture: Tensor, under: Tensor, top: int, left: int, size: int) -> Tensor:
    """A copy of `picture` with one square taken from `under`; both Tensors [3, H, W]."""
    covered = picture.clone()
    rows, columns = (slice(max(start, 0), max(start + size, 0)) for start in (top, left))
    covered[:, rows, columns] = under[:, rows, columns]
    return covered


# --- the sweep ----------------------------------------------------------------------------------


def sweep(
    network: Network,
    image: object,
    size: int = 32,
    step: int = 8,
    fill: object = "grey",
    over_edge: bool = False,
    layers: Iterable[str] = (),
    progress: bool = True,
) -> Sweep:
    """Cover every place of a picture in turn; kept on disk, so that a second call is quick.

    Args:
        image: Picture, PIL image or Tensor [3, H, W].
        size, step: side of the square and distance between places, in pixels.
        fill, over_edge: see `filling` and `places`.
        layers: layers whose feature maps are to be summed, as `layers.resolve` takes them.

    An interrupt (the stop button) gives back what is done, coarse places first, with a warning.
    Raises ValueError for impossible sizes and fills, `layers.UnknownLayer`.
    """
    picture, under = seen(network, image), filling(network, image, fill)
    settings = (size, step, over_edge, *layers)
    content = hashlib.sha256(picture.numpy().tobytes() + under.numpy().tobytes()).hexdigest()
    key = f"occlusion.sweep {VERSION} {network.fingerprint()} {content} {settings}"
    if (kept := store.load(key)) is not None:
        return _unpacked(kept)
    result = None
    with tqdm(desc="places", leave=False, disable=not progress) as bar:
        try:
            for result in growing(network, picture, size, step, under, over_edge, layers):
                bar.total = result.done.size
                bar.update(int(result.done.sum()) - bar.n)
        except KeyboardInterrupt:
            if result is None:
                raise
            done = f"{result.done.sum()} of {result.done.size}"
            warnings.warn(f"interrupted: {done} places are computed", stacklevel=2)
            return result
    store.save(key, _packed(result))
    return result


def growing(
    network: Network,
    image: object,
    size: int = 32,
    step: int = 8,
    fill: object = "grey",
    over_edge: bool = False,
    layers: Iterable[str] = (),
) -> Iterator[Sweep]:
    """The same sweep while it is being computed: first a coarse grid of places, then more.

    Arguments and errors as for `sweep`; nothing is kept on disk. Numbers that are there are exact,
    other places are NaN; the last Sweep is complete.
    """
    picture, under = seen(network, image), filling(network, image, fill)
    extent = picture.shape[-1]
    starts, names = places(extent, size, step, over_edge), list(layers)
    count = len(starts)

    def squares(rows: np.ndarray, columns: np.ndarray) -> Window:
        return covered(picture, under, starts[rows], starts[columns], size)

    coarse = np.unique(np.linspace(0, count - 1, COARSE).round().astype(int))
    todo = np.ones((count, count), bool)
    todo[np.ix_(coarse, coarse)] = False
    with evaluating(network.module):
        engine, method, found = _started(network, picture, names, squares(*np.nonzero(~todo)))
        clean_logits, clean_sums = engine.clean
    clean_logits = clean_logits[0].numpy()
    logits = np.full((count, count, len(clean_logits)), np.nan, np.float32)
    totals = {
        name: np.full((count, count, sums.shape[1]), np.nan, np.float32)
        for name, sums in zip(names, clean_sums)
    }
    clean_totals = {name: sums[0].numpy() for name, sums in zip(names, clean_sums)}
    result = Sweep(starts, starts, size, extent, logits, clean_logits, totals, clean_totals, method)
    side = max(1, math.isqrt(int(BATCH / engine.largest)))
    side = math.ceil(count / math.ceil(count / side))  # as it will be
    rest, together = batches(todo, side), 1
    if isinstance(engine, Incremental):
        together = max(1, TOGETHER // side**2)
    done = [np.nonzero(~todo)]
    while done:
        rows, columns = np.concatenate(done, axis=1)
        logits[rows, columns] = found[0].numpy()
        for name, summed in zip(names, found[1]):
            totals[name][rows, columns] = summed.numpy()
        yield replace(
            result,
            logits=logits.copy(),
            totals={name: array.copy() for name, array in totals.items()},
            multiply_adds=engine.multiply_adds,
            plain_multiply_adds=engine.plain_multiply_adds * count**2,
        )
        if done := list(itertools.islice(rest, together)):
            found = engine.run(squares(*block) for block in done)


def _started(
    network: Network, picture: Tensor, names: list[str], first: Window
) -> tuple[Incremental | Plain, str, tuple[Tensor, list[Tensor]]]:
    """The engine, how it works, and what it says of the first squares.

    The incremental one, if it says of the middle one of them what a plain pass says; a network
    that has not changed since is not asked again.
    """
    plain, method = Plain(network, picture, names), "only what can change is computed"
    try:
        paths = [layer_tools.resolve(network, name) for name in names]
        engine = Incremental(network.module, picture, paths)
        found = engine.run([first])
        if tuple(paths) in engine.checked:
            return engine, method, found
        one = slice(len(first.top) // 2, len(first.top) // 2 + 1)
        trial = plain.run([Window(first.value[one], first.top[one], first.left[one])])
        pairs = zip([found[0], *found[1]], [trial[0], *trial[1]])
        if all((a[one] - b).abs().max() <= TOLERANCE * b.abs().max() for a, b in pairs):
            engine.checked.add(tuple(paths))
            return engine, method, found
        reason = "computing only what can change would give other numbers for this network"
    except Exception as error:  # tracing runs the network's own code, which may raise anything
        reason = f"the forward pass cannot be traced ({error})"
    return plain, f"whole pictures are computed: {reason}", plain.run([first])


def _packed(result: Sweep) -> dict[str, np.ndarray]:
    """As arrays, for the cache."""
    arrays = {}
    for name, value in vars(result).items():
        if name in SUMS:
            arrays |= {f"{name} {layer}": array for layer, array in value.items()}
        else:
            arrays[name] = np.asarray(value)
    return arrays


def _unpacked(arrays: dict[str, np.ndarray]) -> Sweep:
    values = {name: {} for name in SUMS}
    for key, array in arrays.items():
        name, _, layer = key.partition(" ")
        if layer:
            values[name][layer] = array
        else:
            values[name] = array if array.ndim else array.item()
    return Sweep(**values)
