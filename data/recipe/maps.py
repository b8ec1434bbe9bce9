"""Make the stored t-SNE maps and neighbours of lecture 3 from the stored networks.

From the repository's root: `python -m data.recipe.maps`, after every change of the weights. What
was made of the same weights before is found in the cache, so that a stopped run goes on.
"""

from functools import partial

from tqdm import tqdm

from lecture_utils import codes, images, models

from .publish import write_arrays

PERPLEXITIES = (5, 10, 20, 30, 50, 100)
SEEDS = (0, 1, 2, 3, 4)


def main() -> None:
    gallery = images.gallery()
    atlas = codes.Atlas(models.load(), gallery)
    atlases, depths = [atlas], codes.depths(atlas.network)
    jobs = [atlas.film]
    jobs += [partial(atlas.neighbours, layer) for layer in depths]
    jobs += [partial(atlas.map, perplexity=perplexity) for perplexity in PERPLEXITIES]
    jobs += [partial(atlas.map, seed=seed) for seed in SEEDS]
    jobs += [partial(atlas.map, layer) for layer in depths[:-1]]
    for epoch in models.available()["epochs"][:-1]:
        other = codes.Atlas(models.load(epoch=epoch), gallery)
        atlases.append(other)
        jobs += [other.neighbours, other.map]
    for job in tqdm(jobs, "maps"):
        job()
    arrays = {key: array for each in atlases for key, array in each.used.items()}
    write_arrays(codes.MAPS, arrays)


if __name__ == "__main__":
    main()
