"""One cache for the whole run, in a temporary folder unless the caller names one.

The notebooks are run first, as a student runs them, and fill it; the tests that run them again to
move their sliders compute nothing anew.
"""

import os
import shutil
import tempfile

import pytest

TEMPORARY = tempfile.mkdtemp(prefix="lecture_utils_")
os.environ.setdefault("LECTURE_UTILS_CACHE", TEMPORARY)

report_lines = pytest.StashKey[list]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[report_lines] = []


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> list[str]:
    """Lines that are printed at the end of the run: measurements nobody should have to dig for."""
    return pytestconfig.stash[report_lines]


@pytest.fixture
def unix() -> None:
    """For a test that measures or forbids something as only Linux and macOS know it."""
    if os.name != "posix":
        pytest.skip("needs Linux or macOS")


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    if config.stash[report_lines]:
        terminalreporter.section("measured in the browser: key press to changed picture")
        for line in config.stash[report_lines]:
            terminalreporter.write_line(line)


def pytest_unconfigure() -> None:
    shutil.rmtree(TEMPORARY, ignore_errors=True)
