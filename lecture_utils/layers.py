"""What a network is made of, what each unit can see, and what each layer computes.

`table` lists the layers, `receptive_field` says which pixels a unit depends on, `record` keeps what
layers compute for given pictures. Layers go by the field's names (`conv1`, `fc7`) or by dotted
module names (`features.3`). A module that runs several times in one pass, such as the `relu` of a
residual block, is its last call; `relu#1` is the first. A function in the forward pass that is no
module is written with brackets: `layer1.0.add()`.
"""

import difflib
import functools
import math
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lecture_utils.methods.receptive_fields import ReceptiveField, compact, pair, trace
from lecture_utils.models import Network, on_cpu


class UnknownLayer(KeyError):
    """A layer that the network does not have, or that takes no part in its forward pass."""

    def __str__(self) -> str:  # KeyError would show the sentence in quotation marks
        return self.args[0]


# --- names --------------------------------------------------------------------------------------


def resolve(network: Network, name: str) -> str:
    """The dotted module name of a layer; exact module names win over the field's names.

    Understood are `conv1` ... `fc8` and `relu1` ... `relu7` on AlexNet and VGG (also `conv5_3`),
    `conv1` ... `conv10`, `fire2` ... `fire9` on SqueezeNet, and `conv1` ... `conv5` on ResNet and
    DenseNet. `conv1` is always the convolution that sees the picture; where later numbers mean
    stages (Simonyan & Zisserman 2015, table 1; He et al. 2016, table 1), a stage is its last
    layer. Raises UnknownLayer.
    """
    base, mark, call = str(name).partition("#")
    exact = {path for path, _ in network.module.named_modules() if path}
    aliases = _aliases(network.module)
    place = base if base in exact else aliases.get(base)
    if place and (call.isdigit() or not mark):
        return place + mark + call
    short = list(dict.fromkeys([*aliases, *(path for path, _ in network.module.named_children())]))
    shown = ", ".join(short if len(short) < 30 else [n for n in short if "_" not in n])
    close = difflib.get_close_matches(str(name), [*short, *sorted(exact)], n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    raise UnknownLayer(f"no layer {name!r}; {network.name} has {shown}{hint}")


def _aliases(module: nn.Module) -> dict[str, str]:
    kind = type(module).__name__
    if kind == "ResNet":
        return {"pool1": "maxpool", "pool5": "avgpool"} | {
            f"conv{stage + 1}": f"layer{stage}" for stage in (1, 2, 3, 4)
        }
    if kind == "DenseNet":
        return (
            {"conv1": "features.conv0", "pool1": "features.pool0"}
            | {f"conv{stage + 1}": f"features.denseblock{stage}" for stage in (1, 2, 3, 4)}
            | {f"pool{stage + 1}": f"features.transition{stage}.pool" for stage in (1, 2, 3)}
        )
    if kind not in ("AlexNet", "VGG", "SqueezeNet"):
        return {}
    kinds = {"Conv2d": "conv", "Fire": "fire", "Linear": "fc", "ReLU": "relu"}
    names, number, part = {}, 0, 0
    for path, layer in module.named_modules():
        if path.count(".") != 1 or not path.startswith(("features.", "classifier.")):
            continue
        kind_of_layer = kinds.get(type(layer).__name__)
        if "Pool" in type(layer).__name__:
            names[f"pool{number}"], part = path, 0
        elif kind_of_layer == "relu":
            if part:
                names[f"relu{number}_{part}"] = path
            if part < 2 or number > 1:
                names[f"relu{number}"] = path
        elif kind_of_layer:
            # VGG numbers its stages, and the convolutions within one: conv1_1, conv1_2, conv2_1
            number += part == 0
            part = part + 1 if kind == "VGG" and kind_of_layer == "conv" else 0
            if part:
                names[f"conv{number}_{part}"] = path
            if part < 2 or number > 1:
                names[f"{kind_of_layer}{number}"] = path
    return names


# --- what a layer computes ----------------------------------------------------------------------


def record(
    network: Network,
    batch: Tensor | Iterable[Tensor],
    names: str | Iterable[str],
    keep: Callable[[Tensor], Tensor] | None = None,
) -> dict[str, Tensor]:
    """What the named layers compute, before any in-place ReLU behind them overwrites it.

    Args:
        batch: Tensor [B, channels, H, W], or an iterable of such tensors, taken one at a time.
        names: layers, as `resolve` takes them; containers (`layer4`) give their output.
        keep: applied to each output at once, so that only its result stays in memory, for
            example `lambda maps: maps.amax((2, 3))`. Must leave dimension 0, the pictures.

    Returns:
        {name as asked: Tensor [all pictures, ...] on the CPU}. The network runs in evaluation
        mode without gradients; hooks and training flags are put back whatever happens.

    Functions are no modules and cannot be recorded: DenseNet's last ReLU is
    `record(...)["features"].relu()`. Raises UnknownLayer; ValueError without pictures or names, and
    for a batch of another shape.
    """
    names = [names] if isinstance(names, str) else list(dict.fromkeys(names))
    if not names:
        raise ValueError(f"which layers of {network.name} shall be recorded? None is named")
    places = {name: resolve(network, name).partition("#") for name in names}
    calls, latest, kept = Counter(), {}, {name: [] for name in names}

    def note(name: str, wanted: str, _module, _inputs, output) -> None:
        calls[name] += 1
        if wanted and int(wanted) != calls[name]:
            return
        if not isinstance(output, Tensor):
            raise TypeError(f"{name!r} gives a {type(output).__name__}, not one tensor")
        value = on_cpu(output.detach().clone())  # a copy, for the next layer may overwrite it
        latest[name] = value if keep is None else keep(value)

    with ExitStack() as hooks:
        for name, (place, _, wanted) in places.items():
            hook = functools.partial(note, name, wanted)
            handle = network.module.get_submodule(place).register_forward_hook(hook)
            hooks.callback(handle.remove)
        for images in [batch] if isinstance(batch, Tensor) else batch:
            calls.clear()
            latest.clear()
            network(images)
            for name in names:
                if name not in latest:
                    raise UnknownLayer(f"{name!r} takes no part in the forward pass")
                kept[name].append(latest[name])
    if not all(kept.values()):
        raise ValueError("there are no pictures")
    return {name: torch.cat(pieces) for name, pieces in kept.items()}


# --- what a unit sees ---------------------------------------------------------------------------


def receptive_field(network: Network, name: str) -> ReceptiveField:
    """The receptive field of a layer: the union over all paths from the picture to it.

    Args:
        name: as `resolve` takes it, or a function as `table` writes it (`layer1.0.add()`).

    Follows convolution, pooling, element-wise functions, concatenation and flattening; ValueError
    where another operation, or a forward pass that depends on values, stands in the way.
    Raises UnknownLayer. (Araujo, Norris & Sim 2019, Distill, derive the arithmetic.)
    """
    _, places = trace(network)
    place = name if name in places else resolve(network, name)
    if place not in places:
        raise UnknownLayer(f"{name!r} takes no part in the forward pass")
    axes = places[place].fields
    if axes is None:
        raise ValueError(f"{name!r}: the receptive field cannot be followed to this layer")
    return ReceptiveField(
        *(compact([getattr(axis, part) for axis in axes]) for part in ("size", "stride", "start")),
        network.input_size,
        tuple((axis.first.tolist(), axis.stop.tolist()) for axis in axes),
    )


# --- the table ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class LayerRow:
    """One operation of a network on one picture; sizes in pixels, None where there are none.

    `multiply_adds` are those of convolutions and fully connected layers; biases, normalisation,
    attention and functions count as none. `parameters` are counted where they are first used;
    those that a function uses directly (transformers do) are not. `receptive_field` is the size;
    behind flattening or global pooling it is what the network reads of the picture in all.
    """

    name: str
    kind: str
    kernel: int | tuple[int, int] | None
    stride: int | tuple[int, int] | None
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    receptive_field: int | tuple[int, int] | None
    groups: int = 1


class LayerTable(list[LayerRow]):
    """The rows of a network; prints as a table."""

    def __repr__(self) -> str:
        head = "layer|kind|kernel|stride|output|parameters|multiply-adds|receptive field"
        lines = [
            [
                row.name,
                f"{row.kind}, {row.groups} groups" if row.groups > 1 else row.kind,
                _square(row.kernel),
                "" if row.stride is None else str(row.stride),
                "×".join(map(str, row.output_shape)),
                f"{row.parameters:,}" if row.parameters else "",
                f"{row.multiply_adds:,}" if row.multiply_adds else "",
                _square(row.receptive_field),
            ]
            for row in self
        ]
        parameters = sum(row.parameters for row in self)
        multiply_adds = sum(row.multiply_adds for row in self)
        total = ["in all", "", "", "", "", f"{parameters:,}", f"{multiply_adds:,}", ""]
        lines = [head.split("|"), *lines, total]
        widths = [max(map(len, column)) for column in zip(*lines)]
        form = "  ".join(f"{{:{'<' if n < 2 else '>'}{width}}}" for n, width in enumerate(widths))
        return "\n".join(form.format(*line).rstrip() for line in lines)


def _square(side: int | tuple[int, int] | None) -> str:
    return "" if side is None else "{}×{}".format(*pair(side))


def table(network: Network) -> LayerTable:
    """All operations of one forward pass in order: layers, and functions such as `add()`.

    Layers that take no part in evaluation, such as GoogLeNet's auxiliary classifiers, are not
    listed. Raises ValueError if the forward pass depends on values and cannot be followed.
    """
    rows, counted = LayerTable(), set()
    for call in trace(network)[0]:
        layer = call.operation
        named = isinstance(layer, str)
        own = {} if named else {id(p): p.numel() for p in layer.parameters()}
        # every output value of these two is one dot product with one filter
        dot = layer.weight[0].numel() if isinstance(layer, (nn.Conv2d, nn.Linear)) else 0
        rows.append(
            LayerRow(
                name=call.name,
                kind=layer if named else type(layer).__name__,
                kernel=_side(getattr(layer, "kernel_size", None)),
                stride=_side(getattr(layer, "stride", None)),
                output_shape=call.shape,
                parameters=sum(own[p] for p in own.keys() - counted),
                multiply_adds=dot * math.prod(call.shape),
                receptive_field=call.fields and _side(tuple(axis.size for axis in call.fields)),
                groups=getattr(layer, "groups", 1),
            )
        )
        counted |= own.keys()
    return rows


def _side(value: int | tuple[int, int] | None) -> int | tuple[int, int] | None:
    return None if value is None else compact(pair(value))
