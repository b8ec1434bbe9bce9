"""One forward pass, step by step: the shape of each result, and the pixels it depends on.

The machinery behind `layers.table` and `layers.receptive_field`. Along each side of the picture
the receptive fields of a layer are an `Axis`: the plain numbers size, stride and start, and for
every unit the pixels that it really sees, which at the borders are fewer.
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

    Size, stride and start are whole pixels, or pairs (rows, columns) where these two differ.

    Unit i sees the pixels from `start + i * stride` on, `size` of them; `start` is negative where
    padding lets the first unit look beyond the picture. Stride 0: every unit sees all that the
    network reads of the picture, which is less than the picture where strides do not come out
    even. So it is after flattening or global pooling, which leave one unit (0, 0), and after a
    normalisation of whole maps. Where adaptive pooling has windows of unequal size, size is the
    largest and stride the average, rounded; `box` with the network's input size remains exact.
    """

    size: int | tuple[int, int]
    stride: int | tuple[int, int]
    start: int | tuple[int, int]
    input_size: int | None = field(default=None, repr=False, compare=False)
    spans: tuple = field(default=(), repr=False, compare=False)  # what each unit really sees

    def box(
        self, row: int, column: int, input_size: int | None = None
    ) -> tuple[int, int, int, int]:
        """Smallest rectangle (top, left, bottom, right), half-open, around what a unit sees.

        Without `input_size` the whole field, which may leave the picture; with it, the pixels
        of the picture. For the network's own input size that is exact at the borders too, and
        IndexError is raised where there is no such unit; for other sizes the field is clipped.
        """
        top, bottom = self._span(0, row, input_size)
        left, right = self._span(1, column, input_size)
        return top, left, bottom, right

    def _span(self, axis: int, unit: int, input_size: int | None) -> tuple[int, int]:
        size, stride, start = (pair(v)[axis] for v in (self.size, self.stride, self.start))
        if input_size is None:
            return start + unit * stride, start + unit * stride + size
        if self.spans and input_size == self.input_size:
            first, stop = self.spans[axis]
            if not 0 <= unit < len(first):
                raise IndexError(f"no unit {unit}: the layer has {len(first)} along this side")
            return min(first[unit], stop[unit]), stop[unit]
        if stride == 0:
            return 0, input_size
        return max(0, start + unit * stride), min(input_size, start + unit * stride + size)


@dataclass
class Axis:
    """Receptive fields along one side of a feature map."""

    size: int
    stride: int
    start: int
    first: np.ndarray  # of each unit, the first pixel it really sees
    stop: np.ndarray  # and the one behind its last

    def windows(self, count: int, kernel: int, stride: int, padding: int, dilation: int) -> "Axis":
        taps = np.arange(count)[:, None] * stride - padding + np.arange(kernel) * dilation
        return Axis(
            self.size + (kernel - 1) * dilation * self.stride,
            self.stride * stride,
            self.start - padding * self.stride,
            *self._over(taps, (taps >= 0) & (taps < len(self.first))),
        )

    def adaptive(self, count: int) -> "Axis":
        """Pooling of any n units to m: unit i covers those from i*n//m to ceil((i+1)*n/m)."""
        units, have = np.arange(count)[:, None], len(self.first)
        if have % count == 0 and count > 1:
            return self.windows(count, have // count, have // count, 0, 1)
        taps = np.arange(have)[None]
        first, stop = self._over(
            taps, (taps >= units * have // count) & (taps < -(-(units + 1) * have // count))
        )
        if count == 1:
            return Axis(int(stop.max() - first.min()), 0, int(first.min()), first, stop)
        widest = max(-(-(i + 1) * have // count) - i * have // count for i in range(count))
        size = self.size + (widest - 1) * self.stride
        return Axis(size, round(self.stride * have / count), self.start, first, stop)

    def _over(self, taps: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        taps = taps.clip(0, len(self.first) - 1)
        nowhere = np.iinfo(np.int64).max
        first = np.where(there, self.first[taps], nowhere).min(1)
        return first, np.where(there, self.stop[taps], 0).max(1)

    def union(self, other: "Axis") -> "Axis":
        first, stop = np.minimum(self.first, other.first), np.maximum(self.stop, other.stop)
        if self.stride != other.stride:  # one side is a single value spread over the map
            return Axis(int(stop.max() - first.min()), 0, int(first.min()), first, stop)
        start = min(self.start, other.start)
        end = max(self.start + self.size, other.start + other.size)
        return Axis(end - start, self.stride, start, first, stop)


WINDOWS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
ADAPTIVE = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
# What leaves every position where it is.
POINTWISE_MODULES = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish),
    *(nn.Sigmoid, nn.Hardsigmoid, nn.Tanh, nn.Softplus, nn.Softmax2d, nn.Identity),
    *(nn.Dropout, nn.Dropout2d, nn.LocalResponseNorm),
)
NORMALISATIONS = (
    *(nn.BatchNorm2d, nn.SyncBatchNorm, nn.InstanceNorm2d),
    *(nn.GroupNorm, nn.LayerNorm, nn.RMSNorm),
)
POINTWISE_FUNCTIONS = frozenset(
    "relu relu6 sigmoid tanh silu gelu hardswish dropout add sub mul truediv neg abs clamp cat "
    "chunk split getitem unsqueeze view reshape contiguous clone stochastic_depth".split()
)


def follow(
    operation: nn.Module | str, shape: tuple[int, ...], sources: list[tuple[Axis, Axis]]
) -> tuple[Axis, Axis] | None:
    """Fields behind one operation, from those of its inputs; None where they cannot be told.

    Args:
        operation: a module, or the name of a function that has none.
        shape: of the result, batch dimension included.
        sources: the fields (rows, columns) of every input that depends on the picture.
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
    if isinstance(operation, ADAPTIVE):
        return tuple(axis.adaptive(n) for axis, n in zip(merged, counts))
    if counts != tuple(len(axis.first) for axis in merged):
        return None
    if isinstance(operation, NORMALISATIONS):
        together = zip(merged, _mixes(operation))
        return tuple(axis.union(axis.adaptive(1)) if mixed else axis for axis, mixed in together)
    if isinstance(operation, POINTWISE_MODULES) or operation in POINTWISE_FUNCTIONS:
        return tuple(merged)
    return None


def _mixes(normalisation: nn.Module) -> tuple[bool, bool]:
    """Whether all rows, and all columns, of a map are normalised by common statistics."""
    if getattr(normalisation, "running_mean", None) is not None:  # those of the training
        return False, False
    axes = getattr(normalisation, "normalized_shape", (0, 0))  # the last ones
    return len(axes) > 1, True


def window(module: nn.Module) -> tuple:
    """Kernel, stride, padding and dilation of a convolution or pooling, each number or pair.

    Of "same" padding the part at the top and left.
    """
    dilation = pair(getattr(module, "dilation", 1))
    padding = module.padding
    if isinstance(padding, str):
        kernel = module.kernel_size if padding == "same" else (1, 1)
        padding = tuple(d * (k - 1) // 2 for d, k in zip(dilation, kernel))
    return module.kernel_size, module.stride, padding, dilation


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)


def compact(values: tuple[int, int]) -> int | tuple[int, int]:
    """(3, 3) -> 3, as torch and people write it; (1, 7) stays."""
    return values[0] if values[0] == values[1] else tuple(values)


# --- the forward pass ---------------------------------------------------------------------------


# Pooling as a function: its numbers are read by way of the module.
POOLING = {
    "max_pool2d": nn.MaxPool2d,
    "avg_pool2d": nn.AvgPool2d,
    "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d,
    "adaptive_max_pool2d": nn.AdaptiveMaxPool2d,
}


@dataclass(eq=False)
class Call:
    """One operation of a forward pass: its module, or the name of a function that has none.

    `shape` is that of its output without the batch dimension, `fields` those of its units, None
    where they cannot be told.
    """

    operation: nn.Module | str
    shape: tuple[int, ...]
    fields: tuple[Axis, Axis] | None
    name: str = ""


def trace(network: Network) -> tuple[list[Call], dict[str, Call]]:
    """The operations of a forward pass in order, and where to find them by name.

    Names are dotted module names, also those of containers (their last operation), `name#1`,
    `name#2` for the calls of a module that runs several times (the bare name is the last),
    and `scope.add()` for functions. The network itself is neither run nor touched.
    Raises ValueError if the forward pass depends on values.
    """
    size, tracer = network.input_size, _Tracer()
    weights = (w for w in network.module.parameters() if w.is_floating_point())
    precision = next(weights, torch.zeros(1)).dtype
    picture = torch.zeros(1, network.channels, size, size, dtype=precision, device="meta")
    try:
        with torch.no_grad(), torch.device("meta"):
            module = _without_values(network.module)
            graph = tracer.trace(module)
            _Shapes(fx.GraphModule(module, graph)).run(picture)
    except Exception as error:
        reason = str(error).partition("\n")[0]  # what follows is written by and for torch.fx
        message = f"the forward pass of {network.name} cannot be followed: {reason}"
        raise ValueError(message) from error

    nodes, calls = tracer.nodes, {}
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
        sources = [calls[source].fields for source in node.all_input_nodes if source in calls]
        if node.op == "placeholder":
            pixels = np.arange(size)
            fields = (Axis(1, 1, 0, pixels, pixels + 1),) * 2
        elif sources and None not in sources:
            fields = follow(operation, shape, sources)
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
    parts = list(module.modules())
    loose = [v for part in parts for v in vars(part).values() if isinstance(v, Tensor)]
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

    def __init__(self):
        super().__init__()
        self.nodes: dict[str, list[fx.Node]] = {}

    def call_module(self, module, forward, args, kwargs):
        result = super().call_module(module, forward, args, kwargs)
        if isinstance(result, fx.Proxy):
            self.nodes.setdefault(self.path_of_module(module), []).append(result.node)
        return result


class _Shapes(fx.Interpreter):
    """Notes the shape of each result that is a tensor, of the first if there are several."""

    def run_node(self, node):
        result = first = super().run_node(node)
        while isinstance(first, tuple | list) and first:
            first = first[0]
        if isinstance(first, Tensor):
            node.meta["shape"] = tuple(first.shape)
        return result
