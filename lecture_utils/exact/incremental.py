"""Exact incremental inference: a rectangle of the picture changes, only its effects are computed.

The pass over the unchanged picture is kept. For a changed picture each layer is computed only
inside the window that the change can reach, with the kept values around it; many changed pictures
go through the network as one batch of windows. Convolutions, pooling, element-wise operations and
concatenations work on windows; any other operation gets its whole input put together, so every
network that `torch.fx` can trace gives the same numbers as a plain pass.
The idea, and how far it can go: Krypton (Nakandala, Kumar & Papakonstantinou, SIGMOD 2019).
"""

import math
import operator
from collections.abc import Callable, Iterable
from functools import reduce

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from lecture_utils.exact.prepared import Prepared, modules_around
from lecture_utils.exact.whole import map_sums
from lecture_utils.exact.windows import Slide, Window, cut, cut_or_zero, look, union

# What acts on each place of a feature map by itself: it may be given a window as it is.
LOCAL_MODULES = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh),
    *(nn.Hardswish, nn.Hardsigmoid, nn.BatchNorm2d, nn.Dropout, nn.Dropout2d, nn.Identity),
)
LOCAL_FUNCTIONS = {
    *(operator.add, operator.iadd, operator.sub, operator.mul, operator.imul),
    *(torch.add, torch.sub, torch.mul, torch.relu, torch.sigmoid, torch.cat),
    *(F.relu, F.relu6, F.gelu, F.silu, F.hardswish, F.hardsigmoid, F.dropout),
}
LOCAL_METHODS = {"clone", "relu", "relu_", "sigmoid", "add", "add_", "mul", "mul_"}

NEARLY = 0.7  # of the positions of a map: then all of it is computed


class Incremental:
    """One network and one picture, ready for changed versions of that picture.

    Args:
        image: the unchanged picture, Tensor [channels, H, W].
        watch: modules whose feature maps are to be summed over all positions, as
            `layers.resolve` names them.

    Attributes:
        clean: what `run` would give for the unchanged picture.
        largest: numbers in the largest window of one picture in the last run.
        multiply_adds: of the convolutions and fully connected layers in all runs so far;
            plain: of one plain pass.

    Raises KeyError for a module that takes no part, TypeError if the output is not one tensor.
    """

    def __init__(self, network: Prepared, image: Tensor, watch: Iterable[str] = ()):
        self.module, self.modules, self.slides = network.module, network.modules, network.slides
        self.values: dict[fx.Node, object] = {}  # what each step gives in the clean pass
        self.inputs: dict[fx.Node, list[fx.Node]] = {}  # of a step, those that can change
        with torch.inference_mode():
            for node in network.graph.nodes:
                first = not self.values
                value = image[None] if first else self._call(node, self.values.get)
                if isinstance(value, Tensor) and value.ndim == 4:
                    value = value.contiguous(memory_format=torch.channels_last)
                self.values[node] = value
                inputs = [source for source in node.all_input_nodes if source in self.inputs]
                if first or inputs:
                    self.inputs[node] = inputs
        if not isinstance(value, Tensor):
            raise TypeError(f"its output is a {type(value).__name__}, not one tensor")
        self.last_user = {s: node for node, inputs in self.inputs.items() for s in inputs}
        self.end = node
        self.maps = max(  # how many steps there are after the first, up to the last that sees maps
            number
            for number, inputs in enumerate(self.inputs.values())
            if any(getattr(self.values[source], "ndim", 3) > 2 for source in inputs)
        )
        self.local = {node for node in self.inputs if self._is_local(node)}
        self.watched = [self._step(path) for path in watch]
        self.frames: dict[tuple, Tensor] = {}
        self.clean = value, [map_sums(self.values[step]) for step in self.watched]
        self.largest, self.multiply_adds = 1, 0
        self.plain = sum(self._multiply_adds(*step) for step in self.values.items())

    def run(self, windows: Iterable[Window]) -> tuple[Tensor, list[Tensor]]:
        """The output [B, ...] for B pictures that differ from the clean one inside a window.

        Args:
            windows: the new contents [part of B, channels, h, w] and their place in each picture.
                Maps are computed part by part, what comes after them (and reads all its weights
                each time, whether for one picture or for hundreds) for all pictures together.

        Returns:
            Also, for each watched module, the sums of its feature maps, [B, maps].
        """
        (first, *steps), self.largest, parts = self.inputs, 1, []
        with torch.inference_mode():
            for window in windows:
                values, totals = {first: window}, {}
                self._follow(steps[: self.maps], values, totals)
                parts.append((values, totals))
            values, totals = (
                {step: torch.cat([part[step] for part in kind]) for step in kind[0]}
                for kind in zip(*parts)
            )
            self._follow(steps[self.maps :], values, totals)
        return values[self.end], [totals[step] for step in self.watched]

    def _follow(self, steps: list[fx.Node], values: dict, totals: dict) -> None:
        """Add to `values` what the steps give; values that no later step needs are dropped."""
        for node in steps:
            values[node] = value = self._compute(node, values)
            if isinstance(value, Window):
                self.largest = max(self.largest, math.prod(value.value.shape[1:]))
            if node in self.watched:
                totals[node] = self._total(node, value)
            for step in (node, *self.inputs[node]):
                if self.last_user.get(step, node) is node and node is not self.end:
                    del values[step]

    def _compute(self, node: fx.Node, values: dict):
        """The value of a step: a `Window`, or a whole batch where there are no maps any more."""
        windows = [values[source] for source in self.inputs[node]]
        if all(isinstance(window, Window) for window in windows):
            if node in self.slides:
                return self._slid(node, self.slides[node], *windows)
            if node in self.local:
                return self._local(node, windows, values)
        value = self._call(node, lambda source: self._whole(source, values.get(source)))
        self.multiply_adds += self._multiply_adds(node, value)
        return value

    def _call(self, node: fx.Node, get: Callable[[fx.Node], object]):
        """What a step makes of its inputs; `get` gives the value of another step."""
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), get)
        if node.op == "call_module":
            return self.modules[node.target](*args, **kwargs)
        if node.op == "call_function":
            return node.target(*args, **kwargs)
        if node.op == "call_method":
            return getattr(args[0], node.target)(*args[1:], **kwargs)
        if node.op == "get_attr":
            return reduce(getattr, node.target.split("."), self.module)
        return args[0]  # the output, or the default of an argument that is not given

    def _whole(self, source: fx.Node, value: object):
        """The complete value of a step: what is outside its window is as in the clean pass."""
        clean = self.values[source]
        if not isinstance(value, Window):
            return clean if value is None else value
        corner = np.zeros_like(value.top)
        return look(clean, value, corner, corner, *clean.shape[2:])

    def _local(self, node: fx.Node, windows: list[Window], values: dict) -> Window:
        """Element by element: every operand is seen through the union of their windows."""
        if len(node.all_input_nodes) == 1:
            (window,) = windows
            return Window(self._call(node, lambda _: window.value), window.top, window.left)
        rows, columns = self.values[node].shape[2:]
        top, height = union([(w.top, w.value.shape[2]) for w in windows], rows)
        left, width = union([(w.left, w.value.shape[3]) for w in windows], columns)

        def operand(source: fx.Node) -> Tensor:
            place = (top, left, height, width)
            if source in values:
                return look(self.values[source], values[source], *place)
            return cut(self.values[source], *place)

        return Window(self._call(node, operand), top, left)

    def _slid(self, node: fx.Node, slide: Slide, window: Window) -> Window:
        """Convolution or pooling: the outputs that see the window, from it and what is around."""
        if slide.spread is not None:
            return self._spread(node, slide, window)
        (source,), (rows, columns) = self.inputs[node], window.value.shape[2:]
        before, after = self.values[source].shape[2:], self.values[node].shape[2:]
        top, height = slide.reached(0, window.top, rows, after[0])
        left, width = slide.reached(1, window.left, columns, after[1])
        frame = [slide.around(axis, before[axis], after[axis]) for axis in (0, 1)]
        clean = self._framed(source, frame, slide.outside)
        down, right = slide.padding
        moved = Window(window.value, window.top + down, window.left + right)
        first_row, rows = slide.needed(0, top, height)
        first_column, columns = slide.needed(1, left, width)
        value = slide.apply(look(clean, moved, first_row, first_column, rows, columns))
        self.multiply_adds += self._multiply_adds(node, value)
        return Window(value, top, left)

    def _spread(self, node: fx.Node, slide: Slide, window: Window) -> Window:
        """Convolution: the clean outputs, and what the change of the inputs adds to them."""
        (source,), new, top, left = self.inputs[node], window.value, window.top, window.left
        clean, outputs = self.values[source], self.values[node]
        if nearly := math.prod(new.shape[2:]) > NEARLY * math.prod(clean.shape[2:]):
            # nothing needs to be cut out, now or of the outputs
            new, old, padding = self._whole(source, window), clean, slide.padding
        else:
            old, padding = cut(clean, top, left, *new.shape[2:]), (slide.span(0), slide.span(1))
        count, maps, rows, columns = new.shape
        change = new.new_empty(rows, count, columns, maps)
        torch.sub(new.permute(2, 0, 3, 1), old.permute(2, 0, 3, 1), out=change)
        added = slide.spread(change, padding)
        self.multiply_adds += count * slide.spread.multiply_adds(rows, columns, padding)
        if nearly:
            top = left = np.zeros_like(top)
            return Window(added.permute(1, 3, 0, 2).add_(outputs), top, left)
        first_row, first_column = slide.first(0, top), slide.first(1, left)
        top, height = slide.reached(0, top, rows, outputs.shape[2])
        left, width = slide.reached(1, left, columns, outputs.shape[3])
        value = cut(outputs, top, left, height, width)
        value += cut_or_zero(added, top - first_row, left - first_column, height, width)
        return Window(value, top, left)

    def _framed(self, step: fx.Node, sides: list[tuple[int, int]], outside: float) -> Tensor:
        """The clean maps of a step in a frame: (before, after) rows, (before, after) columns."""
        if not any(map(any, sides)):
            return self.values[step]
        key = (step, *sides, outside)
        if key not in self.frames:
            framed = F.pad(self.values[step], (*sides[1], *sides[0]), value=outside)
            self.frames[key] = framed.contiguous(memory_format=torch.channels_last)
        return self.frames[key]

    def _total(self, node: fx.Node, value: Window | Tensor) -> Tensor:
        """Sums of feature maps, [B, maps]."""
        if isinstance(value, Tensor):
            return map_sums(value)
        clean = self.values[node]
        before = cut(clean, value.top, value.left, *value.value.shape[2:])
        return map_sums(clean) + map_sums(value.value - before)

    # --- what is known of the steps beforehand --------------------------------------------------

    def _step(self, path: str) -> fx.Node:
        """The step that gives a module's output: the last one inside it."""
        path, _, call = path.partition("#")
        found = [node for node in self.values if path in modules_around(node)]
        if call:  # `relu#1`: the first time that the module runs
            found = [node for node in found if node.target == path][: int(call)]
        if not found:
            raise KeyError(f"{path!r} takes no part in the forward pass")
        return found[-1]

    def _is_local(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            return isinstance(self.modules[node.target], LOCAL_MODULES)
        if node.target not in (LOCAL_METHODS if node.op == "call_method" else LOCAL_FUNCTIONS):
            return False
        if node.target is torch.cat and [*node.args[1:], node.kwargs.get("dim")][0] not in (1, -3):
            return False
        # operands that are spread over the map, such as one factor per map, need whole maps
        extent = self.values[node].shape[2:]
        sources = [self.values[source] for source in node.all_input_nodes]
        return all(isinstance(maps, Tensor) and maps.shape[2:] == extent for maps in sources)

    def _multiply_adds(self, node: fx.Node, output: object) -> int:
        """Multiplications of one convolution or fully connected layer; 0 for everything else."""
        module = self.modules[node.target] if node.op == "call_module" else None
        connected = isinstance(module, nn.Conv2d | nn.Linear)
        return output.numel() * module.weight[0].numel() if connected else 0
