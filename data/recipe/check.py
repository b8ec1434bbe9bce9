"""Are the committed pictures those that this recipe makes? `python -m data.recipe.check`

Renders a sample of the gallery anew and compares pictures and masks. JPEG and another processor
may move a grey level or two, more is a mistake. Exits with 1 then, and with 0 and a line that
says why where the renderer's packages are missing.
"""

import argparse
import random
import sys
import time
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from .objects import CLASSES
from .render import GALLERY, jpeg, paths
from .tracer import Tracer, missing

ALLOWED = 2  # grey levels


def pixels(file) -> np.ndarray:
    """A picture's values as whole numbers that can be subtracted."""
    return np.array(Image.open(file)).astype(int)


def difference(first: np.ndarray, second: np.ndarray) -> int:
    """The largest difference in grey levels, 255 if the sizes differ."""
    return int(np.abs(first - second).max()) if first.shape == second.shape else 255


def compare(tracer: Tracer, folder: Path, name: str, index: int) -> tuple[int, int]:
    """The largest differences of the picture and of the mask from the committed ones."""
    picture, mask = tracer.render(name, index)
    picture_path, mask_path = paths(folder, name, index)
    return (
        difference(pixels(BytesIO(jpeg(picture))), pixels(picture_path)),
        difference(mask.astype(int), pixels(mask_path)),
    )


def choose(folder: Path, count: int, seed: int) -> list[tuple[str, int]]:
    """`count` pictures of each class, the same ones for the same seed."""
    chance = random.Random(seed)
    sample = []
    for name in CLASSES:
        indices = sorted(int(path.stem) for path in (folder / name).glob("[0-9]*.jpg"))
        sample += [(name, index) for index in chance.sample(indices, min(count, len(indices)))]
    return sample


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m data.recipe.check", description=__doc__)
    parser.add_argument("--sample", type=int, default=1, help="pictures per class (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice (default 0)")
    parser.add_argument("--gallery", type=Path, default=GALLERY, help="folder of the pictures")
    options = parser.parse_args()
    sentence = missing()
    if sentence:
        print(f"skipped: {sentence}")
        return
    sample = choose(options.gallery, options.sample, options.seed)
    if not sample:
        parser.exit(1, f"there are no pictures in {options.gallery}\n")

    tracer = Tracer()
    wrong = 0
    print("class       index  picture  mask  seconds   (largest differences in grey levels)")
    for name, index in sample:
        start = time.perf_counter()
        picture, mask = compare(tracer, options.gallery, name, index)
        seconds = time.perf_counter() - start
        verdict = "" if max(picture, mask) <= ALLOWED else "   DIFFERS"
        wrong += bool(verdict)
        print(f"{name:<10} {index:>6} {picture:>8} {mask:>5} {seconds:>8.1f}{verdict}", flush=True)
    if wrong:
        sys.exit(f"{wrong} of {len(sample)} pictures are not those of the recipe")
    print(f"all {len(sample)} pictures are those of the recipe (within {ALLOWED} grey levels)")


if __name__ == "__main__":
    main()
