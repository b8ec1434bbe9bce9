"""Runs in a notebook's kernel after its last cell: moves every control of every explorer."""

import json
from itertools import chain

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


print("SWEPT", json.dumps([sweep(explorer) for explorer in sliders.explorers.values()]))
