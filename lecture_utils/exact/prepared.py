"""A network's forward pass as single steps, for `incremental`."""

import copy
import operator
from dataclasses import dataclass

from torch import fx, nn

from lecture_utils.exact.windows import Slide, sliding
from lecture_utils.models import evaluating


@dataclass(frozen=True)
class Prepared:
    """What is the same for all pictures.

    module: the network itself, never modified.
    graph: of the forward pass; none of its steps overwrites what another one still needs.
    modules: by name; copies that share their weights with the originals, in evaluation mode, and
        not overwriting their input.
    slides: of the convolutions and poolings among the steps; they hold weights in another order.
    """

    module: nn.Module
    graph: fx.Graph
    modules: dict[str, nn.Module]
    slides: dict[fx.Node, Slide]


def prepared(module: nn.Module) -> Prepared:
    """The steps of a network; raises whatever `torch.fx` raises for one that it cannot trace."""
    with evaluating(module):
        graph = _trace(module)
    modules = {name: copy.copy(part) for name, part in module.named_modules()}
    for part in modules.values():
        part.training = False
        if hasattr(part, "inplace"):
            part.inplace = False
    called = [node for node in graph.nodes if node.op == "call_module"]
    slides = {node: sliding(modules[node.target]) for node in called}
    slides = {node: slide for node, slide in slides.items() if slide is not None}
    return Prepared(module, graph, modules, slides)


def _trace(module: nn.Module) -> fx.Graph:
    graph = fx.Tracer().trace(module)
    order = {node: number for number, node in enumerate(graph.nodes)}
    for node in order:
        if not _in_place(module, node):
            continue
        source = node.args[0]
        for user in list(source.users):
            if order.get(user, -1) > order[node]:  # it would have seen the overwritten values
                user.replace_input_with(source, node)
        if node.op != "call_module":
            with graph.inserting_before(node):
                node.replace_input_with(source, graph.call_method("clone", (source,)))
    return graph


def _in_place(module: nn.Module, node: fx.Node) -> bool:
    if node.op == "call_module":
        return getattr(module.get_submodule(node.target), "inplace", False)
    if node.op == "call_method":
        return node.target.endswith("_")
    return node.target in (operator.iadd, operator.imul) or node.kwargs.get("inplace", False)


def modules_around(node: fx.Node) -> list[str]:
    """Dotted names of the modules in whose forward pass a step happens."""
    return [path.partition("@")[0] for path in node.meta.get("nn_module_stack", {})]
