"""The camera: where it stands, what it focuses on, and how it develops a picture."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .objects import Model

LOWEST_CAMERA = 0.12  # units of the scene above the ground
LUMINANCE = [0.2126, 0.7152, 0.0722]  # of linear RGB (ITU-R BT.709)


@dataclass(frozen=True)
class View:
    """Where a camera stands: positions [3] in scene units, angles in radians."""

    centre: np.ndarray  # of the object
    radius: float  # of the object
    distance: float  # from the camera to its target
    position: np.ndarray
    target: np.ndarray
    towards_camera: np.ndarray  # unit vector from the target, before the camera met the ground
    right: np.ndarray  # unit vector to the right in the picture
    azimuth: float  # 0: the camera stands at negative y; counter-clockwise seen from above
    field_of_view: float  # degrees

    @property
    def elevation(self) -> float:
        """How far the camera looks down, in radians."""
        to_camera = self.position - self.target
        return float(np.arcsin(to_camera[2] / np.linalg.norm(to_camera)))


@dataclass(frozen=True)
class Lens:
    """How a camera is held and focused: up [3] in the picture, lengths in scene units."""

    up: np.ndarray
    aperture_radius: float
    focus_distance: float


def choose_view(rng: np.random.Generator, model: Model) -> View:
    """A random view of a model that shows it large and seldom cut off."""
    low, high = model.mesh.vertices.min(0), model.mesh.vertices.max(0)
    centre = (low + high) / 2
    radius = np.percentile(np.linalg.norm(model.mesh.vertices - centre, axis=1), 98)
    if model.azimuth_spread is None:
        azimuth = rng.uniform(0, 2 * np.pi)
    else:
        azimuth = np.deg2rad(rng.normal(0, 1) * model.azimuth_spread)
    elevation = np.deg2rad(rng.uniform(*model.elevation))
    field_of_view = rng.uniform(16, 42)
    fill = rng.uniform(0.72, 1.15)
    distance = radius / np.tan(np.deg2rad(field_of_view / 2)) / fill
    off_centre = rng.normal(0, 0.13, 2) * radius / fill
    towards_camera = np.array(
        [
            np.sin(azimuth) * np.cos(elevation),
            -np.cos(azimuth) * np.cos(elevation),
            np.sin(elevation),
        ]
    )
    right = np.array([np.cos(azimuth), np.sin(azimuth), 0])
    target = centre + right * off_centre[0] + np.array([0, 0, off_centre[1]])
    position = target + towards_camera * distance
    if model.place != "sky":
        position[2] = max(position[2], LOWEST_CAMERA)
    return View(
        centre, radius, distance, position, target, towards_camera, right, azimuth, field_of_view
    )


def choose_lens(rng: np.random.Generator, view: View) -> Lens:
    """A camera held a little askew, focused on the front of the object, blurring what is behind."""
    roll = np.deg2rad(rng.normal(0, 4))
    up = np.array([0, 0, 1.0]) * np.cos(roll) + view.right * np.sin(roll)
    opening = rng.choice([0, 0.004, 0.012, 0.03], p=[0.2, 0.3, 0.3, 0.2])
    aperture_radius = opening * view.distance / 3 * 1.95 * view.radius + 1e-4
    to_object = np.linalg.norm(view.position - view.centre)
    return Lens(up, aperture_radius, to_object - 0.3 * view.radius)


def develop(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A picture [N, N, 3] in 0..1 as a small camera makes it of linear light [N, N, 3]."""
    light = _expose(_without_fireflies(np.nan_to_num(light)))
    light = light * np.exp(rng.normal(0, 0.2))  # exposure is never quite right
    light = light * np.exp(rng.normal(0, [0.07, 0.015, 0.08]))  # nor is the white balance
    size = len(light)
    line = np.linspace(-1, 1, size)
    from_centre = line[:, None] ** 2 + line[None] ** 2
    light = light * (1 - rng.uniform(0, 0.18) * from_centre)[..., None]  # vignette
    grey = (light * 0.8 + 0.02).mean(-1, keepdims=True)
    light = np.maximum(grey + (light - grey) * rng.uniform(0.8, 1.12), 0)  # saturation
    picture = _tone(light, rng)
    blur = rng.choice([0, 0.35, 0.55], p=[0.7, 0.2, 0.1])
    if blur:
        picture = ndimage.gaussian_filter(picture, (blur, blur, 0))
    amount = rng.gamma(2, 0.0035)
    noise = rng.standard_normal((size, size, 3)) * 0.6 + rng.standard_normal((size, size, 1))
    picture = picture + amount * noise * (0.5 + np.sqrt(np.clip(picture, 0, 1)) * 0.6)
    return np.clip(picture, 0, 1)


def _without_fireflies(light: np.ndarray) -> np.ndarray:
    """Dim single pixels that are far brighter than those round them."""
    brightness = light.mean(-1)
    highest = np.maximum(ndimage.median_filter(brightness, 3) * 3.5, 0.05)
    return light * np.minimum(1, highest / np.maximum(brightness, 1e-6))[..., None]


def _expose(light: np.ndarray) -> np.ndarray:
    """Bring the mean to a medium grey, but do not burn the brightest parts out."""
    luminance = light @ LUMINANCE
    geometric_mean = np.exp(np.log(luminance + 1e-3).mean())
    exposure = 0.5 * (0.17 / max(geometric_mean, 1e-3))
    exposure = exposure + 0.5 * (0.2 / max(luminance.mean(), 1e-3))
    brightest = max(np.percentile(luminance, 96), 1e-3)
    return light * min(exposure, 1.1 / brightest * 1.6)


def _tone(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """From linear light to display values: film-like shoulder, gamma, levels and contrast."""
    picture = np.power(np.maximum(1 - np.exp(-1.25 * light), 0), 1 / 2.1)
    black, white = np.percentile(picture, [0.7, 99.3])
    stretch = rng.uniform(0.45, 1) * 0.85
    picture = (picture - black * stretch) / (1 - (1 - white) * stretch - black * stretch)
    contrast = rng.uniform(0.0, 0.22)
    picture = np.clip(picture, 0, 1)
    s_curve = picture * picture * (3 - 2 * picture)
    return picture + contrast * (s_curve - picture) * 2
