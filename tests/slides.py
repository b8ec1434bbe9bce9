"""The slides that a notebook holds, read as sliveshow reads them."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

HEADING = re.compile(r"^#+ +(.*)$", re.M)


@dataclass
class Slide:
    """The cells of one slide, in order, and what is said to the lecturer."""

    cells: list[nbformat.NotebookNode] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def prose(self) -> str:
        return "\n\n".join(cell.source for cell in self.cells if cell.cell_type == "markdown")

    @property
    def heading(self) -> str:
        found = HEADING.search(self.prose)
        return plain(found[1]) if found else ""

    @property
    def text(self) -> str:
        """What stands on the slide besides its heading."""
        return plain(HEADING.sub("", self.prose))

    @property
    def code(self) -> list[str]:
        """The sources that are shown."""
        cells = [cell for cell in self.cells if cell.cell_type == "code"]
        return [c.source for c in cells if not c.metadata.slideshow.get("hide_code")]


def plain(markdown: str) -> str:
    """Without the marks of links, emphasis, code and tables."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    return re.sub(r"^\|[-:| ]+\|$|[*_`|]|<[^>]*>", " ", text, flags=re.M).strip()


def read(path: Path) -> list[Slide]:
    """All slides of a notebook; cells before the first one belong to none."""
    slides: list[Slide] = []
    for cell in nbformat.read(path, as_version=4).cells:
        kind = cell.metadata.slideshow.slide_type
        if kind == "slide":
            slides.append(Slide([cell]))
        elif kind == "-" and slides:
            slides[-1].cells.append(cell)
        elif kind == "notes" and slides:
            slides[-1].notes.append(cell.source)
    return slides
