"""Colours in linear light: conversion from sRGB and HSV, random colours of things, blending."""

import numpy as np

# hue ranges of paints and dyes (fractions of the colour circle) and how common each is:
# warm hues (listed twice) and blues are commoner than greens and violets
PAINT_HUES = [(-0.03, 0.14), (-0.03, 0.14), (0.52, 0.68), (0.2, 0.5), (0, 1)]
PAINT_SHARES = [0.25, 0.2, 0.25, 0.12, 0.18]


def linear(srgb) -> np.ndarray:
    """sRGB values in 0..1, any shape, as linear light (IEC 61966-2-1)."""
    srgb = np.asarray(srgb, float)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    """Linear RGB [3] of a hue (any number, one turn is 1), a saturation and a value in 0..1."""
    sixths = (np.asarray(hue, float) % 1) * 6
    sector = np.floor(sixths)
    f = sixths - sector
    p = value * (1 - saturation)
    q = value * (1 - saturation * f)
    t = value * (1 - saturation * (1 - f))
    corners = [
        (value, t, p),
        (q, value, p),
        (p, value, t),
        (p, q, value),
        (t, p, value),
        (value, p, q),
    ]
    return linear(corners[int(sector) % 6])


def bright_colour(
    rng: np.random.Generator, saturation=(0.25, 0.85), value=(0.3, 0.9), hue=None
) -> np.ndarray:
    """A random colour of paint or dye, linear RGB [3]; the arguments are ranges (low, high)."""
    if hue is None:
        hue = PAINT_HUES[rng.choice(5, p=PAINT_SHARES)]
    h = rng.uniform(*hue) % 1
    rarely_vivid = 0.2 < h < 0.5 or 0.68 < h < 0.93  # greens and violets
    s = rng.uniform(*saturation) * (0.75 if rarely_vivid else 1.0)
    return hsv(h, s, rng.uniform(*value))


def natural_colour(rng: np.random.Generator) -> np.ndarray:
    """A random brown, grey, green or dull paint, linear RGB [3]: the colours of most things."""
    kind = rng.random()
    if kind < 0.4:
        return hsv(rng.uniform(0.04, 0.12), rng.uniform(0.15, 0.65), rng.uniform(0.25, 0.85))
    if kind < 0.6:
        return hsv(rng.uniform(0, 1), rng.uniform(0, 0.12), rng.uniform(0.2, 0.9))
    if kind < 0.8:
        return hsv(rng.uniform(0.2, 0.38), rng.uniform(0.2, 0.6), rng.uniform(0.2, 0.6))
    return bright_colour(rng, (0.2, 0.7), (0.3, 0.8))


def mix(first, second, amount) -> np.ndarray:
    """Blend two colours (or arrays of colours); `amount` (any shape, clipped to 0..1) of second."""
    amount = np.clip(amount, 0, 1)[..., None]
    return np.asarray(first) * (1 - amount) + np.asarray(second) * amount


def soft_step(x, edge: float, width: float = 0.05) -> np.ndarray:
    """0 below the edge, 1 above it, a straight ramp of the given width between."""
    return np.clip((x - edge) / width + 0.5, 0, 1)
