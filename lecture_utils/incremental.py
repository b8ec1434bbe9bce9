"""Exact incremental inference: a rectangle of the picture changes, only its effects are computed.

The pass over the unchanged picture is kept. For a changed picture each layer is computed only
inside the window that the change can reach, with the kept values around it; many changed pictures
go through the network as one batch of windows. Convolutions, pooling, element-wise operations and
concatenations work on windows; any other operation gets its whole input put together, so every
network that `torch.fx` can trace gives the same numbers as a plain pass.
The idea, and how far it can go: Krypton (Nakandala, Kumar & Papakonstantinou, SIGMOD 2019).
"""

import operator
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from lecture_utils.plain import map_sums
from lecture_utils.windows import Slide, Window, look, sliding, union

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


class Incremental:
    """One network and one picture, ready for changed versions of that picture.

    Args:
        module: in evaluation mode; it is traced, never modified.
        image: the unchanged picture, Tensor [3, H, W].
        watch: modules whose feature maps are to be summed over all positions, as
            `layers.resolve` names them.

    Attributes:
        clean: what `run` would give for the unchanged picture.
        largest: numbers in the largest stack of feature maps of one picture.
        multiply_adds: of the convolutions and fully connected layers in all runs so far;
            plain_multiply_adds: of one plain pass.

    Raises KeyError for a module that takes no part, and whatever `torch.fx` raises for a network
    that it cannot trace.
    """

    def __init__(self, module: nn.Module, image: Tensor, watch: Iterable[str] = ()):
        self.steps = _trace(module)
        self.values: dict[fx.Node, object] = {}
        with torch.no_grad():
            output = _CleanPass(self.steps, self.values).run(image[None])
        called = [node for node in self.values if node.op == "call_module"]
        slides = {node: sliding(self.steps.get_submodule(node.target)) for node in called}
        self.slides = {node: slide for node, slide in slides.items() if slide is not None}
        self.watched = [self._step(path) for path in watch]
        self.clean = output, [map_sums(self.values[step]) for step in self.watched]
        tensors = [value for value in self.values.values() if isinstance(value, Tensor)]
        self.largest = max(value.numel() for value in tensors)
        self.multiply_adds = 0
        self.plain_multiply_adds = sum(
            _multiply_adds(self.steps, step, value) for step, value in self.values.items()
        )

    def run(self, window: Window) -> tuple[Tensor, list[Tensor]]:
        """The output [B, ...] for B pictures that differ from the clean one inside a window.

        Args:
            window: the new contents [B, 3, h, w] and their place in each picture.

        Returns:
            Also, for each watched module, the sums of its feature maps, [B, maps].
        """
        windowed = _WindowedPass(self)
        with torch.no_grad():
            output = windowed.run(window)
        self.multiply_adds += windowed.multiply_adds
        return output, [windowed.totals[step] for step in self.watched]

    def _step(self, path: str) -> fx.Node:
        """The step that gives a module's output: the last one inside it."""
        path, _, call = path.partition("#")
        found = [node for node in self.values if path in _modules_around(node)]
        if call:  # `relu#1`: the first time that the module runs
            found = [node for node in found if node.target == path][: int(call)]
        if not found:
            raise KeyError(f"{path!r} takes no part in the forward pass")
        return found[-1]


# --- the network as a list of steps -------------------------------------------------------------


def _trace(module: nn.Module) -> fx.GraphModule:
    """The forward pass as single steps, none of which overwrites what another one still needs."""
    graph = fx.Tracer().trace(module)
    order = {node: number for number, node in enumerate(graph.nodes)}
    for node in order:
        if not _in_place(module, node):
            continue
        source = node.args[0]
        for user in list(source.users):
            if order.get(user, -1) > order[node]:  # it would have seen the overwritten values
                user.replace_input_with(source, node)
        with graph.inserting_before(node):
            node.replace_input_with(source, graph.call_method("clone", (source,)))
    return fx.GraphModule(module, graph)


def _in_place(module: nn.Module, node: fx.Node) -> bool:
    if node.op == "call_module":
        return getattr(module.get_submodule(node.target), "inplace", False)
    if node.op == "call_method":
        return node.target.endswith("_")
    return node.target in (operator.iadd, operator.imul) or node.kwargs.get("inplace", False)


def _modules_around(node: fx.Node) -> list[str]:
    """Dotted names of the modules in whose forward pass a step happens."""
    return [path.partition("@")[0] for path in node.meta.get("nn_module_stack", {})]


def _multiply_adds(steps: fx.GraphModule, node: fx.Node, output: object) -> int:
    """Multiplications of one convolution or fully connected layer; 0 for everything else."""
    if node.op != "call_module":
        return 0
    module = steps.get_submodule(node.target)
    if not isinstance(module, nn.Conv2d | nn.Linear):
        return 0
    return output.numel() * module.weight[0].numel()


class _CleanPass(fx.Interpreter):
    """A plain pass that keeps what every step gives."""

    def __init__(self, steps: fx.GraphModule, kept: dict):
        super().__init__(steps)
        self.kept = kept

    def run_node(self, node: fx.Node):
        value = super().run_node(node)
        if isinstance(value, Tensor) and value.ndim == 4:
            value = value.contiguous(memory_format=torch.channels_last)
        self.kept[node] = value
        return value


# --- one pass over windows ----------------------------------------------------------------------


class _WindowedPass(fx.Interpreter):
    """A pass in which a step's value is a `Window`, or a whole batch once the window is the map."""

    def __init__(self, network: Incremental):
        super().__init__(network.steps)
        self.clean, self.slides, self.wanted = network.values, network.slides, network.watched
        self.changed: set[fx.Node] = set()
        self.totals: dict[fx.Node, Tensor] = {}
        self.multiply_adds = 0

    def run_node(self, node: fx.Node):
        if node.op != "placeholder" and self.changed.isdisjoint(node.all_input_nodes):
            return self.clean[node]
        self.changed.add(node)
        value = self._compute(node)
        if node in self.wanted:
            self.totals[node] = self._total(node, value)
        return value

    def _compute(self, node: fx.Node):
        if node.op == "placeholder":
            return super().run_node(node)
        windows = [self.env[source] for source in node.all_input_nodes if source in self.changed]
        if all(isinstance(window, Window) for window in windows):
            if node in self.slides:
                return self._slid(node, self.slides[node], windows[0])
            if self._is_local(node):
                return self._local(node, windows)
        value = self._apply(node, self._whole)
        self.multiply_adds += _multiply_adds(self.module, node, value)
        return value

    def _apply(self, node: fx.Node, get: Callable[[fx.Node], object]):
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), get)
        return getattr(self, node.op)(node.target, tuple(args), dict(kwargs))

    def _whole(self, source: fx.Node):
        """The complete value of a step: what is outside its window is as in the clean pass."""
        value, clean = self.env[source], self.clean[source]
        if not isinstance(value, Window):
            return value
        corner = torch.zeros_like(value.top)
        return look(clean, value, corner, corner, *clean.shape[2:]).contiguous()

    def _is_local(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            return isinstance(self.submodules[node.target], LOCAL_MODULES)
        if node.target not in (LOCAL_METHODS if node.op == "call_method" else LOCAL_FUNCTIONS):
            return False
        if node.target is torch.cat and [*node.args[1:], node.kwargs.get("dim")][0] not in (1, -3):
            return False
        # operands that are spread over the map, such as one factor per map, need whole maps
        extent = self.clean[node].shape[2:]
        return all(
            isinstance(self.clean[source], Tensor) and self.clean[source].shape[2:] == extent
            for source in node.all_input_nodes
        )

    def _local(self, node: fx.Node, windows: list[Window]) -> Window:
        """Element by element: every operand is seen through the union of their windows."""
        rows, columns = self.clean[node].shape[2:]
        top, height = union([(w.top, w.value.shape[2]) for w in windows], rows)
        left, width = union([(w.left, w.value.shape[3]) for w in windows], columns)

        def seen(source: fx.Node) -> Tensor:
            window = self.env[source] if source in self.changed else None
            if window and len(windows) == 1:
                return window.value
            return look(self.clean[source], window, top, left, height, width)

        return Window(self._apply(node, seen), top, left)

    def _slid(self, node: fx.Node, slide: Slide, window: Window) -> Window | Tensor:
        """Convolution or pooling: outputs that see the window, from it and what is around it."""
        rows, columns = self.clean[node].shape[2:]
        top, height = slide.reached(0, window.top, window.value.shape[2], rows)
        left, width = slide.reached(1, window.left, window.value.shape[3], columns)
        before = self.clean[node.all_input_nodes[0]]
        if slide.effect is not None:
            value = self._added(node, slide, before, window, (top, left, height, width))
        else:
            first_row, seen_rows = slide.needed(0, top, height)
            first_column, seen_columns = slide.needed(1, left, width)
            place = (first_row, first_column, seen_rows, seen_columns)
            value = slide.apply(look(before, window, *place, slide.outside))
            self.multiply_adds += _multiply_adds(self.module, node, value)
        return value if (height, width) == (rows, columns) else Window(value, top, left)

    def _added(
        self, node: fx.Node, slide: Slide, before: Tensor, window: Window, place: tuple
    ) -> Tensor:
        """The clean outputs and what the difference of the inputs adds: no surroundings needed."""
        there = (window.top, window.left, *window.value.shape[2:])
        difference = window.value - look(before, None, *there)
        top, left = slide.first(0, window.top), slide.first(1, window.left)
        effect = Window(slide.effect(difference), top, left)
        weight = self.submodules[node.target].weight
        self.multiply_adds += difference[:, 0].numel() * weight.numel()
        clean = self.clean[node]
        return look(clean, None, *place) + look(torch.zeros_like(clean), effect, *place)

    def _total(self, node: fx.Node, value: Window | Tensor) -> Tensor:
        if isinstance(value, Tensor):
            return map_sums(value)
        clean = self.clean[node]
        before = look(clean, None, value.top, value.left, *value.value.shape[2:])
        return map_sums(clean) + map_sums(value.value - before)
