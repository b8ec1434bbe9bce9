"""Which pictures, and which patches of them, excite each unit of a network most.

`scan` reads the pictures once. Of each picture it keeps, for every unit, one response: the largest
value in the unit's feature map (one maximum per picture, as Zeiler & Fergus 2014, fig. 2). What is
kept does not grow with the number of pictures. `patches` cuts out what a unit saw; `purity`,
`selectivity` and `on_object` measure what one is tempted to believe about it.
"""

import functools
import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor
from tqdm.auto import tqdm

from lecture_utils import images, layers, store
from lecture_utils.methods.receptive_fields import ReceptiveField, pair
from lecture_utils.methods.scans import BINS, SAMPLE, LayerScan, Ranking, merged, of_batch
from lecture_utils.models import Network

PIXELS = 50 * 160**2  # of one batch: larger pictures come in smaller batches


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

    Returns {name as asked: LayerScan}. Interrupted from the keyboard, what was read so far. Whole
    scans of a sequence of pictures are remembered; those of a generator are not. UnknownLayer;
    ValueError if there are no pictures or a layer gives something else.
    """
    names = [layer] if isinstance(layer, str) else list(layer)
    if k < 1:
        raise ValueError(f"k = {k}: a ranking keeps at least one picture")
    known = images.fingerprint(pictures) if isinstance(pictures, Sequence) else None
    key = ("topk 1", network.fingerprint(), known, tuple(names), k, directions, BINS, SAMPLE)
    keep = functools.partial(_summary, directions=directions)
    scans: dict[str, LayerScan] = {}

    def read() -> dict[str, LayerScan]:
        waiting, done = iter(tqdm(pictures, unit="picture", leave=False)), 0
        while some := list(itertools.islice(waiting, max(1, PIXELS // network.input_size**2))):
            labels = [getattr(picture, "label", "") for picture in some]
            summaries = layers.record(network, network.batches(some, len(some)), names, keep)
            grown = {}
            for name, summary in summaries.items():
                new = of_batch(summary.numpy(), labels, done, directions)
                grown[name] = merged([scans[name], new] if name in scans else [new], k)
            scans.update(grown)  # all at once: an interruption never leaves half a batch behind
            done += len(some)
        if not scans:
            raise ValueError("there is nothing to scan: no pictures, or no layer named")
        return scans

    try:
        return store.kept(key, read)
    except KeyboardInterrupt:  # it went through `kept`, so that half a scan is never remembered
        if not scans:
            raise
        return scans


def _summary(maps: Tensor, directions: int) -> Tensor:
    """A layer's output -> [B, 4, units + directions]: largest value, its row, its column, mean."""
    if maps.ndim == 2:
        maps = maps[:, :, None, None]
    if maps.ndim != 4:
        raise ValueError(f"a layer to scan gives [B, C] or [B, C, H, W], this one {maps.shape}")
    if directions:
        vectors = random_directions(maps.shape[1], directions).to(maps.dtype)
        maps = torch.cat([maps, torch.einsum("dc,bchw->bdhw", vectors, maps.relu())], 1)
    peak, place = maps.flatten(2).max(-1)  # the first of equal values
    mean = maps.relu_().mean((2, 3))  # `record` hands over a copy: it may be overwritten
    width = maps.shape[3]
    return torch.stack([peak, place // width, place % width, mean], 1)


def of_picture(network: Network, image: Image.Image, names: Iterable[str]) -> dict[str, Ranking]:
    """The largest response of each unit to one picture, and its place; arrays [units, 1].

    As in a scan of this picture alone: its number is 0.
    """
    keep = functools.partial(_summary, directions=0)
    summaries = layers.record(network, network.preprocess(image)[None], list(names), keep)
    rankings = {}
    for name, summary in summaries.items():
        peaks, rows, columns, _ = summary[0].numpy()[:, :, None]
        places = rows.astype(np.int32), columns.astype(np.int32)
        rankings[name] = Ranking(np.zeros(peaks.shape, int), peaks, *places)
    return rankings


def random_directions(width: int, count: int) -> Tensor:
    """Random unit vectors [count, width], the same at each call."""
    vectors = torch.randn(count, width, generator=torch.Generator().manual_seed(0))
    return vectors / vectors.norm(dim=1, keepdim=True)


# --- what a unit saw ----------------------------------------------------------------------------


def views(network: Network, pictures: Iterable) -> tuple[np.ndarray, np.ndarray | None]:
    """Pictures as the network sees them, scaled and cut, and their object masks the same way.

    uint8 [N, H, W, 3], and uint8 [N, H, W] or None if a picture has no mask.
    """
    shown, masks = [], []
    for picture in pictures:
        image, mask = getattr(picture, "image", picture), getattr(picture, "mask", None)
        shown.append(_view(network, image))
        if mask is not None:
            masks.append(_view(network, mask.convert("RGB"))[:, :, 0])
    if not shown:
        raise ValueError("there are no pictures")
    return np.stack(shown), np.stack(masks) if len(masks) == len(shown) else None


def _view(network: Network, image: Image.Image) -> np.ndarray:
    return (network.to_image(network.preprocess(image)) * 255).round().astype(np.uint8)


def patch(view: np.ndarray, box: tuple[int, int, int, int], outside: int = 128) -> np.ndarray:
    """Cut (top, left, bottom, right) out of a picture [H, W, 3]; where there is none, `outside`."""
    top, left, bottom, right = box
    cut = np.full((bottom - top, right - left, 3), outside, np.uint8)
    up, down = np.clip((top, bottom), 0, view.shape[0])
    first, last = np.clip((left, right), 0, view.shape[1])
    cut[up - top : down - top, first - left : last - left] = view[up:down, first:last]
    return cut


def patches(
    views: np.ndarray, field: ReceptiveField, ranking: Ranking, unit: int
) -> list[np.ndarray]:
    """What one unit saw of its pictures, in their order: the patch around each largest response."""
    pictures, _, rows, columns = (part[unit] for part in ranking)
    return [patch(views[p], field.box(r, c)) for p, r, c in zip(pictures, rows, columns)]


def only(batch: Tensor, box: tuple[int, int, int, int]) -> Tensor:
    """A batch [B, channels, H, W], all outside the box set to 0, the network's middle grey."""
    top, left, bottom, right = box
    kept = torch.zeros_like(batch)
    kept[:, :, top:bottom, left:right] = batch[:, :, top:bottom, left:right]
    return kept


# --- measures -----------------------------------------------------------------------------------


def purity(pictures: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Share of the commonest label among the pictures of each row, [rows, k] -> [rows]."""
    _, numbers = np.unique(labels, return_inverse=True)
    chosen = numbers[pictures]
    return (chosen[:, :, None] == chosen[:, None]).sum(2).max(1) / pictures.shape[1]


def selectivity(scan: LayerScan) -> np.ndarray:
    """(best class - mean of the others) / (best + mean of the others), [units].

    The index of Morcos et al. 2018 (ICLR): 1 fires for one class only, 0 for all alike. They
    average a feature map, here its largest response counts. NaN for a unit that never fires, and
    where there is only one class.
    """
    profile = np.sort(scan.profile(), axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        best, others = profile[-1], profile[:-1].sum(0) / (len(profile) - 1)
        return (best - others) / (best + others)


def core(field: ReceptiveField) -> ReceptiveField:
    """The middle of each unit's receptive field, a square as wide as the stride.

    Deep units see nearly the whole picture; their middles still differ. ValueError for a layer
    whose units have no place.
    """
    size, stride, start = np.array([pair(v) for v in (field.size, field.stride, field.start)])
    if not stride.all():
        raise ValueError("the units of this layer have no place in the picture")
    middle = start + (size - stride) // 2
    return ReceptiveField(tuple(stride.tolist()), tuple(stride.tolist()), tuple(middle.tolist()))


def on_object(masks: np.ndarray | None, field: ReceptiveField, ranking: Ranking) -> np.ndarray:
    """How far the places of the largest responses lie on the object, 0..1, [units, k].

    Of the receptive field only the `core` counts: what the object covers of the whole field says
    nothing. The masks are those of `views`; compare with `blindly_on_object`. ValueError for a
    layer without positions, or without masks.
    """
    middle = core(field)
    if masks is None:
        raise ValueError("these pictures have no masks of the object")
    last = np.subtract(masks.shape[1:], 1)
    shares = []
    for number, row, column in zip(*(part.flat for part in (ranking[0], *ranking[2:]))):
        top, left, bottom, right = middle.box(row, column)
        top, left = np.clip((top, left), 0, last)
        shares.append(masks[number, top : max(bottom, top + 1), left : max(right, left + 1)].mean())
    return np.reshape(shares, ranking.pictures.shape) / 255


def blindly_on_object(masks: np.ndarray, field: ReceptiveField, places: tuple[int, int]) -> float:
    """What `on_object` gives on average if each of a layer's rows x columns is equally likely.

    Not `masks.mean()`: a deep layer's units look at the middle of the picture, where objects are.
    """
    rows, columns = np.indices(places).reshape(2, 1, -1)
    everywhere = Ranking(np.zeros_like(rows), np.zeros(rows.shape), rows, columns)
    return float(on_object(masks.mean(0)[None], field, everywhere).mean())


def highest_contrast(views: np.ndarray, field: ReceptiveField, places: tuple[int, int]) -> Ranking:
    """For each picture the one of a layer's rows x columns around which grey values vary most.

    A network without weights to compare with: standard deviation in the receptive field, of large
    ones in the middle 51 pixels. Arrays [pictures, 1].
    """
    size, start = np.array([pair(field.size), pair(field.start)])
    middles = [
        (first + (width - 1) // 2 + np.arange(count) * stride).clip(0, views.shape[1] - 1)
        for first, width, count, stride in zip(start, size, places, pair(field.stride))
    ]
    grey = views.astype(np.float32).mean(-1)
    window = (0, *np.minimum(size, 51))
    mean, square = (ndimage.uniform_filter(part, window) for part in (grey, grey**2))
    deviation = np.sqrt((square - mean**2).clip(0))[:, middles[0]][:, :, middles[1]]
    best = deviation.reshape(len(views), -1).argmax(1)[:, None]
    values = np.take_along_axis(deviation.reshape(len(views), -1), best, 1)
    return Ranking(np.arange(len(views))[:, None], values, best // places[1], best % places[1])


def along(responses: np.ndarray, direction: np.ndarray, k: int = 9) -> Ranking:
    """The k pictures that go furthest along one direction of a layer's space, arrays [1, k].

    `responses` [N, C] or [N, C, H, W] are the layer's answers to all pictures; in `direction` [C]
    a single 1 is a unit of the layer.
    """
    maps = np.tensordot(responses.astype(np.float32), direction.astype(np.float32), (1, 0))
    summary = _summary(torch.from_numpy(maps)[:, None], directions=0)
    peaks, rows, columns, _ = summary[:, :, 0].numpy().T
    order = np.argsort(-peaks, kind="stable")[None, :k]
    return Ranking(order, peaks[order], rows[order].astype(int), columns[order].astype(int))
