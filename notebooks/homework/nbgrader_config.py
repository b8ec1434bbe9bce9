"""nbgrader's settings for this course: it reads them when it is started in this folder.

Plain nbgrader stops at some submissions and judges others by accident. The four classes below see
to it that every submission is graded and that its feedback says what happened.
"""

import ast
import os
import sysconfig
from pathlib import Path

import nbformat
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat.v4 import new_markdown_cell, new_output
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    ClearHiddenTests,
    ClearMarkScheme,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    DeduplicateIds,
    Execute,
    LimitOutput,
    LockCells,
    NbGraderPreprocessor,
    OverwriteCells,
    OverwriteKernelspec,
    SaveAutoGrades,
    SaveCells,
)

from lecture_utils.homework import PLACEHOLDER

ROOT = Path(__file__).parent
LONGEST = 20_000  # characters of one output that are kept


def grade_id(cell) -> str | None:
    return cell.metadata.get("nbgrader", {}).get("grade_id")


class HandOut(NbGraderPreprocessor):
    """For the release: the id is left to the student, and cells that need work done may stop."""

    def preprocess(self, nb, resources):
        missing = set()  # names that are not there, or stand for nothing, until work is done
        for cell in (cell for cell in nb.cells if cell.cell_type == "code"):
            if grade_id(cell) == "student":
                cell.source = f'STUDENT = "{PLACEHOLDER}"'
            tree = ast.parse(cell.source)
            names = {node for node in ast.walk(tree) if isinstance(node, ast.Name)}
            made = {node.id for node in names if isinstance(node.ctx, ast.Store)}
            made |= {node.name for node in tree.body if hasattr(node, "name")}  # functions, classes
            stops = any(isinstance(node, ast.Raise) for node in tree.body)
            if stops or missing & {node.id for node in names}:
                cell.metadata.tags = ["raises-exception"]  # "Run All" goes on to the next one
                missing |= made
            elif cell.metadata.get("nbgrader", {}).get("solution"):
                missing |= made
        return nb, resources


class PutBack(NbGraderPreprocessor):
    """Put graded cells that a student deleted back behind the cell that came before them."""

    def preprocess(self, nb, resources):
        names = resources["nbgrader"]
        path = ROOT / "release" / names["assignment"] / f"{names['notebook']}.ipynb"
        place = None
        for cell in nbformat.read(path, 4).cells:
            name, there = grade_id(cell), [grade_id(other) for other in nb.cells]
            if name is None:
                continue
            if name in there:
                place = there.index(name) + 1
            elif not cell.metadata.nbgrader["solution"]:  # a stub could undo work done elsewhere
                place = len(there) if place is None else place
                cell.id = new_markdown_cell().id  # the old one may still be there, without its name
                note = f"*The graded cell `{name}` was missing. Grading put it back here.*"
                nb.cells[place:place] = [new_markdown_cell(note), cell]
                place += 2
        return nb, resources


class RunAll(Execute):
    """Run a submission; where its kernel dies or cannot be interrupted, the rest has failed."""

    def preprocess(self, nb, resources, **kwargs):
        try:
            return super().preprocess(nb, resources, **kwargs)
        except (CellTimeoutError, DeadKernelError) as error:
            code = [cell for cell in nb.cells if cell.cell_type == "code"]
            begun = [number for number, cell in enumerate(code) if cell.execution_count]
            reason = f"Python ended, or could not be stopped, in this cell ({type(error).__name__})"
            for cell in code[max(begun, default=0) :]:
                cell.outputs.append(new_output("error", ename="Stopped", evalue=reason))
                cell.outputs[-1].traceback = [f"Stopped: {reason}"]
                reason = "Not run: Python ended, or could not be stopped, in a cell above"
            return nb, resources


class Shorten(NbGraderPreprocessor):
    """Cut long outputs. And a warning is no error: nbgrader gives no points where it finds one."""

    def preprocess_cell(self, cell, resources, cell_index):
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.name, output.text = "stdout", shortened(output.text)
            elif output.output_type == "error":
                output.evalue = shortened(output.evalue)
                output.traceback = [shortened(line) for line in output.traceback]
            else:
                for kind, value in output.data.items():
                    output.data[kind] = shortened(value) if isinstance(value, str) else value
        return cell, resources


def shortened(text: str) -> str:
    cut = f"\n... {len(text):,} characters, shortened by grading ...\n"
    return text if len(text) <= LONGEST else text[: LONGEST // 2] + cut + text[-LONGEST // 2 :]


# nbgrader starts `alembic` by name, which is found only where the environment is activated
os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])

c = get_config()  # noqa: F821 (nbgrader defines it)

c.CourseDirectory.course_id = "visualizing_cnns"
c.CourseDirectory.root = str(ROOT)
c.ExecutePreprocessor.timeout = 60  # seconds for one cell; the slowest of the course needs 20
c.ExecutePreprocessor.iopub_timeout = 60  # seconds for the rest of a long output
c.ClearSolutions.text_stub = "*Your answer:*"
# files from a learning platform: ada_h1_filters.ipynb is what ada hands in for h1_filters
c.FileNameCollectorPlugin.named_regexp = (
    r".*[\\/](?P<student_id>[^\\/]+)_(?P<file_id>h\d_\w+?|capstone_\w+?)( ?\(\d+\))?\.ipynb$"
)

c.GenerateAssignment.preprocessors = [
    LockCells,
    ClearSolutions,
    ClearOutput,
    HandOut,
    CheckCellMetadata,
    ComputeChecksums,
    SaveCells,
    ClearHiddenTests,
    ClearMarkScheme,
    ComputeChecksums,
    CheckCellMetadata,
]
c.Autograde.sanitize_preprocessors = [
    ClearOutput,
    DeduplicateIds,
    PutBack,
    OverwriteKernelspec,
    OverwriteCells,
    CheckCellMetadata,
]
c.Autograde.autograde_preprocessors = [
    RunAll,
    LimitOutput,
    Shorten,
    SaveAutoGrades,
    AssignLatePenalties,
    CheckCellMetadata,
]
