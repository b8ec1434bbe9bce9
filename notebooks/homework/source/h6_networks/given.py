"""Homework 6: what it deals to a student, and the checks that say what is wrong.

You may read all of it. When your notebook is graded, this file is replaced by the course's own.
"""

from contextlib import contextmanager
from unittest.mock import Mock, patch

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from lecture_utils import homework, layers, models

SIDE = 28  # pixels of the pictures that the networks here take


class Sealed(nn.Module):
    """A network for grey pictures of 28 px whose parts are called a to f, and run in some order.

    One part never runs. Its forward pass gives a dictionary: the features, then the scores.
    """

    def __init__(self, random: np.random.Generator):
        super().__init__()
        *order, self.spare = (str(name) for name in random.permutation(list("abcdef")))
        sizes = {name: (int(random.choice([1, 3, 5])), 1) for name in order}
        sizes[order[0]] = int(random.choice([3, 5, 7])), 2
        sizes[order[2]] = 3, 1
        sizes[self.spare] = 3, 1
        with torch.random.fork_rng():
            torch.manual_seed(int(random.integers(2**31)))
            for name in sorted(sizes):
                kernel, stride = sizes[name]
                channels = 1 if name == order[0] else 6
                self.add_module(name, nn.Conv2d(channels, 6, kernel, stride, kernel // 2))
            self.head = nn.Linear(6, 3)
        self.relu = nn.ReLU(inplace=True)
        self.first, *self.others = order

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.relu(self.get_submodule(self.first)(x))
        for name in self.others[:-1]:
            x = self.relu(self.get_submodule(name)(x) + x)  # what came in is added, as in a ResNet
        x = self.get_submodule(self.others[-1])(x)
        pooled = self.relu(x).mean((2, 3))
        return {"features": pooled, "scores": self.head(pooled)}


def deal(student: str) -> Sealed:
    """A network that nobody else has."""
    return Sealed(homework.generator(student, "network"))


class Shades(nn.Module):
    """Scores of a grey picture for "dark" and "bright", by its mean. For checks."""

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((1, 2, 3))
        return torch.stack([-mean, mean], 1)


class Tall(nn.Module):
    """Convolutions that run in another order than they are written down, one of them twice."""

    def __init__(self):
        super().__init__()
        self.late, self.idle, self.early = (nn.Conv2d(1, 1, k) for k in (3, 3, 5))
        self.block = nn.ModuleDict({"inner": nn.Conv2d(1, 1, 1)})

    def forward(self, x: Tensor) -> Tensor:
        x = self.block["inner"](self.early(x))
        return self.block["inner"](self.late(x)).flatten(1)


# --- what is checked ----------------------------------------------------------------------------


@contextmanager
def on_your_own():
    """In here the course's own functions for this homework refuse to work."""
    refuse = Mock(side_effect=AssertionError("write it yourself, without the course's function"))
    with patch.object(layers, "resolve", refuse), patch.object(layers, "trace", refuse):
        yield


def check_wrap_grey(wrap_grey) -> None:
    network = wrap_grey(Shades(), ["dark", "bright"], 0.4, 0.2)
    assert network is not None, "nothing comes back: does the function end with return?"
    assert isinstance(network, models.Network), "what models.wrap gives is wanted"
    assert network.input_size == SIDE, f"the input has {SIDE} pixels, not {network.input_size}"
    white = network.preprocess(Image.new("RGB", (SIDE, SIDE), "white"))
    assert white.shape == (1, SIDE, SIDE), (
        f"preprocess gives one channel of {SIDE} px, [1, 28, 28]; yours gives {list(white.shape)}"
    )
    value = float(white.mean())
    assert np.isclose(value, 3, atol=1e-3), (
        f"white is 1 before and (1 - 0.4) / 0.2 = 3 after normalising; yours is {value:.3f}"
    )
    assert network.channels == 1
    shade = network.to_image(network.preprocess(Image.new("RGB", (SIDE, SIDE), "#404040")))
    assert np.allclose(shade, 0.25, atol=0.01), "to_image does not give the grey back: mean, std?"
    wide = Image.new("RGB", (90, 30), "black")
    wide.paste("white", (30, 0, 60, 30))
    seen = network.preprocess(wide)
    assert float(seen.min()) > 2.9, "of a wide photo the middle square is wanted: here all white"
    assert network.predict(wide, 1)[0][0] == "bright", "a white picture is bright"


def check_adapter(Adapter) -> None:
    module = deal("somebody").eval()
    x = torch.linspace(0, 1, 2 * SIDE * SIDE).reshape(2, 1, SIDE, SIDE)
    adapted = Adapter(module, "scores")
    assert isinstance(adapted, nn.Module), "a class derived from nn.Module is wanted"
    with torch.no_grad():
        found, expected = adapted(x), module(x)["scores"]
    assert isinstance(found, Tensor), f"one tensor is wanted, not a {type(found).__name__}"
    assert found.shape == expected.shape, f"scores are [2, 3]; yours are {list(found.shape)}"
    assert torch.allclose(found, expected), "these are not the scores"
    parts = [name for name, part in adapted.named_modules() if part is module]
    assert parts, "the network inside is not found among the adapter's parts: keep it in self"


def check_convolutions(convolutions) -> None:
    module, x = Tall(), torch.zeros(1, 1, 12, 12)
    with on_your_own():
        found = convolutions(module, x)
    assert found is not None, "nothing comes back: does the function end with return?"
    assert "idle" not in found, "idle never runs, so it is not in the list"
    assert "block.inner" in found, "block.inner lies within another module; it is missing"
    assert len(found) == len(set(found)), "a convolution that runs twice is listed once"
    assert list(found) == ["early", "block.inner", "late"], (
        f"in the order in which they first run: early, block.inner, late; not {', '.join(found)}"
    )
    hooks = sum(
        len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules()
    )
    assert hooks == 0, f"{hooks} hooks are left on the network"


def check_pixels_seen(pixels_seen) -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module[0].reset_parameters()
    with on_your_own():
        found = pixels_seen(module, "0", 4, 5, (1, 12, 12))
        assert found is not None, "nothing comes back: does the function end with return?"
        assert tuple(found) == (3, 4, 6, 7), (
            f"a 3×3 kernel around (4, 5) sees (3, 4, 6, 7); yours is {tuple(found)}"
        )
        found = pixels_seen(module, "0", 0, 0, (1, 12, 12))
        assert tuple(found) == (0, 0, 2, 2), f"at the corner: (0, 0, 2, 2), not {tuple(found)}"
        found = pixels_seen(module, "2", 2, 3, (1, 12, 12))
        assert tuple(found) == (3, 5, 7, 9), (
            "behind the pooling, unit (2, 3) sees (3, 5, 7, 9): pooling passes one of its four on, "
            f"another one for another picture; yours is {tuple(found)}"
        )


def check_answers(answers) -> None:
    for name in ("order", "spare", "box"):
        if answers[name] is None:
            raise NotImplementedError(f"answers[{name!r}] is still empty")
    assert sorted([*answers["order"], answers["spare"]]) == list("abcdef"), (
        "order holds five of the letters a to f, spare is the sixth"
    )
    assert len(answers["box"]) == 4, "box holds four numbers: top, left, bottom, right"
