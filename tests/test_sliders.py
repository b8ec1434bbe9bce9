"""`sliders.explore` itself, and that what is run in every notebook finds what it looks for."""

import datetime
import gc
import io
import runpy
import subprocess
import sys
import weakref
from pathlib import Path

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from lecture_utils import images, plots, sliders

HERE = Path(__file__).parent


def test_the_sweep_itself_finds_errors_and_dead_controls() -> None:
    sweep = runpy.run_path(str(HERE / "sweep.py"))["sweep"]
    view = sliders.explore(lambda n, idle: str(1 / (n - 99)), n=range(100), idle=[1, 2])
    found = sweep(view)
    assert found["dead"] == ["idle"]
    assert any("ZeroDivisionError" in text for text in found["errors"])
    fine = sliders.explore(lambda n, tick: f"{n} {tick}", n=range(100), tick=True)
    assert sweep(fine) == {"controls": ["n", "tick"], "errors": [], "dead": []}
    assert (fine.controls["n"].value, fine.controls["tick"].value) == (0, True)


def test_the_sweep_shows_a_photo_everywhere() -> None:
    with_photo = runpy.run_path(str(HERE / "sweep.py"))["with_photo"]
    photos, sizes = sliders.Photos(), ["small", "large"]
    pictures = photos.after(["first", "second"], lambda picture: str(picture.image.size))
    fine = sliders.explore(lambda n: pictures[n], n=photos.menu(["first", "second"]))
    bad = sliders.explore(lambda n: sizes[n], {"n": "size"}, n=photos.slider(2))
    other = sliders.explore(lambda n: sizes[n], n=range(2))
    found = with_photo(photos, [fine, bad, other])
    assert (found["controls"], found["dead"]) == (["n", "size"], [])
    assert [text for text in found["errors"] if "IndexError" in text] == found["errors"] != []
    assert with_photo(sliders.Photos(), [other])["errors"], "a button that leads nowhere"


def test_the_sweep_has_no_network() -> None:
    code = (HERE / "offline.py").read_text(encoding="utf-8")
    code += "import urllib.request; urllib.request.urlopen('http://example.org')"
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
    assert bundle["text/plain"] == "Run this cell to move n: 0"


def test_a_still_carries_captions_and_texts_and_fits_a_page() -> None:
    def draw(n: int = 0) -> list:
        wide = sliders.Pixels(np.zeros((10, 500)), 1000)
        return [(wide, f"<b>first</b> &amp; {n}"), "<i>second</i>", (np.ones((5, 5)), "third")]

    bundle = sliders.explore(draw)._repr_mimebundle_()
    assert bundle["text/plain"] == "first & 0\nsecond\nthird"
    with_captions = np.asarray(Image.open(io.BytesIO(bundle["image/jpeg"])))
    assert with_captions.shape[1] == sliders.STILL
    assert (with_captions[22:40, :200] < 100).sum() > 100, "no words below the first picture"
    assert (with_captions[60:] < 100).any(), "no second row"
    live = sliders.explore(draw, n=range(3))._repr_mimebundle_()
    assert live["text/plain"].startswith("Run this cell to move n: 0\nfirst & 0\n")
    only_text = sliders.explore(lambda: "<p>a sentence</p>")._repr_mimebundle_()
    assert only_text["text/plain"] == "a sentence" and "image/jpeg" in only_text
    mute = sliders.explore(lambda: np.eye(3))._repr_mimebundle_()
    assert mute["text/plain"] == "A picture without a caption."


def test_written_knows_breaks_colours_bars_and_the_width() -> None:
    one = plots.written("some words", 300)
    assert len(plots.written("some<br>words", 300)) == 2 * len(one)
    assert len(plots.written("some words", 60)) == 2 * len(one)
    assert plots.written("many words " * 20, 300).shape[1] <= 300
    assert plots.written("", 300).size == 0
    red = plots.written("<b style='color:#FF0000'>&#9632;</b> red", 300)
    assert (red == (255, 0, 0)).all(-1).any() and (red == 0).all(-1).any()
    blue = (plots.written(plots.bars(["a", "b"], [1, 0.5]), 420) == (0, 114, 178)).all(-1)
    assert blue.sum(1).max() >= 150 and 70 < blue.sum(1)[-12] < 85


def test_photos_travel_as_jpeg_and_no_larger_than_a_screen_shows_them() -> None:
    photo = Image.effect_mandelbrot((1600, 1200), (-3, -2.5, 2, 2.5), 50)
    view = sliders.explore(lambda sharp: sliders.Pixels(photo, 300, sharp), sharp=False)
    body = view.panels.children[0].body
    assert (body.format, body.value[:2]) == ("jpeg", b"\xff\xd8")
    assert pixels(view.panels.children[0]).shape == (450, 600, 3)
    view.controls["sharp"].value = True
    assert (body.format, body.value[:4]) == ("png", b"\x89PNG")


def test_a_picture_made_before_travels_as_it_is() -> None:
    made = plots.png(np.eye(40))
    view = sliders.explore(lambda: sliders.Pixels(made, 300))
    assert view.panels.children[0].body.value == made
    assert view.panels.children[0].body.layout.width == "300px"


def test_lines_on_a_map_lead_from_one_point_to_others() -> None:
    points = np.array([(0, 0), (10, 0), (0, 10), (10, 10)])
    sheet = plots.dots(points, list("aabb"), 200)
    drawn = plots.linked(sheet, points, 0, [3])
    assert (drawn[100, 100] == 0).all() and (sheet[100, 100] == 255).all()
    assert (drawn[176, 24] == 255).all()  # the one is a white disc


def test_names_on_a_map_do_not_cover_each_other() -> None:
    names = [f"class{letter}" for letter in "abcdef"]
    points = np.concatenate([np.full((6, 2), 5.0), [(0, 0), (10, 10)]])
    sheet = plots.dots(points, [*names, "", ""], 400)
    dark = (sheet[:, 140:260].min(-1) < 60).any(1)  # rows of pixels with letters
    starts = np.flatnonzero(np.diff(dark.astype(int)) == 1)
    assert len(starts) >= len(names) and (np.diff(starts) >= 20).all()


def test_a_bar_below_a_map_goes_from_low_to_high() -> None:
    drawn = plots.with_bar(np.zeros((8, 8)), plots.SIGNED, -1.5, 1.5, "response", width=240)
    assert drawn.shape == (280, 240, 3) and (drawn[:240] == 0).all()
    ends = plots.signed(np.array([-1.0, 1.0])) * 255
    np.testing.assert_allclose(drawn[250, [0, -1]], ends, atol=2)
    assert (drawn[260:] < 100).any()


# --- photos of one's own ------------------------------------------------------------------------


def file_bytes(kind: str, colour: str = "red", **options) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 20), colour).save(file, kind, **options)
    return file.getvalue()


def upload(photos: sliders.Photos, **files: bytes) -> None:
    """As the browser does it when several files are chosen at once."""
    now = datetime.datetime.now(datetime.timezone.utc)
    photos.upload.value = [
        {"name": name.replace("_", "."), "type": "", "size": len(content)}
        | {"content": memoryview(content), "last_modified": now}
        for name, content in files.items()
    ]


def test_an_uploaded_photo_is_in_every_menu_and_slider_and_computed_on_demand() -> None:
    photos, computed = sliders.Photos(), []

    def width_of(picture: images.Picture) -> int:
        computed.append(picture.path.name)
        return picture.image.width

    widths, pictures = photos.after([160, 160], width_of), photos.after(images.gallery()[:2])

    def draw(number: int) -> list:
        picture = pictures[number]
        text = f"{picture.label} {picture.path.name} {widths[number]}"
        return [(sliders.Pixels(picture.image, 80, sharp=False), text)]

    menu = sliders.explore(draw, number=photos.menu(["first", "second"], 1))
    slider = sliders.explore(draw, number=photos.slider(2, 1))
    before = menu.panels.children[0].caption.value
    assert (menu.controls["number"].options, slider.controls["number"].max) == (
        (("first", 0), ("second", 1)),
        1,
    )

    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held upright
    jpeg = file_bytes("JPEG", exif=turned)
    upload(photos, cat_jpg=jpeg, dog_heic=file_bytes("HEIF", "blue"), bad_jpg=jpeg[:300])
    assert [picture.image.size for picture in photos.pictures] == [(20, 40), (40, 20)]
    assert [picture.label for picture in photos.pictures] == ["", ""]
    assert "cat.jpg is now" in photos.message.value and "dog.heic is now" in photos.message.value
    assert "bad.jpg is not added: this file is damaged" in photos.message.value
    assert menu.controls["number"].value == slider.controls["number"].value == 1
    assert menu.panels.children[0].caption.value == before and computed == []

    upload(photos, cat_jpg=file_bytes("JPEG", "green"))  # another one of that name
    names = ["first", "second", "cat.jpg", "dog.heic", "cat.jpg (2)"]
    assert menu.controls["number"].options == tuple((n, i) for i, n in enumerate(names))
    assert slider.controls["number"].max == len(pictures) - 1 == 4
    for view in (menu, slider):
        for number, width in ((2, 20), (3, 40), (4, 40), (0, 160)):
            view.controls["number"].value = number
            assert view.error is None
            assert f" {width}<" in view.panels.children[0].caption.value
    assert computed == ["cat.jpg", "dog.heic", "cat.jpg (2)"], "each once, when asked for"
    assert dict(photos.menu(["only"]).options)["cat.jpg"] == 1, "a menu made later knows them"
    assert photos.slider(14).max == 16


def test_a_refused_photo_changes_nothing() -> None:
    photos = sliders.Photos()
    view = sliders.explore(lambda number: str(number), number=photos.menu(["first"]))
    upload(photos, notes_txt=b"<b>no picture</b>", _jpg=b"")
    assert photos.pictures == [] and len(view.controls["number"].options) == 1
    assert photos.message.value.count("is not added") == 2
    assert "image/jpeg" not in photos._repr_mimebundle_()


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
