"""One thin widget for every lecture: controls on top, what a pure function draws below."""

import html
import io
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import ipywidgets
import matplotlib.figure
import numpy as np
from PIL import Image

from lecture_utils import plots

LAYOUT = {"width": "min(720px, 95%)"}
STYLE = {"description_width": "220px"}
TEXT = "<div style='font-size:16px;line-height:1.4'>{}</div>"
SHARP = "<style>.sharp-pixels {image-rendering: pixelated}</style>"

# the explorers of this session, so that tests can move them all; a closed one goes
explorers: weakref.WeakValueDictionary[str, "Explorer"] = weakref.WeakValueDictionary()


@dataclass(frozen=True)
class Pixels:
    """A picture to be shown `width` CSS pixels wide, its own pixels sharp (or smooth)."""

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
        stills = [panel.still() for panel in self.panels.children if panel.kind == "image"]
        names = ", ".join(widget.description for widget in self.controls.values())
        bundle = super()._repr_mimebundle_(**kwargs)
        bundle["text/plain"] = f"Run this cell to move: {names}"
        if stills:
            file, picture = io.BytesIO(), Image.fromarray(plots.beside(stills))
            picture.thumbnail((900, 900))  # pixels; a notebook with many stays small
            picture.save(file, "JPEG", quality=75)
            bundle["image/jpeg"] = file.getvalue()
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
        self.body.value = content.image
        self.body.layout.width = f"{content.width}px" if content.width else None
        (self.body.add_class if content.sharp else self.body.remove_class)("sharp-pixels")

    def still(self) -> Image.Image:
        """The picture as large as the page shows it."""
        image = Image.open(io.BytesIO(self.content.image))
        width = self.content.width or image.width
        method = Image.Resampling.NEAREST if self.content.sharp else Image.Resampling.BICUBIC
        return image.resize((width, round(image.height * width / image.width)), method)


def _ready(thing: Any) -> str | Pixels:
    """What a draw function returned, as HTML or as Pixels with PNG bytes; width 0: its own."""
    if isinstance(thing, str):
        return thing
    if isinstance(thing, Pixels):
        return replace(thing, image=plots.png(thing.image))
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
            stand side by side. What it needs besides the controls is bound to it (default
            arguments, `functools.partial`): a notebook's later cells cannot change it then.
        titles: what stands beside each control, with its unit; the argument's name by default.
        controls: one per argument of `draw`; see `control`.
    """
    titles = titles or {}
    widgets = {name: control(name, values, titles.get(name)) for name, values in controls.items()}
    return Explorer(draw, widgets)
