"""Codes: what a layer makes of each picture, as rows of numbers; near codes, and maps of them.

`of` computes codes, `neighbours` finds the most similar ones, `embed` draws all of them as points
of a plane, `faithfulness` says how far such a map can be trusted. `Atlas` remembers all this.
"""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.linalg import orthogonal_procrustes
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.metrics import confusion_matrix, euclidean_distances
from sklearn.preprocessing import minmax_scale
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from tqdm.auto import tqdm

from lecture_utils import images, layers, store
from lecture_utils.methods.tsne import descend, similarities
from lecture_utils.models import Network

LARGEST = 10_000  # numbers in a code; feature maps with more are averaged over a coarser grid
FRAMES = (0, 25, 50, 75, 100, 150, 200, 250, 275, 300, 350, 400, 500, 600, 750)  # iterations shown


def depths(network: Network) -> list[str]:
    """Where to compare codes: "pixels", then `conv1`, `pool5`, `fc7` as far as there are such.

    The last entry is always what the classifier reads: `fc7`, or the network's last part but one.
    """
    places = {}
    for name in ("conv1", "pool5", "fc7"):
        with contextlib.suppress(layers.UnknownLayer):
            places[name] = layers.resolve(network, name)
    last_but_one = [name for name, _ in network.module.named_children()][-2:][0]
    if "fc7" not in places and last_but_one not in places.values():
        places[last_but_one] = last_but_one
    return ["pixels", *places]


def of(network: Network, pictures: Sequence, layer: str = "fc7") -> np.ndarray:
    """The code of each picture in one layer, float32 [pictures, numbers]; remembered.

    `pictures` are Picture or PIL images, `layer` is as `layers.resolve` takes it, or "pixels".
    Where a ReLU follows directly, the values behind it are taken, for no later layer sees others;
    elsewhere (a batch normalisation or a sum lies between, or the activation is another) the
    layer's own. Feature maps with more than 10,000 numbers, and pixels, are averaged over the
    finest square grid that has fewer. UnknownLayer; ValueError without pictures.
    """
    place = "pixels" if layer == "pixels" else layers.resolve(network, layer)
    if not len(pictures):
        raise ValueError("there are no pictures")

    def make() -> np.ndarray:
        batches = network.batches(tqdm(pictures, f"codes, {layer}", leave=False))
        if place == "pixels":
            return torch.cat([_shortened(batch) for batch in batches]).numpy()
        rectified = _is_rectified(network, place, next(network.batches(pictures[:1])))
        keep = (lambda maps: _shortened(maps.relu())) if rectified else _shortened
        return layers.record(network, batches, place, keep)[place].numpy()

    return store.kept(("codes 1", network.fingerprint(), images.fingerprint(pictures), place), make)


def _shortened(values: Tensor) -> Tensor:
    """The values of one layer [B, ...] as codes [B, numbers]."""
    values = values.float()
    if values.ndim == 4 and values[0].numel() > LARGEST:
        side = math.isqrt(LARGEST // values.shape[1])
        values = F.adaptive_avg_pool2d(values, max(side, 1))
    return values.flatten(1)


def _is_rectified(network: Network, place: str, batch: Tensor) -> bool:
    """Whether all that reads the values of a layer is a ReLU, or reads what a ReLU left of them."""
    calls: list[tuple[Tensor, list[str]]] = []  # what each call of the layer gave, who took it

    class Readers(TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            taken = {id(value) for value in tree_leaves((args, kwargs))}
            for output, names in calls:
                if id(output) in taken:
                    names.append(operation.overloadpacket.__name__)
            return operation(*args, **(kwargs or {}))

    def note(_module, _inputs, output) -> None:
        calls.append((output, []))

    name, _, wanted = place.partition("#")
    with network.module.get_submodule(name).register_forward_hook(note), Readers():
        network(batch)
    _, names = calls[int(wanted or 0) - 1]  # without a number the last call counts
    return names[:1] == ["relu_"] or set(names) == {"relu"}


# --- neighbours ---------------------------------------------------------------------------------


def neighbours(codes: np.ndarray, k: int = 10, queries: np.ndarray | None = None) -> np.ndarray:
    """The k nearest codes of each query by Euclidean distance, found exactly; int [m, k].

    `codes` [n, numbers], `queries` [m, numbers]; None takes the codes themselves, none being its
    own neighbour. ValueError if there are fewer than k others.
    """
    others = len(codes) - (queries is None)
    if k not in range(1, others + 1):
        raise ValueError(f"k is a whole number from 1 to {others}, the other pictures; not {k}")
    rows = _rows(codes)
    asking = rows if queries is None else _rows(queries)
    if asking.shape[1] != rows.shape[1]:
        raise ValueError(f"queries of {asking.shape[1]} numbers for codes of {rows.shape[1]}")
    distances = euclidean_distances(asking, rows, squared=True)
    if queries is None:
        np.fill_diagonal(distances, np.inf)
    return distances.argsort(axis=1, kind="stable")[:, : int(k)]


def _rows(codes: np.ndarray) -> np.ndarray:
    """Codes as float64, if they are rows of finite numbers; ValueError if not."""
    if np.ndim(codes) != 2:
        raise ValueError(f"codes are rows, [pictures, numbers]; these are {np.shape(codes)}")
    if not np.isfinite(codes).all():
        raise ValueError("some codes hold values that are not finite (NaN or infinite)")
    return np.asarray(codes, float)  # else squares of large numbers hide small distances


def same_class(near: np.ndarray, labels: Sequence[str], k: int) -> float:
    """Share of the first k of `near`, int [n, k or more], that have the label of the query."""
    if not 1 <= k <= near.shape[1]:
        raise ValueError(f"k = {k}, but {near.shape[1]} neighbours of each picture are given")
    labels = np.asarray(labels)
    return float((labels[near[:, :k]] == labels[:, None]).mean())


def mixing(near: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Share of the neighbours of class i that are of class j, [classes, classes]; sorted labels."""
    queries = np.repeat(labels, near.shape[1])
    return confusion_matrix(queries, np.asarray(labels)[near].ravel(), normalize="true")


# --- maps ---------------------------------------------------------------------------------------


def embed(
    codes: np.ndarray,
    method: str = "tsne",
    perplexity: float = 30,
    seed: int | None = None,
    frames: Sequence[int] = (FRAMES[-1],),
) -> np.ndarray:
    """Draw codes [n, numbers] as points of a plane, float32 [n, 2].

    Args:
        method: "tsne" (van der Maaten & Hinton 2008) or "pca", the two main directions.
        perplexity: of t-SNE: about how many neighbours each point minds; from 1 to below n - 1.
        seed: t-SNE starts at tiny random positions; None starts at the PCA, shrunk.
        frames: iterations of t-SNE to keep, the last of them its end; several: [frames, n, 2].
    """
    if method not in ("tsne", "pca"):
        raise ValueError(f'no method {method!r}; there are "tsne" and "pca"')
    codes, n = _rows(codes), len(codes)
    if n < 4:
        raise ValueError(f"a map needs at least 4 pictures; there are {n}")
    if method == "tsne" and not 1 <= perplexity < n - 1:
        raise ValueError(f"with {n} pictures the perplexity is at least 1 and below {n - 1}")
    flat = PCA(2, random_state=0).fit_transform(codes)
    if method == "pca":
        return flat.astype(np.float32)
    start = flat / max(flat[:, 0].std(), 1e-12) * 1e-4
    if seed is not None:
        start = np.random.default_rng(seed).normal(0, 1e-4, (n, 2))
    maps = descend(similarities(codes, perplexity), start, frames)
    return maps[0] if len(maps) == 1 else maps


def aligned(points: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """Turn, mirror and enlarge a map [n, 2] to lie as near as possible to another of the same n.

    Distances within the map keep their proportions (orthogonal Procrustes; Schönemann 1966).
    """
    points, onto = points - points.mean(0), onto - onto.mean(0)
    turn, _ = orthogonal_procrustes(points, onto)
    return points @ turn * (np.linalg.norm(onto) / max(np.linalg.norm(points), 1e-12))


def grid(points: np.ndarray, columns: int | None = None) -> np.ndarray:
    """A cell of its own for each point of a map [n, 2], all moves together being shortest.

    Returns int [rows, columns]: the number of the point in each cell, -1 where there is none;
    the first row holds the largest second coordinates, as a chart does. About square by default.
    """
    columns = columns or math.ceil(math.sqrt(len(points)))
    rows = math.ceil(len(points) / columns)
    places = minmax_scale(points * (1, -1))[:, ::-1] * (rows - 1, columns - 1)  # row, column
    cells = np.argwhere(np.ones((rows, columns)))
    who, where = linear_sum_assignment(euclidean_distances(places, cells, squared=True))
    numbers = np.full(rows * columns, -1)
    numbers[where] = who
    return numbers.reshape(rows, columns)


def faithfulness(codes: np.ndarray, points: np.ndarray, k: int = 10) -> tuple[float, float]:
    """How well the neighbourhoods of a map [n, 2] are those of the codes; both numbers 0 ... 1.

    First trustworthiness: 1 if no point has a false neighbour in the map; false ones count the
    more, the farther they are among the codes (Venna & Kaski 2001). Random maps: about 0.5.
    Second the share of the k nearest codes that are among the k nearest in the map.
    """
    if not 1 <= k < len(codes) / 2:
        raise ValueError(f"k = {k}, but it must be less than half of the {len(codes)} pictures")
    codes, points = _rows(codes), _rows(points)
    pairs = zip(neighbours(codes, k), neighbours(points, k))
    preserved = np.mean([np.isin(true, mapped).mean() for true, mapped in pairs])
    return float(trustworthiness(codes, points, n_neighbors=k)), float(preserved)


# --- an atlas -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Atlas:
    """Neighbours and maps of one network's codes of some pictures, remembered.

    Those that lecture 3 shows of the whole gallery come with the course, others are computed.
    """

    network: Network
    pictures: Sequence

    @property
    def layer(self) -> str:
        """The last hidden layer, taken where none is named."""
        return depths(self.network)[-1]

    def codes(self, layer: str | None = None) -> np.ndarray:
        """The codes of all pictures in one layer, as `of`."""
        return of(self.network, self.pictures, layer or self.layer)

    def neighbours(self, layer: str | None = None, k: int = 10) -> np.ndarray:
        """The nearest pictures of each by the codes of one layer, int [pictures, k]."""
        kind = np.min_scalar_type(len(self.pictures))
        key = self._key("neighbours 1", layer, k)
        return store.kept(key, lambda: neighbours(self.codes(layer), k).astype(kind)).astype(int)

    def map(
        self,
        layer: str | None = None,
        perplexity: float = 30,
        seed: int | None = None,
        frames: Sequence[int] | None = None,
    ) -> np.ndarray:
        """The t-SNE map of one layer's codes, float32 [pictures, 2]; arguments as in `embed`."""
        start, frames = "PCA" if seed is None else seed, frames or FRAMES[-1:]
        key = self._key("map 1", layer, perplexity, start, frames)

        def make() -> np.ndarray:
            return embed(self.codes(layer), "tsne", perplexity, seed, frames).astype(np.float16)

        return store.kept(key, make).astype(np.float32)

    def film(self) -> np.ndarray:
        """t-SNE of the last hidden layer while it works, float32 [len(FRAMES), pictures, 2]."""
        return self.map(frames=FRAMES)

    def _key(self, asked: str, layer: str | None, *settings) -> tuple:
        """Taken when something is asked for: the network may have been changed since before."""
        prints = self.network.fingerprint(), images.fingerprint(self.pictures)
        return asked, *prints, layer or self.layer, *settings
