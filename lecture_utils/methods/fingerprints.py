"""A hash of everything that decides what a network computes, or None where that cannot be told.

Two networks may have equal weights and yet differ: in an activation, in a number kept as a plain
attribute, in what a lambda does. So values are hashed by their content, functions and classes of
one's own by what they do (their bytecode and all that it refers to), and those of installed
packages by their names. Names alone are the same with every version of Python; what is stored with
the course is found by them.
"""

import enum
import functools
import hashlib
import sys
import sysconfig
import types
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

NUMBERS = bool | int | float | complex | str | bytes | None
INSTALLED = [Path(sysconfig.get_path(kind)) for kind in ("stdlib", "purelib", "platlib")]


class Unknown(TypeError):
    """Something that decides what is computed, but whose content cannot be looked at."""


def of(*things: object) -> str | None:
    """Hash of the content of things, 32 characters, equal in every process.

    None if one of them holds something that cannot be looked into: whatever is computed with it
    is not to be remembered.
    """
    digest = _Digest()
    try:
        for thing in things:
            digest.add(thing)
    except (Unknown, NotImplementedError):  # sparse and quantised tensors are not implemented
        return None
    return digest.hash.hexdigest()[:32]


class _Digest:
    def __init__(self):
        self.hash = hashlib.sha256()
        self.met: dict[int, int] = {}
        self.held: list = []  # keeps what was met alive, so that no two share an id

    def note(self, *words: object) -> None:
        self.hash.update(("|".join(map(str, words)) + "\n").encode())

    def add(self, thing: object) -> None:
        """Add one thing; what was met before is only referred to, for it may hold itself."""
        if isinstance(thing, NUMBERS) and not isinstance(thing, enum.Enum):
            self.note(type(thing).__name__, repr(thing))
        elif id(thing) in self.met:
            self.note("again", self.met[id(thing)])
        else:
            self.met[id(thing)] = len(self.met)
            self.held.append(thing)
            self._add_new(thing)

    def _add_new(self, thing: object) -> None:
        if isinstance(thing, Tensor | np.ndarray | np.generic):
            self._add_values(thing)
        elif isinstance(thing, Image.Image):
            self.note("image", thing.size, thing.mode, thing.getpalette())
            self.hash.update(thing.tobytes())
        elif isinstance(thing, list | tuple):
            self._add_all(type(thing).__name__, *thing)
        elif isinstance(thing, dict):
            self._add_all("dict", *(part for item in thing.items() for part in item))
        elif isinstance(thing, set | frozenset):
            self._add_all("set", *sorted(thing, key=repr))
        elif isinstance(thing, enum.Enum):
            self._add_all("enum", type(thing), thing.name)
        elif isinstance(thing, torch.dtype | torch.device):
            self.note(thing)
        elif isinstance(thing, types.ModuleType):
            self.note("module", thing.__name__)
        elif isinstance(thing, functools.partial):
            self._add_all("partial", thing.func, thing.args, thing.keywords)
        elif isinstance(thing, types.MethodType):
            self._add_all("method", thing.__func__, thing.__self__)
        elif isinstance(thing, types.CodeType):
            self._add_code(thing)
        elif isinstance(thing, type | types.FunctionType) and _is_installed(thing):
            self.note("installed", thing.__module__, thing.__qualname__)
        elif isinstance(thing, types.FunctionType):
            self._add_function(thing)
        elif isinstance(thing, type):
            parts = {n: v for n, v in vars(thing).items() if not n.startswith("__") or callable(v)}
            self._add_all("class", thing.__qualname__, thing.__bases__, parts)
        elif isinstance(thing, property | classmethod | staticmethod):
            inner = thing.fget if isinstance(thing, property) else thing.__func__
            self._add_all(type(thing).__name__, inner)
        elif isinstance(thing, nn.Module):
            self._add_module(thing)
        elif callable(thing) and hasattr(thing, "__qualname__"):  # compiled functions
            self.note("compiled", thing.__module__, thing.__qualname__)
        elif hasattr(thing, "__dict__"):
            self._add_all("object", type(thing), vars(thing))
        else:
            raise Unknown(type(thing).__name__)

    def _add_all(self, kind: str, *parts: object) -> None:
        self.note(kind, len(parts))
        for part in parts:
            self.add(part)

    def _add_values(self, values: Tensor | np.ndarray | np.generic) -> None:
        self.note("values", values.dtype, tuple(values.shape))
        if isinstance(values, Tensor):
            if values.is_meta:
                return
            flat = values.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            self.hash.update(flat.numpy().data)
        elif values.dtype.hasobject:
            self._add_all("objects", *values.ravel().tolist())
        else:
            self.hash.update(np.ascontiguousarray(values).tobytes())

    def _add_code(self, code: types.CodeType) -> None:
        self._add_all("code", code.co_code, code.co_names, code.co_varnames, code.co_consts)

    def _add_function(self, function: types.FunctionType) -> None:
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        names = sorted(_names(function.__code__) & function.__globals__.keys())
        globals_used = {name: function.__globals__[name] for name in names}
        self._add_all("function", function.__code__, function.__defaults__, function.__kwdefaults__)
        self._add_all("around", cells, globals_used)

    def _add_module(self, module: nn.Module) -> None:
        # public attributes only: the private ones are torch's own and change with its version
        own = {n: v for n, v in vars(module).items() if n[0] != "_" and n != "training"}
        hooks = [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]
        parts = module._parameters, module._buffers, module._modules
        # a network written by torch.fx or TorchScript has its program in an attribute
        self._add_all("nn", type(module), own, *parts, hooks, getattr(module, "code", None))


def _names(code: types.CodeType) -> set[str]:
    """All names that a function and the functions inside it refer to."""
    inner = (part for part in code.co_consts if isinstance(part, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _is_installed(thing: type | types.FunctionType) -> bool:
    """Whether a function or class is part of an installed package, and can be found by its name."""
    root = (thing.__module__ or "").partition(".")[0]
    if "<" in thing.__qualname__:  # a lambda, or made inside a function
        return False
    if root in ("lecture_utils", "builtins"):
        return True
    file = getattr(sys.modules.get(root), "__file__", None)
    return bool(file) and any(folder in Path(file).parents for folder in INSTALLED)
