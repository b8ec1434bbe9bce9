"""Execute notebooks in place, so that their outputs can be committed: same run, same file.

Nothing that was computed before is used: the cache is a temporary folder.

python -m tests.execute notebooks/*.ipynb
"""

import os
import sys
import tempfile
from pathlib import Path

import nbclient
import nbformat

WIDGET = "application/vnd.jupyter.widget-view+json"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def stable(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Take out what differs from run to run: times, widget numbers, progress bars.

    What the kernel told of its language stays: JupyterLab writes the same into every notebook it
    opens, and would mark one that lacks it, or another version of Python, as modified.
    """
    language = notebook.metadata.language_info
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": language})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = _joined([output for output in cell.outputs if _lasting(output)])
    return notebook


def _joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Lines printed one after the other as one output: a busy machine sends them in pieces."""
    joined = []
    for output in outputs:
        if joined and output.output_type == joined[-1].output_type == "stream":
            if output.name == joined[-1].name:
                joined[-1].text += output.text
                continue
        joined.append(output)
    return joined


def _lasting(output: nbformat.NotebookNode) -> bool:
    """Keep the still picture of a widget; a widget without one, a progress bar, goes."""
    live = output.get("data", {}).pop(WIDGET, None)
    return live is None or any(kind.startswith("image/") for kind in output.data)


def execute(path: Path) -> None:
    """Run one notebook from a fresh kernel and write it back; nothing is written on an error."""
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=600,
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    path.write_text(nbformat.writes(stable(notebook)) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:
        os.environ["LECTURE_UTILS_CACHE"] = cache
        for argument in sys.argv[1:]:
            print(argument, flush=True)
            execute(Path(argument))
