"""One thin widget for every lecture: controls on top, what a pure function draws below."""

import functools
import html
import io
import re
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ipywidgets
import matplotlib.figure
import numpy as np
from PIL import Image

from lecture_utils import images, plots

LAYOUT = {"width": "min(720px, 95%)"}
STYLE = {"description_width": "220px"}
TEXT = "<div style='font-size:16px;line-height:1.4'>{}</div>"
STILL = 900  # pixels; the width of the picture that stands for an explorer without a kernel
SHARP = "<style>.sharp-pixels {image-rendering: pixelated}</style>"

# the explorers of this session, so that tests can move them all; a closed one goes
explorers: weakref.WeakValueDictionary[str, "Explorer"] = weakref.WeakValueDictionary()


@dataclass(frozen=True)
class Pixels:
    """A picture, or its bytes, to be shown `width` CSS pixels wide; sharp=False for photos."""

    image: Any
    width: int = 320
    sharp: bool = True


def control(name: str, values: Any, title: str | None = None) -> ipywidgets.DOMWidget:
    """The widget for one argument: its type follows from the values it can take.

    A range gives a slider over whole numbers, a list or tuple a slider over its entries, a
    dictionary a menu of text: value, a bool a box to tick; a widget is taken as it is.
    """
    title = title or name.replace("_", " ")
    common = {"description": title, "style": STYLE, "layout": LAYOUT}
    if isinstance(values, ipywidgets.Widget):
        values.description = values.description or title
        values.style, values.layout = STYLE, LAYOUT
        return values
    if isinstance(values, bool):
        return ipywidgets.Checkbox(values, **common | {"indent": True})
    if isinstance(values, range):
        last = values[-1]
        return ipywidgets.IntSlider(values[0], values[0], last, values.step, **common)
    if isinstance(values, Mapping):
        return ipywidgets.Dropdown(options=list(values.items()), **common)
    if isinstance(values, list | tuple) and values:
        return ipywidgets.SelectionSlider(options=[(str(v), v) for v in values], **common)
    raise TypeError(f"{name}: a control is a range, list, dict, bool or widget, not {values!r}")


class Explorer(ipywidgets.VBox):
    """Controls and the panels they change; made by `explore`."""

    def __init__(self, draw: Callable, controls: dict[str, ipywidgets.DOMWidget]):
        self.draw = draw
        self.controls = controls
        self.panels = ipywidgets.HBox(layout={"flex_flow": "row wrap", "align_items": "flex-start"})
        self.message = ipywidgets.HTML()
        self.error: Exception | None = None
        super().__init__([*controls.values(), self.panels, self.message, ipywidgets.HTML(SHARP)])
        self.add_class("explorer")
        for widget in controls.values():
            widget.observe(self.refresh, "value")
        self.refresh()
        explorers[self.model_id] = self

    def close(self) -> None:
        """Close all parts as well: ipywidgets holds on to every widget that is open."""
        panels = self.panels.children
        bodies = [part for panel in panels for part in panel.children]
        for part in (*bodies, *panels, *self.children):
            part.close()
        super().close()

    def refresh(self, _change: dict | None = None) -> None:
        """Draw again with the present values; an error is shown, not swallowed."""
        try:
            drawn = self.draw(**{name: widget.value for name, widget in self.controls.items()})
            self._show(drawn if isinstance(drawn, list) else [drawn])
            self.error, self.message.value = None, ""
        except Exception as error:  # whatever a draw function raises belongs on the page
            self.error = error
            text = html.escape(f"{type(error).__name__}: {error}")
            self.message.value = f"<p style='color:#B00020;font-size:16px'><b>{text}</b></p>"

    def _repr_mimebundle_(self, **kwargs) -> dict:
        """Beside the live widget a still picture, for pages that have no kernel to draw it."""
        panels, controls = self.panels.children, self.controls.values()
        at = [f"{c.description}: {getattr(c, 'label', c.value)}" for c in controls]
        state = "Run this cell to move " + ", ".join(at) if at else ""
        texts = [state, *(panel.text() for panel in panels)]
        bundle = super()._repr_mimebundle_(**kwargs)
        bundle["text/plain"] = "\n".join(filter(None, texts)) or "A picture without a caption."
        if panels:
            still = plots.beside([panel.still() for panel in panels], width=STILL)
            above = f"<span style='color:#666666'>{html.escape(state)}</span>"
            parts = [plots.written(above, STILL), still] if state else [still]
            bundle["image/jpeg"] = plots.jpeg(plots.beside(parts, width=0), quality=60)
        return bundle

    def _show(self, things: list) -> None:
        """Change the present panels where their kinds still fit: no flicker, no new widgets."""
        pairs = [thing if isinstance(thing, tuple) else (thing, "") for thing in things]
        contents = [(_ready(thing), caption) for thing, caption in pairs]
        kinds = ["html" if isinstance(content, str) else "image" for content, _ in contents]
        if [panel.kind for panel in self.panels.children] != kinds:
            self.panels.children = [_Panel(kind) for kind in kinds]
        for panel, content in zip(self.panels.children, contents):
            panel.show(*content)


class _Panel(ipywidgets.VBox):
    """One picture or piece of HTML with a caption under it."""

    def __init__(self, kind: str):
        self.kind = kind
        make = ipywidgets.Image if kind == "image" else ipywidgets.HTML
        self.body = make(layout={"max_width": "100%"})
        self.caption = ipywidgets.HTML()
        super().__init__([self.body, self.caption], layout={"margin": "4px 16px 4px 0"})

    def show(self, content: str | Pixels, caption: str) -> None:
        self.content = content
        self.caption.value = TEXT.format(caption) if caption else ""
        if isinstance(content, str):
            self.body.value = TEXT.format(content)
            return
        with self.body.hold_sync():  # one message, not two
            self.body.value = content.image
            self.body.format = "png" if content.image.startswith(b"\x89PNG") else "jpeg"
        self.body.layout.width = f"{content.width}px" if content.width else None
        (self.body.add_class if content.sharp else self.body.remove_class)("sharp-pixels")

    def text(self) -> str:
        """What the panel says, without markup."""
        said = self.caption.value + (self.body.value if self.kind == "html" else "")
        return " ".join(html.unescape(re.sub("<[^>]*>", " ", said)).split())

    def still(self) -> np.ndarray:
        """The picture as large as the page shows it, or the text, with the caption below."""
        if self.kind == "html":
            body, width = plots.written(self.body.value, 460), 460
        else:
            body = Image.open(io.BytesIO(self.content.image))
            width = min(self.content.width or body.width, STILL)
            method = Image.Resampling.NEAREST if self.content.sharp else Image.Resampling.BICUBIC
            body = body.resize((width, round(body.height * width / body.width)), method)
        return plots.beside([body, plots.written(self.caption.value, max(width, 160))], 4, width=0)


def _ready(thing: Any) -> str | Pixels:
    """What a draw function returned, as HTML or as Pixels with bytes; width 0: its own."""
    if isinstance(thing, str):
        return thing
    if isinstance(thing, Pixels):
        if isinstance(thing.image, bytes):  # made before: nothing is left to do
            return thing
        picture = Image.fromarray(plots.to_pixels(thing.image))
        if picture.width > 2 * thing.width > 0:  # a large photo: no screen shows its every pixel
            picture.thumbnail((2 * thing.width, picture.height))
        return replace(thing, image=(plots.png if thing.sharp else plots.jpeg)(picture))
    if isinstance(thing, matplotlib.figure.Figure):
        thing = plots.rendered(thing)
    elif isinstance(thing, np.ndarray | Image.Image):
        thing = plots.png(thing)
    if not isinstance(thing, bytes):
        raise TypeError(f"cannot show a {type(thing).__name__}: give a picture, figure or HTML")
    return Pixels(thing, width=0, sharp=False)


def explore(draw: Callable, titles: Mapping[str, str] | None = None, **controls: Any) -> Explorer:
    """Show what `draw` returns and draw it again whenever a control moves.

    Args:
        draw: a pure function of the controls' values. Returns a picture (uint8 or float array,
            PIL image, `Pixels`), a matplotlib figure, PNG bytes (of `plots.rendered`, drawn
            before), a text of HTML, a pair (one of these, caption), or a list of such things to
            stand side by side. Write what it needs besides the controls as default arguments,
            `def show(number, weights=weights)`: later cells that use the name for something else
            cannot change the picture then.
        titles: what stands beside each control, with its unit; the argument's name by default.
        controls: one per argument of `draw`; see `control`.
    """
    titles = titles or {}
    widgets = {name: control(name, values, titles.get(name)) for name, values in controls.items()}
    return Explorer(draw, widgets)


class Photos(ipywidgets.VBox):
    """A button to upload photos: they become the last entries of all menus and sliders made here.

    The value of those is the number of a picture; what a lecture knows of it goes through `after`.
    """

    def __init__(self):
        self.pictures: list[images.Picture] = []
        # a server passes messages of up to 10 MB on and loses larger ones without a word
        kinds, text = ",".join(("image/*", *images.SUFFIXES)), "Add your photos (10 MB at once)"
        self.upload = ipywidgets.FileUpload(accept=kinds, multiple=True, description=text)
        self.upload.layout.width = "280px"
        self.message = ipywidgets.HTML()
        super().__init__([self.upload, self.message])
        self.upload.observe(self._add, "value")

    def _add(self, change: dict) -> None:
        lines = []
        for file in change["new"]:
            name = file["name"]
            before = sum(picture.path.name.startswith(name) for picture in self.pictures)
            name = f"{name} ({before + 1})" if before else name
            try:
                image = images.open_photo(bytes(file["content"]))
                image.thumbnail((800, 800))  # shown at once, and more than a network looks at
                self.pictures.append(images.Picture(image, "", None, Path(name)))
                lines.append(f"{name} is now the last entry of every menu and slider of pictures.")
            except images.PhotoError as error:
                lines.append(f"{name} is not added: {error}.")
        self.message.value = TEXT.format("<br>".join(map(html.escape, lines)))

    def menu(self, names: Sequence[str], value: int = 0) -> ipywidgets.Dropdown:
        """A menu of names, one per picture, and then of photos."""

        def extend(_change: dict | None = None) -> None:
            chosen = value if menu.value is None else menu.value
            entries = [*names, *(picture.path.name for picture in self.pictures)]
            menu.options = [(name, number) for number, name in enumerate(entries)]
            menu.value = chosen

        menu = ipywidgets.Dropdown()
        extend()
        self.upload.observe(extend, "value")
        return menu

    def slider(self, count: int, value: int = 0) -> ipywidgets.IntSlider:
        """A slider over the numbers of `count` pictures and then of photos."""

        def extend(_change: dict) -> None:
            slider.max = count + len(self.pictures) - 1

        slider = ipywidgets.IntSlider(value, 0, count + len(self.pictures) - 1)
        self.upload.observe(extend, "value")
        return slider

    def after(self, entries: Sequence, make: Callable = lambda picture: picture) -> "Known":
        """What is known of each picture, and then of each photo what `make(Picture)` returns."""
        return Known(entries, self.pictures, functools.cache(lambda n: make(self.pictures[n])))


@dataclass(frozen=True)
class Known:
    """Entries by number, then one for each photo, made when it is first asked for."""

    entries: Sequence
    photos: list[images.Picture]
    made: Callable[[int], Any]

    def __getitem__(self, number: int) -> Any:
        first = len(self.entries)
        return self.entries[number] if number < first else self.made(number - first)

    def __len__(self) -> int:
        return len(self.entries) + len(self.photos)
