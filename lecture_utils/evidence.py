"""What a sweep of the occluder says about a picture, and whether to believe it.

Maps over the picture; the same maps judged by the object's mask; pictures whose most important
pixels are hidden or shown first. `occlusion` makes the sweeps.
"""

import hashlib
import io
from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from tqdm.auto import tqdm

from lecture_utils import images, models, store
from lecture_utils.layers import evaluating
from lecture_utils.models import Network
from lecture_utils.occlusion import Sweep, filling, growing, seen

VERSION = 1  # of the kept numbers; raise it when they would come out differently
STORED = models.WEIGHTS / "mini_alexnet" / "evidence.npz"  # made by data/recipe/evidence.py

used: dict[str, dict[str, np.ndarray]] = {}  # all judgements asked for so far, by their keys


# --- maps ---------------------------------------------------------------------------------------


def drop(sweep: Sweep, target: int, of: str = "logit") -> np.ndarray:
    """How much covering each place takes from one class, [rows, columns]; below 0 it gives.

    Args:
        of: "logit", or "probability", which the other classes' logits change as well.
    """
    if of == "logit":
        return sweep.clean_logits[target] - sweep.logits[..., target]
    if of == "probability":
        return sweep.clean_probabilities[target] - sweep.probabilities[..., target]
    raise ValueError(f"a drop of the logit or of the probability, not of {of!r}")


def strongest_map(sweep: Sweep, layer: str) -> int:
    """The feature map with the largest total on the picture as it is (Zeiler & Fergus 2014)."""
    return int(sweep.clean_totals[layer].argmax())


def paint(sweep: Sweep, values: np.ndarray) -> np.ndarray:
    """Values [rows, columns] laid over the picture, [H, W].

    Every pixel shows the computed square whose middle is nearest (Zeiler & Fergus, figure 7).
    """
    pixels = np.arange(sweep.extent) + 0.5
    rows, columns = (np.abs(pixels[:, None] - middle).argmin(1) for middle in sweep.centres)
    nearest = ndimage.distance_transform_edt(
        ~sweep.done, return_distances=False, return_indices=True
    )
    return values[tuple(nearest)][np.ix_(rows, columns)]


def per_pixel(sweep: Sweep, values: np.ndarray) -> np.ndarray:
    """Mean of the values of all squares that cover a pixel, [H, W]; 0 where none is computed."""
    summed, covering = np.zeros((2, sweep.extent, sweep.extent))
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


# --- judgements of many pictures, kept ----------------------------------------------------------


@cache
def _stored() -> dict[str, np.ndarray]:
    """What the course has of its own network and the gallery; empty if unreadable."""
    try:
        with np.load(io.BytesIO(store.read(STORED)), allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except (OSError, ValueError):
        return {}
    return {name: a.astype(float) if a.dtype.kind == "f" else a for name, a in found.items()}


def _kept(
    what: str,
    network: Network,
    pictures: Sequence[images.Picture],
    settings: tuple,
    judge_one: Callable[[images.Picture], dict[str, np.ndarray]],
) -> dict[str, np.ndarray]:
    """One entry a picture of all that `judge_one` gives: stored, cached, or made now and cached."""
    text = f"{VERSION} {what} {network.fingerprint()} {images.fingerprint(pictures)} {settings}"
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    mine = [name for name in _stored() if name.startswith(key)]
    found = {name.removeprefix(f"{key} "): _stored()[name] for name in mine} or store.load(key)
    if found is None:
        rows = [judge_one(picture) for picture in tqdm(pictures, desc="pictures", leave=False)]
        found = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        store.save(key, found)
    used[key] = found
    return found


# --- judged by the mask -------------------------------------------------------------------------


def object_mask(network: Network, picture: images.Picture) -> np.ndarray:
    """How much of each pixel that the network sees is object, [H, W] in 0..1."""
    sides = picture.mask.size
    black, white, mask = (
        network.preprocess(image.convert("RGB"))[0]
        for image in (Image.new("L", sides, 0), Image.new("L", sides, 255), picture.mask)
    )
    return ((mask - black) / (white - black)).numpy()


def share(importance: np.ndarray, mask: np.ndarray) -> float:
    """Part of the positive importance [H, W] that lies on the object."""
    positive = np.maximum(importance, 0)
    return float((positive * mask).sum() / max(positive.sum(), 1e-12))


def target_class(network: Network, picture: images.Picture, logits: np.ndarray) -> int:
    """The picture's class; the predicted one if the network does not know the picture's."""
    known = picture.label in network.classes
    return network.classes.index(picture.label) if known else int(logits.argmax())


def judge(
    network: Network,
    pictures: Sequence[images.Picture],
    size: int = 32,
    step: int = 16,
    fill: str = "grey",
    layer: str | None = None,
) -> dict[str, np.ndarray]:
    """One sweep for each picture, held against its mask; kept on disk.

    Args:
        size, step, fill: as for `occlusion.sweep`.
        layer: also where covering takes most from this layer's strongest map.

    Returns:
        Arrays with one entry a picture. `right`: is it recognised? `hit`, `hit_probability`: does
        the square that takes most from the logit (probability) have its middle on the object?
        `centre`: is the middle of the picture object? `chance`: part of the places on object.
        `share`: of the evidence (`per_pixel`) on the object, `area`: of the picture. `changed`:
        part of the places that change the answer. `fall`: of the logit at the deciding place
        `row`, `column` (in pixels). With a layer also `map`, its number, `map_row`, `map_column`,
        where it loses most, and `map_fall`, the part of its total that it loses there.
    """
    one = partial(_judged, network, size, step, fill, layer)
    return _kept("judge", network, pictures, (size, step, fill, layer), one)


def _judged(
    network: Network, size: int, step: int, fill: str, layer: str | None, picture: images.Picture
) -> dict[str, float]:
    (*_, sweep) = growing(network, picture, size, step, fill, layers=[layer] if layer else [])
    mask = object_mask(network, picture)
    target = target_class(network, picture, sweep.clean_logits)
    fall = drop(sweep, target)
    row, column = peak(sweep, fall)
    middles = np.ix_(*(middle.astype(int) for middle in sweep.centres))
    found = {
        "right": sweep.clean_logits.argmax() == target,
        "hit": mask[row, column] > 0.5,
        "hit_probability": mask[peak(sweep, drop(sweep, target, "probability"))] > 0.5,
        "centre": mask[sweep.extent // 2, sweep.extent // 2] > 0.5,
        "chance": (mask[middles] > 0.5).mean(),
        "share": share(per_pixel(sweep, fall), mask),
        "area": mask.mean(),
        "changed": (sweep.logits.argmax(-1) != sweep.clean_logits.argmax()).mean(),
        "fall": fall.max(),
        "row": row,
        "column": column,
    }
    if layer:
        number = strongest_map(sweep, layer)
        found["map"] = number
        lost = 1 - sweep.totals[layer][..., number] / sweep.clean_totals[layer][number]
        found["map_fall"] = lost.max()
        found["map_row"], found["map_column"] = peak(sweep, lost)
    return found


# --- hiding by the mask, and in an order of importance ------------------------------------------


def hide(
    network: Network, pictures: Sequence[images.Picture], fill: str = "grey"
) -> dict[str, np.ndarray]:
    """Logits [pictures, classes] of pictures as they are, and with parts hidden; kept on disk.

    Returns:
        `clean`; `object`: its shape covered; `box`: the upright rectangle around it covered, so
        that no outline gives it away; `background`: all but the object covered.
    """
    return _kept("hide", network, pictures, (fill,), partial(_hidden, network, fill))


def _hidden(network: Network, fill: str, picture: images.Picture) -> dict[str, np.ndarray]:
    whole, under = seen(network, picture), filling(network, picture, fill)
    mask = torch.from_numpy(object_mask(network, picture))
    box = torch.zeros_like(mask)
    if found := ndimage.find_objects((mask.numpy() > 0.1).astype(int)):
        box[found[0]] = 1
    versions = [torch.lerp(whole, under, part) for part in (mask * 0, mask, box, 1 - mask)]
    with evaluating(network.module):
        logits = network.module(torch.stack(versions)).numpy()
    return dict(zip(("clean", "object", "box", "background"), logits))


def curve(
    network: Network,
    image: object,
    importance: np.ndarray,
    target: int,
    steps: int = 10,
    fill: object = "grey",
    insert: bool = False,
) -> np.ndarray:
    """Probability of one class while pixels are covered, most important first.

    Args:
        importance: [H, W]; equal values in reading order.
        insert: the other way round: a covered picture in which pixels are shown.

    Returns:
        [steps + 1] probabilities for 0 ... all pixels, in equal steps. Deletion and insertion
        as in Petsiuk, Das & Saenko (BMVC 2018, RISE); the mean is the area under the curve.
    """
    whole, under = seen(network, image), filling(network, image, fill)
    start, end = (under, whole) if insert else (whole, under)
    rank = np.argsort(np.argsort(-importance, axis=None, kind="stable"))
    rank = torch.from_numpy(rank.reshape(importance.shape))
    counts = np.linspace(0, rank.numel(), steps + 1).round().astype(int)
    batch = torch.stack([torch.where(rank < count, end, start) for count in counts.tolist()])
    with evaluating(network.module):
        return network.module(batch).softmax(1)[:, target].numpy()


def curves(
    network: Network,
    pictures: Sequence[images.Picture],
    size: int = 32,
    step: int = 16,
    fill: str = "blur",
    steps: int = 10,
) -> dict[str, np.ndarray]:
    """Deletion and insertion curves in three orders; kept on disk.

    Returns:
        `evidence deletion`: [pictures, steps + 1], see `curve`, by the fall of the logit
        (`per_pixel`); also for the orders `centre`, outwards from the middle, and `random`; also
        for `insertion`.
    """
    one = partial(_curves, network, size, step, fill, steps)
    return _kept("curves", network, pictures, (size, step, fill, steps), one)


def _curves(
    network: Network, size: int, step: int, fill: str, steps: int, picture: images.Picture
) -> dict[str, np.ndarray]:
    under, side = filling(network, picture, fill), network.input_size
    (*_, sweep) = growing(network, picture, size, step, under)
    target = target_class(network, picture, sweep.clean_logits)
    away = np.hypot(*np.mgrid[0.5 - side / 2 : side / 2, 0.5 - side / 2 : side / 2])
    orders = {
        "evidence": per_pixel(sweep, drop(sweep, target)),
        "centre": -away,
        "random": np.random.default_rng(0).random(away.shape),
    }
    return {
        f"{name} {kind}": curve(network, picture, order, target, steps, under, kind == "insertion")
        for name, order in orders.items()
        for kind in ("deletion", "insertion")
    }
