"""Cover a part of the picture and see what the network relied on (Zeiler & Fergus 2014, figure 7).

A square moves over the picture; `sweep` keeps what the network says for every place of it. A
sweep gives maps over the picture, and many pictures' sweeps are judged by the objects' masks.
Pictures are Tensors [channels, H, W] as the network's `preprocess` makes them.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from tqdm.auto import tqdm

from lecture_utils import images, layers, store
from lecture_utils.exact import Sweeper
from lecture_utils.methods import fingerprints, judging
from lecture_utils.models import Network, on_cpu

FILLS = ("grey", "mean", "blur", "noise")


@dataclass(frozen=True)
class Sweep:
    """What a network says for every place of the occluder; NaN where it was not computed."""

    tops: np.ndarray  # first rows of the squares, in pixels
    lefts: np.ndarray  # their first columns: the squares lie on a grid
    size: int  # side of the square, in pixels
    extent: tuple[int, int]  # height and width of the picture, in pixels
    logits: np.ndarray  # [rows, columns, classes]
    clean_logits: np.ndarray  # [classes], nothing covered
    totals: dict[str, np.ndarray]  # by layer: sum of each feature map, [rows, columns, maps]
    clean_totals: dict[str, np.ndarray]  # by layer: [maps], nothing covered
    method: str  # how it was computed, in words; every method is exact
    multiply_adds: int = 0  # of this sweep; 0 where they were not counted
    plain_multiply_adds: int = 0  # of plain passes in its place

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
            (np.maximum(first, 0) + np.minimum(first + self.size, side)) / 2
            for first, side in zip((self.tops, self.lefts), self.extent)
        )


# --- squares and what is under them -------------------------------------------------------------


def places(extent: int, size: int, step: int, over_edge: bool = False) -> np.ndarray:
    """First pixels of squares along one side of a picture; together they cover all of it.

    All lie inside, one more flush with the far edge where `step` does not divide. With `over_edge`
    one lies around the middle of every `step` pixels: the outer ones hang over the edge.
    ValueError unless 1 <= size <= extent and 1 <= step <= size (wider steps leave gaps).
    """
    if not 1 <= size <= extent:
        raise ValueError(f"the square must be 1 to {extent} px wide, not {size}")
    if not 1 <= step <= size:
        raise ValueError(f"the step must be 1 to {size} px (the size), or gaps stay; not {step}")
    if over_edge:
        return np.arange(step // 2, extent + step // 2, step) - size // 2
    return np.unique(np.append(np.arange(0, extent - size + 1, step), extent - size))


def input_picture(network: Network, image: object) -> Tensor:
    """A Picture, PIL image or Tensor as the network sees it: Tensor [channels, H, W]."""
    if not isinstance(image, Tensor):
        image = network.preprocess(getattr(image, "image", image))
    return on_cpu(image.detach())


def filling(network: Network, image: object, fill: object = "grey", seed: int = 0) -> Tensor:
    """What comes in place of covered pixels: a whole picture, Tensor [channels, H, W].

    `fill` is "grey" (mid-grey), "mean" (mean colour of this picture), "blur" (this picture out of
    focus, by a 16th of its width), "noise" (random colours, by `seed`), another picture, or, for a
    Picture with a mask, "surroundings" (see `judging.surroundings`).
    ValueError for another fill, a picture of another size, or without a mask.
    """
    picture = input_picture(network, image)
    channels, height, width = picture.shape
    if not isinstance(fill, str):
        other = input_picture(network, fill)
        if other.shape != picture.shape:
            raise ValueError(f"the fill is {[*other.shape]}, the picture {[*picture.shape]}")
        return other
    if fill == "mean":
        return picture.mean((1, 2), keepdim=True).expand_as(picture)
    if fill == "blur":
        return torch.from_numpy(ndimage.gaussian_filter(picture.numpy(), width / 16, axes=(1, 2)))
    if fill == "surroundings":
        return judging.surroundings(picture, judging.object_mask(network, image))
    if fill not in FILLS:
        raise ValueError(f"no fill {fill!r}: {', '.join(FILLS)}, or a picture")
    level = torch.tensor(128)
    if fill == "noise":
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
        level = torch.from_numpy(pixels).permute(2, 0, 1)
    black, white = judging.black_and_white(network)
    return on_cpu(black + (white - black) * (level / 255)).expand_as(picture)


def cover(picture: Tensor, under: Tensor, top: int, left: int, size: int) -> Tensor:
    """A copy of `picture` with one square taken from `under`; all Tensors [channels, H, W]."""
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
    layers: str | Iterable[str] = (),
    progress: bool = True,
    prepared: Sweeper | None = None,
) -> Sweep:
    """Cover every place of a picture in turn; kept on disk, so that a second call is quick.

    Args:
        image: Picture, PIL image or Tensor [channels, H, W].
        size, step: side of the square and distance between places, in pixels.
        fill, over_edge: see `filling` and `places`.
        layers: layers whose feature maps are to be summed, as `layers.resolve` takes them.
        prepared: `exact.Sweeper(network, layers)` made once for many pictures, with its own layers.

    An interrupt (the stop button) gives back what is done, coarse places first, with a warning.
    ValueError for impossible sizes and fills, and if `prepared` is not of this network as it is
    now; `layers.UnknownLayer`.
    """
    picture, under = input_picture(network, image), filling(network, image, fill)
    names = [layers] if isinstance(layers, str) else list(layers)
    network_now, shown = network.fingerprint(), fingerprints.of(picture, under)
    if prepared is not None:
        names = prepared.layers
        if prepared.fingerprint != network_now:
            raise ValueError("the network is not what was prepared: make a new exact.Sweeper")
    key = ("occlusion.sweep 3", network_now, shown, int(size), int(step), bool(over_edge), *names)
    result = None

    def make() -> Sweep:
        nonlocal result
        with tqdm(desc="places", leave=False, disable=not progress) as bar:
            for result in growing(network, picture, size, step, under, over_edge, names, prepared):
                bar.total = result.done.size
                bar.update(int(result.done.sum()) - bar.n)
        return result

    try:
        return store.kept(key, make)
    except KeyboardInterrupt:
        if result is None:
            raise
        done = f"{result.done.sum()} of {result.done.size}"
        warnings.warn(f"interrupted: {done} places are computed", stacklevel=2)
        return result


def growing(
    network: Network,
    image: object,
    size: int = 32,
    step: int = 8,
    fill: object = "grey",
    over_edge: bool = False,
    layers: str | Iterable[str] = (),
    prepared: Sweeper | None = None,
) -> Iterator[Sweep]:
    """The same sweep while it is being computed: first a coarse grid of places, then more.

    Arguments and errors as for `sweep`, but a change of the network since `prepared` goes unseen.
    Nothing is kept on disk. Places that are not computed yet are NaN; the last Sweep is complete.
    """
    picture, under = input_picture(network, image), filling(network, image, fill)
    extent = tuple(picture.shape[1:])
    tops, lefts = (places(side, size, step, over_edge) for side in extent)
    prepared = prepared or Sweeper(network, layers)
    if prepared.network is not network:
        raise ValueError("`prepared` was made of another network")
    for answers in prepared.answers(picture, under, tops, lefts, size):
        yield Sweep(tops, lefts, size, extent, **answers)


# --- maps of a sweep ----------------------------------------------------------------------------


def drop(sweep: Sweep, target: int, of: str = "logit") -> np.ndarray:
    """How much covering each place takes from one class, [rows, columns]; below 0 it gives.

    `of` says what it takes: "logit", or "probability", which other classes' logits change as well.
    """
    if of == "logit":
        return sweep.clean_logits[target] - sweep.logits[..., target]
    if of == "probability":
        return sweep.clean_probabilities[target] - sweep.probabilities[..., target]
    raise ValueError(f"a drop of the logit or of the probability, not of {of!r}")


def last_maps(network: Network) -> str | None:
    """The last ReLU whose maps have places, and are not one map per class; None if there is none.

    In the networks of Krizhevsky et al. and of Zeiler & Fergus it is that of layer 5.
    """
    try:
        rows = [row for row in layers.table(network) if row.kind.startswith("ReLU")]
    except ValueError:  # its forward pass cannot be followed
        return None
    shapes = {row.name: row.output_shape for row in rows}
    names = [
        n for n, (maps, *sides) in shapes.items() if sides > [1] and maps != len(network.classes)
    ]
    return names[-1] if names else None


def strongest_map(sweep: Sweep, layer: str) -> int:
    """The feature map with the largest total on the picture as it is (Zeiler & Fergus 2014)."""
    return int(sweep.clean_totals[layer].argmax())


def lost(sweep: Sweep, layer: str, number: int) -> np.ndarray:
    """How much covering each place takes from the total of one feature map, [rows, columns]."""
    return sweep.clean_totals[layer][number] - sweep.totals[layer][..., number]


def paint(sweep: Sweep, values: np.ndarray) -> np.ndarray:
    """Values [rows, columns] laid over the picture, [H, W].

    Every pixel shows the computed square whose middle is nearest (Zeiler & Fergus, figure 7).
    """
    rows, columns = (
        np.abs(np.arange(side)[:, None] + 0.5 - middles).argmin(1)
        for side, middles in zip(sweep.extent, sweep.centres)
    )
    _, nearest = ndimage.distance_transform_edt(~sweep.done, return_indices=True)
    return values[tuple(nearest)][np.ix_(rows, columns)]


def per_pixel(sweep: Sweep, values: np.ndarray) -> np.ndarray:
    """Mean of the values of all squares that cover a pixel, [H, W]; 0 where none is computed."""
    summed, covering = np.zeros((2, *sweep.extent))
    for row, column in zip(*np.nonzero(sweep.done)):
        top, left = sweep.tops[row], sweep.lefts[column]
        where = np.s_[max(top, 0) : top + sweep.size, max(left, 0) : left + sweep.size]
        summed[where] += values[row, column]
        covering[where] += 1
    return summed / np.maximum(covering, 1)


def peak(sweep: Sweep, values: np.ndarray) -> tuple[int, int]:
    """The pixel (row, column) in the middle of the square with the largest value."""
    row, column = np.unravel_index(np.nanargmax(values), values.shape)
    return int(sweep.centres[0][row]), int(sweep.centres[1][column])


# --- many pictures, kept ------------------------------------------------------------------------


def target_class(network: Network, picture: object, logits: np.ndarray) -> int:
    """The picture's class; the predicted one if the network does not know the picture's."""
    label = getattr(picture, "label", None)
    return network.classes.index(label) if label in network.classes else int(logits.argmax())


def _of_each(
    what: str, network: Network, pictures: Sequence, settings: tuple, each: Iterable[dict]
) -> dict[str, np.ndarray]:
    """Arrays with one entry a picture; `each` gives the entries, if they are not kept."""
    if not len(pictures):
        raise ValueError("there are no pictures: give at least one")

    def make() -> dict[str, np.ndarray]:
        rows = list(tqdm(each, desc="pictures", total=len(pictures), leave=False))
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    shown = images.fingerprint(pictures)
    return store.kept((f"occlusion.{what} 2", network.fingerprint(), shown, *settings), make)


def judge(
    network: Network,
    pictures: Sequence,
    size: int = 32,
    step: int = 16,
    fill: str = "grey",
    layer: str | None = None,
) -> dict[str, np.ndarray]:
    """One sweep for each picture, held against its mask; kept on disk.

    Arguments as for `sweep`, but of one `layer` at most.

    Returns:
        Arrays with one entry a picture. `right`: 1 if it is recognised, 0 if not, NaN if the
        network has no class of its label; then all is about the class that it finds most probable.
        `hit`, `hit_probability`: does the square that takes most from the logit (probability)
        have its middle on the object? `centre`: is the middle of the picture object? `chance`:
        part of the places on object. `share`: of the evidence (`per_pixel`) on the object,
        `area`: of the picture. `changed`: part of the places that change the answer. `fall`: of
        the logit at the deciding place `row`, `column` (in pixels). With a layer also `map`, the
        number of its strongest map, `map_row`, `map_column`, where it loses most, and `map_fall`,
        the part of its total that it loses there; NaN if the total is not positive.

    Raises ValueError without pictures, or for one that has no mask.
    """

    def each() -> Iterator[dict]:
        prepared = Sweeper(network, layer or ())
        for picture in pictures:
            mask = judging.object_mask(network, picture)
            on_object = mask > 0.5
            (*_, swept) = growing(network, picture, size, step, fill, prepared=prepared)
            known = getattr(picture, "label", None) in network.classes
            target = target_class(network, picture, swept.clean_logits)
            answer = swept.clean_logits.argmax()
            fall = drop(swept, target)
            row, column = peak(swept, fall)
            middles = np.ix_(*(middle.astype(int) for middle in swept.centres))
            found = {
                "right": float(answer == target) if known else np.nan,
                "hit": on_object[row, column],
                "hit_probability": on_object[peak(swept, drop(swept, target, "probability"))],
                "centre": on_object[swept.extent[0] // 2, swept.extent[1] // 2],
                "chance": on_object[middles].mean(),
                "share": judging.share(per_pixel(swept, fall), mask),
                "area": mask.mean(),
                "changed": (swept.logits.argmax(-1) != answer).mean(),
                "fall": fall.max(),
                "row": row,
                "column": column,
            }
            if layer:
                found["map"] = number = strongest_map(swept, layer)
                total, gone = swept.clean_totals[layer][number], lost(swept, layer, number)
                found["map_fall"] = gone.max() / total if total > 0 else np.nan
                found["map_row"], found["map_column"] = peak(swept, gone)
            yield found

    return _of_each("judge", network, pictures, (size, step, fill, layer or ""), each())


def hide(network: Network, pictures: Sequence, fill: str = "grey") -> dict[str, np.ndarray]:
    """Logits [pictures, classes] of pictures as they are, and with parts hidden; kept on disk.

    `fill` as for `filling`. Returns `clean`, `object`, `box` and `background`, see
    `judging.parts`. Raises ValueError without pictures, or for one that has no mask.
    """

    def each() -> Iterator[dict]:
        for picture in pictures:
            mask = judging.object_mask(network, picture)
            shown, under = input_picture(network, picture), filling(network, picture, fill)
            yield judging.hidden(network, shown, under, mask)

    return _of_each("hide", network, pictures, (fill,), each())


def curves(
    network: Network,
    pictures: Sequence,
    size: int = 32,
    step: int = 16,
    fill: str = "blur",
    steps: int = 10,
) -> dict[str, np.ndarray]:
    """Deletion and insertion curves in three orders; kept on disk.

    Returns arrays [pictures, steps + 1], see `judging.curve`: `evidence deletion`, by the fall of
    the logit (`per_pixel`), `centre deletion`, outwards from the middle, `random deletion`; the
    same for `insertion`. Raises ValueError without pictures.
    """

    def each() -> Iterator[dict]:
        prepared = Sweeper(network)
        for picture in pictures:
            shown, under = input_picture(network, picture), filling(network, picture, fill)
            (*_, swept) = growing(network, shown, size, step, under, prepared=prepared)
            target = target_class(network, picture, swept.clean_logits)
            rows, columns = np.indices(swept.extent)
            away = np.hypot(rows - rows.mean(), columns - columns.mean())
            orders = {
                "evidence": per_pixel(swept, drop(swept, target)),
                "centre": -away,
                "random": np.random.default_rng(0).random(away.shape),
            }
            yield {
                f"{name} {way}": judging.curve(network, shown, under, order, target, steps, insert)
                for name, order in orders.items()
                for way, insert in (("deletion", False), ("insertion", True))
            }

    return _of_each("curves", network, pictures, (size, step, fill, steps), each())
