"""Random textures for grounds and walls, by name."""

from . import built, natural
from .common import SIZE, Texture

TEXTURES = {
    "wood": built.wood,
    "brick": built.brick,
    "tiles": built.tiles,
    "fabric": built.fabric,
    "carpet": built.carpet,
    "shelf": built.shelf,
    "soil": natural.soil,
    "sand": natural.sand,
    "pebbles": natural.pebbles,
    "grass": natural.grass,
    "leaves": natural.leaves,
    "stone": natural.stone,
    "snow": natural.snow,
    "water": natural.water,
}

__all__ = ["SIZE", "TEXTURES", "Texture"]
