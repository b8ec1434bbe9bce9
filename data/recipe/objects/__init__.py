"""The fourteen classes: one function each, from random numbers to a model."""

from .balloon import balloon
from .butterfly import butterfly
from .cactus import cactus
from .car import car
from .fish import fish
from .flower import flower
from .house import house
from .ladybird import ladybird
from .mug import mug
from .mushroom import mushroom
from .parts import Model
from .sailboat import sailboat
from .snail import snail
from .teapot import teapot
from .teddy import teddy

FUNCTIONS = [
    balloon,
    butterfly,
    cactus,
    car,
    fish,
    flower,
    house,
    ladybird,
    mug,
    mushroom,
    sailboat,
    snail,
    teapot,
    teddy,
]
CLASSES = {function.__name__: function for function in FUNCTIONS}

__all__ = ["CLASSES", "Model"]
