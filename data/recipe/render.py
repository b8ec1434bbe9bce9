"""Render pictures: one image, a class, or all. Run from the root of the repository:

    python -m data.recipe.render fish --index 7 --out /tmp/pictures   one picture
    python -m data.recipe.render fish                                 a class of the gallery
    python -m data.recipe.render --processes 2                        the whole gallery
    python -m data.recipe.render --start 1000 --stop 1300 --no-masks \\
        --out data/miniatures/train                                   pictures for training

Pictures that are there are left as they are, so that an interrupted run can be taken up again.
"""

import argparse
import functools
import multiprocessing
import os
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from .objects import CLASSES
from .tracer import SIZE, Tracer, missing

GALLERY = Path(__file__).parents[1] / "miniatures" / "gallery"


@functools.cache
def tracer(size: int = SIZE) -> Tracer:
    """The one tracer of this process for pictures of a size."""
    return Tracer(size)


def jpeg(picture: Image.Image) -> bytes:
    """A picture as the bytes of a JPEG file."""
    file = BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


def png(mask: np.ndarray) -> bytes:
    """A mask uint8 [H, W] as the bytes of a PNG file."""
    file = BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return file.getvalue()


def paths(folder: Path, name: str, index: int) -> tuple[Path, Path]:
    """Where a picture and its mask are kept."""
    return folder / name / f"{index:04d}.jpg", folder / name / f"{index:04d}_mask.png"


def _write(path: Path, content: bytes) -> None:
    """Write a whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _save(job: tuple[str, int], folder: Path, size: int, masks: bool) -> str | None:
    """Render and write one picture; the mask comes first, for the picture says that all is done."""
    name, index = job
    try:
        picture, mask = tracer(size).render(name, index)
        picture_path, mask_path = paths(folder, name, index)
        if masks:
            _write(mask_path, png(mask))
        _write(picture_path, jpeg(Image.fromarray(picture)))
    except Exception as error:  # one picture that fails must not end a long run
        return f"{name} {index}: {type(error).__name__}: {error}"


def render_all(
    jobs: Iterable[tuple[str, int]],
    folder: Path,
    size: int = SIZE,
    masks: bool = True,
    processes: int = 1,
) -> list[str]:
    """Render pictures (class, index) into folder/class; a sentence for each that failed."""
    todo = [job for job in jobs if not paths(folder, *job)[0].exists()]
    save = functools.partial(_save, folder=folder, size=size, masks=masks)
    bar = functools.partial(tqdm, total=len(todo), unit="picture", desc=str(folder))
    if processes == 1:
        return [failure for failure in bar(map(save, todo)) if failure]
    # spawn, not fork: the renderer does not survive being copied
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        return [failure for failure in bar(pool.imap_unordered(save, todo)) if failure]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m data.recipe.render",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("classes", nargs="*", help="class names; all if none is given")
    parser.add_argument("--index", type=int, help="one index, instead of --start and --stop")
    parser.add_argument("--start", type=int, default=0, help="first index (default 0)")
    parser.add_argument("--stop", type=int, default=100, help="index after the last (default 100)")
    parser.add_argument("--out", type=Path, default=GALLERY, help="folder (default: the gallery)")
    parser.add_argument("--size", type=int, default=SIZE, help=f"pixels (default {SIZE})")
    parser.add_argument("--processes", type=int, default=1, help="with one thread each (default 1)")
    parser.add_argument("--no-masks", action="store_true", help="pictures only")
    options = parser.parse_args()
    unknown = set(options.classes) - set(CLASSES)
    if unknown:
        parser.error(f"no class {', '.join(sorted(unknown))}; there are {', '.join(CLASSES)}")
    if options.processes < 1 or options.size < 1:
        parser.error("--processes and --size must be at least 1")
    sentence = missing()
    if sentence:
        parser.exit(1, sentence + "\n")

    indices = range(options.start, options.stop)
    if options.index is not None:
        indices = [options.index]
    jobs = [(name, index) for index in indices for name in options.classes or CLASSES]
    failures = render_all(jobs, options.out, options.size, not options.no_masks, options.processes)
    if failures:
        parser.exit(1, "\n".join(failures) + "\n")


if __name__ == "__main__":
    main()
