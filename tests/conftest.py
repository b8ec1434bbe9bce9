"""One cache for the whole run, in a temporary folder unless the caller names one.

The notebooks are run first, as a student runs them, and fill it; the tests that run them again
compute nothing anew.
"""

import os
import shutil
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell
from nbval.plugin import IPyNbCell

TEMPORARY = tempfile.mkdtemp(prefix="lecture_utils_")
os.environ.setdefault("LECTURE_UTILS_CACHE", TEMPORARY)

# Files whose tests share nothing but the notebook or assignment that is their first parameter
DIVIDED = {"tests/test_browser.py", "tests/test_homework.py"}

HERE = Path(__file__).parent

report_lines = pytest.StashKey[list]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[report_lines] = []


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """What stays together in one process of a parallel run: a file, or what it is divided into."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            parameters = nodeid.partition("[")[2].rstrip("]")
            return f"{file} {parameters.split('-')[0]}" if file in DIVIDED else file

    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """nbval runs the lectures without network, and after the last cell moves all controls."""
    cells = [item for item in items if isinstance(item, IPyNbCell)]
    for lecture in {cell.parent: None for cell in cells if cell.path.parent.name == "notebooks"}:
        own = [cell for cell in cells if cell.parent is lecture]
        items.insert(items.index(own[0]), _script(lecture, "offline"))
        items.insert(items.index(own[-1]) + 1, _script(lecture, "sweep"))


def _script(lecture: pytest.File, name: str) -> IPyNbCell:
    cell = new_code_cell((HERE / f"{name}.py").read_text(encoding="utf-8"))
    options = defaultdict(bool)  # as nbval has them for a cell without remarks
    return IPyNbCell.from_parent(lecture, name=name, cell_num=-1, cell=cell, options=options)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of a parallel run sends its measurements to the one that prints them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["report"] = session.config.stash[report_lines]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node) -> None:
    node.config.stash[report_lines] += getattr(node, "workeroutput", {}).get("report", [])


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> list[tuple[str, float]]:
    """What is printed at the end of the run: sliders, and how many milliseconds they took."""
    return pytestconfig.stash[report_lines]


@pytest.fixture
def unix() -> None:
    """For a test that measures or forbids something as only Linux and macOS know it."""
    if os.name != "posix":
        pytest.skip("needs Linux or macOS")


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    if config.stash[report_lines]:
        terminalreporter.section("measured in the browser: key press to changed picture")
        times = config.stash[report_lines]
        for what, milliseconds in times:
            terminalreporter.write_line(f"{what}: {milliseconds:.0f} ms")
        median = statistics.median(milliseconds for _, milliseconds in times)
        terminalreporter.write_line(f"median of these {len(times)}: {median:.0f} ms")


def pytest_unconfigure() -> None:
    shutil.rmtree(TEMPORARY, ignore_errors=True)
