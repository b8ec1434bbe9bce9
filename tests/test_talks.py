"""The talk inside each notebook: short slides, notes for the lecturer, minutes that add up."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from lecture_utils import talk
from tests import slides

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
HEADING, TEXT, CODE = 10, 40, 8  # words, words, lines: what a slide holds at most
NOTES = "<details><summary>For the lecturer</summary>\n\n"
TABLE = "<details><summary>For the lecturer: the talk, slide by slide</summary>\n\n"


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


def test_number_of_slides(path: Path) -> None:
    assert 18 <= len(slides.read(path)) <= 26


def test_a_slide_begins_with_its_heading_and_is_short(path: Path) -> None:
    for slide in slides.read(path):
        assert slide.cells[0].source.startswith("#"), slide.cells[0].source[:80]
        assert 0 < len(slide.heading.split()) <= HEADING, slide.heading
        assert len(slides.HEADING.findall(slide.prose)) == 1, slide.heading
        assert len(slide.text.split()) <= TEXT, f"{slide.heading}: {len(slide.text.split())} words"


def test_code_is_shown_only_where_it_is_the_point(path: Path) -> None:
    shown = [code for slide in slides.read(path) for code in slide.code]
    assert len(shown) <= 2
    assert all(len(code.splitlines()) <= CODE for code in shown)


def test_a_talk_begins_with_a_question_and_ends_with_what_we_saw(path: Path) -> None:
    first, *_, last = slides.read(path)
    assert "?" in first.prose
    assert "What we saw" in last.heading


def test_every_slide_has_notes_that_a_reader_sees_closed(path: Path) -> None:
    for slide in slides.read(path):
        assert len(slide.notes) == 1, slide.heading
        assert slide.notes[0].startswith(NOTES) and slide.notes[0].endswith("\n\n</details>")
        assert len(slide.notes[0].split()) >= 15, slide.heading


def test_minutes_add_up_and_name_every_slide(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    (table,) = [cell for cell in cells if cell.source.startswith(TABLE)]
    assert table.metadata.slideshow.slide_type == "skip"
    rows = [row.strip("| ").split(" | ") for row in table.source.splitlines() if row[:1] == "|"]
    *rows, total = rows[2:]
    assert [slides.plain(row[0]) for row in rows] == [s.heading for s in slides.read(path)]
    for column, whole in ((1, 45), (2, 90)):
        minutes = [float(row[column]) for row in rows if row[column] != "–"]
        assert sum(minutes) == whole == float(total[column])
        assert min(minutes) > 0


def test_every_lecture_can_be_prepared(path: Path) -> None:
    cells = [c for c in nbformat.read(path, as_version=4).cells if "talk.prepare(" in c.source]
    assert [re.findall(r'talk\.prepare\("(.*)"\)', cell.source) for cell in cells] == [[path.name]]


# --- the preparation ----------------------------------------------------------------------------


@pytest.fixture
def lecture(tmp_path: Path):
    """Writes a notebook of the cells given."""

    def write(*sources: str) -> Path:
        notebook = nbformat.v4.new_notebook()
        notebook.cells = [nbformat.v4.new_markdown_cell("# A lecture")]
        notebook.cells += [nbformat.v4.new_code_cell(source) for source in sources]
        nbformat.write(notebook, tmp_path / "lecture.ipynb")
        return tmp_path / "lecture.ipynb"

    return write


def test_preparing_runs_every_cell_beside_the_notebook_and_leaves_it_as_it_is(lecture) -> None:
    path = lecture("text = 'done'", "open('proof', 'w').write(text)")
    before = path.read_bytes()
    preparation = talk.prepare(str(path))
    preparation.button.click()
    assert (path.parent / "proof").read_text() == "done"
    assert path.read_bytes() == before
    assert "ready, after" in preparation.message.value
    assert preparation.bar.value == preparation.bar.max == 2
    assert not preparation.button.disabled


def test_preparing_says_which_cell_failed_and_how(lecture) -> None:
    preparation = talk.prepare(str(lecture("n = 0", "print(1 / n)", "print('never')")))
    preparation.button.click()
    text = "not ready: cell 2 of 3: ZeroDivisionError: division by zero"
    assert text in preparation.message.value
    assert not preparation.button.disabled


def test_preparing_that_is_interrupted_leaves_no_process(lecture, monkeypatch) -> None:
    started = []

    class Told(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Told)
    for _done in talk.rehearse(lecture("1", "import time; time.sleep(100)")):
        break  # as an interrupt would
    assert [process.poll() is not None for process in started] == [True]


def test_a_wrong_name_names_the_right_ones(lecture) -> None:
    path = lecture("1")
    with pytest.raises(FileNotFoundError, match=r"no notebook .*; there are: lecture\.ipynb"):
        talk.prepare(str(path.parent / "lectur.ipynb"))


def test_the_preparing_process_loads_no_network_library() -> None:
    script = "import sys, lecture_utils.talk; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
