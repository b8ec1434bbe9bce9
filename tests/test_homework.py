"""Homework: right answers get all points, wrong and missing ones do not, and nothing stops grading.

Answers are tried at the level of functions, in one Python: for every assignment all cells of the
source are run once, then one answer at a time takes the place of the solution. What nbgrader makes
of whole submissions is tried with nbgrader itself.
"""

import ast
import contextlib
import copy
import functools
import html
import importlib
import os
import re
import shutil
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from lecture_utils import homework
from tests.execute import KERNEL

ROOT = Path(__file__).parent.parent
COURSE = ROOT / "notebooks" / "homework"
NAMES = sorted(path.parent.name for path in COURSE.glob("source/*/*.ipynb"))
POINTS = 20
LONGEST_SOLUTION = 20  # lines
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
HIDDEN = "### BEGIN HIDDEN TESTS"
BANKS = {name: importlib.import_module(f"tests.homework.{name}") for name in NAMES}


def read(stage: str, name: str) -> nbformat.NotebookNode:
    return nbformat.read(COURSE / stage / name / f"{name}.ipynb", 4)


def facts(cell: nbformat.NotebookNode) -> dict:
    return cell.metadata.get("nbgrader", {})


def code(notebook: nbformat.NotebookNode) -> list[tuple[str, str]]:
    """Name (of cells that nbgrader knows) and text of all code cells."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [(facts(cell).get("grade_id", ""), cell.source) for cell in cells]


@contextlib.contextmanager
def inside(name: str):
    """In the folder of an assignment, where `import given` finds its own."""
    folder, before = COURSE / "source" / name, Path.cwd()
    sys.modules.pop("given", None)
    sys.path.insert(0, str(folder))
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        sys.path.remove(str(folder))
        sys.modules.pop("given", None)
        plt.close("all")


@functools.cache
def solved(name: str) -> dict:
    """All names that a source notebook defines, run from top to bottom with its solutions."""
    space = {"__name__": "__main__"}
    with inside(name):
        for what, text in code(read("source", name)):
            exec(compile(text, f"{name}, {what}", "exec"), space)
    return space


def grade(name: str, step: str, answer: str) -> None:
    """Run the test of a step on an answer in the place of its solution; raises where it fails."""
    space, tests = dict(solved(name)), dict(code(read("source", name)))
    with inside(name):
        sys.modules["given"] = space["given"]
        exec(compile(answer, f"{name}, {step}", "exec"), space)
        exec(compile(tests[f"test_{step}"], f"{name}, test_{step}", "exec"), space)


def answers(kind: str) -> list:
    """One parameter set for each answer of a bank: assignment, step, text."""
    return [
        pytest.param(name, step, text, id=f"{name}-{step}-{what}")
        for name, bank in BANKS.items()
        for step, texts in getattr(bank, kind).items()
        for what, text in texts.items()
    ]


@pytest.mark.parametrize(("name", "step", "answer"), answers("WRONG"))
def test_a_wrong_answer_loses_the_points_of_its_step(name: str, step: str, answer: str) -> None:
    with pytest.raises(Exception) as caught:
        grade(name, step, answer)
    assert not isinstance(caught.value, NotImplementedError | SyntaxError)
    if isinstance(caught.value, AssertionError):
        assert len(str(caught.value)) > 15, "the message is to say what is wrong"


@pytest.mark.parametrize(("name", "step", "answer"), answers("RIGHT"))
def test_a_right_answer_written_differently_gets_them(name: str, step: str, answer: str) -> None:
    grade(name, step, answer)


@pytest.mark.parametrize("name", NAMES)
def test_every_step_has_wrong_answers_and_every_assignment_a_right_one(name: str) -> None:
    steps = [what[5:] for what, _ in code(read("source", name)) if what.startswith("test_")]
    assert list(BANKS[name].WRONG) == steps
    assert all(len(texts) >= 3 for texts in BANKS[name].WRONG.values())
    assert set(BANKS[name].RIGHT) <= set(steps) and any(BANKS[name].RIGHT.values())


# --- how a source is made -----------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_source_keeps_to_the_rules(name: str) -> None:
    notebook = read("source", name)
    nbformat.validate(notebook)
    assert sum(facts(cell).get("points", 0) for cell in notebook.cells) == POINTS
    assert dict(code(notebook))["student"] == 'STUDENT = "ada"'
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None
        assert not re.search(r"^\s*[%!]|widgets|explore", cell.source if facts(cell) else "", re.M)
        if BEGIN in cell.source:
            solution = cell.source.partition(BEGIN)[2].partition(END)[0]
            assert len(solution.strip().splitlines()) <= LONGEST_SOLUTION, facts(cell)
        if facts(cell).get("grade"):
            last = ast.parse(cell.source).body[-1]
            assert HIDDEN in cell.source
            assert not isinstance(last, ast.Expr), "nbgrader takes a value shown for points"
    written = [cell for cell in notebook.cells if facts(cell).get("task")]
    assert written and all("BEGIN MARK SCHEME" in cell.source for cell in written)


# --- what is handed out -------------------------------------------------------------------------


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


@pytest.mark.parametrize("name", NAMES)
def test_a_release_holds_no_solution_and_no_hidden_test(name: str) -> None:
    released = "\n".join(cell.source for cell in read("release", name).cells)
    given = (COURSE / "source" / name / "given.py").read_text(encoding="utf-8")
    for word in ("SOLUTION", "HIDDEN", "MARK SCHEME"):
        assert word not in released + given
    secret = []
    for cell in read("source", name).cells:
        for begin, end in ((BEGIN, END), (HIDDEN, "### END"), ("=== BEGIN", "=== END")):
            secret += cell.source.partition(begin)[2].partition(end)[0].splitlines()[1:]
    secret = {line.strip() for line in secret if len(line.strip()) > 25 and "import" not in line}
    assert secret and not [line for line in secret if line in released + given]


@pytest.mark.parametrize("name", NAMES)
def test_an_untouched_release_gets_nothing_and_stops_only_where_work_is_missing(name: str) -> None:
    """With an id filled in, and with the hidden tests back in their cells."""
    tests, space, missing = dict(code(read("source", name))), {"__name__": "__main__"}, set()
    released = read("release", name)
    may_stop = [
        cell.source
        for cell in released.cells
        if "raises-exception" in cell.metadata.get("tags", ())
    ]
    with inside(name):
        for what, text in code(released):
            marked = text in may_stop
            text = tests["student"] if what == "student" else text
            text = tests[what] if what.startswith("test_") else text
            try:
                exec(compile(text, f"{name}, {what}", "exec"), space)
            except NotImplementedError:
                assert marked, f"{what}: Run All would stop here"
                tree = ast.walk(ast.parse(text))
                missing |= {node.id for node in tree if isinstance(node, ast.Name)}
            except NameError as error:  # of what a cell above would have defined
                assert marked and error.name in missing, (what, error)
            else:
                assert not what.startswith("test_"), f"{what} gives points for nothing"


@pytest.mark.parametrize("name", NAMES)
def test_a_release_asks_for_an_id_first(name: str) -> None:
    text = dict(code(read("release", name)))["student"]
    assert text == f'STUDENT = "{homework.PLACEHOLDER}"'


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


def test_solutions_get_all_points_from_nbgrader(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    shutil.copytree(COURSE / "source", course(tmp_path) / "source")
    nbgrader(tmp_path, "generate_assignment", "*")
    for name in NAMES:
        hand_in(tmp_path, "ada", name, read("source", name))
    nbgrader(tmp_path, "autograde", "*", "--ExecutePreprocessor.timeout=300")
    for name in NAMES:
        full = {
            facts(c)["grade_id"]: facts(c)["points"]
            for c in read("source", name).cells
            if facts(c).get("grade")
        }
        assert marks(tmp_path, "ada", name) == full


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
    "endless_loop": (write("double", ENDLESS), NO_DOUBLE, "No reply from kernel before timeout"),
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


STUBBORN = {  # graded apart, with limits that are over at once
    "loop_that_cannot_be_stopped": (
        write("double", UNSTOPPABLE),
        dict.fromkeys(ALL, 0),
        "could not be stopped, in this cell",
    )
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
        for submissions, timeout, rest in ((SUBMISSIONS, 20, 60), (STUBBORN, 3, 3)):
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


@pytest.mark.parametrize("student", [*SUBMISSIONS, *STUBBORN])
def test_whatever_is_handed_in_is_graded_and_the_feedback_says_what_happened(
    graded, student: str
) -> None:
    _, points, said = (SUBMISSIONS | STUBBORN)[student]
    assert marks(graded, student, "small") == points
    feedback = graded / "feedback" / student / "small" / "small.html"
    assert said in html.unescape(re.sub("<[^>]+>", "", feedback.read_text(encoding="utf-8")))
    assert feedback.stat().st_size < 2**20


def test_the_id_makes_the_data_and_its_spelling_does_not() -> None:
    draws = [homework.generator(who, "x").random() for who in ("ada", " Ada ", "bob")]
    assert draws[0] == draws[1] != draws[2]
    assert homework.generator("ada", "y").random() != draws[0]
    for nobody in ("", "  ", homework.PLACEHOLDER):
        with pytest.raises(NotImplementedError, match="your id"):
            homework.generator(nobody, "x")
