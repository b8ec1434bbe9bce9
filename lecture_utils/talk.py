"""Before a lecture is given: run its notebook once, so that nothing has to be computed live.

`python -m lecture_utils.talk NOTEBOOK` does it without a browser and prints a line for each cell.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import ipywidgets


class Preparation(ipywidgets.VBox):
    """A button that runs a notebook in a kernel of its own, with a bar; made by `prepare`."""

    def __init__(self, path: Path):
        self.path = path
        self.button = ipywidgets.Button(description="Prepare this talk", layout={"width": "220px"})
        self.bar = ipywidgets.IntProgress(0, 0, 1, layout={"width": "min(720px, 95%)"})
        self.message = ipywidgets.Label("For the lecturer, before the hour.")
        super().__init__([self.button, self.bar, self.message])
        self.button.on_click(self.run)

    def run(self, _button: ipywidgets.Button | None = None) -> None:
        """Run the whole notebook, show how far it is, and say "ready" or what went wrong."""
        self.button.disabled, self.bar.value = True, 0
        start = time.perf_counter()
        try:
            for done, total in rehearse(self.path):
                self.bar.max, self.bar.value = total, done
                self.message.value = f"{done} of {total} cells"
            seconds = time.perf_counter() - start
            text = f"ready, after {seconds:.0f} seconds. Now choose Run ▸ Run All Cells."
        except (RuntimeError, KeyboardInterrupt) as error:
            text = f"not ready: {error or 'interrupted'}"
        self.message.value, self.button.disabled = text, False


def prepare(name: str) -> Preparation:
    """A button that prepares a talk; `name` is the notebook's file beside the running one.

    Raises FileNotFoundError for a name that is not there.
    """
    path = Path(name).resolve()
    if not path.is_file():
        here = ", ".join(sorted(other.name for other in path.parent.glob("*.ipynb"))) or "none"
        raise FileNotFoundError(f"no notebook {name!r} here; there are: {here}")
    return Preparation(path)


def rehearse(path: Path) -> Iterator[tuple[int, int]]:
    """Run a notebook in a process of its own; gives (cells done, cells in all) after each.

    The file stays as it is. Raises RuntimeError with the first error of a cell.
    """
    command = [sys.executable, "-m", "lecture_utils.talk", str(path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, encoding="utf-8", **pipes) as process:
        where, line = "the start", ""
        try:
            for line in process.stdout:
                if line.startswith("cell "):
                    where = line.strip()
                    _, done, _, total = line.split()
                    yield int(done), int(total)
        except BaseException:  # interrupted, or nobody asks for the rest
            process.terminate()
            raise
    if process.returncode:
        raise RuntimeError(f"{where}: {line.strip()}")


def _run(path: Path) -> None:
    # imported here: only this process needs them; both come with JupyterLab
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook = nbformat.read(path, as_version=4)
    numbers = [n for n, cell in enumerate(notebook.cells) if cell.cell_type == "code"]

    def told(cell_index: int, **_rest) -> None:
        print(f"cell {numbers.index(cell_index) + 1} of {len(numbers)}", flush=True)

    folder = {"metadata": {"path": str(path.parent)}}
    try:
        NotebookClient(notebook, timeout=600, resources=folder, on_cell_executed=told).execute()
    except CellExecutionError as error:
        sys.exit(f"{error.ename}: {error.evalue}")


if __name__ == "__main__":
    _run(Path(sys.argv[1]).resolve())
