"""Make the stored results of lectures 1, 3 and 5: Gabor fits, maps, neighbours and judgements.

From the repository's root: `python -m data.recipe.results`, after every change of the weights or
the gallery; about half an hour. What this computer has kept of the same files is found again, so
that a stopped run goes on.
"""

import shutil
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from tqdm import tqdm

from lecture_utils import codes, filters, images, models, occlusion, store
from lecture_utils.images import Gallery
from lecture_utils.models import Network

from .publish import write_sums

PERPLEXITIES = (5, 10, 20, 30, 50, 100)
SEEDS = (0, 1, 2, 3, 4)
RIDGES = (0.01, 0.03, 0.1, 0.3, 1, 3, 10)  # of lecture 1's slider
SIZES = (3, 5, 7, 11)  # of the white noise that it fits


def filter_jobs(network: Network, gallery: Gallery) -> Iterator[Callable]:
    """What lecture 1 looks up: Gabor fits of all first layers, of their growth and of noise."""

    def layer(**which) -> torch.Tensor:
        return filters.first_layer(models.load(**which)).weight.detach()

    mine = layer()
    yield partial(filters.noise_shares, mine)
    for control in (filters.smooth_noise(mine), filters.shuffled(mine)):
        yield partial(filters.fitted, control)
    for name in models.variants():
        yield partial(filters.noise_shares, layer(variant=name))
        for epoch in models.snapshots(name):
            yield partial(filters.fitted, layer(variant=name, epoch=epoch))
    pixels = torch.cat(list(network.batches(gallery[5::10])))
    seen = filters.covariance(filters.patches(pixels))
    *stages, last = models.snapshots()
    yield partial(filters.fitted, layer(epoch=last))
    for epoch in stages:
        yield partial(filters.fitted, layer(epoch=epoch))
        yield partial(filters.fitted, filters.smallest(layer(epoch=epoch), seen))
    for ridge in RIDGES:
        yield partial(filters.fitted, filters.smallest(layer(epoch=stages[-1]), seen, ridge))
    random = np.random.default_rng(0)
    for size in SIZES:
        yield partial(filters.fitted, random.normal(size=(40, 3, size, size)))


def map_jobs(network: Network, gallery: Gallery) -> Iterator[Callable]:
    """What lecture 3 looks up: neighbours and maps of each layer, and of each stored epoch."""
    atlas, depths = codes.Atlas(network, gallery), codes.depths(network)
    yield atlas.film
    for depth in depths:
        yield partial(atlas.neighbours, depth)
        yield partial(atlas.map, depth)
    for perplexity in PERPLEXITIES:
        yield partial(atlas.map, perplexity=perplexity)
    for seed in SEEDS:
        yield partial(atlas.map, seed=seed)
    for epoch in models.available()["epochs"]:
        grown = codes.Atlas(models.load(epoch=epoch), gallery)
        yield grown.neighbours
        yield grown.map


def occlusion_jobs(network: Network, gallery: Gallery) -> Iterator[Callable]:
    """What lecture 5 looks up: sweeps over the gallery, hidden objects, curves."""
    size, tenth = network.input_size // 5, gallery[5::10]
    yield partial(occlusion.judge, network, gallery, size, size // 2, layer="relu5")
    for fill in ("grey", "blur", "noise", "surroundings"):
        yield partial(occlusion.hide, network, gallery, fill)
    yield partial(occlusion.curves, network, gallery, size, size // 2)
    for side in (size // 2, size, 3 * size // 2, 2 * size):
        yield partial(occlusion.judge, network, tenth, side, size // 2)
    for fill in ("mean", "blur", "noise"):
        yield partial(occlusion.judge, network, tenth, size, size // 2, fill)
    for step in (size // 4, size):
        yield partial(occlusion.judge, network, tenth, size, step)
    yield partial(occlusion.judge, models.load(variant="seed_1"), tenth, size, size // 2)


def run(jobs: list[Callable]) -> list[str]:
    """Do all jobs; the files in which `store.kept` has their results, but for codes."""
    kept, names = store.kept, []

    def noting(key: tuple, make: Callable):
        result = kept(key, make)
        if not key[0].startswith("codes"):
            names.append(store.file_name(key))
        return result

    store.kept = noting
    try:
        for job in tqdm(jobs, "results"):
            job()
    finally:
        store.kept = kept
    return list(dict.fromkeys(names))


def publish(names: list[str]) -> None:
    """Put results among the course's data, and take away those that nothing asks for any more."""
    store.SHIPPED.mkdir(exist_ok=True)
    for path in store.SHIPPED.glob("*.npz"):
        if path.name not in names:
            path.unlink()
    for name in names:
        if (store.folder() / name).exists():  # else it was found among the course's data
            shutil.copyfile(store.folder() / name, store.SHIPPED / name)
    write_sums()
    size = sum(path.stat().st_size for path in store.SHIPPED.glob("*.npz"))
    print(f"{len(names)} results, {size / 1e6:.1f} MB: {store.SHIPPED}")


def main() -> None:
    network, gallery = models.load(), images.gallery()
    jobs = filter_jobs, map_jobs, occlusion_jobs
    publish(run([job for kind in jobs for job in kind(network, gallery)]))


if __name__ == "__main__":
    main()
