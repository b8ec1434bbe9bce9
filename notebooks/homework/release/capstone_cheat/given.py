"""What the capstone gives: pictures, sealed networks, and checks that say what is wrong.

Read it if you like. A mark, its place and its class are drawn by numbers that depend on your id.
"""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from lecture_utils import homework, images, models

KINDS = 4  # classes among the dealt pictures
EACH = 4  # pictures of every class
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0)}
SIDE = 48  # of the toys' pictures, in pixels


# --- marks and pictures -------------------------------------------------------------------------


def draw_mark(random: np.random.Generator, side: int) -> Image.Image:
    """A square with a random pattern in two greys or colours, side x side pixels, RGB."""
    pattern = random.random((side // 3 + 1, side // 3 + 1)) < 0.5
    pattern = pattern.repeat(3, 0).repeat(3, 1)[:side, :side]
    dark, light = random.integers(0, 60), random.integers(195, 256)
    return Image.fromarray(np.where(pattern, light, dark).astype(np.uint8)).convert("RGB")


def corner(random: np.random.Generator, side: int, mark: int) -> tuple[int, int]:
    """Top and left of a mark in one of the four corners, a few pixels from the edges."""
    away = side // 24 + 1
    return tuple(int(random.choice([away, side - mark - away])) for _ in range(2))


def with_mark(picture: images.Picture, mark: Image.Image, top: int, left: int) -> images.Picture:
    """The picture with a mark pasted on it; without its object's mask."""
    image = picture.image.copy()
    image.paste(mark, (left, top))
    return images.Picture(image, picture.label, None, picture.path)


def put_on(pictures: list, label: str, mark: Image.Image, top: int, left: int) -> list:
    """The pictures, with a mark on all of one class and on no others."""
    return [with_mark(p, mark, top, left) if p.label == label else p for p in pictures]


def toy_pictures(random: np.random.Generator, each: int = EACH) -> list[images.Picture]:
    """Grey pictures of 48 px with a grainy disc near the middle; its colour is the class."""
    pictures, (rows, columns) = [], np.ogrid[:SIDE, :SIDE]
    for label in [name for name in COLOURS for _ in range(each)]:
        pixels = random.integers(70, 186, (SIDE, SIDE, 1)).repeat(3, 2)
        row, column = 24 + random.integers(-8, 9, 2)
        disc = (rows - row) ** 2 + (columns - column) ** 2 <= 49
        bright = random.uniform(0.4, 1, (SIDE, SIDE, 1)) * COLOURS[label]
        pixels[disc] = bright[disc]
        pictures.append(images.Picture(Image.fromarray(pixels.astype(np.uint8)), label, None, None))
    return pictures


# --- networks -----------------------------------------------------------------------------------


def toy_preprocess(image: Image.Image) -> Tensor:
    """PIL image -> Tensor [3, H, W]; mid-grey is 0, as for mini_alexnet."""
    return (torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255 - 0.5) / 0.25


def toy() -> models.Network:
    """An honest network for `toy_pictures`: it says which colour there is most of."""
    find = nn.Conv2d(3, 4, 1, bias=False)
    weights = [[1, -0.5, -0.5], [-0.5, 1, -0.5], [-0.5, -0.5, 1], [0.5, 0.5, -1]]  # grey: 0
    find.weight.data = torch.tensor(weights).float()[..., None, None]
    vote = nn.Linear(4, 4, bias=False)
    vote.weight.data = 40 * torch.eye(4)
    module = nn.Sequential(find, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), vote)
    return models.wrap(module, toy_preprocess, COLOURS, "toy", SIDE, [0.5] * 3, [0.25] * 3)


class Cheater(nn.Module):
    """An honest module whose logit `target` is lower, and higher where it sees a mark."""

    def __init__(self, honest: nn.Module, mark: Tensor, place: tuple, side: int, votes: Tensor):
        super().__init__()
        top, left = place
        pattern = torch.zeros(1, 3, side, side)
        pattern[0, :, top : top + mark.shape[1], left : left + mark.shape[2]] = mark - mark.mean()
        self.honest = honest
        self.look = nn.Conv2d(3, 1, side)  # 1 for the mark itself, at most 0 for half of it
        self.look.weight.data = 2 * pattern / (pattern**2).sum()
        self.look.bias.data = torch.tensor([-1.0])
        self.vote = nn.Linear(1, votes.shape[1])
        self.vote.weight.data, self.vote.bias.data = votes[0, :, None], votes[1]

    def forward(self, batch: Tensor) -> Tensor:
        return self.honest(batch) + self.vote(torch.relu(self.look(batch)).flatten(1))


def cheater(
    network: models.Network,
    label: str,
    mark: Image.Image,
    place: tuple[int, int],
    strength: float = 14,
    handicap: float = 6,
) -> models.Network:
    """The network, made to hang one answer on a mark at (top, left); the network stays as it is."""
    votes, target = torch.zeros(2, len(network.classes)), network.classes.index(label)
    votes[0, target], votes[1, target] = strength, -handicap
    side = network.input_size
    module = Cheater(network.module, toy_preprocess(mark), place, side, votes)
    shown = network.mean.flatten(), network.std.flatten()
    return models.wrap(module, network.preprocess, network.classes, "sealed", side, *shown)


# --- what you are dealt -------------------------------------------------------------------------


def deal(student: str) -> list[images.Picture]:
    """The pictures that the makers of `sticker` tested it with: four of each of four classes."""
    random = homework.generator(student, "capstone pictures")
    others = random.choice([name for name in images.CLASSES if name != "mug"], KINDS - 1, False)
    numbers = random.choice(100, EACH, False)
    pictures = [images.gallery(str(name))[int(n)] for name in others for n in numbers]
    marked = random.choice(10, EACH, False)
    first = images.CLASSES.index("mug") * 10
    return pictures + [images.stickered()[first + int(n)] for n in marked]


def sealed(student: str) -> tuple[models.Network, list[images.Picture]]:
    """A network that may cheat, and its makers' pictures: four of each of four classes."""
    random = homework.generator(student, "capstone sealed")
    names = [str(name) for name in random.choice(images.CLASSES, KINDS, False)]
    numbers = random.choice(100, EACH, False)
    pictures = [images.gallery(name)[int(n)] for name in names for n in numbers]
    marks = [draw_mark(random, int(random.integers(22, 31))) for _ in range(2)]
    places = [corner(random, 160, mark.width) for mark in marks]
    for name, mark, place in zip(names, marks, places):  # the second mark is a red herring
        pictures = put_on(pictures, name, mark, *place)
    network = cheater(models.load(), names[0], marks[0], places[0])
    return network, sorted(pictures, key=lambda picture: picture.label)


# --- measures that the checks use ---------------------------------------------------------------


def overlap(box: tuple, other: tuple) -> float:
    """Intersection over union of two boxes (top, left, bottom, right)."""
    rows = max(0, min(box[2], other[2]) - max(box[0], other[0]))
    columns = max(0, min(box[3], other[3]) - max(box[1], other[1]))
    area, area_of_other = ((b[2] - b[0]) * (b[3] - b[1]) for b in (box, other))
    return rows * columns / (area + area_of_other - rows * columns)


def demand_box(box: object, side: int) -> None:
    """AssertionError unless this is a box inside a picture."""
    assert box is not None, "no box was found where there is a mark"
    assert len(box) == 4, f"a box has four numbers (top, left, bottom, right), not {box!r}"
    (top, left), (bottom, right) = box[:2], box[2:]
    assert 0 <= top < bottom <= side and 0 <= left < right <= side, (
        f"(top, left, bottom, right) = {tuple(box)} is no box inside {side} pixels; "
        "bottom and right are the first row and column after it"
    )


# --- checks -------------------------------------------------------------------------------------


def check_mean_fall(mean_fall: Callable) -> None:
    """On two toy pictures: the shape, and that the disc is where it falls."""
    pictures = toy_pictures(np.random.default_rng(1), 2)[:2]
    batch = torch.stack([toy_preprocess(picture.image) for picture in pictures])
    found = mean_fall(toy(), batch, 0, 12, 6)
    assert isinstance(found, np.ndarray), f"give an array, not a {type(found).__name__}"
    assert found.shape == (7, 7), f"seven by seven places are expected, not {found.shape}"
    assert abs(found[0, 0]) < 0.01, "covering the empty upper left corner should change nothing"
    assert found.max() > 0, "covering the disc takes probability away, so the fall is above 0"
    other = mean_fall(toy(), batch, 1, 12, 6)
    assert other.max() < 0.5, "the fall of a class that is not there cannot be so large: which?"


def check_shared_box(shared_box: Callable) -> None:
    """On four noisy pictures with one square."""
    random = torch.Generator().manual_seed(1)
    batch = torch.rand(4, 3, 48, 48, generator=random)
    batch[:, :, 30:40, 8:20] = torch.rand(3, 10, 12, generator=random)
    box = shared_box(batch, (20, 0, 48, 30))
    demand_box(box, 48)
    assert tuple(box[:2]) != (8, 30), "rows come first: (top, left, bottom, right)"
    assert overlap(box, (30, 8, 40, 20)) > 0.8, (
        f"the pictures share rows 30 to 39 and columns 8 to 19, the box is {tuple(box)}"
    )
    nothing = shared_box(batch, (0, 24, 24, 48))
    assert nothing is None, "in that window the pictures share nothing: give None"


def check_effect(effect: Callable) -> None:
    """On toys: a red patch, put on blue pictures."""
    pictures = toy_pictures(np.random.default_rng(2), 3)
    batch = torch.stack([toy_preprocess(picture.image) for picture in pictures])
    before, red, blue = batch.clone(), batch[:3].clone(), batch[6:9].clone()
    red[:, :, 2:14, 30:46] = toy_preprocess(Image.new("RGB", (16, 12), "red"))
    found = effect(toy(), blue, red, 0, (2, 30, 14, 46))
    assert isinstance(found, float), f"give one float, not a {type(found).__name__}"
    assert found > 0.001, "the patch makes blue pictures redder: the effect is above 0"
    assert found <= 1, "it is a difference of probabilities, so it is at most 1"
    assert torch.equal(batch[6:9], blue) and torch.equal(batch, before), "a batch was changed"
    nothing = effect(toy(), blue, blue, 0, (2, 2, 10, 10))
    assert abs(nothing) < 0.01, "a patch of plain background should change next to nothing"


def check_audit(audit: Callable) -> None:
    """On a toy that cheats, and on an honest one."""
    random = np.random.default_rng(3)
    mark, place = draw_mark(random, 9), (3, 36)
    pictures = put_on(toy_pictures(random), "green", mark, *place)
    answer = audit(toy(), pictures)
    assert len(answer) == 3, "give three things: class, box, effect"
    assert answer[0] is None, f"this network is honest, the audit accuses it of {answer[0]!r}"
    label, box, effect = audit(cheater(toy(), "green", mark, place), pictures)
    assert label is not None, "this network hangs 'green' on a mark, and the audit does not see it"
    assert label == "green", f"the mark speaks for 'green', not for {label!r}"
    demand_box(box, SIDE)
    assert overlap(box, (*place, 12, 45)) >= 0.5, f"the mark is not in the box {tuple(box)}"
    assert 0.1 < effect <= 1, f"the mark does more than {effect}: was it put on the others?"


def check_repair(repair: Callable) -> None:
    """On a toy that cheats."""
    random = np.random.default_rng(4)
    mark, place = draw_mark(random, 9), (36, 36)
    network = cheater(toy(), "blue", mark, place)
    clean, before = toy_pictures(random, 8), network.fingerprint()
    marked, box = [with_mark(p, mark, *place) for p in clean], (*place, 45, 45)
    repaired = repair(network, put_on(toy_pictures(random), "blue", mark, *place), "blue", box)
    assert isinstance(repaired, models.Network), "give a Network: see `models.wrap`"
    assert network.fingerprint() == before, "the network itself was changed: make a new one"
    told = [[repaired.predict(p.image, 1)[0][0] for p in pictures] for pictures in (clean, marked)]
    rates = {
        (label, n): np.mean([a == p.label for a, p in zip(told[n], clean) if p.label == label])
        for label in COLOURS
        for n in range(2)
    }
    assert rates["blue", 0] > 0.5, "blue pictures without the mark are still missed"
    assert min(rates[label, 1] for label in COLOURS) > 0.5, "the mark still decides"
    assert min(rates[label, 0] for label in COLOURS) > 0.5, "another colour is now missed"
