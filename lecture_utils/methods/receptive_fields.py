"""One forward pass, step by step: the shape of each result, and the pixels it depends on.

The machinery behind `layers.table` and `layers.receptive_field`.
"""

import copy
import functools
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, fx, nn

from lecture_utils.models import Network


@dataclass(frozen=True)
class ReceptiveField:
    """The pixels that the units of one layer depend on, all channels taken together.

    Unit i sees the pixels from `start + i * stride` on, `size` of them (pairs where rows and
    columns differ); `start` is negative where padding lets the first unit look beyond the picture.
    Stride 0: every unit sees all that the network reads of the picture, as after flattening,
    global pooling, or a normalisation of whole maps. Where adaptive pooling has windows of unequal
    size, size is the largest and stride the average; `box` with the input size remains exact.
    """

    size: int | tuple[int, int]
    stride: int | tuple[int, int]
    start: int | tuple[int, int]
    input_size: int | None = field(default=None, repr=False, compare=False)
    spans: tuple = field(default=(), repr=False, compare=False)  # what each unit really sees

    def box(self, row: int, column: int, input_size: int | None = None) -> tuple[int, ...]:
        """Smallest rectangle (top, left, bottom, right), half-open, around what a unit sees.

        Without `input_size` the whole field, which may leave the picture; with it, what lies in
        the picture: for the network's own size exactly what is seen (IndexError where there is no
        such unit), for others the field, clipped.
        """
        top, bottom = self._span(0, row, input_size)
        left, right = self._span(1, column, input_size)
        return top, left, bottom, right

    def _span(self, axis: int, unit: int, input_size: int | None) -> tuple[int, int]:
        if self.spans and input_size == self.input_size:
            first, stop = self.spans[axis]
            if not 0 <= unit < len(first):
                raise IndexError(f"no unit {unit}: the layer has {len(first)} along this side")
            return min(first[unit], stop[unit]), stop[unit]
        size, stride, start = (pair(v)[axis] for v in (self.size, self.stride, self.start))
        first = start + unit * stride
        if input_size is None:
            return first, first + size
        return (max(0, first), min(input_size, first + size)) if stride else (0, input_size)


@dataclass
class Axis:
    """Receptive fields along one side of a feature map; those at the borders are cut."""

    size: int
    stride: int
    start: int
    first: np.ndarray  # of each unit, the first pixel it really sees
    stop: np.ndarray  # and the one behind its last

    def windows(self, count: int, kernel: int, stride: int, padding: int, dilation: int) -> "Axis":
        taps = np.arange(count)[:, None] * stride - padding + np.arange(kernel) * dilation
        size = self.size + (kernel - 1) * dilation * self.stride
        start = self.start - padding * self.stride
        return Axis(size, self.stride * stride, start, *self._over(taps))

    def adaptive(self, count: int) -> "Axis":
        """Pooling of any n units to m: unit i covers those from i*n//m to ceil((i+1)*n/m)."""
        units, have = np.arange(count)[:, None], len(self.first)
        begin, end = units * have // count, -(-(units + 1) * have // count)
        widest = int((end - begin).max())
        size, stride = self.size + (widest - 1) * self.stride, round(self.stride * have / count)
        seen = self._over(np.minimum(begin + np.arange(widest), end - 1))
        return Axis(size, stride, self.start, *seen) if count > 1 else Axis.everywhere(*seen)

    def _over(self, taps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and stop of new units from the numbers of the units that each taps."""
        there = (taps >= 0) & (taps < len(self.first))
        taps = taps.clip(0, len(self.first) - 1)
        first = np.where(there, self.first[taps], np.iinfo(np.int64).max).min(1)
        return first, np.where(there, self.stop[taps], 0).max(1)

    def union(self, other: "Axis") -> "Axis":
        first, stop = np.minimum(self.first, other.first), np.maximum(self.stop, other.stop)
        if self.stride != other.stride:  # one side is a single value spread over the map
            return Axis.everywhere(first, stop)
        start = min(self.start, other.start)
        end = max(self.start + self.size, other.start + other.size)
        return Axis(end - start, self.stride, start, first, stop)

    @classmethod
    def everywhere(cls, first: np.ndarray, stop: np.ndarray) -> "Axis":
        return cls(int(stop.max() - first.min()), 0, int(first.min()), first, stop)


WINDOWS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
NORMALISATIONS = "BatchNorm2d SyncBatchNorm InstanceNorm2d GroupNorm LayerNorm RMSNorm".split()
# Pooling as a function: its numbers are read by way of the module.
POOLING = {"max_pool2d": nn.MaxPool2d, "adaptive_max_pool2d": nn.AdaptiveMaxPool2d}
POOLING |= {"avg_pool2d": nn.AvgPool2d, "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d}
# What leaves every position where it is: modules of torch.nn (fx looks into all others), functions
POINTWISE = frozenset(
    "ReLU ReLU6 LeakyReLU PReLU ELU GELU SiLU Hardswish Sigmoid Hardsigmoid Tanh Softplus "
    "Softmax2d Identity Dropout Dropout2d LocalResponseNorm relu relu6 sigmoid tanh silu gelu "
    "hardswish dropout add sub mul truediv neg abs clamp cat chunk split getitem unsqueeze view "
    "reshape contiguous clone stochastic_depth".split()
)


def follow(
    operation: nn.Module | str, shape: tuple[int, ...], sources: list[tuple[Axis, Axis]]
) -> tuple[Axis, Axis] | None:
    """Fields behind one operation, from those of its inputs; None where they cannot be told.

    `operation` is a module, or the name of a function that has none, `shape` that of the result,
    batch dimension included; `sources` are the inputs that depend on the picture.
    """
    sides = list(zip(*sources))
    if any(len({len(axis.first) for axis in side} - {1}) > 1 for side in sides):
        return None  # maps of different sizes, joined along rows or columns
    merged = [functools.reduce(Axis.union, side) for side in sides]
    if len(shape) == 2 and operation != "getitem":  # flattened: no positions left
        return merged[0].adaptive(1), merged[1].adaptive(1)
    if len(shape) < 3:
        return None
    counts = shape[-2:]
    if isinstance(operation, WINDOWS) and getattr(operation, "padding_mode", "zeros") == "zeros":
        parts = zip(*(pair(part) for part in window(operation)))
        return tuple(axis.windows(n, *part) for axis, n, part in zip(merged, counts, parts))
    if isinstance(operation, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
        return tuple(axis.adaptive(n) for axis, n in zip(merged, counts))
    if counts != tuple(len(axis.first) for axis in merged):
        return None
    name = operation if isinstance(operation, str) else type(operation).__name__
    if name in NORMALISATIONS:
        if getattr(operation, "running_mean", None) is not None:  # statistics of the training
            return tuple(merged)
        rows, columns = (axis.union(axis.adaptive(1)) for axis in merged)
        within_rows = len(getattr(operation, "normalized_shape", ())) == 1  # the last axis alone
        return merged[0] if within_rows else rows, columns
    return tuple(merged) if name in POINTWISE else None


def window(module: nn.Module) -> tuple:
    """Kernel, stride, padding and dilation of a convolution or pooling, each number or pair."""
    dilation, padding = pair(getattr(module, "dilation", 1)), module.padding
    if isinstance(padding, str):  # of "same" the part at the top and left
        kernel = module.kernel_size if padding == "same" else (1, 1)
        padding = tuple(d * (k - 1) // 2 for d, k in zip(dilation, kernel))
    return module.kernel_size, module.stride, padding, dilation


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return tuple(value) if isinstance(value, tuple | list) else (value, value)


def compact(value: int | tuple[int, int] | None) -> int | tuple[int, int] | None:
    """(3, 3) -> 3, as torch and people write it; all else stays."""
    return value[0] if isinstance(value, tuple) and value[0] == value[1] else value


@dataclass(eq=False)
class Call:
    """One operation of a forward pass: its module, or the name of a function that has none."""

    operation: nn.Module | str
    shape: tuple[int, ...]  # of its output, without the batch dimension
    fields: tuple[Axis, Axis] | None  # of its units; None where they cannot be told
    name: str = ""


def trace(network: Network, within: str | None = None) -> tuple[list[Call], dict[str, Call]]:
    """The operations of a forward pass in order, and where to find them by name.

    Their fields are made of pixels, or of the units of the module `within`; None where there are
    none of these.

    Names are dotted module names, also those of containers (their last operation), `name#1`,
    `name#2` for the calls of a module that runs several times (the bare name is the last), and
    `scope.add()` for functions. The network is neither run nor touched. Raises ValueError if the
    forward pass depends on values.
    """
    size, tracer, nodes = network.input_size, _Tracer(), {}
    tracer.nodes = nodes
    weights = (w for w in network.module.parameters() if w.is_floating_point())
    precision = next(weights, torch.zeros(1)).dtype
    picture = torch.zeros(1, network.channels, size, size, dtype=precision, device="meta")
    try:
        with torch.no_grad(), torch.device("meta"):
            module = _without_values(network.module)
            graph = tracer.trace(module)
            _Shapes(fx.GraphModule(module, graph)).run(picture)
    except Exception as error:
        # what follows the first line is written by and for torch.fx
        name, reason = network.name, str(error).partition("\n")[0]
        raise ValueError(f"the forward pass of {name} cannot be followed: {reason}") from error

    base, _, number = (within or "").partition("#")
    origin = nodes[base][int(number or 0) - 1] if base in nodes else None
    calls, reached = {}, set()  # what depends on the pixels, or on the units of the origin
    for node in graph.nodes:
        if "shape" not in node.meta or node.op in ("get_attr", "output"):
            continue
        operation, shape, fields = node.op, node.meta["shape"], None
        if node.op == "call_module":
            operation = module.get_submodule(node.target)
        elif node.op != "placeholder":
            operation = getattr(node.target, "__name__", node.target).strip("_")
            scope = [path for path, _ in node.meta.get("nn_module_stack", {}).values()][-1:]
            nodes.setdefault(".".join([*scope, f"{operation}()"]), []).append(node)
            if operation in POOLING:
                operation = POOLING[operation](*node.args[1:], **node.kwargs)
        sources = [calls[source].fields for source in node.all_input_nodes if source in reached]
        if node is origin or (node.op == "placeholder" and not within):
            reached.add(node)
            if len(shape) == 4:
                fields = tuple(Axis(1, 1, 0, np.arange(n), np.arange(n) + 1) for n in shape[2:])
        elif sources:
            reached.add(node)
            fields = None if None in sources else follow(operation, shape, sources)
        calls[node] = Call(operation, shape[1:], fields)

    places = {}
    for name, ends in nodes.items():
        for number, node in enumerate(ends, start=1):
            numbered = f"{name}#{number}" if len(ends) > 1 else name
            places[name] = places[numbered] = calls[node]
            if name == node.target or name.endswith("()"):
                calls[node].name = numbered
    return [call for call in calls.values() if call.name], places


def _without_values(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode, without hooks, whose tensors have shapes but hold no numbers."""
    loose = [v for part in module.modules() for v in vars(part).values() if isinstance(v, Tensor)]
    known = {id(t): t.to("meta") for t in [*module.buffers(), *loose]}
    known |= {id(p): nn.Parameter(p.to("meta"), p.requires_grad) for p in module.parameters()}
    bare = copy.deepcopy(module, known)
    for part in bare.modules():
        part.training = False
        part._forward_hooks.clear()
        part._forward_pre_hooks.clear()
    return bare


class _Tracer(fx.Tracer):
    """Notes in `nodes` where each call of a module ends, containers included."""

    def call_module(self, module, forward, args, kwargs):
        result = super().call_module(module, forward, args, kwargs)
        if isinstance(result, fx.Proxy):
            self.nodes.setdefault(self.path_of_module(module), []).append(result.node)
        return result


class _Shapes(fx.Interpreter):
    """Notes the shape of each result that is a tensor, of the first if there are several."""

    def run_node(self, node):
        result = super().run_node(node)
        first = result[0] if isinstance(result, tuple | list) and result else result
        if isinstance(first, Tensor):
            node.meta["shape"] = tuple(first.shape)
        return result
