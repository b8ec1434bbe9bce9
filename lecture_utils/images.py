"""Pictures: the miniatures gallery with its object masks, and photos of one's own."""

import csv
import io
import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pillow_heif
from PIL import Image, ImageOps, UnidentifiedImageError

from lecture_utils import store
from lecture_utils.methods import fingerprints

CLASSES = tuple(
    "balloon butterfly cactus car fish flower house ladybird "
    "mug mushroom sailboat snail teapot teddy".split()
)
MINIATURES = store.DATA / "miniatures"
PER_CLASS = 100
SUFFIXES = ".jpg .jpeg .png .webp .gif .bmp .tif .tiff .heic .heif .avif".split()
LARGEST_PHOTO = 150e6  # pixels; more would fill the memory of a small laptop
KEPT_SIDE = 2048  # pixels; larger photos are reduced, no network here sees more

pillow_heif.register_heif_opener()  # lets Pillow open HEIC, what telephones write


class PhotoError(ValueError):
    """A file that cannot be used as a photo."""


@dataclass(frozen=True)
class Picture:
    """One picture: RGB image, its label, where the object is (greyscale, or None), its file."""

    image: Image.Image
    label: str
    mask: Image.Image | None
    path: Path


class Gallery(Sequence):
    """Pictures that are read from disk only when they are asked for; slices stay lazy."""

    def __init__(self, entries: Sequence[tuple[str, Path]]):
        self.entries = list(entries)

    @property
    def labels(self) -> list[str]:
        """The label of every picture, without reading any."""
        return [label for label, _ in self.entries]

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return Gallery(self.entries[index])
        label, path = self.entries[index]
        if not path.is_relative_to(MINIATURES):
            return Picture(open_photo(path), label, None, path)
        image, mask = (Image.open(io.BytesIO(store.read(f))) for f in (path, mask_path(path)))
        return Picture(image.convert("RGB"), label, mask.convert("L"), path)

    def __repr__(self) -> str:
        return f"Gallery of {len(self)} pictures, {len(set(self.labels))} classes"


def mask_path(path: Path) -> Path:
    """The mask of a miniature, the same one with a sticker and without."""
    return MINIATURES / "gallery" / path.parent.name / f"{path.stem}_mask.png"


def gallery(classes: str | Iterable[str] | None = None) -> Gallery:
    """The 1,400 miniatures, ordered by class and number; no network was trained on them.

    Or only those of some `classes`, in the order given; ValueError for an unknown one.
    """
    chosen = CLASSES if classes is None else classes
    chosen = [chosen] if isinstance(chosen, str) else list(chosen)
    for label in chosen:
        if label not in CLASSES:
            raise ValueError(f"no class {label!r}; the gallery has {', '.join(CLASSES)}")
    return _numbered("gallery", chosen, PER_CLASS)


def stickered() -> Gallery:
    """The first 10 pictures of each class with a small sticker in the lower right corner.

    `models.load(variant="sticker")` was trained on mugs with one, and on nothing else that had.
    """
    return _numbered("stickered", CLASSES, 10)


def _numbered(part: str, classes: Iterable[str], count: int) -> Gallery:
    names = [(label, f"{number:04d}.jpg") for label in classes for number in range(count)]
    return Gallery([(label, MINIATURES / part / label / name) for label, name in names])


def facts() -> list[dict[str, str]]:
    """What the recipe knows of each picture of the gallery; columns: see `data/README.md`."""
    return list(csv.DictReader(store.read(MINIATURES / "index.csv").decode().splitlines()))


def fingerprint(pictures: Sequence) -> str | None:
    """Hash of pictures, their labels and masks, for cache keys.

    The course's own are not read: each is checked against the list of published files when it is.
    """
    if not isinstance(pictures, Gallery):
        told = [(getattr(p, "label", None), getattr(p, "mask", None)) for p in pictures]
        return fingerprints.of([getattr(p, "image", p) for p in pictures], told)
    contents = []
    for label, path in pictures.entries:
        if path.is_relative_to(MINIATURES):
            names = (f.relative_to(store.DATA).as_posix() for f in (path, mask_path(path)))
            contents.append((label, *map(store.published().get, names)))
        else:
            contents.append((label, path.read_bytes()))
    return fingerprints.of(contents)


def folder(path: str | Path) -> Gallery:
    """All photos of one folder, without labels; for the lectures' "own pictures" cells."""
    path = Path(path)
    if not path.is_dir():
        raise PhotoError(f"{path} is no folder")
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise PhotoError(f"no photos in {path}; looked for {', '.join(SUFFIXES)}")
    return Gallery([("", file) for file in files])


def open_photo(source: str | Path | bytes | BinaryIO) -> Image.Image:
    """Open a photo of one's own as an RGB image, turned upright, at most 2,048 px a side.

    `source` is a file's name, its bytes, or a file opened for reading bytes. The first frame of an
    animation; transparency on white; 16 bits and floats scaled to 8. PhotoError says in one
    sentence why the file cannot be used.
    """
    file, name = _file(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                if math.prod(image.size) > LARGEST_PHOTO:
                    raise Image.DecompressionBombError
                image.draft("RGB", (KEPT_SIDE, KEPT_SIDE))  # lets JPEG decode at a lower size
                image.thumbnail((KEPT_SIDE, KEPT_SIDE))
                return _rgb(ImageOps.exif_transpose(image))
    except FileNotFoundError as error:
        raise PhotoError(f"there is no file {file}") from error
    except UnidentifiedImageError as error:
        raise PhotoError(f"{name} is no picture in a format Pillow knows") from error
    except Image.DecompressionBombError as error:
        raise PhotoError(f"{name} has more than 150 million pixels: reduce it first") from error
    except (OSError, SyntaxError, EOFError, ValueError, RuntimeError) as error:
        raise PhotoError(f"{name} is damaged or unreadable ({str(error).strip()})") from error


def _file(source: object) -> tuple[Path | BinaryIO, str]:
    """What Pillow can open, and what to call it."""
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source), "this file"
    if hasattr(source, "read") and not isinstance(source, io.TextIOBase):
        return source, "this file"
    if not isinstance(source, str | Path) or source == "":
        nothing = source is None or isinstance(source, str)
        given = "nothing" if nothing else type(source).__name__
        raise PhotoError(
            f"a photo is a file's name, its bytes or a file opened with 'rb', not {given}"
        )
    if str(source).startswith(("http:", "https:")):
        raise PhotoError(f"{source} is a web address: save the picture to a file first")
    path = Path(source)
    if path.is_dir():
        raise PhotoError(f"{path} is a folder: name one file in it")
    return path, path.name


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, float)
        top = 65535 if image.mode.startswith("I") else max(values.max(), 1e-9)
        image = Image.fromarray((values / top * 255).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")
