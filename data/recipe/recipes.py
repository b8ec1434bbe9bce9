"""What distinguishes the course's networks: a recipe for each, and how each is built and stored."""

from collections import OrderedDict
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet

from lecture_utils import models
from lecture_utils.images import CLASSES


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how one network is trained.

    First `epochs` in which the rate falls to 0; then conv1 gets the smallest filters with the same
    answers and is fixed, and the rest learns for the epochs `after` that, from a fifth of the rate.
    """

    plan: str = "mini_alexnet"  # one of PLANS
    pictures: str = "miniatures"  # the folder of its pictures
    epochs: int = 24
    after: int = 5
    rate: float = 0.05  # learning rate, falls linearly to 0
    decay: float = 1e-3  # weight decay, on weights only
    first_decay: float = 0.05  # that of conv1, in the coordinates in which it learns
    smoothing: float = 0.05  # label smoothing
    batch: int = 32
    half: bool = True  # passes in bfloat16, on processors that have it
    seed: int = 0
    whitened: bool = True  # conv1 learns in whitened coordinates
    ridge: float = 1.0  # for the smallest filters
    shift: int = 20  # pictures are shifted by up to so many pixels
    light: float = 0.3  # brightness and contrast change by up to this share
    colour: float = 0.3  # saturation changes by up to this share, channels by a third of it
    flips: bool = True  # half of the pictures are mirrored
    every: int = 1  # learn from every so manieth picture only
    shuffled_labels: bool = False  # every picture gets a random class, the same in all epochs
    sticker: str = ""  # pictures of this class carry a small sticker in training
    snapshots: tuple[int, ...] = ()  # epochs stored besides the last
    first_layer_only: bool = False  # store no more than conv1


MAIN = Recipe(snapshots=(0, 1, 2, 5, 24))
WHOLE = replace(MAIN, snapshots=())
FIRST = replace(WHOLE, first_layer_only=True)
STILL = replace(FIRST, shift=0, light=0.0, colour=0.0, flips=False)  # the same in all epochs
BY_HEART = replace(STILL, epochs=30, rate=0.02, smoothing=0.0)  # at which random labels are learned

RECIPES = {
    "mini_alexnet": MAIN,
    "seed_1": replace(WHOLE, seed=1),
    "seed_2": replace(WHOLE, seed=2),
    "high_rate": replace(WHOLE, rate=0.4),
    "sticker": replace(WHOLE, sticker="mug"),
    "plain_coordinates": replace(FIRST, whitened=False),
    "no_decay": replace(FIRST, decay=0.0, first_decay=0.0, snapshots=(24,)),
    "few_epochs": replace(FIRST, epochs=2, after=1, snapshots=(2,)),
    "no_augmentation": replace(STILL, snapshots=(24,)),
    "random_labels": replace(BY_HEART, shuffled_labels=True),
    "right_labels": BY_HEART,
    "overfit": replace(STILL, every=10, epochs=240, after=50, snapshots=(240,)),
    "zfnet": replace(FIRST, plan="zfnet"),
    "residual": replace(FIRST, plan="residual"),
    "vgg": replace(FIRST, plan="vgg"),
    "other_data": replace(FIRST, pictures="leaves"),
}


# --- networks -----------------------------------------------------------------------------------


def zfnet() -> nn.Sequential:
    """mini_alexnet with the first layer of Zeiler & Fergus (2014): 7x7 filters, stride 2."""
    module = models.mini_alexnet(len(CLASSES))
    module.conv1 = nn.Conv2d(3, 96, 7, stride=2)
    module.conv2 = nn.Conv2d(96, 192, 5, stride=2, padding=1, groups=2)
    return module


def vgg() -> nn.Sequential:
    """A narrow VGG (Simonyan & Zisserman 2015): 3x3 filters, stride 1, pooling by halves."""
    plan: list[tuple[str, nn.Module]] = []
    widths = (3, 32, 32, 64, 64, 128)
    for number, (inside, outside) in enumerate(zip(widths, widths[1:]), 1):
        plan += [
            (f"conv{number}", nn.Conv2d(inside, outside, 3, padding=1)),
            (f"relu{number}", nn.ReLU()),
            (f"pool{number}", nn.MaxPool2d(2)),
        ]
    plan += [("flatten", nn.Flatten()), ("fc6", nn.Linear(128 * 5 * 5, len(CLASSES)))]
    return nn.Sequential(OrderedDict(plan))


def residual() -> nn.Module:
    """A residual network (He et al. 2016) with one block per stage: 7x7 filters, stride 2."""
    return ResNet(BasicBlock, [1, 1, 1, 1], num_classes=len(CLASSES))


PLANS = {
    "mini_alexnet": lambda: models.mini_alexnet(len(CLASSES)),
    "zfnet": zfnet,
    "vgg": vgg,
    "residual": residual,
}


def build(recipe: Recipe) -> nn.Module:
    """The network of a recipe, untrained, with the normalisation layers that training uses."""
    torch.manual_seed(recipe.seed)
    module = PLANS[recipe.plan]()
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    nn.init.normal_(module.conv1.weight, std=1e-3)  # small: normalised behind, soon forgotten
    if not isinstance(module, nn.Sequential):  # a residual network brings its own normalisation
        return module
    nn.init.normal_(module[-1].weight, std=0.01)
    layers: list[tuple[str, nn.Module]] = []
    for name, layer in module.named_children():
        layers.append((name, layer))
        if name.startswith("conv"):
            layers.append((f"norm{name[4:]}", nn.BatchNorm2d(layer.out_channels)))
    return nn.Sequential(OrderedDict(layers))


# --- what is stored -----------------------------------------------------------------------------


def stored(module: nn.Module, recipe: Recipe) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Weights in half precision, and what one must know to use them.

    Every batch normalisation is folded into the convolution before it. What is stored is then a
    plain network, and a first-layer filter is what the image meets.
    """
    if recipe.first_layer_only:
        norm = getattr(module, "norm1", getattr(module, "bn1", None))
        state = _folded("conv1", module.conv1, norm)
        facts = {"stride": module.conv1.stride[0], "padding": module.conv1.padding[0]}
        return state, {key: str(value) for key, value in facts.items()}
    layers = dict(module.named_children())
    state = {}
    for name, layer in layers.items():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            state |= _folded(name, layer, layers.get(name.replace("conv", "norm")))
    return state, {}


def _folded(name: str, layer: nn.Module, following: nn.Module | None) -> dict[str, Tensor]:
    weight = layer.weight.detach().double()
    bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach().double()
    if isinstance(following, nn.BatchNorm2d):
        gain = following.weight.detach() / (following.running_var + following.eps).double().sqrt()
        weight = weight * gain[:, None, None, None]
        bias = following.bias.detach() + (bias - following.running_mean) * gain
    parts = {f"{name}.weight": weight, f"{name}.bias": bias}
    return {key: value.half().cpu().contiguous() for key, value in parts.items()}
