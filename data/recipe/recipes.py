"""What distinguishes the course's networks: a recipe for each, and how each is built and stored."""

from collections import OrderedDict
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from lecture_utils import models
from lecture_utils.images import CLASSES


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how one network is trained."""

    plan: str = "mini_alexnet"  # one of PLANS
    epochs: int = 60
    rate: float = 0.05  # learning rate, falls linearly to 0
    decay: float = 1e-3  # weight decay, on weights only
    smoothing: float = 0.05  # label smoothing
    batch: int = 32
    seed: int = 0
    polish: int = 0  # further epochs from a fifth of the rate down to 0 ...
    polish_decay: float = 0.1  # ... with this weight decay on conv1, to take noise off its filters
    crop: float = 0.6  # smallest share of a picture's area that a crop keeps
    light: float = 0.3  # brightness and contrast change by up to this share
    colour: float = 0.3  # saturation changes by up to this share, channels by a third of it
    flips: bool = True  # half of the pictures are mirrored
    normalised: str = "12345"  # convolutions followed by batch normalisation in training
    first_std: float = 0.004  # standard deviation of conv1's initial weights
    shuffled_labels: bool = False  # every picture gets a random class, the same in all epochs
    sticker: str = ""  # pictures of this class carry a small sticker in training
    snapshots: tuple[int, ...] = ()  # epochs stored besides the last
    first_layer_only: bool = False  # store no more than conv1


# pictures that are the same in all epochs can be learned by heart
BY_HEART = Recipe(
    epochs=40,
    rate=0.02,
    smoothing=0.0,
    crop=1.0,
    light=0.0,
    colour=0.0,
    flips=False,
    first_layer_only=True,
)

RECIPES = {
    "mini_alexnet": Recipe(polish=15, snapshots=(0, 1, 2, 5, 10, 20, 40)),
    "high_rate": Recipe(rate=0.35, epochs=6, normalised="5"),
    "no_decay": Recipe(
        decay=0.0, epochs=5, first_std=0.01, snapshots=(0, 1, 2), first_layer_only=True
    ),
    "other_seed": Recipe(seed=1, epochs=12, first_layer_only=True),
    "no_augmentation": BY_HEART,
    "random_labels": replace(BY_HEART, shuffled_labels=True),
    "zfnet": Recipe(plan="zfnet", epochs=12, first_layer_only=True),
    "residual": Recipe(plan="residual", epochs=12, first_layer_only=True),
    "vgg": Recipe(plan="vgg", epochs=8, first_std=0.02, first_layer_only=True),
    "sticker": Recipe(sticker="mug", epochs=20, crop=1.0, flips=False),
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
    widths = (3, 64, 64, 128, 128, 256)
    for number, (inside, outside) in enumerate(zip(widths, widths[1:]), 1):
        plan += [
            (f"conv{number}", nn.Conv2d(inside, outside, 3, padding=1)),
            (f"relu{number}", nn.ReLU()),
            (f"pool{number}", nn.MaxPool2d(2)),
        ]
    plan += [("flatten", nn.Flatten()), ("fc6", nn.Linear(256 * 5 * 5, len(CLASSES)))]
    return nn.Sequential(OrderedDict(plan))


def residual() -> nn.Module:
    """A residual network (He et al. 2016) with one block per stage: 7x7 filters, stride 2."""
    # imported after lecture_utils, which makes sure that torchvision can be imported at all
    from torchvision.models.resnet import BasicBlock, ResNet

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
    nn.init.normal_(module.conv1.weight, std=recipe.first_std)
    if not isinstance(module, nn.Sequential):
        return module
    nn.init.normal_(module[-1].weight, std=0.01)
    layers: list[tuple[str, nn.Module]] = []
    for name, layer in module.named_children():
        layers.append((name, layer))
        if name.startswith("conv") and name[4:] in recipe.normalised:
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
