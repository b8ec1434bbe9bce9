"""The committed notebooks: executed, presentable, stable from run to run, and linked rightly."""

import copy
import re
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest

from tests.execute import stable

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
HOMEWORK = sorted((ROOT / "notebooks" / "homework" / "source").glob("*/*.ipynb"))
READMES = (".", "data", "notebooks/homework")
LONGEST_CELL = 12  # lines, blank ones not counted
LARGEST = 1.5 * 2**20  # bytes
MACHINE = re.compile(r"(/root/|/home/|/tmp/|/Users/|/var/folders/|[A-Z]:\\+Users)[\w.\\/-]*")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|href=[\"']([^\"']+)")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request) -> nbformat.NotebookNode:
    read = nbformat.read(request.param, as_version=4)
    nbformat.validate(read)
    return read


def code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_executed_in_order_without_error(notebook) -> None:
    assert [cell.execution_count for cell in code(notebook)] == list(
        range(1, len(code(notebook)) + 1)
    )
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]


def test_stable_from_run_to_run(notebook) -> None:
    assert stable(copy.deepcopy(notebook)) == notebook, "run `make notebooks`"


def test_no_path_of_a_machine(notebook) -> None:
    for output in [output for cell in code(notebook) for output in cell.outputs]:
        shown = [text for kind, text in output.get("data", {}).items() if kind.startswith("text/")]
        found = MACHINE.search(" ".join([output.get("text", ""), *shown]))
        assert not found, found[0]


def test_presentable(notebook) -> None:
    kinds = {"slide", "-", "notes", "skip"}
    assert all(cell.metadata.slideshow.slide_type in kinds for cell in notebook.cells)
    for cell in code(notebook):
        assert len([line for line in cell.source.splitlines() if line.strip()]) <= LONGEST_CELL
    prose = sum(cell.cell_type == "markdown" for cell in notebook.cells)
    assert 0.4 <= prose / len(notebook.cells) <= 0.75


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_small_enough(path: Path) -> None:
    assert path.stat().st_size < LARGEST


@pytest.mark.parametrize(
    "path",
    [*NOTEBOOKS, *HOMEWORK, *(ROOT / folder / "README.md" for folder in READMES)],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = nbformat.read(path, 4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    targets = [a or b for a, b in LINK.findall(text)]
    local = [urlsplit(target).path for target in targets if not urlsplit(target).scheme]
    assert [name for name in local if name and not (path.parent / name).exists()] == []


def test_every_lecture_is_listed() -> None:
    start = nbformat.read(NOTEBOOKS[0], 4)
    for text in (
        "\n".join(c.source for c in start.cells),
        (ROOT / "README.md").read_text(encoding="utf-8"),
    ):
        assert [path.name for path in NOTEBOOKS if path.name not in text] == []
