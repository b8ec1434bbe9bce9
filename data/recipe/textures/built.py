"""Floors, walls and cloths as people make them; every function draws one random texture."""

import numpy as np

from ..colours import bright_colour, hsv, mix, natural_colour, soft_step
from .common import SIZE, Texture, from_border, grain, grid


def wood(rng: np.random.Generator) -> Texture:
    """Planks with rings and fibres, side by side."""
    _, column = grid()
    planks = rng.integers(2, 7)
    plank = np.floor(column * planks).astype(int)
    shift = rng.random(planks) * 9
    tone = rng.uniform(0.65, 1.15, planks)
    warp = grain(rng, 1.6, (6, 1))
    phase = column * planks * rng.uniform(3, 8) + warp * rng.uniform(0.5, 1.3) + shift[plank]
    rings = np.sin(phase * 2 * np.pi) * 0.5 + 0.5
    fibres = grain(rng, 0.9, (14, 1))
    light = hsv(rng.uniform(0.04, 0.11), rng.uniform(0.35, 0.7), rng.uniform(0.45, 0.85))
    dark = light * rng.uniform(0.3, 0.65)
    colours = mix(light, dark, rings * 0.5 + fibres * 0.18) * tone[plank][..., None]
    gaps = soft_step(np.abs((column * planks) % 1 - 0.5) * 2, 0.985, 0.02)
    colours = colours * (1 - 0.8 * gaps[..., None])
    return Texture(colours, -0.6 * gaps + 0.05 * fibres, rng.uniform(0.25, 0.6))


def brick(rng: np.random.Generator) -> Texture:
    """A brick wall in running bond."""
    row, column = grid()
    courses = rng.integers(6, 12) * 2
    bricks = courses // rng.integers(2, 4)
    course = np.floor(row * courses).astype(int)
    x = column * bricks + 0.5 * (course % 2)
    number = np.floor(x).astype(int) % bricks
    border = np.minimum(from_border(row * courses) / courses * bricks, from_border(x))
    is_brick = soft_step(border + grain(rng, 1.1) * 0.012, 0.06, 0.04)
    tone = rng.uniform(0.6, 1.3, (courses, bricks))[course, number]
    if rng.random() < 0.4:
        clay = natural_colour(rng)
    else:
        clay = hsv(rng.uniform(0, 0.07), rng.uniform(0.4, 0.7), rng.uniform(0.4, 0.75))
    clay = clay * tone[..., None] * (1 + 0.16 * grain(rng)[..., None])
    mortar = hsv(0.1, 0.1, rng.uniform(0.4, 0.85)) * (1 + 0.1 * grain(rng, 0.8)[..., None])
    return Texture(mix(mortar, clay, is_brick), is_brick * 0.6 + 0.06 * grain(rng), 0.85)


def tiles(rng: np.random.Generator) -> Texture:
    """Square tiles in one colour or as a chessboard."""
    row, column = grid()
    count = rng.integers(5, 14)
    i, j = np.floor(row * count).astype(int), np.floor(column * count).astype(int)
    tone = rng.uniform(0.85, 1.12, (count, count))[i, j]
    border = np.minimum(from_border(row * count), from_border(column * count))
    is_tile = soft_step(border, 0.035, 0.03)
    first, second = natural_colour(rng), natural_colour(rng)
    chessboard = count % 2 == 0 and rng.random() < 0.6
    odd = ((i + j) % 2 if chessboard else np.zeros_like(i)).astype(float)
    colours = mix(first, second, odd) * tone[..., None] * (1 + 0.09 * grain(rng, 1.2)[..., None])
    colours = mix(hsv(0.1, 0.1, 0.5), colours, is_tile)
    return Texture(colours, is_tile * 0.4, rng.uniform(0.12, 0.5))


def fabric(rng: np.random.Generator) -> Texture:
    """Woven cloth: checked, striped, dotted or plain."""
    row, column = grid()
    count = rng.integers(3, 12)
    ground, print_colour, _ = natural_colour(rng), bright_colour(rng), bright_colour(rng)
    width = rng.uniform(0.1, 0.5)
    down = soft_step(np.abs((row * count) % 1 - 0.5) * 2, 1 - width, 0.03)
    across = soft_step(np.abs((column * count) % 1 - 0.5) * 2, 1 - width, 0.03)
    pattern = rng.integers(4)
    if pattern == 0:  # checks
        colours = mix(mix(ground, print_colour, down * 0.6), print_colour, across * 0.6)
    elif pattern == 1:  # stripes
        colours = mix(ground, print_colour, down)
    elif pattern == 2:  # dots, every second row shifted by half
        shifted = (row * count + 0.5 * (np.floor(column * count) % 2)) % 1
        from_centre = np.hypot(shifted - 0.5, (column * count) % 1 - 0.5)
        colours = mix(ground, print_colour, soft_step(-from_centre, -width, 0.03))
    else:
        colours = np.broadcast_to(ground, (SIZE, SIZE, 3))
    weave = np.sin(row * SIZE * np.pi / 3) * np.sin(column * SIZE * np.pi / 3)
    folds = grain(rng, 1.6)
    light = 1 + 0.12 * weave + 0.1 * grain(rng, 0.9)
    return Texture(colours * light[..., None], folds * 0.5 + 0.03 * weave, 0.95)


def carpet(rng: np.random.Generator) -> Texture:
    """Carpet of one colour."""
    pile = grain(rng, 0.15)
    colour = natural_colour(rng)
    light = 1 + 0.25 * pile + 0.12 * grain(rng, 1.2)
    return Texture(colour * light[..., None], 0.12 * pile, 1.0)


def shelf(rng: np.random.Generator) -> Texture:
    """Books or bottles in rows: upright slabs of random colour with bands across them."""
    colours = np.zeros((SIZE, SIZE, 3))
    boards = rng.integers(2, 5)
    palette = [natural_colour(rng) for _ in range(4)] + [bright_colour(rng) for _ in range(3)]
    edges = np.linspace(0, SIZE, boards + 1).astype(int)
    for top, bottom in zip(edges[:-1], edges[1:]):
        colours[top:bottom] = palette[0] * 0.08
        foot = bottom - 8
        left = 0
        while left < SIZE:
            width = int(rng.uniform(0.012, 0.06) * SIZE)
            height = int((bottom - top) * rng.uniform(0.55, 0.92))
            colour = palette[rng.integers(len(palette))] * rng.uniform(0.5, 1.2)
            back = np.sin(np.linspace(0.25, np.pi - 0.25, width))
            back = back[None, : min(width, SIZE - left), None]
            colours[foot - height : foot, left : left + width] = colour * back
            for _ in range(rng.integers(0, 4)):
                band = foot - int(height * rng.uniform(0.1, 0.9))
                ink = colour * rng.uniform(0.3, 0.7) + rng.choice([0, 0.4])
                thickness = rng.integers(2, 9)
                colours[band : band + thickness, left : left + width] = ink * back
            left += width + rng.integers(0, 4)
        colours[foot:bottom] = palette[1] * 0.6
    light = 1 + 0.08 * grain(rng, 0.9)[..., None]
    return Texture(colours * light, np.zeros((SIZE, SIZE)), 0.7)
