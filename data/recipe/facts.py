"""Facts about the gallery's pictures, into data/miniatures/index.csv: `python -m data.recipe.facts`

Camera and place come from the scenes, which are set up but not rendered; the main colour and the
object's share come from the committed pictures and masks. One row for each picture:

class, index
azimuth    where the camera stands, degrees: 0 sees the front of the object, 90 its left side,
           180 its back, -90 its right side. What the front is says the object's function; objects
           without one (balloon, cactus, flower, mushroom) are taken to look along negative y.
elevation  how far the camera looks down, degrees; negative looks up
place      nature, outdoor, desert, indoor, water, under water or sky
ground     the texture on the ground
wall       the texture on the wall behind the object, or none
colour     the commonest of eleven colour names among the object's pixels
share      of the picture that the object covers, 0..1
"""

import argparse
import csv
import os
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from .camera import View
from .objects import CLASSES, Model
from .render import GALLERY, paths
from .scene import build

FIELDS = "class index azimuth elevation place ground wall colour share".split()
NO_FRONT = -90  # degrees from the x axis: the direction of negative y
OBJECT = 128  # pixels whose mask is at least this belong to the object
# hues in degrees up to which a colour has a name; past the last one red begins again
HUE_NAMES = [(12, "red"), (42, "orange"), (70, "yellow"), (165, "green"), (255, "blue")]
HUE_NAMES += [(305, "purple"), (343, "pink"), (360, "red")]
COLOURS = "black white grey brown red orange yellow green blue purple pink".split()


def colour_names(pixels: np.ndarray) -> np.ndarray:
    """One of the eleven basic colour terms of English (Berlin & Kay, 1969) for sRGB uint8 [N, 3].

    Dark is black, and pale is white or grey; hues are cut at fixed angles; dark orange and dark
    red of low saturation are brown, bright red of low saturation is pink.
    """
    rgb = pixels.astype(float) / 255
    value, lowest = rgb.max(1), rgb.min(1)
    chroma = value - lowest
    saturation = chroma / np.maximum(value, 1e-9)
    hue = _hue_degrees(rgb, value, chroma)
    number = np.searchsorted([end for end, _ in HUE_NAMES], hue, side="right")
    names = np.array([name for _, name in HUE_NAMES])[np.minimum(number, len(HUE_NAMES) - 1)]
    warm = (names == "red") | (names == "orange")
    names = np.where((names == "red") & (saturation < 0.5) & (value > 0.65), "pink", names)
    brown = ((names == "orange") & (value < 0.65)) | (warm & (value < 0.6) & (saturation < 0.65))
    names = np.where(brown, "brown", names)
    pale = saturation < 0.15
    names = np.where(pale, "grey", names)
    names = np.where(pale & (value > 0.75), "white", names)
    return np.where(value < 0.2, "black", names)


def _hue_degrees(rgb: np.ndarray, value: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    red, green, blue = rgb.T
    chroma = np.maximum(chroma, 1e-9)
    sixths = np.where(value == green, (blue - red) / chroma + 2, (red - green) / chroma + 4)
    sixths = np.where(value == red, (green - blue) / chroma, sixths)
    return sixths * 60 % 360


def main_colour(picture: np.ndarray, mask: np.ndarray) -> str:
    """The commonest colour name among the object's pixels; picture [H, W, 3], mask [H, W] uint8."""
    names = colour_names(picture[mask >= OBJECT])
    return max(COLOURS, key=lambda name: np.count_nonzero(names == name))


def share(mask: np.ndarray) -> float:
    """The share of the picture that the object covers, from its soft mask uint8 [H, W]."""
    return float(mask.mean() / 255)


def camera_angles(model: Model, view: View) -> tuple[float, float]:
    """Azimuth (-180..180, 0 at the object's front) and elevation of the camera in degrees."""
    front = NO_FRONT if model.front is None else model.front
    direction = np.rad2deg(view.azimuth) - 90  # from the x axis
    azimuth = (direction - front + 180) % 360 - 180
    return float(azimuth), float(np.rad2deg(view.elevation))


def facts(name: str, index: int, gallery: Path = GALLERY) -> dict[str, str | int]:
    """The row of one picture; FileNotFoundError if it is not in the gallery."""
    picture_path, mask_path = paths(gallery, name, index)
    picture = np.array(Image.open(picture_path).convert("RGB"))
    mask = np.array(Image.open(mask_path))
    scene, _ = build(name, index)
    azimuth, elevation = camera_angles(scene.model, scene.view)
    return {
        "class": name,
        "index": index,
        "azimuth": f"{azimuth:.1f}",
        "elevation": f"{elevation:.1f}",
        "place": scene.model.place,
        "ground": scene.place.ground,
        "wall": scene.place.wall or "none",
        "colour": main_colour(picture, mask),
        "share": f"{share(mask):.4f}",
    }


def _rows_so_far(path: Path) -> list[dict]:
    """The complete rows of an interrupted run."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file, FIELDS) if row["share"]]


def main() -> None:
    """The command line: rows are kept as they are made, so that a run can be interrupted."""
    parser = argparse.ArgumentParser(prog="python -m data.recipe.facts", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--gallery", type=Path, default=GALLERY, help="folder of the pictures")
    parser.add_argument("--out", type=Path, default=GALLERY.parent / "index.csv")
    options = parser.parse_args()

    part = options.out.with_name(f".{options.out.name}.part")
    rows = _rows_so_far(part)
    done = {(row["class"], int(row["index"])) for row in rows}
    every_one = [
        (name, int(path.stem))
        for name in CLASSES
        for path in sorted((options.gallery / name).glob("[0-9]*.jpg"))
    ]
    if not every_one:
        parser.exit(1, f"there are no pictures in {options.gallery}\n")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writerows(rows)
        for name, index in tqdm([job for job in every_one if job not in done], unit="picture"):
            rows.append(facts(name, index, options.gallery))
            writer.writerow(rows[-1])
            file.flush()
    rows.sort(key=lambda row: (row["class"], int(row["index"])))
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(part, options.out)


if __name__ == "__main__":
    main()
