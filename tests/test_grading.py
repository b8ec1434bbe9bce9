"""What nbgrader makes of the sources, and of submissions that go wrong."""

import contextlib
import copy
import html
import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.execute import KERNEL
from tests.test_homework import BEGIN, COURSE, END, HIDDEN, NAMES, ROOT, facts, read


def nbgrader(folder: Path, *words: str) -> None:
    """The command `nbgrader`, run in a folder, in this process: that saves a start for each."""
    from jupyter_core.application import NoStart
    from nbgrader.apps import NbGraderApp

    before, environment = Path.cwd(), dict(os.environ)
    os.chdir(folder)
    app = NbGraderApp.instance()
    try:
        app.initialize([*words])
        with contextlib.suppress(NoStart):  # raised when the subcommand has ended
            app.start()
    except SystemExit as end:
        assert not end.code, f"nbgrader {' '.join(words)} ends with {end.code}"
    finally:
        os.chdir(before)
        os.environ.clear()
        os.environ.update(environment)
        if app.subapp is not None:
            type(app.subapp).clear_instance()
        NbGraderApp.clear_instance()


def course(folder: Path) -> Path:
    """A course directory like ours, without assignments."""
    shutil.copy(COURSE / "nbgrader_config.py", folder)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_release_is_what_the_source_generates(tmp_path) -> None:
    shutil.copytree(COURSE / "source", course(tmp_path) / "source")
    nbgrader(tmp_path, "generate_assignment", "*", "--no-db")
    made, committed = files(tmp_path / "release"), files(COURSE / "release")
    assert made.keys() == committed.keys(), "run `make release`"
    assert [name for name in made if made[name] != committed[name]] == [], "run `make release`"
    assert not (tmp_path / "gradebook.db").exists()


# --- what is handed in --------------------------------------------------------------------------


def hand_in(folder: Path, student: str, name: str, notebook: nbformat.NotebookNode) -> None:
    place = folder / "submitted" / student / name
    place.mkdir(parents=True)
    nbformat.write(notebook, place / f"{name}.ipynb")


def marks(folder: Path, student: str, name: str) -> dict[str, float]:
    """What a student got for every cell that is graded by machine."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        submission = book.find_submission(name, student)
        grades = [grade for part in submission.notebooks for grade in part.grades]
        return {g.name: g.auto_score for g in grades if g.name.startswith("test_")}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_solutions_get_all_points_from_nbgrader(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    shutil.copytree(COURSE / "source" / name, course(tmp_path) / "source" / name)
    nbgrader(tmp_path, "generate_assignment", name)
    source = read("source", name)
    hand_in(tmp_path, "ada", name, source)
    nbgrader(tmp_path, "autograde", name, "--ExecutePreprocessor.timeout=300")
    graded = [facts(cell) for cell in source.cells if facts(cell).get("grade")]
    assert marks(tmp_path, "ada", name) == {fact["grade_id"]: fact["points"] for fact in graded}


# --- submissions that go wrong, in an assignment that is quick to grade -------------------------

GIVEN = """
from lecture_utils import homework

def deal(student):
    return int(homework.generator(student, "number").integers(1000))
"""
STEPS = {"double": 2, "triple": 3}


def nbgrader_cell(name: str, text: str, points: int | None = None) -> nbformat.NotebookNode:
    graded = points is not None
    known = {"schema_version": 3, "grade_id": name, "grade": graded, "solution": not graded}
    known |= {"locked": graded, "task": False} | ({"points": points} if graded else {})
    return new_code_cell(text, id=name.replace("_", "-"), metadata={"nbgrader": known})


def small_assignment() -> nbformat.NotebookNode:
    cells = [nbgrader_cell("student", 'STUDENT = "ada"'), new_code_cell("import given", id="given")]
    for name, times in STEPS.items():
        solution = f"    {BEGIN}\n    return {times} * number\n    {END}"
        cells.append(nbgrader_cell(name, f"def {name}(number):\n{solution}"))
        test = f"assert {name}(1) == {times}, 'wrong for 1'\n{HIDDEN}\n"
        test += f"assert {name}(5) == {5 * times}, 'wrong for another number'\n### END HIDDEN TESTS"
        cells.append(nbgrader_cell(f"test_{name}", test, points=times))
    dealt = f"number = None\n{BEGIN}\nnumber = given.deal(STUDENT)\n{END}"
    test = f"assert number is not None\n{HIDDEN}\nfrom lecture_utils import homework\n"
    test += "homework.belongs(STUDENT)\nassert number == given.deal(STUDENT)\n### END HIDDEN TESTS"
    cells += [nbgrader_cell("number", dealt), nbgrader_cell("test_number", test, points=1)]
    return new_notebook(cells=cells, metadata={"kernelspec": KERNEL})


def write(name: str, text: str):
    def change(notebook: nbformat.NotebookNode) -> None:
        next(c for c in notebook.cells if facts(c).get("grade_id") == name).source = text

    return change


def without(*names: str):
    def change(notebook: nbformat.NotebookNode) -> None:
        kept = [c for c in notebook.cells if facts(c).get("grade_id") not in names]
        notebook.cells = kept

    return change


def bare(notebook: nbformat.NotebookNode) -> None:
    for cell in notebook.cells:
        cell.metadata.clear()


ALL = {"test_double": 2, "test_triple": 3, "test_number": 1}
NO_DOUBLE = ALL | {"test_double": 0}
ENDLESS = "def double(number):\n    while True:\n        pass"
UNSTOPPABLE = """def double(number):
    import signal
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        pass"""
# who: what is done to a perfect submission, the points that are left, what the feedback says
SUBMISSIONS = {
    "perfect": (lambda notebook: None, ALL, ""),
    "python_ended": (
        write("double", "def double(number):\n    import os\n    os._exit(1)"),
        dict.fromkeys(ALL, 0),
        "Python ended",
    ),
    "missing_test": (without("test_double"), ALL, "The graded cell test_double was missing"),
    "missing_step": (without("double", "test_double"), NO_DOUBLE, "was missing"),
    "lost_metadata": (bare, ALL, "was missing"),
    "renamed_function": (
        write("double", "def twice(number):\n    return 2 * number"),
        NO_DOUBLE,
        "name 'double' is not defined",
    ),
    "id_of_another": (write("student", 'STUDENT = "perfect"'), ALL | {"test_number": 0}, "own id"),
    "import_of_nothing": (
        write("double", "import no_such_package\ndef double(number):\n    return 2 * number"),
        NO_DOUBLE,
        "No module named 'no_such_package'",
    ),
    "prints_much": (
        write("double", "def double(number):\n    print('x' * 50_000_000)\n    return 2 * number"),
        ALL,
        "characters, shortened by grading",
    ),
    "prints_many_lines": (
        write(
            "double", "def double(number):\n    print('x\\n' * 25_000_000)\n    return 2 * number"
        ),
        ALL,
        "Output truncated",
    ),
    "warns": (
        write(
            "double",
            "import warnings\ndef double(number):\n    warnings.warn('careful')\n"
            "    return 2 * number",
        ),
        ALL,
        "careful",
    ),
}
STUBBORN = {  # graded apart, with limits that are soon over
    "endless_loop": (write("double", ENDLESS), NO_DOUBLE, "No reply from kernel before timeout"),
    "loop_that_cannot_be_stopped": (
        write("double", UNSTOPPABLE),
        dict.fromkeys(ALL, 0),
        "could not be stopped, in this cell",
    ),
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory) -> Path:
    """A course directory in which all these submissions were graded together."""
    folder = course(tmp_path_factory.mktemp("course"))
    source = folder / "source" / "small"
    source.mkdir(parents=True)
    (source / "given.py").write_text(GIVEN, encoding="utf-8")
    nbformat.write(small_assignment(), source / "small.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        nbgrader(folder, "generate_assignment", "small")
        for submissions, timeout, rest in ((SUBMISSIONS, 60, 60), (STUBBORN, 5, 3)):
            for student, (change, _, _) in submissions.items():
                notebook = copy.deepcopy(small_assignment())
                write("student", f'STUDENT = "{student}"')(notebook)
                change(notebook)
                hand_in(folder, student, "small", notebook)
            limits = {"timeout": timeout, "iopub_timeout": rest}
            limits = [f"--ExecutePreprocessor.{name}={limit}" for name, limit in limits.items()]
            nbgrader(folder, "autograde", "small", *limits)
        nbgrader(folder, "generate_feedback", "small")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("student", [*SUBMISSIONS, *STUBBORN])
def test_whatever_is_handed_in_is_graded_and_the_feedback_says_what_happened(
    graded, student: str
) -> None:
    _, points, said = (SUBMISSIONS | STUBBORN)[student]
    assert marks(graded, student, "small") == points
    feedback = graded / "feedback" / student / "small" / "small.html"
    assert said in html.unescape(re.sub("<[^>]+>", "", feedback.read_text(encoding="utf-8")))
    assert feedback.stat().st_size < 2**20
