"""Does this recipe make the committed pictures, and train as it did? `python -m data.recipe.check`

Renders a sample of the gallery anew and compares pictures and masks. On the kind of processor
that made them, the files come out byte for byte. On another one a few rays may take the other side
of an edge; that changes single grey levels by one before the picture is compressed, and by a few
within blocks of 8 x 8 pixels after it, where JPEG rounds the other way; in a mask, a pixel by one
ray of eight. Measured on one such processor, 70 pictures: at most 4.2 % of the values were off by
more than 2 grey levels, none by more than 13, and one pixel of a mask. Other versions of Mitsuba,
which draw other random numbers, gave 8 to 37 % and 12 to 68. The limits lie between. Then
mini_alexnet is trained for some seconds, on pictures of the gallery, and the losses compared with
those of the committed recipe.
Exits with 1 if something differs, and with 0 and a line that says why where the renderer's packages
are missing.
"""

import argparse
import csv
import dataclasses
import random
import shutil
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from . import train
from .objects import CLASSES
from .recipes import RECIPES, Recipe
from .render import GALLERY, jpeg, paths
from .tracer import Tracer, missing

ALLOWED = 2  # grey levels
FARTHER = 0.06  # the share of a picture's values that may be farther off than that
FARTHEST = 16  # but none farther than this
MASK_FARTHER = 2  # pixels of a mask that may be farther off
LOSSES = (2.888, 2.790)  # of the short training: whole, and with the smallest filters fixed
LOSS_TOLERANCE = 0.002  # processors add up in different orders


def pixels(file) -> np.ndarray:
    """A picture's values as whole numbers that can be subtracted."""
    return np.array(Image.open(file)).astype(int)


class Difference(NamedTuple):
    """How far a picture is from the committed one, in grey levels."""

    largest: int
    farther: float  # the share of its values that are off by more than ALLOWED
    mask: int  # how many pixels of the mask are off by more than ALLOWED
    same_file: bool  # the picture's file, byte for byte

    @property
    def allowed(self) -> bool:
        return self.largest <= FARTHEST and self.farther <= FARTHER and self.mask <= MASK_FARTHER


def compare(tracer: Tracer, folder: Path, name: str, index: int) -> Difference:
    """Render one picture and compare it with the committed one; ValueError if sizes differ."""
    picture, mask = tracer.render(name, index)
    picture_path, mask_path = paths(folder, name, index)
    file = jpeg(Image.fromarray(picture))
    off = np.abs(pixels(BytesIO(file)) - pixels(picture_path))
    mask_off = np.abs(mask.astype(int) - pixels(mask_path))
    return Difference(
        int(off.max()),
        float((off > ALLOWED).mean()),
        int((mask_off > ALLOWED).sum()),
        file == picture_path.read_bytes(),
    )


def choose(folder: Path, count: int, seed: int) -> list[tuple[str, int]]:
    """`count` pictures of each class, the same ones for the same seed."""
    chance = random.Random(seed)
    sample = []
    for name in CLASSES:
        indices = sorted(int(path.stem) for path in (folder / name).glob("[0-9]*.jpg"))
        sample += [(name, index) for index in chance.sample(indices, min(count, len(indices)))]
    return sample


def short_training(recipe: Recipe, folder: Path = GALLERY) -> tuple[float, float]:
    """The losses of two short epochs on few pictures: as usual, then with smallest filters.

    In single precision, which all processors have.
    """
    with tempfile.TemporaryDirectory() as place:
        pictures, out = Path(place) / "pictures", Path(place) / "run"
        for name in CLASSES:
            (pictures / name).mkdir(parents=True)
            for index in range(13):  # number 0 and 10 are held out
                shutil.copy(paths(folder, name, index)[0], pictures / name)
        short = dataclasses.replace(recipe, epochs=1, after=1, snapshots=(), half=False)
        train.train(short, pictures, out)
        with (out / "log.csv").open(newline="", encoding="utf-8") as file:
            first, second = (float(row["loss"]) for row in csv.DictReader(file))
    return first, second


def same_losses(found: tuple[float, float]) -> bool:
    """Whether a short training went as that of the committed recipe."""
    return all(abs(loss - known) <= LOSS_TOLERANCE for loss, known in zip(found, LOSSES))


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
    wrong = same = 0
    print("largest difference in grey levels; values, and pixels of the mask, off by more than 2")
    print("class       index  picture  more than 2  mask  seconds")
    for name, index in sample:
        start = time.perf_counter()
        found = compare(tracer, options.gallery, name, index)
        seconds = time.perf_counter() - start
        verdict = "" if found.allowed else "   DIFFERS"
        wrong += not found.allowed
        same += found.same_file
        print(
            f"{name:<10} {index:>6} {found.largest:>8} {found.farther:>12.2%} {found.mask:>5} "
            f"{seconds:>8.1f}{verdict}",
            flush=True,
        )
    if wrong:
        sys.exit(f"{wrong} of {len(sample)} pictures are not those of the recipe")
    print(f"all {len(sample)} pictures are those of the recipe, {same} of them byte for byte")
    losses = short_training(RECIPES["mini_alexnet"])
    print(
        "losses of a short training: {:.3f} {:.3f}, known: {:.3f} {:.3f}".format(*losses, *LOSSES)
    )
    if not same_losses(losses):
        sys.exit("the recipe trains in another way than the committed one")


if __name__ == "__main__":
    main()
