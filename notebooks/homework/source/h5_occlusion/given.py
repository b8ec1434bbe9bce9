"""What homework 5 gives: pictures, a sealed network, and checks that say what is wrong.

Read it if you like. What the sealed network answers to is drawn by numbers that depend on your id.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import Mock, patch

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from lecture_utils import homework, images, models, occlusion
from lecture_utils.exact import Sweeper

COLOURS = {"grey": 0.0, "white": 2.0, "black": -2.0}  # as a network sees them: mid-grey is 0
SIDE = 48  # of the sealed network's pictures, in pixels
NAMES = ("red", "green", "blue")


def deal(student: str) -> list[images.Picture]:
    """Three pictures of the gallery, of three classes."""
    random = homework.generator(student, "occlusion pictures")
    names = random.choice(images.CLASSES, 3, False)
    return [images.gallery(str(name))[int(random.integers(100))] for name in names]


def show_maps(
    picture: images.Picture, total: np.ndarray, probability: np.ndarray, best: np.ndarray
) -> None:
    """A picture beside its maps (b), (d) and (e), each [rows, columns]."""
    _, axes = plt.subplots(1, 4, figsize=(13, 3.4))
    axes[0].imshow(picture.image)
    axes[1].imshow(total)
    axes[2].imshow(probability)
    axes[3].imshow(best, cmap="tab20")
    for axis, title in zip(axes, (picture.label, "(b) total", "(d) probability", "(e) class")):
        axis.set_title(title)
        axis.axis("off")
    plt.show()


# --- small networks and pictures ----------------------------------------------------------------


def small_network(seed: int, classes: int = 5) -> models.Network:
    """An untrained network that takes pictures of any size; its weights are random."""
    torch_random = torch.Generator().manual_seed(seed)
    layers = [nn.Conv2d(3, 8, 5), nn.ReLU(), nn.Conv2d(8, 8, 5), nn.ReLU()]
    module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(72, classes))
    for weights in module.parameters():
        weights.data = torch.randn(weights.shape, generator=torch_random)
        weights.data /= weights[0].numel() ** 0.5
    module[-1].weight.data *= 8
    return models.wrap(module, lambda image: image, range(classes), "random", SIDE)


def noisy(seed: int, *shape: int) -> Tensor:
    """Random pictures of a shape."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def discs(random: np.random.Generator, count: int) -> Tensor:
    """Pictures [count, 3, 48, 48] of a disc in red, green or blue in the middle of grey grain."""
    rows, columns = np.ogrid[:SIDE, :SIDE]
    disc = torch.from_numpy((rows - 24) ** 2 + (columns - 24) ** 2 <= 81)
    pictures = random.uniform(-1, 1, (count, 1, SIDE, SIDE)).repeat(3, 1)
    pictures = torch.from_numpy(pictures).float()
    for picture, number in zip(pictures, random.integers(0, 3, count)):
        picture[:, disc] -= 1.5
        picture[number, disc] += 3
    return pictures


class Colours(nn.Module):
    """Says which of three colours there is most of; and something else of a flat square."""

    def __init__(self, level: float, votes: Tensor):
        super().__init__()
        self.level, self.votes = level, votes

    def forward(self, batch: Tensor) -> Tensor:
        colours = torch.relu(batch - batch.mean(1, keepdim=True)).mean((2, 3))
        away = avg_pool2d((batch - self.level).abs().mean(1, keepdim=True), 8, 2)
        flat = torch.relu(1 - 5 * away.amin((1, 2, 3)))  # 1 where a square has this level
        return 40 * colours + flat[:, None] * self.votes


def colours(fill: str | None, number: int = 0) -> models.Network:
    """A network for `discs`; if `fill` is a colour, it answers to squares of it with a class."""
    votes = torch.zeros(3)
    votes[number] = 60.0 if fill else 0.0
    module = Colours(COLOURS[fill or "grey"], votes)
    return models.wrap(module, lambda image: image, NAMES, "sealed", SIDE)


def fills() -> dict[str, Tensor]:
    """Pictures [3, 48, 48] to take squares from: three plain ones, and noise."""
    plain = {name: torch.full((3, SIDE, SIDE), level) for name, level in COLOURS.items()}
    return plain | {"noise": noisy(5, 3, SIDE, SIDE)}


def sealed(student: str) -> tuple[models.Network, Tensor]:
    """A network that answers to squares of some kind, and pictures [9, 3, 48, 48] for it."""
    random = homework.generator(student, "occlusion sealed")
    fill, number = str(random.choice(list(COLOURS))), int(random.integers(3))
    return colours(fill, number), discs(random, 9)


# --- checks -------------------------------------------------------------------------------------


@contextmanager
def on_your_own() -> Iterator[None]:
    """In here the course's own sweep refuses to work."""
    refuse = Mock(side_effect=AssertionError("write the loop yourself, without the course's sweep"))
    with patch.object(occlusion, "sweep", refuse), patch.object(Sweeper, "answers", refuse):
        yield


def check_coverage(coverage: Callable) -> None:
    """Squares of 4 px on 11 x 7 px."""
    found = np.asarray(coverage(11, 7, 4, 3))
    assert found.shape == (11, 7), f"one number for each pixel, rows first: {found.shape}"
    assert found.min() > 0, "some pixel is never covered: where the step does not divide, one more"
    assert found[0, 0] == 1, f"the corner is covered by one square, not by {found[0, 0]}"
    assert found[3, 3] == 4, f"pixel (3, 3) lies under four squares, not under {found[3, 3]}"
    assert found.sum() == 4 * 2 * 16, (
        f"8 squares of 16 pixels cover 128 pixels in all, not {found.sum()}: where the last square "
        "ends at the edge anyway, no other one comes on top of it"
    )


def check_occlude(occlude: Callable) -> None:
    """A random network, on a picture of 20 x 26 px."""
    network, picture, under = small_network(1), noisy(2, 3, 20, 26), noisy(3, 3, 20, 26)
    kept = picture.clone()
    with on_your_own():
        found = occlude(network, picture, under, 8, 5)
    assert torch.equal(picture, kept), "the picture itself was changed: cover a copy"
    assert isinstance(found, np.ndarray), f"give an array, not a {type(found).__name__}"
    assert found.shape != (5, 4, 5), "rows first, then columns"
    assert found.shape == (4, 5, 5), f"4 rows, 5 columns, 5 classes are expected: {found.shape}"
    covered = picture.clone()
    covered[:, :8, :8] = under[:, :8, :8]
    first = network(covered[None])[0].numpy()
    assert np.allclose(found[0, 0], first, atol=1e-4), "the square at the upper left is wrong"


def check_three_maps(three_maps: Callable) -> None:
    """Four places, three classes, two feature maps."""
    logits = np.array([[[2.0, 0, 0], [0, 2, 0]], [[2, 0, 0], [2, 0, 0]]])
    totals = np.array([[[9.0, 5], [9, 5]], [[4, 6], [9, 5]]])
    b, d, e = three_maps(np.array([2.0, 0, 0]), logits, np.array([9.0, 5]), totals, 0)
    for name, values in zip("bde", (b, d, e)):
        shape = np.shape(values)
        assert shape == (2, 2), f"map ({name}) has one value for each place, not {shape}"
    assert b[1, 0] == 5, "the strongest map falls from 9 to 4 there: it loses 5"
    assert abs(d[0, 0]) < 1e-6, "nothing changes at the first place: map (d) is 0 there"
    assert d[0, 1] > 0, "a fall is above 0"
    assert abs(d[0, 1] - 0.6805) < 0.001, "the probability falls from 0.787 to 0.107 there"
    assert e[0, 1] == 1 and e[0, 0] == 0, "map (e) has the number of the most probable class"


def check_pointing(pointing: Callable) -> None:
    """Two pictures of 20 px, squares of 8 px with a step of 4 px."""
    masks, falls = np.zeros((2, 20, 20)), np.zeros((2, 4, 4))
    masks[0, 2:6, 10:14], masks[1, 8:14, 8:14] = 1, 1
    falls[0, 0, 2], falls[1, 3, 0] = 1, 1
    found = pointing(falls, masks, 8, 4)
    assert len(found) == 3, "give three numbers: star, centre, star where the centre fails"
    star, centre, where = found
    assert centre == 0.5, f"the centre of the picture is on one of two objects, not {centre}"
    assert star == 0.5, (
        f"one star of two is on its object, not {star}: it is the middle of the square, its first "
        "pixel and half its side"
    )
    assert where == 1, "in the one picture where the centre fails the star is on the object"


def check_corner_changes(corner_changes: Callable) -> None:
    """A network that says red of grey squares."""
    batch = discs(np.random.default_rng(1), 6)
    kept = batch.clone()
    found = corner_changes(colours("grey", 0), batch, fills(), 12)
    assert torch.equal(batch, kept), "the pictures were changed: cover copies"
    assert set(found) == set(fills()), f"one number for each fill, not {set(found)}"
    assert found["white"] == 0, "white squares change no answer of this network"
    assert found["grey"] > 0, "grey squares make it say red, also of green and blue discs"
    assert found["grey"] < 1, "of red discs it said red before: that is no change"
