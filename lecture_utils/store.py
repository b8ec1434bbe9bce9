"""Files: the course's own data, checked as it is read, and a cache that never gets in the way."""

import hashlib
import io
import os
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parent.parent / "data"


class DataError(OSError):
    """A file of the course is missing or is not the file that was published."""


@cache
def _published() -> dict[str, str]:
    """sha256 of every published file below data/, by its path there."""
    lines = (DATA / "SHA256SUMS").read_text().splitlines()
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
    if hashlib.sha256(content).hexdigest() != _published().get(name):
        raise DataError(f"data/{name} is truncated or altered. {repair}")
    return content


def damaged() -> list[str]:
    """The published files below data/ that are missing, truncated or altered."""

    def whole(name: str) -> bool:
        try:
            return bool(read(DATA / name))
        except DataError:
            return False

    return [name for name in _published() if not whole(name)]


def folder() -> Path:
    """Where results are kept: `LECTURE_UTILS_CACHE`, or a folder in the home directory."""
    named = os.environ.get("LECTURE_UTILS_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "lecture_utils"


def _cache_file(key: str) -> Path:
    return folder() / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"


def load(key: str) -> dict[str, np.ndarray] | None:
    """Arrays kept earlier under `key`, or None: nothing kept, or not readable.

    A key must name everything the arrays depend on: network, pictures and settings.
    """
    try:
        # numpy raises many kinds of errors on damaged archives; each means "not kept"
        with np.load(io.BytesIO(_cache_file(key).read_bytes()), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception:
        return None


def save(key: str, arrays: dict[str, np.ndarray]) -> None:
    """Keep arrays for `load`. An unwritable cache is no error; no file is half written."""
    try:
        path = _cache_file(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **arrays)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except (OSError, RuntimeError):  # RuntimeError: there is no home directory
        pass
