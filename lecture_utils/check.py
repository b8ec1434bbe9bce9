"""Is this computer ready for the course? One line for each thing needed, with a remedy."""

import importlib.metadata
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from lecture_utils import store

PROJECT = store.DATA.parent / "pyproject.toml"
INSTALL = "close JupyterLab, run `make lab` in the course's folder (conda: update the environment)"


@dataclass(frozen=True)
class Line:
    """One thing looked at: is it all right, what was found, what to do if not."""

    passed: bool
    what: str
    found: str
    remedy: str

    def __str__(self) -> str:
        text = f"{'OK  ' if self.passed else 'FAIL'}  {self.what}: {self.found}"
        return text if self.passed else f"{text}\n      -> {self.remedy}"


def environment() -> list[Line]:
    """Python, packages, the course's files, room for results; each as one `Line`."""
    return [python(), *map(_package, requirements()), _pair(), _place(), _files(), _cache()]


def python() -> Line:
    """The version of Python: all from the oldest tested one on are good, also newer ones."""
    here = ".".join(map(str, sys.version_info[:3]))
    oldest, *_, newest = tested()
    good = sys.version_info[:2] >= tuple(map(int, oldest.split(".")))
    shown = f"{here} (tested: {oldest} to {newest})"
    return Line(good, "Python", shown, f"install Python {newest}, then set the course up again")


def tested() -> list[str]:
    """The versions of Python that the course was tested with, from the oldest on."""
    text = PROJECT.read_text(encoding="utf-8")
    return re.findall(r"Programming Language :: Python :: (3\.\d+)", text)


def requirements() -> list[str]:
    """The packages that pyproject.toml asks for, for example "torch>=2.4"."""
    # Python 3.10 cannot read TOML yet; the list is one quoted requirement a line
    _, _, rest = PROJECT.read_text(encoding="utf-8").partition("\ndependencies = [")
    return re.findall(r'"(.+)"', rest.partition("\n]")[0])


def _package(requirement: str) -> Line:
    needed = Requirement(requirement)
    try:
        found = importlib.metadata.version(needed.name)
        good = needed.specifier.contains(found.split("+")[0], prereleases=True)
    except importlib.metadata.PackageNotFoundError:
        found, good = "not installed", False
    return Line(good, needed.name, found, f"needs {needed.specifier}: {INSTALL}")


def _pair() -> Line:
    """torchvision can be imported only beside the very build of torch that it was made for."""
    good, found = True, "fit together"
    try:
        importlib.import_module("torchvision")
    except Exception as error:  # of many kinds, and each of them stops every lecture
        good, found = False, f"torchvision cannot be imported ({error})"
    remedy = (
        "install both from one place, `pip install --force-reinstall torch torchvision` "
        "(conda: update the environment), and restart the kernel"
    )
    return Line(good, "torch and torchvision", found, remedy)


def _place() -> Line:
    inside = Path.cwd().is_relative_to(PROJECT.parent)
    shown = "the one beside these notebooks" if inside else f"the one in {PROJECT.parent}"
    return Line(inside, "lecture_utils", shown, INSTALL)


def _files() -> Line:
    damaged = store.damaged()
    found = f"{len(damaged)} missing or altered" if damaged else "all as published"
    named = ", ".join(damaged[:3]) + (" ..." if len(damaged) > 3 else "")
    return Line(not damaged, "pictures and weights", found, f"{named}: `git checkout -- data`")


def _cache() -> Line:
    remedy = "lectures work but compute everything anew: name a folder in LECTURE_UTILS_CACHE"
    try:
        store.folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=store.folder()):
            return Line(True, "room for results", "can be written", remedy)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home directory
        return Line(False, "room for results", str(error), remedy)
