"""Codes: what a layer makes of each picture, as rows of numbers; near codes, and maps of them.

A code is the list of numbers by which a layer describes one picture. `of` computes codes,
`neighbours` finds the most similar ones, `embed` draws all of them as points of a plane, and
`faithfulness` says how far such a map can be trusted. `Atlas` holds the maps of one network.
"""

import io
import math
from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np
import torch
import torch.nn.functional as F
from scipy.linalg import orthogonal_procrustes
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import PCA
from torch import Tensor, nn
from tqdm.auto import tqdm

from lecture_utils import images, layers, models, store
from lecture_utils.models import Network
from lecture_utils.methods.tsne import descend, similarities, squared_distances

LARGEST = 10_000  # numbers in a code; feature maps with more are averaged over a coarser grid
FRAMES = (0, 25, 50, 75, 100, 150, 200, 250, 275, 300, 350, 400, 500, 600, 750)  # iterations shown
MAPS = models.WEIGHTS / "mini_alexnet" / "maps.npz"  # made by data/recipe/maps.py
VERSION = 1  # part of every cache key: raise it when results change


# --- codes --------------------------------------------------------------------------------------


def depths(network: Network) -> list[str]:
    """Where to compare codes, from the picture to the last hidden layer.

    "pixels", then `conv1`, `pool5` and `fc7` as far as the network has them; the last entry is
    always what the classifier reads: `fc7`, or else the network's last part but one.
    """
    names = ["pixels"]
    for name in ("conv1", "pool5", "fc7"):
        try:
            layers.resolve(network, name)
            names.append(name)
        except layers.UnknownLayer:
            pass
    last_but_one = [name for name, _ in network.module.named_children()][-2:][0]
    if names[-1] != "fc7" and last_but_one not in [layers.resolve(network, n) for n in names[1:]]:
        names.append(last_but_one)
    return names


def of(network: Network, pictures: Sequence, layer: str = "fc7") -> np.ndarray:
    """The code of each picture in one layer; computed once, then read from the cache.

    Args:
        pictures: Picture or PIL images.
        layer: as `layers.resolve` takes it, or "pixels". Of convolutions and fully connected
            layers the values behind their ReLU are taken, except of the network's output.

    Returns:
        float32 [pictures, numbers]. Feature maps with more than 10,000 numbers, and pixels, are
        averaged over the finest square grid that has fewer. Raises layers.UnknownLayer.
    """
    place = "pixels" if layer == "pixels" else layers.resolve(network, layer)
    key = f"codes {VERSION} {network.fingerprint()} {images.fingerprint(pictures)} {place}"
    kept = store.load(key)
    if kept is None:
        shorten = _shorten(network, place)
        rows, count = [], math.ceil(len(pictures) / 50)
        batches = tqdm(network.batches(pictures), f"codes, {layer}", count, leave=False)
        for batch in batches:
            if place == "pixels":
                rows.append(shorten(batch))
            else:
                rows.append(layers.record(network, batch, place, keep=shorten)[place])
        if not rows:
            raise ValueError("there are no pictures")
        kept = {"codes": torch.cat(rows).numpy()}
        store.save(key, kept)
    return kept["codes"]


def _shorten(network: Network, place: str) -> Callable[[Tensor], Tensor]:
    """What turns the values of one layer [B, ...] into codes [B, numbers]."""
    weighted = [m for m in network.module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hidden = {id(module) for module in weighted[:-1]}
    rectified = place != "pixels" and id(network.module.get_submodule(place)) in hidden

    def shorten(values: Tensor) -> Tensor:
        values = values.clamp(min=0) if rectified else values
        if values.ndim == 4 and values[0].numel() > LARGEST:
            side = math.isqrt(LARGEST // values.shape[1])
            values = F.adaptive_avg_pool2d(values, max(side, 1))
        return values.flatten(1)

    return shorten


# --- neighbours ---------------------------------------------------------------------------------


def neighbours(codes: np.ndarray, k: int = 10, queries: np.ndarray | None = None) -> np.ndarray:
    """The k nearest codes of each query by Euclidean distance, found exactly.

    Args:
        codes: [n, numbers].
        queries: [m, numbers]; None takes the codes themselves, none being its own neighbour.

    Returns:
        int [m, k], nearest first. Raises ValueError if there are fewer than k others.
    """
    distances = squared_distances(codes if queries is None else queries, codes)
    if queries is None:
        np.fill_diagonal(distances, np.inf)
    others = len(codes) - (queries is None)
    if not 1 <= k <= others:
        raise ValueError(f"k = {k} neighbours asked for, but there are {others} other pictures")
    return distances.argsort(axis=1, kind="stable")[:, :k]


def same_class(near: np.ndarray, labels: Sequence[str], k: int) -> float:
    """Share of the first k of `near`, int [n, k or more], that have the label of the query."""
    labels = np.asarray(labels)
    return float((labels[near[:, :k]] == labels[:, None]).mean())


def mixing(near: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Share of the neighbours of class i that are of class j, [classes, classes]; sorted labels."""
    names, number = np.unique(labels, return_inverse=True)
    pairs = np.zeros((len(names), len(names)))
    np.add.at(pairs, (number[:, None], number[near]), 1)
    return pairs / pairs.sum(1, keepdims=True)


# --- maps ---------------------------------------------------------------------------------------


def embed(
    codes: np.ndarray,
    method: str = "tsne",
    perplexity: float = 30,
    seed: int | None = None,
    frames: Sequence[int] = (FRAMES[-1],),
) -> np.ndarray:
    """Draw codes [n, numbers] as points of a plane.

    Args:
        method: "tsne" (van der Maaten & Hinton 2008) or "pca", the two main directions.
        perplexity: of t-SNE: about how many neighbours each point minds; below n - 1.
        seed: t-SNE starts at tiny random positions; None starts at the PCA, shrunk.
        frames: iterations of t-SNE to keep; it ends with the last of them.

    Returns:
        float32 [n, 2], or [frames, n, 2] if there are several frames.
    """
    if method not in ("tsne", "pca"):
        raise ValueError(f'no method {method!r}; there are "tsne" and "pca"')
    if len(codes) < 4:
        raise ValueError(f"a map needs at least 4 pictures; there are {len(codes)}")
    if method == "tsne" and not 1 <= perplexity < len(codes) - 1:
        most = len(codes) - 1
        raise ValueError(f"with {len(codes)} pictures the perplexity lies in 1 ... {most}")
    if method == "pca" or seed is None:
        flat = PCA(2, random_state=0).fit_transform(codes)
        if method == "pca":
            return flat.astype(np.float32)
        start = flat / max(flat[:, 0].std(), 1e-12) * 1e-4
    else:
        start = np.random.default_rng(seed).normal(0, 1e-4, (len(codes), 2))
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
    low, high = points.min(0), points.max(0)
    places = (points - low) / np.maximum(high - low, 1e-12) * (columns - 1, rows - 1)
    right, up = np.meshgrid(np.arange(columns), np.arange(rows)[::-1])
    cells = np.stack([right.ravel(), up.ravel()], 1)
    who, where = linear_sum_assignment(squared_distances(places, cells))
    numbers = np.full(rows * columns, -1)
    numbers[where] = who
    return numbers.reshape(rows, columns)


def faithfulness(codes: np.ndarray, points: np.ndarray, k: int = 10) -> tuple[float, float]:
    """How well the neighbourhoods of a map [n, 2] are those of the codes; both numbers 0 ... 1.

    Returns:
        trustworthiness: 1 if no point has a false neighbour in the map; false ones count the
            more, the farther they are among the codes (Venna & Kaski 2001). Random maps: about 0.5.
        preserved: share of the k nearest codes that are among the k nearest in the map.
    """
    n = len(codes)
    if not 1 <= k < n / 2:
        raise ValueError(f"k = {k}, but it must be less than half of the {n} pictures")
    order = neighbours(codes, n - 1)
    ranks = np.zeros((n, n), int)
    np.put_along_axis(ranks, order, np.arange(1, n)[None], axis=1)
    found = np.take_along_axis(ranks, neighbours(points, k), axis=1)
    penalty = (found - k).clip(min=0).sum() * 2 / (n * k * (2 * n - 3 * k - 1))
    return float(1 - penalty), float((found <= k).mean())


# --- an atlas -----------------------------------------------------------------------------------


@cache
def _stored() -> dict[str, np.ndarray]:
    """Maps and neighbours that the recipe made of the course's networks; empty if unreadable."""
    try:
        with np.load(io.BytesIO(store.read(MAPS)), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError):
        return {}


class Atlas:
    """Neighbours and maps of one network's codes of some pictures.

    They are stored with the course for its own networks and the whole gallery. For any other
    network or pictures they are computed when asked for, and kept in the cache.

    Attributes:
        network, pictures: as given; layer: the last hidden layer, taken where none is named.
        stored: whether the course has maps of just this network and these pictures.
        used: everything asked for so far, by its key.
    """

    def __init__(self, network: Network, pictures: Sequence):
        self.network, self.pictures = network, pictures
        self.layer = depths(network)[-1]
        self.key = f"{VERSION} {network.fingerprint()} {images.fingerprint(pictures)}"
        self.stored = any(name.startswith(self.key) for name in _stored())
        self.used: dict[str, np.ndarray] = {}

    def codes(self, layer: str | None = None) -> np.ndarray:
        """The codes of all pictures in one layer, as `of`."""
        return of(self.network, self.pictures, layer or self.layer)

    def neighbours(self, layer: str | None = None, k: int = 10) -> np.ndarray:
        """The nearest pictures of each by the codes of one layer, int [pictures, k]."""
        name = f"{layer or self.layer}, {k} neighbours"
        kind = np.min_scalar_type(len(self.pictures))
        return self._kept(name, kind, lambda: neighbours(self.codes(layer), k)).astype(int)

    def map(
        self, layer: str | None = None, perplexity: float = 30, seed: int | None = None
    ) -> np.ndarray:
        """The t-SNE map of one layer's codes, float32 [pictures, 2]; arguments as in `embed`."""
        name = f"{layer or self.layer}, perplexity {perplexity}, seed {seed}"
        make = partial(embed, perplexity=perplexity, seed=seed)
        return self._kept(name, np.float16, lambda: make(self.codes(layer))).astype(np.float32)

    def film(self) -> np.ndarray:
        """t-SNE of the last hidden layer while it works, float32 [len(FRAMES), pictures, 2]."""
        name, make = f"{self.layer}, film", partial(embed, frames=FRAMES)
        return self._kept(name, np.float16, lambda: make(self.codes())).astype(np.float32)

    def _kept(self, name: str, kind: type, make: Callable[[], np.ndarray]) -> np.ndarray:
        """What is stored or cached under a name, or else is made now and cached."""
        key = f"{self.key} {name}"
        found = _stored().get(key)
        if found is None:
            found = (store.load(key) or {}).get("array")
        if found is None:
            found = make().astype(kind)
            store.save(key, {"array": found})
        self.used[key] = found
        return found
