"""Homework 2: what it deals to a student, and the checks that say what is wrong.

You may read all of it. When your notebook is graded, this file is replaced by the course's own.
"""

from collections.abc import Iterable
from contextlib import contextmanager
from unittest.mock import Mock, patch

import numpy as np
import torch
from torch import Tensor, nn

from lecture_utils import activations, homework, images, layers, models

PICTURES = 40


# --- what is dealt ------------------------------------------------------------------------------


def deal(student: str) -> tuple[nn.Sequential, Tensor]:
    """A network of one layer with 24 channels, and 40 pictures [40, 3, 160, 160] for it.

    The filters are from mini_alexnet, but some of the 24 have been tampered with: their biases, or
    more. Which ones, and how many, is another matter for every student.
    """
    random = homework.generator(student, "network")
    network, gallery = models.load(), images.gallery()
    numbers = random.choice(len(gallery), PICTURES, replace=False)
    pictures = torch.cat(list(network.batches(gallery[int(number)] for number in numbers)))
    chosen = torch.from_numpy(random.choice(96, 24, replace=False))
    conv = nn.Conv2d(3, 24, 11, stride=4)
    with torch.no_grad():
        conv.weight.copy_(network.module.conv1.weight[chosen])
        conv.bias.zero_()
        ranked = conv(pictures).amax((2, 3)).sort(0, descending=True).values
        conv.bias.copy_(network.module.conv1.bias[chosen])
        first, second, third = ranked[:3]
        alone = int(((first - second) / first).argmax())
        others = random.permutation([channel for channel in range(24) if channel != alone])
        silent = others[: random.integers(2, 5)]
        conv.bias[alone] = -(first[alone] + second[alone]) / 2
        conv.bias[silent] = -1.2 * first[silent]
        conv.weight[others[4]], conv.bias[others[4]] = 0, 0
        pairs = sorted(others[5:], key=lambda channel: float(third[channel] / second[channel]))[:2]
        conv.bias[pairs] = -(second[pairs] + third[pairs]) / 2
    return nn.Sequential(conv, nn.ReLU(inplace=True)).requires_grad_(False), pictures


class Twice(nn.Module):
    """A small network with everything that makes recording hard.

    `relu` overwrites its input and runs twice; `inner.conv` lies within another module.
    """

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.first = nn.Conv2d(1, 3, 3)
        self.inner = nn.ModuleDict({"conv": nn.Conv2d(3, 3, 3)})
        self.relu = nn.ReLU(inplace=True)
        with torch.no_grad():
            for weights in self.parameters():
                weights.copy_(torch.randn(weights.shape, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.inner["conv"](self.relu(self.first(x))))


class Breaks(nn.Module):
    """Raises an error where a picture passes it."""

    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("this layer always breaks")


def hooks(module: nn.Module) -> int:
    """How many forward hooks a network carries, in all its parts."""
    parts = [(part._forward_hooks, part._forward_pre_hooks) for part in module.modules()]
    return sum(len(before) + len(after) for before, after in parts)


# --- what is checked ----------------------------------------------------------------------------


@contextmanager
def on_your_own():
    """In here the course's own functions for this homework refuse to work."""
    refuse = Mock(side_effect=AssertionError("write it yourself, without the course's function"))
    with patch.object(layers, "resolve", refuse), patch.object(layers, "trace", refuse):
        with patch.object(activations, "_summary", refuse):
            yield


def check_record(record) -> None:
    module, batch = Twice(), torch.linspace(-1, 1, 128).reshape(2, 1, 8, 8)
    with torch.no_grad():
        before = module.first(batch)
    with on_your_own():
        found = record(module, ["first", "relu", "inner.conv"], batch)
    assert found is not None, "nothing comes back: does the function end with return?"
    assert sorted(found) == ["first", "inner.conv", "relu"], (
        f"the keys are the names as asked, first, relu and inner.conv; yours are {sorted(found)}"
    )
    for name, calls in found.items():
        assert isinstance(calls, list), f"{name}: a list is wanted, one tensor for each run"
    assert len(found["relu"]) == 2, (
        f"relu runs twice in one pass, so its list has 2 entries; yours has {len(found['relu'])}"
    )
    assert found["first"][0].shape == before.shape, "first: what the layer puts out is wanted"
    assert (found["first"][0] < 0).any(), (
        "first has no negative value left: the in-place ReLU behind it wrote over what you kept"
    )
    assert torch.allclose(found["first"][0], before), "first: these are not its outputs"
    assert not found["first"][0].requires_grad, "the tensors are to carry no gradients"
    assert hooks(module) == 0, f"{hooks(module)} hooks are left on the network"


def check_receptive_field(receptive_field) -> None:
    found = receptive_field([(11, 4, 0)])
    assert found is not None, "nothing comes back: does the function end with return?"
    assert len(found) == 3, "three numbers are wanted: size, stride, start"
    assert tuple(found) == (11, 4, 0), f"one layer sees its own kernel: 11, 4, 0; yours is {found}"
    found = receptive_field([(3, 1, 1)])
    assert found[2] == -1, f"padding of 1 moves the start to -1; yours is {found[2]}"
    size, stride, start = receptive_field([(11, 4, 0), (3, 2, 0)])
    assert stride == 8, f"strides multiply: 4 times 2 is 8, not {stride}"
    assert size == 19, (
        f"conv1 and pool1: the outer units of 3 lie 8 pixels apart, 11 + 8 = 19, not {size}"
    )
    assert start == 0, f"nothing is padded, so the first unit starts at 0, not {start}"


def check_box(box) -> None:
    found = box((11, 4, 0), 2, 5, 160)
    assert found is not None, "nothing comes back: does the function end with return?"
    assert tuple(found) == (8, 20, 19, 31), (
        "unit (row 2, column 5) sees rows 8 to 18, columns 20 to 30: (8, 20, 19, 31), for bottom "
        f"and right are the first pixels outside; yours is {tuple(found)}"
    )
    found = box((11, 4, -6), 0, 0, 160)
    assert found[0] == 0, f"what lies outside the picture is cut off: top is 0, not {found[0]}"
    assert found[2] == 5, f"this box ends at -6 + 11 = 5, not at {found[2]}"


def check_census(census) -> None:
    maps = torch.zeros(3, 2, 2, 2)
    maps[0, 0] = 1
    maps[2, 0, 1, 1] = 5
    with on_your_own():
        found = census(iter([maps[:2], maps[2:]]))
    assert found is not None, "nothing comes back: does the function end with return?"
    assert sorted(found) == ["pictures", "pictures_on", "zeros"], (
        f"the keys are pictures, pictures_on and zeros; yours are {sorted(found)}"
    )
    assert found["pictures"] == 3, f"three pictures came, in two batches; not {found['pictures']}"
    on = np.asarray(found["pictures_on"])
    assert on.shape == (2,), f"pictures_on: one number for each of 2 channels, not {list(on.shape)}"
    assert on.tolist() == [2, 0], (
        f"channel 0 is on in 2 of the 3 pictures, channel 1 in none; yours are {on.tolist()}"
    )
    zeros = float(found["zeros"])
    assert np.isclose(zeros, 19 / 24), f"19 of all 24 values are not above zero, not {zeros:.3f}"


def check_answers(answers) -> None:
    for name in ("dead", "alone", "picture"):
        if answers[name] is None:
            raise NotImplementedError(f"answers[{name!r}] is still empty")
    dead = list(answers["dead"])
    assert all(0 <= channel < 24 for channel in [*dead, answers["alone"]]), "channels are 0 to 23"
    assert len(set(dead)) == len(dead), "a channel stands twice among the dead ones"
    assert answers["alone"] not in dead, "the one that fires for one picture is not dead"
    assert 0 <= answers["picture"] < PICTURES, f"pictures are 0 to {PICTURES - 1}"


def batches(pictures: Tensor, size: int = 8) -> Iterable[Tensor]:
    """The pictures a few at a time; can be gone through once only."""
    yield from pictures.split(size)
