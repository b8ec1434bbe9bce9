"""Homework: right answers get all points, wrong and missing ones do not, and nothing stops grading.

Answers are tried at the level of functions, in one Python: for every assignment all cells of the
source are run once, then one answer at a time takes the place of the solution. Whole submissions
are handed to nbgrader itself in test_grading.py.
"""

import ast
import contextlib
import functools
import importlib
import os
import re
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import pytest

from lecture_utils import homework

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
    """All names that a source notebook defines with its solutions; nbval runs their tests."""
    space = {"__name__": "__main__"}
    with inside(name):
        for what, text in code(read("source", name)):
            if not what.startswith("test_"):
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


def test_the_id_makes_the_data_and_its_spelling_does_not() -> None:
    draws = [homework.generator(who, "x").random() for who in ("ada", " Ada ", "bob")]
    assert draws[0] == draws[1] != draws[2]
    assert homework.generator("ada", "y").random() != draws[0]
    for nobody in ("", "  ", homework.PLACEHOLDER):
        with pytest.raises(NotImplementedError, match="your id"):
            homework.generator(nobody, "x")
