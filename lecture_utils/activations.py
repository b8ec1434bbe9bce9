"""What flows through a network: where feature maps lie in the picture, how sparse, how alive.

A feature map is what one channel of one layer computes for one picture, `[height, width]`; the
channels of a fully connected layer have a single place. "On" means above zero: what a ReLU lets
through.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from scipy import ndimage, stats
from torch import Tensor

from lecture_utils import images, layers, store
from lecture_utils.methods.receptive_fields import ReceptiveField, pair
from lecture_utils.models import Network


def relu_layers(network: Network, most: int | None = None) -> list[str]:
    """Names of the ReLU layers in order; a network without any gives its convolutions.

    If there are more than `most`, so many, evenly spaced, the first and the last included.
    """
    rows = layers.table(network)
    names = [row.name for row in rows if row.kind in ("ReLU", "ReLU6")]
    names = names or [row.name for row in rows if row.kind == "Conv2d"]
    count = min(most or len(names), len(names))
    return [names[i] for i in np.linspace(0, len(names) - 1, count).round().astype(int)]


def aligned(values: np.ndarray, field: ReceptiveField, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A feature map [height, width] over its picture of `size` x `size` pixels.

    Gives (values [size, size], covered? bool [size, size]). Each unit covers one stride around its
    centre; a border that lies further out belongs to no unit and is 0. Units that all see the
    whole picture are spread evenly over it.
    """
    pixels, (height, width) = np.arange(size), values.shape
    rows, inside = _units(field, pixels, 0, height)
    columns, within = _units(field, pixels, 1, width)
    covered = inside[:, None] & within
    return np.where(covered, values[rows][:, columns], 0), covered


def unit_at(field: ReceptiveField, shape: Sequence[int], row: int, column: int) -> tuple[int, int]:
    """The unit (row, column) of a map of `shape` [height, width] that is nearest to a pixel."""
    down, _ = _units(field, np.array(row), 0, shape[0])
    right, _ = _units(field, np.array(column), 1, shape[1])
    return int(down), int(right)


def _units(field: ReceptiveField, pixels: np.ndarray, axis: int, count: int):
    """The unit nearest to each pixel along one side, and whether the pixel lies on its ground."""
    size, stride, start = (pair(part)[axis] for part in (field.size, field.stride, field.start))
    everywhere = stride == 0
    if everywhere:  # every unit sees all that is read of the picture
        size = stride = size / count
    # the middle of the first unit lies at start + size / 2, that of pixel 0 at 0.5
    units = np.floor((pixels + 0.5 - start - size / 2) / stride + 0.5).astype(int)
    nearest = units.clip(0, count - 1)
    return nearest, (nearest == units) | everywhere


def feeding_box(below: ReceptiveField, shape: Sequence[int], box: Sequence[int]) -> tuple[int, ...]:
    """Pixels (top, left, bottom, right) of the units below that may feed a unit which sees `box`.

    `box` is the unit's whole field, `field.box(row, column)`. Those units of the layer `below`, a
    map of `shape` [height, width], may feed it whose own fields lie within; each lies on the one
    stride around its centre, as in `aligned`. At least one unit is taken.
    """
    sides = [_ground(below, axis, shape[axis], box[axis], box[axis + 2]) for axis in (0, 1)]
    (top, bottom), (left, right) = sides
    return top, left, bottom, right


def _ground(field: ReceptiveField, axis: int, count: int, low: int, high: int) -> tuple[int, int]:
    size, stride, start = (pair(part)[axis] for part in (field.size, field.stride, field.start))
    if stride == 0:  # every unit sees all that is read of the picture
        return max(low, start), min(high, start + size)
    first = np.clip(np.ceil((low - start) / stride), 0, count - 1)
    last = np.clip(np.floor((high - size - start) / stride), first, count - 1)
    middle = start + size / 2
    return int(middle + (first - 0.5) * stride), int(middle + (last + 0.5) * stride)


def localisation(maps: Tensor) -> Tensor:
    """How far a map is gathered in few places: 0 even everywhere, 1 all in a single place.

    S = (1 - A) / (1 - 1/n), A = mean(a)^2 / mean(a^2) over the n places of a map: the sparseness
    of Treves & Rolls (1991, Network 2:371) as Vinje & Gallant (2000, Science 287:1273) scale it.
    Rectified Gaussian noise around 0 has S = 0.68. Maps [..., height, width], none negative, give
    [...]; NaN for maps that are all zero or have one place.
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
    products = torch.cat([product.flatten(-2) for product in products], -1)
    return products.mean(-1) / maps.square().mean((-2, -1))


@dataclass(frozen=True)
class Statistics:
    """The activity of one layer over some pictures."""

    places: int  # of one map, height x width
    places_on: np.ndarray  # int [channels], places above zero, over all pictures
    pictures_on: np.ndarray  # int [channels], pictures in which the channel is on anywhere
    zeros: np.ndarray  # [pictures], share of the layer's values that are not above zero
    localisation: np.ndarray  # [pictures], mean over the channels where it is defined
    blobbiness: np.ndarray  # the same

    @property
    def pictures(self) -> int:
        return len(self.zeros)

    @property
    def zeros_by_channel(self) -> np.ndarray:
        """Share of the places of each channel that are not above zero, over all pictures."""
        return 1 - self.places_on / (self.pictures * self.places)

    def silent_in(self, count: int | Sequence[int]) -> np.ndarray:
        """Share of channels expected to be silent in `count` of these pictures drawn at random.

        Hypergeometric, as Hurlbert (1971, Ecology 52:577) counts the species a sample misses.
        """
        on = self.pictures_on[:, None]
        return stats.hypergeom.pmf(0, self.pictures, on, np.atleast_1d(count)).mean(0)

    def counts(self) -> dict[str, int]:
        """How many channels there are, and how many are dead or never rest.

        Dead: zero everywhere in every picture. Nearly dead: on in less than 1 % of the pictures.
        Always on: above zero at 99 % or more of all places, so that the ReLU hardly ever acts.
        """
        rare = self.pictures_on < 0.01 * self.pictures
        return {
            "channels": len(self.places_on),
            "dead": int((self.pictures_on == 0).sum()),
            "nearly dead": int((rare & (self.pictures_on > 0)).sum()),
            "always on": int((self.places_on >= 0.99 * self.pictures * self.places).sum()),
        }


def census(
    network: Network, pictures: Sequence, names: Iterable[str], progress: Callable = iter
) -> dict[str, Statistics]:
    """Statistics of the named layers over many pictures, in one pass and little memory.

    `progress`, for example `tqdm`, is wrapped around the pictures (Picture or PIL images). The
    result is kept for the next time. Raises layers.UnknownLayer; ValueError without pictures or
    names, and as `measure`.
    """
    names = list(names)

    def count() -> dict[str, Statistics]:
        batches = network.batches(progress(pictures), 10)  # few, so that they fit the cache
        summaries = layers.record(network, batches, names, _summary)
        return {name: _statistics(summary) for name, summary in summaries.items()}

    key = ("census 2", network.fingerprint(), images.fingerprint(pictures), *names)
    return store.kept(key, count)


def measure(maps: Tensor) -> Statistics:
    """Statistics of a layer's output [pictures, channels, height, width] or [pictures, channels].

    Raises ValueError for other shapes and for values that are not finite.
    """
    return _statistics(_summary(maps))


def _summary(maps: Tensor) -> Tensor:
    """Of each picture the places, localisation, blobbiness, and places on in each channel."""
    if maps.ndim not in (2, 4):
        shape = list(maps.shape)
        raise ValueError(f"feature maps are [B, C, H, W] or [B, C]; this layer computes {shape}")
    if not maps.sum().isfinite():
        raise ValueError("some activations are infinite or not numbers: the training diverged")
    maps = maps[..., None, None] if maps.ndim == 2 else maps
    on = (maps > 0).sum((2, 3), dtype=torch.float32)  # exact: whole numbers below 2^24
    places = torch.full((len(maps), 1), maps[0, 0].numel())
    means = [values(maps).nanmean(1, keepdim=True) for values in (localisation, blobbiness)]
    return torch.cat([places, *means, on], 1)


def _statistics(summary: Tensor) -> Statistics:
    places, gathered, blobs, *on = summary.numpy().T
    on = np.array(on, int)  # [channels, pictures]
    zeros = 1 - on.mean(0) / places
    return Statistics(int(places[0]), on.sum(1), (on > 0).sum(1), zeros, gathered, blobs)


def woken(
    network: Network, name: str, channels: Sequence[int], batch: Tensor, steps=5, size=0.1
) -> np.ndarray:
    """Which silent channels of a ReLU layer small changes of pictures, made for them, switch on.

    Channel i starts from picture i of the batch (and round again). Each of `steps` moves every
    pixel by `size`, in the units of the network's input, to where the channel's highest value
    before the ReLU rises, and not beyond black and white. Gives bool [channels].
    """
    place, _, call = layers.resolve(network, name).partition("#")
    given, own = [], np.arange(len(channels))
    hook = network.module.get_submodule(place).register_forward_pre_hook(
        lambda _module, inputs: given.append(inputs[0].clone())  # the ReLU may overwrite it
    )
    black, white = -network.mean / network.std, (1 - network.mean) / network.std
    x = batch[own % len(batch)]
    try:
        for step in range(steps + 1):
            x = x.detach().requires_grad_()
            given.clear()
            network.module(x)
            before = given[int(call or 0) - 1]  # of several calls that one, or the last
            value = before.reshape(*before.shape[:2], -1).amax(2)[own, channels]
            if step < steps:
                x = x + size * torch.autograd.grad(value.sum(), x)[0].sign()
                x = x.clamp(black, white)
    finally:
        hook.remove()
    return (value > 0).numpy()


def shifted(image: Image.Image, right: int = 0, down: int = 0) -> Image.Image:
    """Move a picture by whole pixels; the uncovered edge repeats the border pixels."""
    pixels = np.asarray(image)
    move = (down, right, 0)[: pixels.ndim]
    return Image.fromarray(ndimage.shift(pixels, move, order=0, mode="nearest"))


def distances(before: dict[str, Tensor], after: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Euclidean distance between two recordings, layer by layer and picture by picture: [B]."""
    return {name: (after[name] - before[name]).flatten(1).norm(dim=1).numpy() for name in before}


def typical_distances(recorded: dict[str, Tensor]) -> dict[str, float]:
    """Median distance between two different pictures, in each layer of a recording."""
    return {name: torch.pdist(out.flatten(1)).median().item() for name, out in recorded.items()}
