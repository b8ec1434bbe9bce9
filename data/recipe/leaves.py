"""Other data: dead leaves of flat shapes, `python -m data.recipe.leaves OUT`.

Shapes of one colour each fall on one another and on a grey ground; the last one, in the middle,
is the picture's class. Dead leaves have edges at all scales, as photographs have (Lee,
Mumford & Huang 2001, International Journal of Computer Vision 41), and not a single object.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm

from .render import jpeg

SIZE, FINER = 160, 2  # pixels, and how many times finer the shapes are drawn
CORNERS = {"triangle": 3, "square": 4, "hexagon": 6, "disc": 60}  # of regular polygons
POINTS = {"cross": 4, "star": 5}  # of stars
SHAPES = (*CORNERS, *POINTS)
LEAVES, SMALLEST, LARGEST = 1000, 3, 60  # their number, and radii in pixels
TINT = 25  # standard deviation of the channels about a leaf's grey, of 255


def outline(shape: str, radius: float, turn: float, centre: np.ndarray) -> list:
    """The corners of a shape as points (x, y), in pixels; `turn` in radians."""
    count = CORNERS.get(shape) or 2 * POINTS[shape]
    angle = turn + 2 * np.pi * np.arange(count) / count
    radii = np.where(np.arange(count) % 2 & (shape in POINTS), 0.4 * radius, radius)
    points = np.stack([centre[0] + radii * np.cos(angle), centre[1] + radii * np.sin(angle)], 1)
    return [tuple(point) for point in points * FINER]


def picture(shape: str, index: int) -> Image.Image:
    """One picture of a class: a pure function of its shape and number."""
    random = np.random.default_rng([SHAPES.index(shape), index])
    # radii with density r^-3, by which a picture looks alike at every scale
    share = random.random(LEAVES + 1)
    radii = (SMALLEST**-2 * (1 - share) + LARGEST**-2 * share) ** -0.5
    centres = random.uniform(-LARGEST, SIZE + LARGEST, (LEAVES + 1, 2))
    radii[-1], centres[-1] = random.uniform(25, 45), SIZE / 2 + random.uniform(-20, 20, 2)
    names = [*random.choice(SHAPES, LEAVES), shape]
    turns = random.uniform(0, 2 * np.pi, LEAVES + 1)
    colours = random.uniform(0, 255, (LEAVES + 1, 1)) + random.normal(0, TINT, (LEAVES + 1, 3))
    colours = colours.clip(0, 255).astype(int).tolist()
    image = Image.new("RGB", (SIZE * FINER, SIZE * FINER), (128, 128, 128))
    draw = ImageDraw.Draw(image)
    for name, radius, turn, centre, colour in zip(names, radii, turns, centres, colours):
        draw.polygon(outline(name, radius, turn, centre), fill=tuple(colour))
    return image.resize((SIZE, SIZE), Image.Resampling.BOX)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=400, help="pictures of each shape")
    chosen = parser.parse_args()
    for shape in tqdm(SHAPES):
        (chosen.out / shape).mkdir(parents=True, exist_ok=True)
        for index in range(1000, 1000 + chosen.count):
            path = chosen.out / shape / f"{index}.jpg"
            path.write_bytes(jpeg(picture(shape, index)))


if __name__ == "__main__":
    main()
