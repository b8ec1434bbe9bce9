"""Grounds and walls as nature makes them; every function draws one random texture."""

import numpy as np

from ..colours import hsv, mix, natural_colour, soft_step
from .common import SIZE, Texture, cells, grain, grid


def soil(rng: np.random.Generator) -> Texture:
    """Earth, every second time with moss."""
    coarse, fine = grain(rng), grain(rng, 0.5)
    earth = hsv(rng.uniform(0.05, 0.12), rng.uniform(0.3, 0.6), rng.uniform(0.25, 0.6))
    colours = mix(earth, earth * 0.35, 0.5 + 0.3 * coarse) * (1 + 0.25 * fine[..., None])
    if rng.random() < 0.5:
        moss = hsv(rng.uniform(0.2, 0.3), 0.55, rng.uniform(0.25, 0.5))
        patches = grain(rng, 1.2) + 0.4 * fine
        colours = mix(colours, moss, soft_step(patches, rng.uniform(-0.5, 1), 0.8))
    return Texture(colours, 0.35 * coarse + 0.15 * fine, 0.95)


def sand(rng: np.random.Generator) -> Texture:
    """Sand, every second time with ripples."""
    row, _ = grid()
    dunes = grain(rng, 1.7)
    count = rng.integers(8, 26)
    ripples = np.sin((row * count + dunes * 0.5) * 2 * np.pi) * rng.choice([0, 0.4])
    fine = grain(rng, 0.3)
    colour = hsv(rng.uniform(0.08, 0.13), rng.uniform(0.15, 0.45), rng.uniform(0.6, 0.95))
    light = 1 + 0.12 * fine + 0.06 * grain(rng, 1.2) + 0.06 * ripples
    return Texture(colour * light[..., None], 0.5 * ripples + 0.25 * dunes + 0.06 * fine, 0.95)


def pebbles(rng: np.random.Generator) -> Texture:
    """Pebbles of one family of colours."""
    nearest, second, number = cells(rng, rng.integers(120, 900))
    inside = second - nearest
    family = natural_colour(rng)
    stones = []
    for _ in range(number.max() + 1):
        stone = mix(family, natural_colour(rng), np.array(rng.uniform(0, 0.7)))
        stones.append(stone * rng.uniform(0.5, 1.3))
    joint = soft_step(inside, 0.12, 0.2)[..., None]
    colours = np.stack(stones)[number] * (1 + 0.12 * grain(rng, 0.8)[..., None])
    relief = np.sqrt(np.clip(inside, 0, 1)) * 1.3
    return Texture(colours * (0.15 + 0.85 * joint), relief, rng.uniform(0.4, 0.9))


def grass(rng: np.random.Generator) -> Texture:
    """Short grass, seen from above, with dry patches."""
    hue = rng.uniform(0.19, 0.31)
    coarse = grain(rng)
    lying, standing = grain(rng, 0.35, (1, 4)), grain(rng, 0.35, (4, 1))
    blades = np.maximum(lying, standing)
    dark = hsv(hue, 0.6, 0.14)
    bright = hsv(hue - 0.03, 0.55, rng.uniform(0.4, 0.65))
    colours = mix(dark, bright, 0.35 + 0.3 * blades + 0.12 * coarse)
    dry = soft_step(grain(rng) + 0.5 * lying, 1.2, 0.8)
    return Texture(mix(colours, hsv(0.12, 0.4, 0.55), dry), 0.3 * blades, 0.8)


def leaves(rng: np.random.Generator) -> Texture:
    """Dead leaves: discs, ellipses or rectangles of random size over each other.

    The model of natural pictures of Lee, Mumford & Huang (2001): sizes follow a power law.
    """
    count = 900
    owner = np.zeros((SIZE, SIZE), int)
    relief = np.zeros((SIZE, SIZE))
    shade = np.ones((SIZE, SIZE))
    palette = [natural_colour(rng) for _ in range(rng.integers(2, 7))]
    rectangles = rng.random() < 0.4
    for leaf in range(count):
        radius = SIZE * 0.012 * rng.pareto(1.6) + SIZE * 0.015
        radius = np.clip(radius, 0, SIZE * 0.16)
        slimness = rng.uniform(0.35, 1)
        turn = rng.choice([0, np.pi / 2]) if rectangles else rng.uniform(0, np.pi)
        left, top = rng.integers(0, SIZE, 2)
        reach = int(radius) + 2
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        u = (x * np.cos(turn) + y * np.sin(turn)) / radius
        v = (y * np.cos(turn) - x * np.sin(turn)) / (radius * slimness)
        if rectangles:
            inside = np.maximum(abs(u), abs(v)) < 0.9
        else:
            inside = (np.abs(v) < 1 - u * u) & (u * u < 1)
        rows, columns = ((top + y) % SIZE)[inside], ((left + x) % SIZE)[inside]
        owner[rows, columns] = leaf
        shade[rows, columns] = (1 + 0.25 * v + 0.1 * u)[inside]
        relief[rows, columns] = (0.2 * v + 0.1 * rng.random())[inside]
    colours = []
    for _ in range(count):
        colour = palette[rng.integers(len(palette))] * rng.uniform(0.5, 1.25)
        colours.append(colour + 0.05 * rng.random(3) * rng.random())
    light = (shade * (1 + 0.1 * grain(rng, 0.8)))[..., None]
    return Texture(np.stack(colours)[owner] * light, relief, rng.uniform(0.4, 0.9))


def stone(rng: np.random.Generator) -> Texture:
    """Polished or rough stone, every second time with dark veins."""
    coarse, fine = grain(rng, 1.2), grain(rng, 0.7)
    colours = mix(natural_colour(rng), natural_colour(rng), 0.5 + 0.35 * coarse)
    colours = colours * (1 + 0.13 * fine[..., None])
    veins = np.exp(-np.abs(grain(rng, 1.3)) * 14)[..., None]
    colours = colours * (1 - 0.4 * veins * rng.choice([0, 1]))
    return Texture(colours, 0.2 * coarse + 0.1 * fine, rng.uniform(0.2, 0.8))


def snow(rng: np.random.Generator) -> Texture:
    """Snow."""
    drifts = grain(rng, 1.5)
    colours = hsv(0.58, 0.04, 0.93) * (1 + 0.03 * grain(rng, 0.5)[..., None])
    return Texture(colours, drifts * 0.6, 0.7)


def water(rng: np.random.Generator) -> Texture:
    """Water with waves that run across the picture."""
    waves = grain(rng, 1.25, (1, rng.uniform(1.2, 2.5)))
    colour = hsv(rng.uniform(0.45, 0.62), rng.uniform(0.4, 0.8), rng.uniform(0.15, 0.45))
    colours = mix(colour, colour * 2 + 0.05, 0.3 + 0.2 * waves)
    return Texture(colours, waves, rng.uniform(0.06, 0.2))
