"""Exact incremental inference: a rectangle of the picture changes, only its effects are computed.

The pass over the unchanged picture is kept. For a changed picture each layer is computed only
inside the window that the change can reach, with the kept values around it; many changed pictures
go through the network as one batch of windows. Convolutions, pooling, element-wise operations and
concatenations work on windows; any other operation gets its whole input put together, so every
network that `torch.fx` can trace gives the same numbers as a plain pass.
The idea, and how far it can go: Krypton (Nakandala, Kumar & Papakonstantinou, SIGMOD 2019).
"""

import copy
import math
import operator
from collections.abc import Callable, Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from lecture_utils.exact.windows import Slide, Window, cut, look, sliding, union

# What acts on each place of a feature map by itself: it may be given a window as it is.
LOCAL_MODULES = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh),
    *(nn.Hardswish, nn.Hardsigmoid, nn.BatchNorm2d, nn.Dropout, nn.Identity),
)
LOCAL_FUNCTIONS = {
    *(operator.add, operator.iadd, operator.sub, operator.mul, operator.imul),
    *(torch.add, torch.relu, torch.cat, F.relu, F.dropout),
}
LOCAL_METHODS = {"clone", "relu", "relu_", "add", "add_", "mul", "mul_"}

NEARLY = 0.7  # of the positions of a map: then all of it is computed

# On Linux large blocks of memory go back to the system when they are freed, and getting new ones is
# slow. That ends once a block of just under 32 MB was freed (`man mallopt`, M_MMAP_THRESHOLD); this
# one is never written to, so it costs nothing.
torch.empty(2**25 - 2**14, dtype=torch.uint8)


class Prepared(fx.Interpreter):
    """A network's forward pass as single steps: what is the same for all pictures.

    The network itself is never modified: the steps belong to a copy that shares its weights, in
    evaluation mode, and none of them overwrites what another one still needs. Raises whatever
    `torch.fx` raises for a network that it cannot trace.

    Attributes:
        slides: of the convolutions and poolings among the steps.
    """

    def __init__(self, module: nn.Module):
        weights = [*module.parameters(), *module.buffers()]
        module = copy.deepcopy(module, {id(weight): weight for weight in weights}).eval()
        with torch.no_grad():
            super().__init__(fx.symbolic_trace(module))
        self.args_iter = iter(())  # other arguments than the picture have their defaults
        self._end_overwriting()
        slides = {node: sliding(self.layer(node)) for node in self.module.graph.nodes}
        self.slides = {node: slide for node, slide in slides.items() if slide}

    def layer(self, node: fx.Node) -> nn.Module | None:
        return self.module.get_submodule(node.target) if node.op == "call_module" else None

    def _end_overwriting(self) -> None:
        overwriting = [node for node in self.module.graph.nodes if self._in_place(node)]
        for node in overwriting:
            source = node.args[0]  # later steps would have seen the overwritten values
            source.replace_all_uses_with(node, lambda user, node=node: user > node)
            if node.op == "call_module":
                self.layer(node).inplace = False
            else:
                with self.module.graph.inserting_before(node):
                    copied = self.module.graph.call_method("clone", (source,))
                node.replace_input_with(source, copied)

    def _in_place(self, node: fx.Node) -> bool:
        if node.op == "call_method":
            return node.target.endswith("_")
        overwrites = getattr(self.layer(node), "inplace", False) or node.kwargs.get("inplace")
        return overwrites or node.target in (operator.iadd, operator.imul)


class Incremental:
    """One network and one picture, ready for changed versions of that picture.

    Args:
        image: the unchanged picture, Tensor [channels, H, W].
        watch: modules whose feature maps are to be summed, as `layers.resolve` names them.

    Attributes:
        clean: what `run` would give for the unchanged picture.
        largest: numbers in the largest window of one picture in the last run.
        multiply_adds: of convolutions and fully connected layers in all runs; plain: of one pass.

    Raises KeyError for a module that takes no part, TypeError if the output is not one tensor.
    """

    def __init__(self, network: Prepared, image: Tensor, watch: Iterable[str] = ()):
        self.network = network
        self.values: dict[fx.Node, object] = {}  # what each step gives in the clean pass
        self.inputs: dict[fx.Node, list[fx.Node]] = {}  # of a step, those that can change
        with torch.inference_mode():
            for node in network.module.graph.nodes:
                first = not self.values
                value = image[None] if first else self._call(node, self.values.get)
                if isinstance(value, Tensor) and value.ndim == 4:
                    value = value.contiguous(memory_format=torch.channels_last)
                self.values[node] = value
                inputs = [source for source in node.all_input_nodes if source in self.inputs]
                if first or inputs:
                    self.inputs[node] = inputs
            self.framed = {}  # clean maps, padding around them, by the layer that needs them
            for node, slide in network.slides.items():
                if node in self.inputs:
                    maps = self.values[node if slide.spread else node.all_input_nodes[0]]
                    self.framed[node] = F.pad(maps, slide.frame, value=slide.outside)
        if not isinstance(value, Tensor):
            raise TypeError(f"its output is a {type(value).__name__}, not one tensor")
        self.last_user = {s: node for node, inputs in self.inputs.items() for s in inputs}
        self.end = next(reversed(self.values))
        self.maps = max(  # how many steps there are after the first, up to the last that sees maps
            number
            for number, inputs in enumerate(self.inputs.values())
            if any(getattr(self.values[source], "ndim", 3) > 2 for source in inputs)
        )
        self.local = {node for node in self.inputs if self._is_local(node)}
        self.watched = [self._step(path) for path in watch]
        self.clean = [value, *(map_sums(self.values[step]) for step in self.watched)]
        self.largest, self.multiply_adds = 1, 0
        self.plain = sum(self._multiply_adds(*step) for step in self.values.items())

    def run(self, windows: Iterable[Window]) -> list[Tensor]:
        """The output [B, ...] for B pictures that differ from the clean one inside a window.

        Args:
            windows: the new contents [part of B, channels, h, w] and their place in each picture.
                Maps are computed part by part. What comes after them reads all its weights each
                time, whether for one picture or for hundreds: it gets all pictures together.

        Returns:
            Also, behind it, the sums of the feature maps of each watched module, [B, maps].
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
        return [values[self.end], *(totals[step] for step in self.watched)]

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
            if slide := self.network.slides.get(node):
                return self._slid(node, slide, *windows)
            if node in self.local:
                return self._local(node, windows, values)
        value = self._call(node, lambda source: self._whole(source, values.get(source)))
        self.multiply_adds += self._multiply_adds(node, value)
        return value

    def _call(self, node: fx.Node, get: Callable[[fx.Node], object]):
        """What a step makes of its inputs; `get` gives the value of another step."""
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), get)
        return getattr(self.network, node.op)(node.target, args, kwargs)

    def _whole(self, source: fx.Node, value: object):
        """The complete value of a step: what is outside its window is as in the clean pass."""
        clean = self.values[source]
        if not isinstance(value, Window):
            return clean if value is None else value
        return look(clean, value, np.zeros_like(value.corner), tuple(clean.shape[2:]))

    def _local(self, node: fx.Node, windows: list[Window], values: dict) -> Window:
        """Element by element: every operand is seen through the union of their windows."""
        if len(node.all_input_nodes) == 1:
            (window,), (source,) = windows, self.inputs[node]
            if source in self.network.slides and isinstance(self.network.layer(node), nn.ReLU):
                if self.last_user[source] is node:
                    return Window(window.value.relu_(), window.corner)
            return Window(self._call(node, lambda _: window.value), window.corner)
        rectangles = [(window.corner, window.size) for window in windows]
        corner, size = union(rectangles, self.values[node].shape[2:])
        seen = {
            source: look(self.values[source], values[source], corner, size)
            if source in values
            else cut(self.values[source], corner, size)
            for source in node.all_input_nodes
        }
        return Window(self._call(node, seen.get), corner)

    def _slid(self, node: fx.Node, slide: Slide, window: Window) -> Window:
        """Convolution or pooling: the outputs that see the window, from it and what is around."""
        (source,) = self.inputs[node]
        if slide.spread is not None:
            return self._spread(node, self.values[source], slide, window)
        corner, size = slide.reached(window.corner, window.size, self.values[node].shape[2:])
        moved = Window(window.value, window.corner + slide.padding)
        value = slide.apply(look(self.framed[node], moved, *slide.needed(corner, size)))
        self.multiply_adds += self._multiply_adds(node, value)
        return Window(value, corner)

    def _spread(self, node: fx.Node, clean: Tensor, slide: Slide, window: Window) -> Window:
        """Convolution: the clean outputs, and what the change of the inputs adds to them."""
        if math.prod(window.size) > NEARLY * math.prod(clean.shape[2:]):
            corner = np.zeros_like(window.corner)
            window = Window(look(clean, window, corner, tuple(clean.shape[2:])), corner)
            old, padding = clean, slide.padding  # no change comes from outside of the map
        else:
            old, padding = cut(clean, window.corner, window.size), slide.span
        new, (down, right) = window.value, padding.ravel().tolist()
        count, maps, rows, columns = new.shape
        change = new.new_empty(rows, count, columns, maps)
        torch.sub(new.permute(2, 0, 3, 1), old.permute(2, 0, 3, 1), out=change)
        added = slide.spread(change, (down, right)).permute(1, 3, 0, 2)
        self.multiply_adds += count * slide.spread.multiply_adds(rows, columns, (down, right))
        if old is clean:
            return Window(added.add_(self.values[node]), window.corner)
        framed, first = self.framed[node], window.corner + slide.padding
        outputs = Window(cut(framed, first, tuple(added.shape[2:])).add_(added), first)
        corner, size = slide.reached(window.corner, window.size, self.values[node].shape[2:])
        return Window(look(framed, outputs, corner + slide.span, size), corner)

    def _total(self, node: fx.Node, value: Window | Tensor) -> Tensor:
        """Sums of feature maps, [B, maps]."""
        if isinstance(value, Tensor):
            return map_sums(value)
        clean = self.values[node]
        before = cut(clean, value.corner, value.size)
        return map_sums(clean) + map_sums(value.value - before)

    # --- what is known of the steps beforehand --------------------------------------------------

    def _step(self, path: str) -> fx.Node:
        """The step that gives a module's output: the last one inside it."""
        path, _, call = path.partition("#")
        found = [node for node in self.values if path in _modules_around(node)]
        if call:  # `relu#1`: the first time that the module runs
            found = [node for node in found if node.target == path][: int(call)]
        if not found:
            raise KeyError(f"{path!r} takes no part in the forward pass")
        return found[-1]

    def _is_local(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            return isinstance(self.network.layer(node), LOCAL_MODULES)
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
        layer = self.network.layer(node)
        connected = isinstance(layer, nn.Conv2d | nn.Linear)
        return output.numel() * layer.weight[0].numel() if connected else 0


def map_sums(maps: Tensor) -> Tensor:
    """Sum of each feature map over its positions: [B, maps, ...] -> [B, maps]."""
    return maps.flatten(2).sum(2) if maps.ndim > 2 else maps


def _modules_around(node: fx.Node) -> list[str]:
    """Dotted names of the modules in whose forward pass a step happens."""
    return [path.partition("@")[0] for path in node.meta.get("nn_module_stack", {})]
