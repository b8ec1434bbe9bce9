"""A hash of everything that decides what a network computes, or None where that cannot be told.

Two networks may have equal weights and yet differ: in an activation, in a number kept as a plain
attribute, in what a lambda does. Values are hashed as `pickle` writes them, functions and classes
of one's own by what they do (their bytecode and all that it refers to), and those of installed
packages by their names, which are the same with every version of Python: what is stored with the
course is found by them.
"""

import hashlib
import io
import pickle
import site
import sys
import sysconfig
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

import torch
from PIL import Image
from torch import Tensor, nn

FOLDERS = (sysconfig.get_path("stdlib"), *site.getsitepackages(), site.getusersitepackages())
INSTALLED = set(map(Path, FOLDERS))


def of(*things: object) -> str | None:
    """Hash of the content of things, 32 characters, equal in every process.

    None if one of them holds something that cannot be looked into, such as a lock.
    """
    file = io.BytesIO()
    try:
        _Writer(file).dump(things)
    except Exception:  # pickle raises many kinds of errors; each means "cannot be looked into"
        return None
    return hashlib.sha256(file.getbuffer()).hexdigest()[:32]


class _Writer(pickle.Pickler):
    """Writes what is to be hashed; nothing is ever read back."""

    def __init__(self, file: io.BytesIO):
        super().__init__(file, protocol=4)
        self.fast = True  # equal values are written alike, whether they are one object or two
        self.begun: set[int] = set()  # functions and classes, which may refer to themselves

    def reducer_override(self, thing: object) -> tuple:
        """What to write in place of a thing, as (type, (content,))."""
        if isinstance(thing, Tensor):
            flat = thing.detach().cpu().contiguous().reshape(-1)
            content = b"" if thing.is_meta else flat.view(torch.uint8).numpy().tobytes()
            return tuple, ((str(thing.dtype), tuple(thing.shape), content),)
        if isinstance(thing, Image.Image):
            palette = thing.palette and (thing.palette.mode, bytes(thing.palette.palette))
            told = thing.mode, thing.size, palette, thing.info.get("transparency")
            return tuple, ((*told, thing.tobytes()),)
        if isinstance(thing, nn.Module):
            # public attributes only: the private ones are torch's own and change with its version
            own = {n: v for n, v in vars(thing).items() if n[0] != "_" and n != "training"}
            hooks = [*thing._forward_pre_hooks.values(), *thing._forward_hooks.values()]
            parts = dict(thing._parameters), dict(thing._buffers), dict(thing._modules)
            program = getattr(thing, "code", None)  # as torch.fx and TorchScript write it
            return tuple, ((type(thing), own, *parts, hooks, program),)
        if isinstance(thing, CodeType):
            return tuple, ((thing.co_code, thing.co_names, thing.co_varnames, thing.co_consts),)
        if isinstance(thing, ModuleType):
            return str, (thing.__name__,)
        if not isinstance(thing, FunctionType | type) or _is_installed(thing):
            return NotImplemented
        if id(thing) in self.begun:
            return str, (thing.__qualname__,)
        self.begun.add(id(thing))
        if isinstance(thing, type):
            parts = {n: v for n, v in vars(thing).items() if n[:2] != "__" or callable(v)}
            inner = {n: getattr(v, "__func__", getattr(v, "fget", v)) for n, v in parts.items()}
            return tuple, ((thing.__qualname__, thing.__bases__, inner),)
        around = [cell.cell_contents for cell in thing.__closure__ or ()]
        names = sorted(_names(thing.__code__) & thing.__globals__.keys())
        around += [(name, thing.__globals__[name]) for name in names]
        return tuple, ((thing.__code__, thing.__defaults__, thing.__kwdefaults__, around),)


def _names(code: CodeType) -> set[str]:
    """All names that a function and the functions inside it refer to."""
    inner = (part for part in code.co_consts if isinstance(part, CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _is_installed(thing: type | FunctionType) -> bool:
    """Whether a function or class is part of an installed package, and can be found by its name."""
    root = (thing.__module__ or "").partition(".")[0]
    if "<" in thing.__qualname__:  # a lambda, or made inside a function
        return False
    file = Path(getattr(sys.modules.get(root), "__file__", None) or "")
    return root in ("lecture_utils", "builtins") or not INSTALLED.isdisjoint(file.parents)
