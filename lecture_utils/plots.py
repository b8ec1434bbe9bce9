"""From arrays to pictures: pixel mosaics and matplotlib figures that are readable in a hall."""

import html
import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw, ImageFont

HEAT = "viridis"  # perceptually even and safe for colour-blind eyes
SIGNED = "RdBu_r"  # blue below zero, red above; safe as well
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
FONT = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")  # knows ², × and °


def style() -> None:
    """Set matplotlib for a projector: 14 pt, colours every eye can tell apart (Okabe & Ito)."""
    plt.rc("font", size=14)
    plt.rc("axes", titlesize=15, prop_cycle=plt.cycler(color=COLOURS))
    plt.rc("axes.spines", top=False, right=False)
    plt.rc("legend", fontsize=14)
    plt.rc("lines", linewidth=2.5)
    plt.rc(("figure", "savefig"), dpi=72)
    plt.rc("figure.constrained_layout", use=True)


def to_pixels(image) -> np.ndarray:
    """Any picture (PIL; float 0..1 or uint8; [H, W] or [H, W, 3]) -> uint8 [H, W, 3]."""
    if isinstance(image, Image.Image):
        image = image.convert("RGB")
    array = np.asarray(image)
    if array.dtype != np.uint8:
        array = (np.nan_to_num(array.astype(float)).clip(0, 1) * 255).round().astype(np.uint8)
    return array if array.ndim == 3 else np.repeat(array[:, :, None], 3, axis=2)


def png(image) -> bytes:
    """A picture as PNG bytes, in milliseconds (Pillow, light compression)."""
    file = io.BytesIO()
    Image.fromarray(to_pixels(image)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def jpeg(image, quality: int = 90) -> bytes:
    """A picture as JPEG bytes: a photo is a fifth as large that way, and nobody sees it."""
    file = io.BytesIO()
    Image.fromarray(to_pixels(image)).save(file, "JPEG", quality=quality)
    return file.getvalue()


def mosaic(
    images: Sequence, columns: int | None = None, gap: int = 1, enlarge: int = 1
) -> np.ndarray:
    """Pictures of one size as tiles of one pixel array, row by row; uint8 [height, width, 3].

    `columns` tiles to a row (None: about square), white lines of `gap` pixels between them; then
    every pixel is drawn `enlarge` times as high and wide, and stays sharp.
    """
    tiles = np.stack([to_pixels(image) for image in images])
    columns = columns or math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    missing = rows * columns - len(tiles)
    # each tile brings the line above it and the line on its left
    tiles = np.pad(tiles, ((0, missing), (gap, 0), (gap, 0), (0, 0)), constant_values=255)
    sheet = np.vstack([np.hstack(row) for row in np.split(tiles, rows)])
    sheet = np.pad(sheet, ((0, gap), (0, gap), (0, 0)), constant_values=255)
    return sheet.repeat(enlarge, axis=0).repeat(enlarge, axis=1)


def beside(images: Sequence, gap: int = 16, width: float = math.inf) -> np.ndarray:
    """Pictures of any size side by side on white, their upper edges level; uint8 [H, W, 3].

    Where a row would be wider than `width` pixels, a new one begins.
    """
    tiles, places = [to_pixels(image) for image in images], []
    x = y = lower = 0
    for height, wide, _ in (tile.shape for tile in tiles):
        if x and x + wide > width:
            x, y = 0, lower + gap
        places.append((slice(y, y + height), slice(x, x + wide)))
        x, lower = x + wide + gap, max(lower, y + height)
    sheet = np.full((lower, max(columns.stop for _, columns in places), 3), 255, np.uint8)
    for place, tile in zip(places, tiles):
        sheet[place] = tile
    return sheet


def written(text: str, width: int, size: int = 16) -> np.ndarray:
    """HTML as a picture at most `width` wide: words, breaks, colours, bars; uint8 [H, W, 3]."""
    font, line = ImageFont.truetype(FONT, size), round(1.4 * size)
    sheet = Image.new("RGB", (width, 100 * line), "white")
    pen, colour, x, y, used = ImageDraw.Draw(sheet), "black", 0, 0, 1
    for tag, words in re.findall(r"<([^>]*)>|([^<]+)", text):
        style = dict(re.findall(r"([a-z-]+): *([^;'\"]+)", tag))
        colour = style.get("color", "black") if tag else colour
        if tag.startswith("td"):
            x = math.ceil(x / 130) * 130  # columns of a table
        elif re.match(r"(br|li|/?p|/?div|/?tr)\b", tag) and x:
            x, y = 0, y + line
        if "background" in style and "width" in style:
            length = float(re.sub("px|%", "", style["width"])) + 1
            pen.rectangle((x, y + 2, x + length, y + size), style["background"])
            x, used = x + length + 4, max(used, x + length)
        for word in re.findall(r"\s+|\S+", html.unescape(words)):
            length = font.getlength(word)
            if not word.isspace():
                x, y = (0, y + line) if x and x + length > width else (x, y)
                pen.text((x, y), word, colour, font)
                used = max(used, x + length)
            x += length if x or not word.isspace() else 0
    return np.asarray(sheet)[: y + line * bool(x), : math.ceil(used)]


def with_bar(
    image, colours: str, low: float, high: float, text: str = "", width: int = 320
) -> np.ndarray:
    """A map `width` pixels wide, below it what its `colours` mean, from `low` to `high`.

    `text` names what is shown and its unit. For `Pixels(..., width, sharp=False)`; uint8 [H, W, 3].
    """
    picture = Image.fromarray(to_pixels(image))
    height = round(picture.height * width / picture.width)
    sheet = Image.new("RGB", (width, height + 40), "white")
    sheet.paste(picture.resize((width, height), Image.Resampling.NEAREST))
    scale = to_pixels(heat(np.linspace(0, 1, width)[None], 0, 1, colours))
    sheet.paste(Image.fromarray(scale).resize((width, 12)), (0, height + 6))
    pen, font = ImageDraw.Draw(sheet), ImageFont.truetype(FONT, 15)
    pen.text((0, height + 36), f"{low:.3g}", "black", font, "ls")
    pen.text((width / 2, height + 36), text, "black", font, "ms")
    pen.text((width, height + 36), f"{high:.3g}", "black", font, "rs")
    return np.asarray(sheet)


def heat(array: np.ndarray, low=None, high=None, colours: str = HEAT) -> np.ndarray:
    """Values [...] as colours, float [..., 3]; from `low` (or the lowest) to `high` (highest)."""
    scaled = matplotlib.colors.Normalize(low, high, clip=True)(np.asarray(array))
    return matplotlib.colormaps[colours](scaled)[..., :3]


def signed(array: np.ndarray, limit: float | None = None) -> np.ndarray:
    """Values with a sign as colours: white is 0, red +limit, blue -limit. Float [..., 3]."""
    limit = limit or np.abs(array).max() or 1
    return heat(array, -limit, limit, SIGNED)


def resized(image, side: int, smooth: bool = True) -> np.ndarray:
    """A picture at `side` x `side` pixels, uint8 [side, side, 3]."""
    method = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(to_pixels(image)).resize((side, side), method))


def overlay(image, colours: np.ndarray, strength: float | np.ndarray = 0.5) -> np.ndarray:
    """Lay colours [H, W, 3] over a picture of that size; `strength` 0..1, one or per pixel [H, W].

    Returns float [H, W, 3]. The picture is shown in grey, so that colours mean values only.
    """
    grey = to_pixels(image).mean(-1, keepdims=True) / 255
    strength = np.asarray(strength, float)[..., None]
    return grey * (1 - strength) + np.asarray(colours, float) * strength


def with_box(image, box: Sequence[int], colour: str = "#FF9900", width: int = 2) -> np.ndarray:
    """Draw the outline of (top, left, bottom, right), half-open, into a copy; uint8 [H, W, 3]."""
    picture = Image.fromarray(to_pixels(image))
    top, left, bottom, right = box
    ImageDraw.Draw(picture).rectangle((left, top, right - 1, bottom - 1), None, colour, width)
    return np.asarray(picture)


def rendered(figure: plt.Figure) -> bytes:
    """A matplotlib figure as PNG bytes; the figure is closed, so that none pile up."""
    file = io.BytesIO()
    figure.savefig(file, format="png", facecolor="white")
    plt.close(figure)
    return file.getvalue()


# --- lecture 0: one convolution, and one place in all layers ------------------------------------


def walk(picture, corner: Sequence[int], weights, products, feature_map, place: int) -> list:
    """One place of a convolution: five views (image, width in CSS pixels, sharp?, caption).

    Of the picture [side, side] or [side, side, 3], the patch at `corner` (top, left); weights and
    products are [channels, k, k]; the feature map is shown up to `place`, its number row by row.
    """
    (top, left), size = corner, weights.shape[-1]
    scale = 480 // len(picture)
    box = [scale * edge for edge in (top, left, top + size, left + size)]
    framed = with_box(resized(picture, scale * len(picture), smooth=False), box, width=5)
    patch = picture[top : top + size, left : left + size]
    in_colour = 0.5 + np.moveaxis(weights, 0, -1) / np.abs(weights).max() / 2
    limit = np.abs(feature_map).max()
    colours = signed(feature_map, limit)
    colours.reshape(-1, 3)[place + 1 :] = 0.85
    bar = with_bar(colours, SIGNED, -limit, limit, "sum", 240)
    return [
        (framed, 240, True, "picture"),
        (patch, 110, True, "patch"),
        (signed(weights[0]) if len(weights) == 1 else in_colour, 110, True, "filter"),
        (signed(products.sum(0)), 110, True, f"product<br>sum <b>{products.sum():.2f}</b>"),
        (bar, 240, False, "feature map so far"),
    ]


def fed(values: np.ndarray, box: Sequence[int] | None, width: int = 200) -> np.ndarray:
    """A map without negative values, white is 0; a blue line around the units in `box`."""
    scale = max(1, round(width / values.shape[1]))
    shown = heat(values, 0, max(values.max(), 1e-12), "Reds")
    shown = shown.repeat(scale, 0).repeat(scale, 1)
    shown = with_box(shown, [scale * b for b in box], "#0072B2", 3) if box else shown
    return with_bar(shown, "Reds", 0, values.max(), "mean", width)


# --- lecture 2: activations ---------------------------------------------------------------------


def feature_maps(maps, shared: bool = True, most: int = 512, aspect: float = 1) -> np.ndarray:
    """The maps [channels, height, width] of one layer as a mosaic; darkest is 0 and less.

    Brightest is the layer's highest value if `shared`, else each map's own. At most `most` maps are
    shown, and of maps wider than 64 only every second (third, ...) row and column. The mosaic is
    about `aspect` times as wide as high.
    """
    maps = np.asarray(maps)[:most]
    step = math.ceil(maps.shape[-1] / 64)
    maps = maps[:, ::step, ::step]
    highest = maps.max() if shared else maps.max((1, 2), keepdims=True)
    columns, gap = math.ceil(math.sqrt(aspect * len(maps))), int(maps.shape[-1] > 1)
    return mosaic(heat(maps / np.maximum(highest, 1e-12), 0, 1), columns, gap)


def profile(axes: plt.Axes, layers: Sequence[str], values: Sequence, **line) -> None:
    """A measure over the layers: the mean of each layer's values, and a band for their middle 80 %.

    `values` is one array per layer, one number per picture; layers without any are left out.
    `line` is as `Axes.plot` takes it: color, label, linestyle and so on. Long names of layers give
    way to their numbers.
    """
    shown = [np.asarray(v)[np.isfinite(v)] for v in values]
    places = [place for place, v in enumerate(shown) if len(v)]
    drawn = axes.plot(places, [shown[p].mean() for p in places], marker="o", **line)[0]
    band = [np.percentile(shown[p], (10, 90)) for p in places]
    axes.fill_between(places, *zip(*band), color=drawn.get_color(), alpha=0.2, linewidth=0)
    if max(map(len, layers)) > 14:  # written upright, such names leave no room for the chart
        layers = range(1, len(layers) + 1)
        axes.set_xlabel("layer (number in the list)")
    upright = isinstance(layers[0], str) and len(layers) > 5
    axes.set_xticks(range(len(layers)), layers, rotation=90 if upright else 0)


# --- lecture 3: maps of codes -------------------------------------------------------------------


def _places(points: np.ndarray, size: int, margin: int) -> np.ndarray:
    """Points of a plane [n, 2] as pixels of a square sheet, upwards as in a chart."""
    middle = (points.max(0) + points.min(0)) / 2
    reach = max(np.ptp(points, axis=0).max() / 2, 1e-12)
    return size / 2 + (points - middle) / reach * (1, -1) * (size / 2 - margin)


def dots(points: np.ndarray, labels: Sequence, size: int = 900) -> np.ndarray:
    """A map [n, 2] as pixels [size, size, 3]: 7 colours, discs and rings, tell up to 14 classes.

    Each class is named above most of its points.
    """
    sheet = Image.new("RGB", (size, size), "white")
    pen, places = ImageDraw.Draw(sheet), _places(points, size, 24)
    names, number = np.unique(labels, return_inverse=True)
    radius = 5 if len(points) > 600 else 8
    for (x, y), kind in zip(places.tolist(), number.tolist()):
        colour = COLOURS[kind % len(COLOURS)]
        box = (x - radius, y - radius, x + radius, y + radius)
        pen.ellipse(box, None if kind // len(COLOURS) % 2 else colour, colour, 2)
    font, written = ImageFont.load_default(28), []
    for kind, name in enumerate(names):
        across, down = places[number == kind].T
        width = font.getlength(str(name)) / 2 + 4  # above its class, and not beyond the edge
        x, y = np.median(across).clip(width, size - width), max(np.percentile(down, 15) - 14, 32)
        written.append((y, x, width, str(name)))
    written.sort()
    for row, (y, x, width, name) in enumerate(written):
        for y_above, x_above, width_above, _ in sorted(written[:row]):
            if abs(x - x_above) < width + width_above and abs(y - y_above) < 27:
                y = y_above + 27  # below the name that is there already
        written[row] = (y, x, width, name)
        pen.text((x, y), name, "black", font, "ms", stroke_width=4, stroke_fill="white")
    return np.asarray(sheet)


def linked(sheet: np.ndarray, points: np.ndarray, query: int, others: Sequence) -> np.ndarray:
    """A map that `dots` drew of these points, with black lines from one of them to others."""
    picture, places = Image.fromarray(sheet), _places(points, len(sheet), 24)
    pen, (x, y) = ImageDraw.Draw(picture), places[query]
    for other in others:
        pen.line([x, y, *places[other]], "black", 2)
    pen.ellipse((x - 14, y - 14, x + 14, y + 14), "white", "black", 5)
    return np.asarray(picture)


def pictures_at(points: np.ndarray, thumbnails: np.ndarray, size: int = 1400) -> np.ndarray:
    """Small pictures [n, h, w, 3] laid where a map [n, 2] has them; uint8 [size, size, 3]."""
    sheet, side = np.full((size, size, 3), 255, np.uint8), thumbnails.shape[1]
    corners = (_places(points, size, side) - side / 2).round().astype(int)
    for (left, top), picture in zip(corners, thumbnails):
        sheet[top : top + side, left : left + side] = to_pixels(picture)
    return sheet


# --- lecture 4: what fires a unit ---------------------------------------------------------------


def tiles(pictures: Sequence, side: int = 110, columns: int = 3, gap: int = 2) -> np.ndarray:
    """Pictures of any sizes, each brought to `side` x `side` pixels, as a mosaic."""
    arrays = [to_pixels(picture) for picture in pictures]
    # a few pixels made large should look like pixels
    return mosaic([resized(a, side, smooth=len(a) > side / 3) for a in arrays], columns, gap)


def sheet(blocks: Sequence[Sequence], side: int = 30, columns: int = 8) -> np.ndarray:
    """One block of nine small pictures per unit, row by row, as a mosaic with wide gaps."""
    return mosaic([tiles(block, side, gap=0) for block in blocks], columns, gap=8)


def marked(
    seen: Sequence, field, ranking, unit: int, side: int = 110, columns: int = 3
) -> np.ndarray:
    """The pictures of one unit's ranking with its receptive field drawn into each, as a mosaic."""
    pictures, _, *places = (part[unit] for part in ranking)
    boxes = [field.box(row, column) for row, column in zip(*places)]
    framed = [with_box(seen[p], box, width=4) for p, box in zip(pictures, boxes)]
    return tiles(framed, side, columns)


def hill(counts: np.ndarray, edges: np.ndarray, text: str, width: int = 420) -> np.ndarray:
    """A histogram in a millisecond: bars over `edges`, a red line at 0; uint8 [220, width, 3].

    `text` says what is counted and stands below, between the smallest and the largest value.
    """
    used = np.flatnonzero(counts)
    low, high = min(edges[used[0]], 0), max(edges[used[-1] + 1], 0)
    sheet = Image.new("RGB", (width, 220), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.truetype(FONT, 16)
    across = 4 + (edges - low) / (high - low) * (width - 8)
    for left, right, count in zip(across, across[1:], counts / counts.max()):
        if count:
            pen.rectangle((left, 190 - 180 * count, max(left, right - 1), 190), COLOURS[0])
    zero = across[np.abs(edges).argmin()]
    pen.line((zero, 4, zero, 194), COLOURS[1], 3)
    pen.text((0, 214), f"{low:.1f}", "black", font, "ls")
    pen.text((width / 2, 214), text, "black", font, "ms")
    pen.text((width, 214), f"{high:.1f}", "black", font, "rs")
    return np.asarray(sheet)


# --- lecture 5: occlusion -----------------------------------------------------------------------


def fall(
    photo, values: np.ndarray, text: str = "fall of the logit", width: int = 290
) -> np.ndarray:
    """A map of falls [H, W] on its photo, with its scale below; see `with_bar`.

    Red: covering takes, the place is important; blue: covering gives; white: nothing changes.
    """
    limit = np.abs(values).max() or 1
    return with_bar(overlay(photo, signed(values), 0.6), SIGNED, -limit, limit, text, width)


def class_map(numbers: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, dict[str, str]]:
    """Class numbers [...] as colours, float [..., 3], and the legend {class: colour}.

    The six most frequent classes get a colour each, all others are grey.
    """
    found, count = np.unique(numbers, return_counts=True)
    colours = np.full((*numbers.shape, 3), 0.6)
    legend = {}
    for number, colour in zip(found[np.argsort(-count, kind="stable")], COLOURS[:6]):
        colours[numbers == number] = matplotlib.colors.to_rgb(colour)
        legend[names[number]] = colour
    return colours, legend | ({"other": "#999999"} if len(found) > 6 else {})


def legend(colours: Mapping[str, str]) -> str:
    """Coloured squares with their names, a line each, as HTML."""
    return "<br>".join(f"<b style='color:{c}'>&#9632;</b> {name}" for name, c in colours.items())


def bars(names: Sequence[str], probabilities: Sequence[float]) -> str:
    """Probabilities as bars with numbers behind, as HTML."""
    rows = "".join(
        f"<tr><td>{name}&ensp;</td><td style='width:150px'><span style='display:block;height:16px;"
        f"background:{COLOURS[0]};width:{150 * p:.1f}px'></span></td>"
        f"<td>{100 * p:.0f} %</td></tr>"
        for name, p in zip(names, probabilities)
    )
    return f"<table style='font-size:16px'>{rows}</table>"
