"""What surrounds a scene, as a picture of all directions that also lights it.

Each picture is [HEIGHT, WIDTH, 3] in linear light: rows from straight up to straight down,
columns once round the horizon.
"""

import numpy as np

from .colours import hsv, linear, mix, natural_colour
from .noise import fractal

HEIGHT, WIDTH = 384, 768
TURN = 2 * np.pi


def directions() -> tuple[np.ndarray, np.ndarray]:
    """Elevation and azimuth of every pixel in radians, each [HEIGHT, WIDTH]."""
    elevation = np.pi / 2 - (np.arange(HEIGHT) + 0.5) / HEIGHT * np.pi
    azimuth = (np.arange(WIDTH) + 0.5) / WIDTH * 2 * np.pi
    shape = (HEIGHT, WIDTH)
    return np.broadcast_to(elevation[:, None], shape), np.broadcast_to(azimuth[None], shape)


ELEVATION, AZIMUTH = directions()


def _noise(rng: np.random.Generator, slope: float, stretch: tuple = (1, 1)) -> np.ndarray:
    return np.tile(fractal(HEIGHT, rng, slope, stretch), (1, 2))


def _glow(elevation: float, azimuth: float, width: float) -> np.ndarray:
    """A round light, 1 at its centre [HEIGHT, WIDTH, 1]."""
    cosine = np.sin(ELEVATION) * np.sin(elevation)
    cosine = cosine + np.cos(ELEVATION) * np.cos(elevation) * np.cos(AZIMUTH - azimuth)
    return np.exp((cosine - 1) / (width * width))[..., None]


def _sideways(azimuth: float) -> np.ndarray:
    """How far every pixel is from an azimuth, in radians."""
    return np.abs((AZIMUTH - azimuth + np.pi) % TURN - np.pi)


# ---------------------------------------------------------------- under the sky


def outdoors(rng: np.random.Generator, sun_azimuth: float, horizon: str = "land") -> np.ndarray:
    """Sky with clouds and a sun, and to the horizon land, flat sea, or land seen from the air.

    horizon is "land", "sea" or "air".
    """
    cover = rng.choice([0, 0.3, 0.6, 1.0], p=[0.25, 0.4, 0.2, 0.15])  # of the sky by clouds
    sun_height = rng.uniform(0.18, 1.15)
    warmth = np.exp(-sun_height * 2.5)  # of a low sun
    sky, haze = _sky(rng, cover, warmth)
    light = sky + _sun(rng, cover, warmth, sun_height, sun_azimuth)
    return np.clip(_land(rng, light, haze, horizon), 0, None)


def _sky(rng, cover: float, warmth: float) -> tuple[np.ndarray, np.ndarray]:
    """The sky without its sun, and the colour of the haze at the horizon."""
    zenith = hsv(rng.uniform(0.57, 0.63), rng.uniform(0.35, 0.8), rng.uniform(0.35, 0.8))
    cold_haze = hsv(0.58, rng.uniform(0.1, 0.45), 0.95)
    haze = mix(cold_haze, hsv(0.07, 0.45, 1.0), np.array(warmth * rng.uniform(0.2, 1.2)))
    height = np.clip(ELEVATION / (np.pi / 2), 0, 1)
    sky = mix(haze, zenith, height ** rng.uniform(0.2, 0.6))

    large = _noise(rng, 1.6, (rng.uniform(1.5, 3), 1))
    small = _noise(rng, 1.2)
    clouds = (large + 0.25 * small - (1 - 2 * cover)) * rng.uniform(0.6, 1.5)
    clouds = np.clip(clouds, 0, 1)
    white = mix(linear([0.95, 0.96, 1.0]), haze * 1.1, np.array(warmth))
    shaded = (1.05 - 0.35 * np.clip(large + 0.4 * small, 0, 1.5))[..., None] * white
    opacity = clouds * (0.95 if cover < 1 else 1)
    thinner_at_horizon = (ELEVATION > -0.1) * (0.5 + 0.5 * np.clip(ELEVATION * 5, 0, 1))
    return mix(sky, shaded, opacity * thinner_at_horizon), haze


def _sun(rng, cover: float, warmth: float, height: float, azimuth: float) -> np.ndarray:
    """The sun, wide and dim behind clouds."""
    cloudy = cover >= 0.6
    width = rng.uniform(0.15, 0.5) if cloudy else rng.uniform(0.02, 0.05)
    power = rng.uniform(6.0, 15.0) / (width * width * 2)
    power = power * (0.5 if cloudy else 1) * (0.35 if cover == 1.0 else 1)
    high, low = np.array([1, 0.95, 0.86]), np.array([1.0, 0.72, 0.45])
    colour = linear(high * (1 - warmth) + warmth * low)
    return _glow(height, azimuth, width) * colour * power / 3.14


def _land(rng, light: np.ndarray, haze: np.ndarray, horizon: str) -> np.ndarray:
    """Put ground below the horizon and ridges along it, the farther the hazier."""
    ground = natural_colour(rng) * 0.5
    ridges = rng.integers(2, 4) if horizon == "air" else rng.integers(2, 5)
    below = (ELEVATION < 0)[..., None]
    light = np.where(below, ground * (1 + 0.3 * _noise(rng, 1.0)[..., None]), light)
    for ridge in range(ridges):
        distance = 1 - ridge / ridges
        skyline = _skyline(rng)
        if horizon == "sea":
            top = rng.uniform(-0.01, 0.02) + 0.02 * np.maximum(skyline, 0)
        else:
            base = 0.02 + 0.1 * distance * rng.uniform(0.3, 1.6)
            top = base + rng.uniform(0.01, 0.05) * skyline
        if rng.random() < 0.7:
            woods = hsv(rng.uniform(0.2, 0.36), rng.uniform(0.2, 0.55), rng.uniform(0.15, 0.4))
        else:
            woods = natural_colour(rng) * 0.5
        fog = np.array(distance * rng.uniform(0.2, 0.75))
        towards_top = np.clip((ELEVATION - top[None]) * 8 + 0.3, -1, 0.4)
        shade = 1 + 0.35 * _noise(rng, 0.8) + 0.3 * towards_top
        colour = mix(woods * shade[..., None], haze * 0.9, fog)
        treetops = 0.006 * _noise(rng, 0.5) * (rng.random() < 0.7)
        covered = (ELEVATION < top[None] + treetops) & (ELEVATION > -0.35)
        light = np.where(covered[..., None], colour, light)
    return light


def _skyline(rng) -> np.ndarray:
    """A random periodic line [WIDTH] of standard deviation 1."""
    slope = rng.uniform(1.0, 1.9)
    spectrum = np.fft.rfft(rng.standard_normal(WIDTH))
    spectrum = spectrum / np.maximum(np.arange(len(spectrum)), 1) ** slope
    spectrum[0] = 0
    line = np.fft.irfft(spectrum, WIDTH)
    return line / line.std()


# ---------------------------------------------------------------- elsewhere


def indoors(rng: np.random.Generator, sun_azimuth: float) -> np.ndarray:
    """A room out of focus: furniture and pictures, lamps, and a window on the sun's side."""
    walls = natural_colour(rng) * 0.5 + 0.1
    light = walls * (0.35 + 0.12 * _noise(rng, 1.3))[..., None]
    light = light * (1 + 0.6 * np.sin(ELEVATION))[..., None]
    for _ in range(rng.integers(20, 70)):  # furniture and pictures
        azimuth, elevation = rng.uniform(0, TURN), rng.normal(0, 0.4)
        width, height = rng.gamma(2, 0.07), rng.gamma(2, 0.07)
        inside = (_sideways(azimuth) < width) & (np.abs(ELEVATION - elevation) < height)
        light = np.where(inside[..., None], natural_colour(rng) * rng.uniform(0.1, 0.8), light)
    for _ in range(rng.integers(3, 25)):  # small lamps
        if rng.random() < 0.5:
            elevation, azimuth = rng.uniform(-0.1, 0.9), rng.uniform(0, TURN)
            lamp = _glow(elevation, azimuth, rng.uniform(0.01, 0.03))
            light = light + lamp * linear([1, 0.85, 0.6]) * rng.uniform(1, 8)
    for number in range(rng.integers(1, 4)):  # windows and large lamps
        first = number == 0
        azimuth = sun_azimuth if first else rng.uniform(0, TURN)
        elevation = rng.uniform(0.25, 1.1)
        width, height = rng.uniform(0.15, 0.6), rng.uniform(0.15, 0.5)
        window = np.clip((width - _sideways(azimuth)) * 20, 0, 1)
        window = window * np.clip((height - np.abs(ELEVATION - elevation)) * 20, 0, 1)
        colour = linear([0.9, 0.95, 1.0] if rng.random() < 0.5 else [1, 0.85, 0.65])
        power = window[..., None] * colour * rng.uniform(3, 14) / (width * height * 12)
        light = light + power * (1 if first else 0.5)
    return np.clip(light, 0, None)


def under_water(rng: np.random.Generator, sun_azimuth: float) -> np.ndarray:
    """Water all around, darker below, with a wide glow from above."""
    hue = rng.uniform(0.46, 0.62)
    clarity = rng.uniform(0.15, 1)
    deep = hsv(hue, rng.uniform(0.6, 0.9) * clarity, rng.uniform(0.2, 0.5))
    shallow = hsv(hue - 0.04, rng.uniform(0.3, 0.6) * clarity, rng.uniform(0.8, 0.98))
    light = mix(deep, shallow, np.clip(ELEVATION / 1.2 + 0.35, 0, 1) ** 1.5)
    light *= (1 + 0.12 * _noise(rng, 1.3))[..., None]
    glow = _glow(rng.uniform(0.8, 1.5), sun_azimuth, rng.uniform(0.15, 0.4))
    return light + glow * shallow * rng.uniform(6, 20)
