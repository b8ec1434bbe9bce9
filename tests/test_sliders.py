"""Every slider of every notebook over its whole range, and `sliders.explore` itself."""

import gc
import io
import json
import os
import runpy
import subprocess
import sys
import weakref
from pathlib import Path

import ipywidgets
import matplotlib.pyplot as plt
import nbclient
import nbformat
import numpy as np
import pytest
from PIL import Image

from lecture_utils import plots, sliders

HERE = Path(__file__).parent
NOTEBOOKS = sorted((HERE.parent / "notebooks").glob("*.ipynb"))

# a kernel that reaches nothing but this computer, with a home nobody can write to
OFFLINE = """
import socket

HERE = ("127.0.0.1", "::1", "localhost")
_connect, _look_up = socket.socket.connect, socket.getaddrinfo

def connect(self, address):
    if isinstance(address, tuple) and address[0] not in HERE:
        raise OSError(f"this test runs without network, {address} was asked for")
    return _connect(self, address)

def look_up(host, *rest, **options):
    if host not in HERE:
        raise OSError(f"this test runs without network, {host} was asked for")
    return _look_up(host, *rest, **options)

socket.socket.connect, socket.getaddrinfo = connect, look_up
"""
NO_HOME = "/dev/null/home"  # not even root can make it


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_slider_of_every_notebook(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(
        nbformat.v4.new_code_cell((HERE / "sweep.py").read_text(encoding="utf-8"))
    )
    notebook.cells.insert(0, nbformat.v4.new_code_cell(OFFLINE))
    client = nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}
    )
    client.execute(env=os.environ | {"HOME": NO_HOME, "IPYTHONDIR": f"{NO_HOME}/ipython"})

    texts = [
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream"
    ]
    assert not [text for text in texts if "Traceback" in text]
    results = json.loads(next(text for text in texts if text.startswith("SWEPT"))[5:])
    assert [result["errors"] for result in results if result["errors"]] == []
    assert [result for result in results if result["dead"]] == [], "controls that change nothing"
    if any("explore(" in cell.source for cell in notebook.cells[:-1]):
        assert results, "the notebook makes explorers, but none was found"


def test_the_sweep_itself_finds_errors_and_dead_controls() -> None:
    sweep = runpy.run_path(str(HERE / "sweep.py"))["sweep"]
    view = sliders.explore(lambda n, idle: str(1 / (n - 99)), n=range(100), idle=[1, 2])
    found = sweep(view)
    assert found["dead"] == ["idle"]
    assert any("ZeroDivisionError" in text for text in found["errors"])
    fine = sliders.explore(lambda n, tick: f"{n} {tick}", n=range(100), tick=True)
    assert sweep(fine) == {"controls": ["n", "tick"], "errors": [], "dead": []}
    assert (fine.controls["n"].value, fine.controls["tick"].value) == (0, True)


def test_the_sweep_has_no_network() -> None:
    code = OFFLINE + "import urllib.request; urllib.request.urlopen('http://example.org')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode and "without network" in run.stderr


# --- sliders.explore ----------------------------------------------------------------------------


def pixels(panel) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(panel.body.value)))


def test_first_picture_is_there_untouched_and_follows_the_slider() -> None:
    view = sliders.explore(lambda level: np.full((4, 5), level / 10), level=range(0, 11))
    assert pixels(view.panels.children[0]).shape == (4, 5, 3)
    assert pixels(view.panels.children[0]).max() == 0
    view.controls["level"].value = 10
    assert pixels(view.panels.children[0]).min() == 255


def test_an_error_is_shown_and_goes_away() -> None:
    def draw(n: int) -> str:
        if n == 1:
            raise ValueError("one <is> bad")
        return "fine"

    view = sliders.explore(draw, n=range(3))
    view.controls["n"].value = 1
    assert isinstance(view.error, ValueError)
    assert "one &lt;is&gt; bad" in view.message.value
    view.controls["n"].value = 2
    assert view.error is None and view.message.value == ""


def test_kinds_of_controls_and_their_labels() -> None:
    view = sliders.explore(
        lambda **values: str(values),
        titles={"size": "size (pixels)"},
        size=range(2, 9, 3),
        layer=["conv1", "conv2"],
        menu={"red": 0, "green": 1},
        tick=True,
        own=ipywidgets.FloatSlider(0.5),
    )
    kinds = {name: type(widget).__name__ for name, widget in view.controls.items()}
    assert kinds == {
        "size": "IntSlider",
        "layer": "SelectionSlider",
        "menu": "Dropdown",
        "tick": "Checkbox",
        "own": "FloatSlider",
    }
    size = view.controls["size"]
    assert (size.min, size.max, size.step) == (2, 8, 3)
    assert all(widget.description for widget in view.controls.values())
    assert size.description == "size (pixels)"
    with pytest.raises(TypeError, match="a control is a range"):
        sliders.explore(str, n="abc")


def test_panels_side_by_side_with_captions_keep_their_widgets() -> None:
    def draw(n: int) -> list:
        figure, axes = plt.subplots()
        axes.plot([0, n])
        small = sliders.Pixels(np.zeros((2, 2)), width=64)
        return [(small, f"caption {n}"), "<b>text</b>", figure, drawn_before]

    drawn_before = plots.png(np.eye(5))

    before = plt.get_fignums()
    view = sliders.explore(draw, n=range(3))
    panels = view.panels.children
    assert [panel.kind for panel in panels] == ["image", "html", "image", "image"]
    assert panels[3].body.value == drawn_before
    assert panels[0].body.layout.width == "64px"
    view.controls["n"].value = 2
    assert view.panels.children == panels
    assert "caption 2" in panels[0].caption.value
    assert plt.get_fignums() == before


def test_registered_and_readable_without_a_kernel() -> None:
    view = sliders.explore(lambda n: sliders.Pixels(np.eye(3), width=30), n=range(3))
    assert list(sliders.explorers.values())[-1] is view
    bundle = view._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["image/jpeg"][:2] == b"\xff\xd8"
    assert bundle["text/plain"] == "Run this cell to move: n"


def test_beside_puts_pictures_in_a_row() -> None:
    sheet = plots.beside([np.zeros((2, 3)), np.zeros((4, 1))], gap=2)
    assert sheet.shape == (4, 6, 3)
    assert (sheet[:2, :3] == 0).all() and (sheet[2:, :3] == 255).all()
    assert (sheet[:, 3:5] == 255).all() and (sheet[:, 5:] == 0).all()


def test_a_closed_explorer_is_not_kept_in_memory() -> None:
    view = sliders.explore(lambda n: [sliders.Pixels(np.eye(3)), str(n)], n=range(3))
    parts = [weakref.ref(part) for part in (view, view.panels, *view.panels.children)]
    assert view in sliders.explorers.values()
    view.close()
    del view
    gc.collect()
    assert [part for part in parts if part() is not None] == []
