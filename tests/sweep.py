"""Runs in a lecture's kernel after its last cell: moves every control of every explorer."""

import datetime
import io
from itertools import chain

from PIL import Image

from lecture_utils import sliders

FEW, SAMPLE = 16, 8  # positions: all of them up to FEW, otherwise about SAMPLE, ends included


def positions(widget) -> list:
    """The values a control is moved through."""
    if hasattr(widget, "options"):
        values = list(widget._options_values)
    elif hasattr(widget, "min") and hasattr(widget, "step"):
        step = widget.step or 1
        count = round((widget.max - widget.min) / step)
        values = [widget.min + i * step for i in range(count)] + [widget.max]
    elif isinstance(widget.value, bool):
        values = [True, False]
    else:
        return [widget.value]
    if len(values) <= FEW:
        return values
    return [values[round(i * (len(values) - 1) / (SAMPLE - 1))] for i in range(SAMPLE)]


def shown(explorer) -> tuple:
    """What the page shows now."""
    return tuple((panel.body.value, panel.caption.value) for panel in explorer.panels.children)


def sweep(explorer) -> dict:
    """Move each control alone over its range, then all of them to their ends together."""
    errors, dead = set(), []

    def move(name: str, value) -> tuple:
        explorer.controls[name].value = value
        if explorer.error is not None:
            state = {name: str(widget.value) for name, widget in explorer.controls.items()}
            errors.add(f"{type(explorer.error).__name__}: {explorer.error} at {state}")
        return shown(explorer)

    ranges = {name: positions(widget) for name, widget in explorer.controls.items()}
    first = {name: widget.value for name, widget in explorer.controls.items()}
    for name, values in ranges.items():
        pages = {move(name, value) for value in values}
        move(name, first[name])
        if len(values) > 1 and len(pages) == 1:
            dead.append(name)
    for name, values in chain(ranges.items(), ((n, v[::-1]) for n, v in ranges.items())):
        move(name, values[-1])
    for name, value in first.items():
        move(name, value)
    return {"controls": list(ranges), "errors": sorted(errors), "dead": dead}


def with_photo(photos, explorers: list) -> dict:
    """Upload a photo and show it in every explorer that has an entry for it then."""
    file = io.BytesIO()
    Image.linear_gradient("L").resize((300, 200)).convert("RGB").save(file, "JPEG")
    content, now = file.getvalue(), datetime.datetime.now(datetime.timezone.utc)
    told = {"name": "own photo.jpg", "type": "image/jpeg", "size": len(content)}
    pairs = [(view, widget) for view in explorers for widget in view.controls.values()]
    ends = [_end(widget) for _, widget in pairs]
    photos.upload.value = [told | {"content": memoryview(content), "last_modified": now}]
    found = {"controls": [], "errors": [], "dead": []}
    for (view, widget), end in zip(pairs, ends):
        if _end(widget) == end:
            continue
        first, page = widget.value, shown(view)
        widget.value = _end(widget)
        found["controls"].append(widget.description)
        if view.error is not None:
            found["errors"].append(f"own photo, {widget.description}: {view.error!r}")
        elif shown(view) == page:
            found["dead"].append(f"own photo, {widget.description}")
        widget.value = first
    if not found["controls"]:
        found["errors"].append("no menu and no slider has an entry for one's own photo")
    return found


def _end(widget):
    """The last value of a menu or slider."""
    options = getattr(widget, "_options_values", None)
    return options[-1] if options else getattr(widget, "max", None)


def sweep_all(things: list) -> None:
    """Every explorer there is, and every photo button among `things`; raises what is wrong."""
    results = [sweep(explorer) for explorer in sliders.explorers.values()]
    for photos in (thing for thing in things if isinstance(thing, sliders.Photos)):
        results.append(with_photo(photos, list(sliders.explorers.values())))
    assert results, "there is nothing to move"
    errors = [result["errors"] for result in results if result["errors"]]
    assert not errors, errors
    dead = [result for result in results if result["dead"]]
    assert not dead, f"controls that change nothing: {dead}"


if __name__ == "__main__":  # as in a kernel
    sweep_all(list(globals().values()))
