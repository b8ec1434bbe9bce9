"""One cache for the whole run, in a temporary folder unless the caller names one."""

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


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    if config.stash[report_lines]:
        terminalreporter.section("measured in the browser: key press to changed picture")
        for line in config.stash[report_lines]:
            terminalreporter.write_line(line)


def pytest_unconfigure() -> None:
    shutil.rmtree(TEMPORARY, ignore_errors=True)
