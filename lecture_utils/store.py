"""Files: the course's own data, checked as it is read, and results that are remembered."""

import contextlib
import dataclasses
import hashlib
import importlib
import io
import json
import os
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

DATA = Path(__file__).resolve().parent.parent / "data"
# results stored with the course; `python -m data.recipe.results` makes them
SHIPPED = DATA / "kept"
LIMIT = 2_000_000_000  # bytes that the folder of results may hold; what was unused longest goes

Result = TypeVar("Result")


class DataError(OSError):
    """A file of the course is missing or is not the file that was published."""


@cache
def published() -> dict[str, str]:
    """sha256 of every published file below data/, by its path there."""
    lines = (DATA / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    return {path: digest for digest, path in (line.split(maxsplit=1) for line in lines)}


def read(path: Path) -> bytes:
    """The bytes of one file of the course; DataError if it is missing, truncated or altered."""
    name = path.relative_to(DATA).as_posix()
    repair = f"`git checkout -- data/{name}` brings it back."
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read data/{name} ({error.strerror}). {repair}") from error
    if hashlib.sha256(content).hexdigest() != published().get(name):
        raise DataError(f"data/{name} is truncated or altered. {repair}")
    return content


def damaged() -> list[str]:
    """The published files below data/ that are missing, truncated or altered."""
    found = []
    for name in published():
        try:
            read(DATA / name)
        except DataError:
            found.append(name)
    return found


# --- results ------------------------------------------------------------------------------------


def kept(key: tuple, make: Callable[[], Result]) -> Result:
    """What `make` gives, computed once, then read from the course's results or this computer's.

    Args:
        key: everything the result depends on, as plain values (texts, numbers, tuples of them):
            what is computed, fingerprints of network and pictures, settings. If one of them is
            None, as the fingerprint of a network that cannot be looked into, nothing is remembered.
        make: without arguments; gives arrays, plain values, dataclasses or named tuples of this
            package, or lists, tuples and dictionaries (by text) of these.

    A folder that cannot be written is no error, a damaged file is made anew. What `make` raises
    goes through, and nothing is stored. TypeError for a key or result of another kind.
    """
    if not _is_complete(key):
        return make()
    name = file_name(key)
    # of a damaged file numpy says so in many ways: whatever it raises means "not kept"
    with contextlib.suppress(Exception):
        return _unpacked(read(SHIPPED / name))
    with contextlib.suppress(Exception):
        found = _unpacked((folder() / name).read_bytes())
        with contextlib.suppress(OSError):  # a disk that cannot be written
            os.utime(folder() / name)  # used now: the last to be thrown away
        return found
    made = make()
    _write(name, _packed(made))
    return made


def file_name(key: tuple) -> str:
    """Of the file that holds the result of a key."""
    return hashlib.sha256(repr(key).encode()).hexdigest()[:32] + ".npz"


def _is_complete(key: object) -> bool:
    if isinstance(key, tuple):
        return all([_is_complete(part) for part in key])
    if key is not None and not isinstance(key, str | int | float):
        raise TypeError(f"a key holds texts, numbers and tuples of them, not {type(key).__name__}")
    return key is not None


def folder() -> Path:
    """Where results are kept: `LECTURE_UTILS_CACHE`, or at home; RuntimeError without either."""
    named = os.environ.get("LECTURE_UTILS_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "lecture_utils"


def _results() -> list[Path]:
    """The files of the folder, those that were not finished included."""
    return [*folder().glob("*.npz"), *folder().glob("*.part")]


def clear() -> None:
    """Remove all results that this computer has kept; other files in the folder stay."""
    for path in _results():
        path.unlink(missing_ok=True)


def _write(name: str, content: bytes) -> None:
    """Write a whole file or none, and make room; a folder that cannot be written is no error."""
    with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: there is no home directory
        folder().mkdir(parents=True, exist_ok=True)
        part = folder() / f"{name}.{uuid.uuid4().hex}.part"  # opened as any file: by umask
        try:
            part.write_bytes(content)
            part.replace(folder() / name)
        finally:
            part.unlink(missing_ok=True)
        _trim(folder() / name)


def _trim(newest: Path) -> None:
    """Remove what was unused longest until the folder holds no more than `LIMIT` bytes."""
    total = 0
    for path in sorted(_results(), key=os.path.getmtime, reverse=True):
        total += path.stat().st_size
        if total > LIMIT and path != newest:
            path.unlink(missing_ok=True)


# --- results as files: arrays, and a plan of how they belong together ---------------------------


def _packed(value: Any) -> bytes:
    arrays: list[np.ndarray] = []
    plan = json.dumps(_plan(value, arrays))
    file = io.BytesIO()
    np.savez(file, *arrays, plan=np.array(plan))
    return file.getvalue()


def _unpacked(content: bytes) -> Any:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        arrays = (archive[f"arr_{n}"] for n in range(len(archive.files) - 1))
        return _built(json.loads(str(archive["plan"])), arrays)


def _plan(value: Any, arrays: list[np.ndarray]) -> Any:
    """What `_built` needs to put a value together; its arrays are added to `arrays`."""
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"kind": "array"}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [_plan(part, arrays) for part in value]
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return {"kind": "tuple", "parts": _plan(list(value), arrays)}
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        kind, parts = "dict", value
    elif type(value).__module__.startswith("lecture_utils."):
        kind = f"{type(value).__module__}:{type(value).__qualname__}"
        names = getattr(value, "_fields", None) or [f.name for f in dataclasses.fields(value)]
        parts = {name: getattr(value, name) for name in names}
    else:
        raise TypeError(f"a {type(value).__name__} cannot be kept")
    return {"kind": kind, "parts": {name: _plan(part, arrays) for name, part in parts.items()}}


def _built(plan: Any, arrays: Iterator[np.ndarray]) -> Any:
    """A value from its plan, and its arrays in order."""
    if isinstance(plan, list):
        return [_built(part, arrays) for part in plan]
    if not isinstance(plan, dict):
        return plan
    kind, parts = plan["kind"], plan.get("parts")
    if kind == "array":
        return next(arrays)
    if kind == "tuple":
        return tuple(_built(parts, arrays))
    built = {name: _built(part, arrays) for name, part in parts.items()}
    if kind == "dict":
        return built
    module, _, name = kind.partition(":")
    if not module.startswith("lecture_utils."):
        raise ValueError(f"not a class of this package: {kind}")
    return getattr(importlib.import_module(module), name)(**built)
