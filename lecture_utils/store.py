"""Files: the course's own data, checked as it is read, and results that are remembered.

`kept` computes a result once. What is stored with the course (`data/kept/`) and what this computer
computed before (a folder in the home directory) are looked up in the same way, by a key that names
everything the result depends on.
"""

import contextlib
import dataclasses
import hashlib
import importlib
import io
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

DATA = Path(__file__).resolve().parent.parent / "data"
SHIPPED = (
    DATA / "kept"
)  # results stored with the course; `python -m data.recipe.results` makes them
LIMIT = 2_000_000_000  # bytes that the folder of results may hold; what was unused longest goes

Result = TypeVar("Result")


class DataError(OSError):
    """A file of the course is missing or is not the file that was published."""


# --- the course's own files ---------------------------------------------------------------------


@cache
def published() -> dict[str, str]:
    """sha256 of every published file below data/, by its path there."""
    lines = (DATA / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    return {path: digest for digest, path in (line.split(maxsplit=1) for line in lines)}


def read(path: Path) -> bytes:
    """The bytes of one file of the course.

    Raises:
        DataError: names the file if it is missing, truncated or altered.
    """
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
    """What `make` gives, computed once and then read from disk.

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
    for file in (SHIPPED / name, _cached(name)):
        if file is None or not file.exists():
            continue
        try:
            found = _unpacked(read(file) if file.parent == SHIPPED else file.read_bytes())
        except Exception:  # numpy raises many kinds of errors on damaged files: "not kept"
            continue
        with contextlib.suppress(OSError):  # a disk that cannot be written
            os.utime(file)  # used now: the last to be thrown away
        return found
    made = make()
    _write(_cached(name), _packed(made))
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
    """Where results are kept: `LECTURE_UTILS_CACHE`, or a folder in the home directory.

    Raises RuntimeError where there is neither.
    """
    named = os.environ.get("LECTURE_UTILS_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "lecture_utils"


def _cached(name: str) -> Path | None:
    try:
        return folder() / name
    except RuntimeError:  # there is no home directory
        return None


def _results() -> list[Path]:
    """The files of the folder, those that were not finished included."""
    return [*folder().glob("*.npz"), *folder().glob("*.part")]


def clear() -> None:
    """Remove all results that this computer has kept; other files in the folder stay."""
    for path in _results():
        path.unlink(missing_ok=True)


def _write(path: Path | None, content: bytes) -> None:
    """Write a whole file or none, and make room; a folder that cannot be written is no error."""
    if path is None:
        return
    part = path.with_name(f"{path.stem}.{uuid.uuid4().hex}.part")  # opened as any file: by umask
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(content)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        _trim(path)
    except OSError:
        pass


def _trim(newest: Path) -> None:
    """Remove what was unused longest until the folder holds no more than `LIMIT` bytes."""
    facts = {path: path.stat() for path in _results()}
    for path, fact in facts.items():
        if path.suffix == ".part" and fact.st_mtime < time.time() - 3600:  # of a killed process
            path.unlink(missing_ok=True)
    total = sum(fact.st_size for fact in facts.values())
    for path in sorted(facts, key=lambda path: facts[path].st_mtime):
        if total <= LIMIT:
            break
        if path.suffix == ".npz" and path != newest:
            path.unlink(missing_ok=True)
            total -= facts[path].st_size


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
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        parts = {name: _plan(part, arrays) for name, part in value.items()}
        return {"kind": "dict", "parts": parts}
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return {"kind": "tuple", "parts": [_plan(part, arrays) for part in value]}
    if type(value).__module__.startswith("lecture_utils."):
        names = getattr(value, "_fields", None) or [f.name for f in dataclasses.fields(value)]
        parts = {name: _plan(getattr(value, name), arrays) for name in names}
        kind = type(value)
        return {"kind": f"{kind.__module__}:{kind.__qualname__}", "parts": parts}
    raise TypeError(f"a {type(value).__name__} cannot be kept")


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
        return tuple(_built(part, arrays) for part in parts)
    built = {name: _built(part, arrays) for name, part in parts.items()}
    if kind == "dict":
        return built
    module, _, name = kind.partition(":")
    if not module.startswith("lecture_utils."):
        raise ValueError(f"not a class of this package: {kind}")
    return getattr(importlib.import_module(module), name)(**built)
