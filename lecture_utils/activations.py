"""What flows through a network: where feature maps lie in the picture, how sparse, how alive.

A feature map is what one channel of one layer computes for one picture, `[height, width]`; the
channels of a fully connected layer have a single place. "On" means above zero: what a ReLU lets
through.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from PIL import Image
from scipy.special import gammaln
from torch import Tensor

from lecture_utils import images, layers, store
from lecture_utils.methods.receptive_fields import ReceptiveField, pair
from lecture_utils.models import Network

VERSION = 1  # of what `census` computes: results kept by another version are not used


def relu_layers(network: Network, most: int | None = None) -> list[str]:
    """Names of the ReLU layers in order; a network without any gives its convolutions.

    Args:
        most: if there are more, only this many, evenly spaced, the first and the last included.
    """
    rows = layers.table(network)
    names = [row.name for row in rows if row.kind in ("ReLU", "ReLU6")]
    names = names or [row.name for row in rows if row.kind == "Conv2d"]
    if most is None or len(names) <= most:
        return names
    return [names[i] for i in np.linspace(0, len(names) - 1, most).round().astype(int)]


# --- where a feature map lies in the picture ----------------------------------------------------


def lay(values: np.ndarray, field: ReceptiveField, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Lay a feature map over its picture: each value on the pixels around its unit's centre.

    Args:
        values: [height, width].
        field: the receptive field of the layer.
        size: side of the picture, in pixels.

    Returns:
        (values [size, size], covered? bool [size, size]). Each unit covers one stride; a border
        that lies further out belongs to no unit and is 0.
    """
    rows, columns = (_units(field, np.arange(size), axis) for axis in (0, 1))
    height, width = values.shape
    covered = ((rows >= 0) & (rows < height))[:, None] & (columns >= 0) & (columns < width)
    laid = values[rows.clip(0, height - 1)][:, columns.clip(0, width - 1)]
    return np.where(covered, laid, 0), covered


def unit_at(field: ReceptiveField, shape: Sequence[int], row: int, column: int) -> tuple[int, int]:
    """The unit (row, column) of a map of `shape` [height, width] that is nearest to a pixel."""
    near = (_units(field, np.array(pixel), axis) for axis, pixel in enumerate((row, column)))
    down, right = (int(unit.clip(0, length - 1)) for unit, length in zip(near, shape))
    return down, right


def _units(field: ReceptiveField, pixels: np.ndarray, axis: int) -> np.ndarray:
    """The unit on whose ground each pixel lies, counted on beyond the ends of the map."""
    size, stride, start = (pair(part)[axis] for part in (field.size, field.stride, field.start))
    if stride == 0:  # one unit for the whole picture
        return np.zeros_like(pixels)
    first_centre = start + size / 2  # from the edge of the picture; pixel 0 has its centre at 0.5
    return np.floor((pixels + 0.5 - first_centre) / stride + 0.5).astype(int)


# --- measures of one map ------------------------------------------------------------------------


def localisation(maps: Tensor) -> Tensor:
    """How far a map is gathered in few places: 0 even everywhere, 1 all in a single place.

    S = (1 - A) / (1 - 1/n), A = mean(a)^2 / mean(a^2) over the n places of a map: the sparseness
    of Treves & Rolls (1991, Network 2:371) as Vinje & Gallant (2000, Science 287:1273) scale it.
    Rectified Gaussian noise around 0 has A = 1/pi, S = 0.68.

    Maps [..., height, width], none negative, give [...]; NaN for maps that are all zero or have
    one place.
    """
    places = maps.shape[-2] * maps.shape[-1]
    evenness = maps.mean((-2, -1)).square() / maps.square().mean((-2, -1))
    return (1 - evenness) / (1 - 1 / places if places > 1 else torch.nan)


def blobbiness(maps: Tensor) -> Tensor:
    """How alike neighbouring places are: near 1 broad blobs, 0 scattered points, -1 a chessboard.

    Moran's I (1950, Biometrika 37:17) over horizontal and vertical neighbours. Maps
    [..., height, width] give [...]; NaN for constant maps.
    """
    maps = maps - maps.mean((-2, -1), keepdim=True)
    products = (maps[..., 1:, :] * maps[..., :-1, :], maps[..., 1:] * maps[..., :-1])
    pairs = sum(product.shape[-2] * product.shape[-1] for product in products)
    agreement = sum(product.sum((-2, -1)) for product in products)
    return agreement / pairs / maps.square().mean((-2, -1))


# --- the census ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Statistics:
    """The activity of one layer over some pictures; `a + b` is that over the pictures of both.

    Whole numbers are counted and per-picture values kept, so that nothing depends on how the
    pictures were divided.

    Attributes:
        places: of one map, height x width.
        on: int [channels], places above zero, over all pictures.
        seen: int [channels], pictures in which the channel is above zero anywhere.
        zeros: [pictures], share of the layer's values that are not above zero.
        localisation, blobbiness: [pictures], mean over the channels where they are defined.
    """

    places: int
    on: np.ndarray
    seen: np.ndarray
    zeros: np.ndarray
    localisation: np.ndarray
    blobbiness: np.ndarray

    def __add__(self, other: "Statistics") -> "Statistics":
        if (self.places, len(self.on)) != (other.places, len(other.on)):
            raise ValueError("these are statistics of layers of different sizes")
        return Statistics(
            self.places,
            self.on + other.on,
            self.seen + other.seen,
            *(
                np.concatenate([getattr(self, name), getattr(other, name)])
                for name in ("zeros", "localisation", "blobbiness")
            ),
        )

    @property
    def pictures(self) -> int:
        return len(self.zeros)

    def counts(self) -> dict[str, int]:
        """How many channels there are, and how many are dead or never rest.

        Dead: zero everywhere in every picture. Nearly dead: on in less than 1 % of the pictures.
        Always on: above zero at 99 % or more of all places, so that the ReLU hardly ever acts.
        """
        rare = self.seen < 0.01 * self.pictures
        return {
            "channels": len(self.on),
            "dead": int((self.seen == 0).sum()),
            "nearly dead": int((rare & (self.seen > 0)).sum()),
            "always on": int((self.on >= 0.99 * self.pictures * self.places).sum()),
        }


def measure(maps: Tensor) -> Statistics:
    """Statistics of a layer's output [pictures, channels, height, width] or [pictures, channels].

    Raises ValueError for other shapes and for values that are not finite.
    """
    return _gathered(_summary(maps))


def census(
    network: Network,
    pictures: Sequence,
    names: Iterable[str],
    progress: Callable[[Iterable], Iterable] = iter,
) -> dict[str, Statistics]:
    """Statistics of the named layers over many pictures, in one pass and little memory.

    Args:
        pictures: Picture or PIL images.
        progress: wrapped around the pictures, for example `tqdm`.

    The result is kept for the next time. Raises layers.UnknownLayer, and ValueError as `measure`.
    """
    names = list(names)
    key = f"census {VERSION} {network.fingerprint()} {images.fingerprint(pictures)} {names}"
    columns = [field.name for field in fields(Statistics)]
    kept = store.load(key)
    if kept is not None:
        return {
            name: Statistics(
                int(kept[f"{name}/places"]), *(kept[f"{name}/{c}"] for c in columns[1:])
            )
            for name in names
        }
    total = {}
    for batch in network.batches(progress(pictures), 10):  # few, so that they fit the cache
        for name, summary in layers.record(network, batch, names, keep=_summary).items():
            part = _gathered(summary)
            total[name] = total[name] + part if name in total else part
    arrays = {f"{n}/{c}": np.asarray(getattr(s, c)) for n, s in total.items() for c in columns}
    store.save(key, arrays)
    return total


def _summary(maps: Tensor) -> Tensor:
    """Each map in four numbers: places on, places, localisation, blobbiness; [B, C, 4]."""
    if maps.ndim not in (2, 4):
        shape = list(maps.shape)
        raise ValueError(f"feature maps are [B, C, H, W] or [B, C]; this layer computes {shape}")
    if not maps.sum().isfinite():
        raise ValueError("some activations are infinite or not numbers: the training diverged")
    maps = maps[..., None, None] if maps.ndim == 2 else maps
    on = (maps > 0).float().sum((2, 3))  # exact: whole numbers below 2^24
    places = torch.full_like(on, maps.shape[2] * maps.shape[3])
    return torch.stack([on, places, localisation(maps), blobbiness(maps)], 2).double()


def _gathered(summary: Tensor) -> Statistics:
    on, places, gathered, blobs = summary.numpy().transpose(2, 0, 1)
    return Statistics(
        int(places[0, 0]),
        on.sum(0).astype(np.int64),
        (on > 0).sum(0),
        1 - on.sum(1) / places.sum(1),
        *(torch.from_numpy(values).nanmean(1).numpy() for values in (gathered, blobs)),
    )


def expected_silent(seen: np.ndarray, pictures: int, looked_at: Iterable[int]) -> np.ndarray:
    """How many channels would show no activity if fewer pictures had been looked at.

    The mean over all choices of that many pictures, in closed form: a channel that is on in k of
    N pictures is missed by n of them with probability C(N-k, n) / C(N, n), as ecologists expect
    species in small samples (rarefaction; Hurlbert 1971, Ecology 52:577).

    Args:
        seen: int [channels], in how many of the `pictures` each is on.
        looked_at: numbers of pictures, 0 to `pictures`.

    Returns:
        [len(looked_at)], channels.
    """
    sizes = np.asarray(list(looked_at))[:, None]
    if sizes.min() < 0 or sizes.max() > pictures:
        raise ValueError(f"between 0 and {pictures} pictures can be looked at")
    without = pictures - np.asarray(seen)[None]
    enough = without >= sizes  # else no such choice misses the channel
    rest = np.where(enough, without - sizes, 0)
    logarithm = gammaln(without + 1) - gammaln(rest + 1)
    logarithm -= gammaln(pictures + 1) - gammaln(pictures - sizes + 1)
    return np.where(enough, np.exp(logarithm), 0).sum(1)


# --- what a layer keeps when the picture changes ------------------------------------------------


def shifted(image: Image.Image, right: int = 0, down: int = 0) -> Image.Image:
    """Move a picture by whole pixels; the uncovered edge repeats the border pixels."""
    pixels = np.asarray(image)
    rows = (np.arange(pixels.shape[0]) - down).clip(0, pixels.shape[0] - 1)
    columns = (np.arange(pixels.shape[1]) - right).clip(0, pixels.shape[1] - 1)
    return Image.fromarray(pixels[rows][:, columns])


def distances(before: dict[str, Tensor], after: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Euclidean distance between two recordings, layer by layer and picture by picture: [B]."""
    return {name: (after[name] - before[name]).flatten(1).norm(dim=1).numpy() for name in before}


def typical_distances(recorded: dict[str, Tensor]) -> dict[str, float]:
    """Median distance between two different pictures, in each layer of a recording."""
    return {name: torch.pdist(out.flatten(1)).median().item() for name, out in recorded.items()}
