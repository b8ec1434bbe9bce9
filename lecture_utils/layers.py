"""What a network is made of, what each unit can see, and what each layer computes.

`table` lists the layers, `receptive_field` says which pixels a unit depends on, `fed_by` which
units of an earlier layer, `record` keeps what layers compute for given pictures. Layers go by the
field's names (`conv1`, `fc7`) or by dotted module names (`features.3`). A module that runs several
times in one pass, such as the `relu` of a residual block, is its last call; `relu#1` is the first.
A function in the forward pass that is no module is written with brackets: `layer1.0.add()`.
"""

import difflib
import functools
import html
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


def resolve(network: Network, name: str) -> str:
    """The dotted module name of a layer; exact module names win over the field's names.

    Understood are `conv1`, `relu1`, `pool1` ... `fc8` on AlexNet and VGG (also `conv5_3`), `conv1`,
    `fire2` ... `conv10` on SqueezeNet, `conv1` ... `conv5` on ResNet and DenseNet. `conv1` is
    always the convolution that sees the picture; where later numbers mean stages (Simonyan &
    Zisserman 2015, He et al. 2016, table 1 in both), a stage is its last layer.
    """
    base, mark, call = str(name).partition("#")
    exact = {path for path, _ in network.module.named_modules() if path}
    aliases = _aliases(network.module)
    place = base if base in exact else aliases.get(base)
    if place and (call.isdigit() or not mark):
        return place + mark + call
    short = list(dict.fromkeys([*aliases, *(path for path, _ in network.module.named_children())]))
    close = difflib.get_close_matches(str(name), [*short, *sorted(exact)], n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    raise UnknownLayer(f"no layer {name!r}; {network.name} has {', '.join(short)}{hint}")


STAGES = {
    "ResNet": {"pool1": "maxpool", "pool5": "avgpool"}
    | {f"conv{stage + 1}": f"layer{stage}" for stage in (1, 2, 3, 4)},
    "DenseNet": {"conv1": "features.conv0", "pool1": "features.pool0"}
    | {f"conv{stage + 1}": f"features.denseblock{stage}" for stage in (1, 2, 3, 4)}
    | {f"pool{stage + 1}": f"features.transition{stage}.pool" for stage in (1, 2, 3)},
}
KINDS = {"Conv2d": "conv", "Fire": "fire", "Linear": "fc", "ReLU": "relu"}
KINDS |= {"MaxPool2d": "pool", "AdaptiveAvgPool2d": "pool"}


def _aliases(module: nn.Module) -> dict[str, str]:
    family = type(module).__name__
    if family not in ("AlexNet", "VGG", "SqueezeNet"):
        return STAGES.get(family, {})
    names, number, part = {}, 0, 0
    for path, layer in module.named_modules():
        kind = KINDS.get(type(layer).__name__)
        if path.count(".") != 1 or kind is None:
            continue
        if kind == "pool":
            part = 0
        elif kind != "relu":
            # VGG numbers its stages, and the convolutions within one: conv1_1, conv1_2, conv2_1
            number += part == 0
            part = part + 1 if family == "VGG" and kind == "conv" else 0
        if part:
            names[f"{kind}{number}_{part}"] = path
        if part < 2 or number > 1:
            names[f"{kind}{number}"] = path
    return names


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

    Returns {name as asked: Tensor [all pictures, ...] on the CPU}. Hooks are removed whatever
    happens. Functions cannot be recorded: DenseNet's last ReLU is `record(...)["features"].relu()`.
    UnknownLayer; ValueError without pictures or names, and for a batch of another shape.
    """
    names = [names] if isinstance(names, str) else list(dict.fromkeys(names))
    if not names:
        raise ValueError(f"which layers of {network.name} shall be recorded? None is named")
    places = {name: resolve(network, name).partition("#") for name in names}
    calls, latest, kept = Counter(), {}, {name: [] for name in names}

    def note(name: str, wanted: str, _module, _inputs, output) -> None:
        calls[name] += 1
        if wanted not in ("", str(calls[name])):
            return
        if not isinstance(output, Tensor):
            raise TypeError(f"{name!r} gives a {type(output).__name__}, not one tensor")
        value = on_cpu(output.detach().clone())  # a copy, for the next layer may overwrite it
        latest[name] = value if keep is None else keep(value)

    with ExitStack() as hooks:
        for name, (place, _, wanted) in places.items():
            module = network.module.get_submodule(place)
            hooks.enter_context(module.register_forward_hook(functools.partial(note, name, wanted)))
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


def receptive_field(network: Network, name: str) -> ReceptiveField:
    """The receptive field of a layer: the union over all paths from the picture to it.

    `name` is as `resolve` takes it, or a function as `table` writes it (`layer1.0.add()`).
    Arithmetic: Araujo, Norris & Sim 2019, Distill. Raises UnknownLayer; ValueError where an unknown
    operation, or a forward pass that depends on values, stands in the way.
    """
    _, places = trace(network)
    place = name if name in places else resolve(network, name)
    if place not in places:
        raise UnknownLayer(f"{name!r} takes no part in the forward pass")
    axes = places[place].fields
    if axes is None:
        raise ValueError(f"{name!r}: the receptive field cannot be followed to this layer")
    return _field(axes, network.input_size)


def fed_by(network: Network, source: str | None, names: Iterable[str]) -> dict[str, ReceptiveField]:
    """What the units of the named layers take in of the maps of an earlier layer, the `source`.

    As receptive fields, but counted in units of the source's maps (square ones) instead of pixels;
    None is the picture. Layers that it does not feed, or to which it cannot be followed, are left
    out. Raises UnknownLayer; ValueError as `table`.
    """
    place = source and resolve(network, source)
    _, places = trace(network, place)
    if source and place not in places:
        raise UnknownLayer(f"{source!r} takes no part in the forward pass")
    side = places[place].shape[-1] if source else network.input_size
    inside = {name: places[name if name in places else resolve(network, name)] for name in names}
    return {name: _field(call.fields, side) for name, call in inside.items() if call.fields}


def _field(axes: tuple, side: int) -> ReceptiveField:
    sides = [(axis.size, axis.stride, axis.start) for axis in axes]
    spans = tuple((axis.first.tolist(), axis.stop.tolist()) for axis in axes)
    return ReceptiveField(*map(compact, zip(*sides)), side, spans)


@dataclass(frozen=True)
class LayerRow:
    """One operation of a network on one picture; sizes in pixels, None where there are none."""

    name: str
    kind: str
    kernel: int | tuple[int, int] | None
    stride: int | tuple[int, int] | None
    output_shape: tuple[int, ...]
    parameters: int  # where they are first used; not those that a function uses (transformers do)
    multiply_adds: int  # of convolutions and fully connected layers, without biases
    receptive_field: int | tuple[int, int] | None  # the size; all that is read after flattening
    groups: int = 1

    def arithmetic(self) -> str:
        """How parameters and multiply-adds follow from the sizes, as HTML."""
        channels, *side = self.output_shape
        places = math.prod(side)
        text = f"<b>{self.name}</b> ({self.kind}): {channels:,} × {places:,} numbers.<br>"
        if not self.multiply_adds:
            return text + f"Parameters: {self.parameters or 'none, nothing is learned'}."
        weights = self.multiply_adds // (channels * places)
        biases = self.parameters - channels * weights
        return (
            f"{text}Each of them costs {weights:,} multiply-adds, one for each weight.<br>"
            f"Parameters: {channels:,} × {weights:,} weights + {biases:,} biases = "
            f"<b>{self.parameters:,}</b>.<br>"
            f"Multiply-adds: {channels:,} × {places:,} × {weights:,} = "
            f"<b>{self.multiply_adds:,}</b>."
        )


class LayerTable(list[LayerRow]):
    """The rows of a network; shows itself as a table."""

    def _lines(self) -> list[list[str]]:
        head = "layer|kind|kernel|stride|output|parameters|multiply-adds|receptive field"
        lines = [
            [
                row.name,
                f"{row.kind}, {row.groups} groups" if row.groups > 1 else row.kind,
                _square(row.kernel),
                str(row.stride or ""),
                "×".join(map(str, row.output_shape)),
                f"{row.parameters:,}" if row.parameters else "",
                f"{row.multiply_adds:,}" if row.multiply_adds else "",
                _square(row.receptive_field),
            ]
            for row in self
        ]
        sums = sum(row.parameters for row in self), sum(row.multiply_adds for row in self)
        total = ["in all", "", "", "", "", *(f"{number:,}" for number in sums), ""]
        return [head.split("|"), *lines, total]

    def __repr__(self) -> str:
        lines = self._lines()
        widths = [max(map(len, column)) for column in zip(*lines)]
        form = "  ".join(f"{{:{'<' if n < 2 else '>'}{width}}}" for n, width in enumerate(widths))
        return "\n".join(form.format(*line).rstrip() for line in lines)

    def _repr_html_(self) -> str:
        head, *rows = ([html.escape(cell) for cell in line] for line in self._lines())
        body = "".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in rows)
        return f"<table><tr><th>{'</th><th>'.join(head)}</th></tr>{body}</table>"


def _square(side: int | tuple[int, int] | None) -> str:
    return "" if side is None else "{}×{}".format(*pair(side))


def table(network: Network) -> LayerTable:
    """All operations of one forward pass in order: layers, and functions such as `add()`.

    Raises ValueError if the forward pass depends on values and cannot be followed.
    """
    rows, counted = LayerTable(), set()
    for call in trace(network)[0]:
        layer, function = call.operation, isinstance(call.operation, str)
        own = {} if function else {id(p): p.numel() for p in layer.parameters()}
        # every output value of these two is one dot product with one filter
        dot = layer.weight[0].numel() if isinstance(layer, nn.Conv2d | nn.Linear) else 0
        kind = layer if function else type(layer).__name__
        kernel, stride = (compact(getattr(layer, part, None)) for part in ("kernel_size", "stride"))
        parameters = sum(own[p] for p in own.keys() - counted)
        field = call.fields and compact(tuple(axis.size for axis in call.fields))
        numbers = parameters, dot * math.prod(call.shape), field, getattr(layer, "groups", 1)
        rows.append(LayerRow(call.name, kind, kernel, stride, call.shape, *numbers))
        counted |= own.keys()
    return rows
