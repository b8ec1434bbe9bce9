"""Is this computer ready for the course? One line for each thing needed, with a remedy."""

import importlib.metadata
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

import lecture_utils
from lecture_utils import store

COURSE = store.DATA.parent
INSTALL = "close JupyterLab, run `make lab` in the course's folder (conda: update the environment)"


@dataclass(frozen=True)
class Line:
    """One thing looked at: is it all right, what was found, what to do if not."""

    passed: bool
    what: str
    found: str
    remedy: str

    def __str__(self) -> str:
        verdict = "OK  " if self.passed else "FAIL"
        return f"{verdict}  {self.what}: {self.found}" + (
            "" if self.passed else f"\n      -> {self.remedy}"
        )


def environment() -> list[Line]:
    """Python, packages, the course's files, room for results; each as one `Line`."""
    return [_python(), *_packages(), _place(), _files(), _cache()]


def _python() -> Line:
    good = (3, 10) <= sys.version_info[:2] <= (3, 13)
    version = ".".join(map(str, sys.version_info[:3]))
    return Line(good, "Python", version, "the course runs with Python 3.10 to 3.13")


def _packages() -> list[Line]:
    lines = []
    for text in requirements(COURSE / "pyproject.toml"):
        needed = Requirement(text)
        try:
            found = importlib.metadata.version(needed.name)
            good = needed.specifier.contains(found.split("+")[0], prereleases=True)
        except importlib.metadata.PackageNotFoundError:
            found, good = "not installed", False
        lines.append(Line(good, needed.name, found, f"needs {needed.specifier}: {INSTALL}"))
    return lines


def requirements(pyproject: Path) -> list[str]:
    """The packages that pyproject.toml asks for, for example "torch>=2.4,<2.14"."""
    # Python 3.10 cannot read TOML yet; the list is one quoted requirement a line
    _, _, rest = pyproject.read_text().partition("\ndependencies = [")
    return [line.strip(' ",') for line in rest.partition("\n]")[0].splitlines() if line.strip()]


def _place() -> Line:
    found = Path(lecture_utils.__file__).parent.parent
    here = Path.cwd()
    inside = found == here or found in here.parents
    shown = "the one beside these notebooks" if inside else f"the one in {found}"
    return Line(inside, "lecture_utils", shown, INSTALL)


def _files() -> Line:
    damaged = store.damaged()
    found = "all as published" if not damaged else f"{len(damaged)} missing or altered"
    named = ", ".join(damaged[:3]) + (" ..." if len(damaged) > 3 else "")
    return Line(not damaged, "pictures and weights", found, f"{named}: `git checkout -- data`")


def _cache() -> Line:
    folder = store.folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            good = True
    except OSError:
        good = False
    shown = "can be written" if good else f"{folder} cannot be written"
    remedy = "lectures work but compute everything anew: name a folder in LECTURE_UTILS_CACHE"
    return Line(good, "room for results", shown, remedy)
