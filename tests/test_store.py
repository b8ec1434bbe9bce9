"""Results that are remembered: what a key must name, what a file may hold, how room is made."""

import dataclasses
import os
import stat
import subprocess
import sys
import threading
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from lecture_utils import images, models, store
from lecture_utils.methods import fingerprints
from lecture_utils.topk import Ranking

UNIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LECTURE_UTILS_CACHE", str(tmp_path))
    return tmp_path


class Counted:
    """Something to be remembered, and how often it was computed."""

    def __init__(self, result: object):
        self.result, self.calls = result, 0

    def __call__(self) -> object:
        self.calls += 1
        return self.result


# --- kept ---------------------------------------------------------------------------------------


def test_a_result_is_computed_once_and_comes_back_as_it_was() -> None:
    random = np.random.default_rng(0)
    arrays = [random.integers(0, 9, (2, 3)) for _ in Ranking._fields]
    result = {
        "ranking": Ranking(*arrays),
        "texts": ["a", "b"],
        "nested": {"pair": (1, 2.5), "nothing": None, "yes": True},
        "array": random.normal(size=(2, 2)).astype(np.float16),
        "empty": np.zeros((0, 3)),
    }
    make = Counted(result)
    for _ in range(3):
        found = store.kept(("test", 1), make)
        assert found.keys() == result.keys() and isinstance(found["ranking"], Ranking)
        for mine, theirs in zip(found["ranking"], arrays):
            np.testing.assert_array_equal(mine, theirs)
        assert found["texts"] == ["a", "b"]
        assert found["nested"] == {"pair": (1, 2.5), "nothing": None, "yes": True}
        assert found["array"].dtype == np.float16
        np.testing.assert_array_equal(found["array"], result["array"])
        assert found["empty"].shape == (0, 3)
    assert make.calls == 1


def test_every_part_of_a_key_counts(folder) -> None:
    keys = [("a", 1), ("a", 2), ("a", 1.0), ("a", "1"), ("a", (1,)), ("a", True), ("b", 1)]
    for number, key in enumerate(keys):
        assert store.kept(key, lambda number=number: number) == number
    assert [store.kept(key, lambda: None) for key in keys] == list(range(len(keys)))


def test_what_cannot_be_named_is_not_remembered(folder) -> None:
    make = Counted(1)
    for key in ((None,), ("a", None), ("a", ("b", (None,)))):
        assert store.kept(key, make) == 1
    assert make.calls == 3 and not list(folder.iterdir())
    for part in ([1], np.zeros(2), {"a": 1}, object):
        with pytest.raises(TypeError, match="a key holds texts"):
            store.kept(("a", part), make)


class Foreign(NamedTuple):
    part: int


def test_only_this_package_s_classes_are_built_from_a_file(folder) -> None:
    for value in (Foreign(1), object(), {1: 2}, torch.zeros(2)):
        with pytest.raises(TypeError, match="cannot be kept"):
            store.kept(("a",), lambda value=value: value)
    assert not list(folder.iterdir())
    plan = '{"kind": "os:getcwd", "parts": {}}'
    np.savez(folder / "evil.npz", plan=np.array(plan))
    with pytest.raises(ValueError, match="not a class"):
        store._unpacked((folder / "evil.npz").read_bytes())


def test_what_fails_leaves_nothing(folder) -> None:
    def fail() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.kept(("a",), fail)
    assert not list(folder.iterdir())
    assert store.kept(("a",), Counted("fine")) == "fine"


@pytest.mark.parametrize("content", [b"", b"PK\3\4 no archive", None])
def test_a_damaged_file_is_made_anew(folder, content) -> None:
    make = Counted(np.arange(5))
    store.kept(("a",), make)
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if content is None else content)
    np.testing.assert_array_equal(store.kept(("a",), make), np.arange(5))
    assert make.calls == 2 and file.read_bytes() == whole


def test_a_folder_that_cannot_be_written_is_no_error(monkeypatch) -> None:
    monkeypatch.setenv("LECTURE_UTILS_CACHE", f"{os.devnull}/nowhere")
    assert store.kept(("a",), Counted(2)) == 2
    monkeypatch.delenv("LECTURE_UTILS_CACHE")
    monkeypatch.setattr("pathlib.Path.home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert store.kept(("a",), Counted(3)) == 3


@UNIX
@pytest.mark.parametrize("mask, mode", [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_files_are_as_readable_as_the_user_wishes(folder, mask, mode) -> None:
    before = os.umask(mask)
    try:
        store.kept(("a",), Counted(1))
    finally:
        os.umask(before)
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == mode


def test_what_was_unused_longest_makes_room(folder, monkeypatch) -> None:
    monkeypatch.setattr(store, "LIMIT", 4_500)
    (folder / "mine.txt").write_text("not a result", encoding="utf-8")
    make = Counted(np.zeros(100))  # 800 bytes and some 600 around them
    for number in range(3):
        store.kept(("a", number), make)
        for age, file in enumerate(sorted(folder.glob("*.npz"), key=os.path.getmtime)):
            os.utime(file, (1000 + age, 1000 + age))
    store.kept(("a", 0), make)  # used again: the second is now the oldest
    store.kept(("a", 3), make)
    assert make.calls == 4
    for number in (0, 2, 3):
        store.kept(("a", number), make)
    assert make.calls == 4
    assert sum(file.stat().st_size for file in folder.glob("*.npz")) <= 4_500
    store.kept(("a", 1), make)
    assert make.calls == 5
    store.clear()
    assert [file.name for file in folder.iterdir()] == ["mine.txt"]


def test_shipped_results_are_found_like_kept_ones(folder, monkeypatch) -> None:
    store.kept(("a",), Counted(7))
    (file,) = folder.iterdir()
    shipped = folder / "shipped"
    shipped.mkdir()
    file.rename(shipped / file.name)
    monkeypatch.setattr(store, "SHIPPED", shipped)
    monkeypatch.setattr(store, "read", lambda path: path.read_bytes())
    assert store.kept(("a",), Counted(8)) == 7

    def altered(path):
        raise store.DataError("altered")

    monkeypatch.setattr(store, "read", altered)
    assert store.kept(("a",), Counted(8)) == 8


# --- fingerprints -------------------------------------------------------------------------------


def small(activation: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    parts = nn.Conv2d(3, 4, 3), activation or nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(*parts)


def look(image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255


def negative(image) -> torch.Tensor:
    return -look(image)


def of(module: nn.Module, preprocess=look, classes=("a", "b", "c", "d")) -> str | None:
    return models.wrap(module, preprocess, classes, input_size=20).fingerprint()


class Scaled(nn.Module):
    def __init__(self, scale: float):
        super().__init__()
        self.inner, self.scale = small(), scale

    def forward(self, x):
        return self.inner(x) * self.scale


class ScaledOtherwise(Scaled):
    def forward(self, x):
        return self.inner(x) + self.scale


FACTOR = 2.0


def with_global(image):
    return look(image) * FACTOR


def test_what_decides_the_answer_decides_the_fingerprint() -> None:
    hooked = small()
    hooked[0].register_forward_hook(lambda module, inputs, output: output * 2)
    with_other_weight = small()
    with torch.no_grad():
        with_other_weight[0].bias[0] += 1e-6
    sign = -1.0
    networks = {
        "as it is": of(small()),
        "another activation": of(small(nn.Tanh())),
        "another slope": of(small(nn.LeakyReLU(0.1))),
        "another slope still": of(small(nn.LeakyReLU(0.2))),
        "another weight": of(with_other_weight),
        "another order of classes": of(small(), classes=("b", "a", "c", "d")),
        "a hook": of(hooked),
        "a function": of(small(), with_global),
        "a lambda": of(small(), lambda image: look(image)),
        "another lambda": of(small(), lambda image: -look(image)),
        "a lambda around a number": of(small(), lambda image: sign * look(image)),
        "a partial": of(small(), partial(with_factor, factor=2.0)),
        "another partial": of(small(), partial(with_factor, factor=3.0)),
        "an attribute": of(Scaled(1.0)),
        "another attribute": of(Scaled(2.0)),
        "another forward pass": of(ScaledOtherwise(2.0)),
        "half precision": of(small().half()),
    }
    assert None not in networks.values()
    assert len(set(networks.values())) == len(networks)
    assert networks["another lambda"] == of(small(), negative)  # the same, by another name
    sign = 1.0
    networks["a lambda around another number"] = of(small(), lambda image: sign * look(image))
    assert len(set(networks.values())) == len(networks)


def with_factor(image, factor: float):
    return look(image) * factor


def test_a_global_number_counts(monkeypatch) -> None:
    before = of(small(), with_global)
    monkeypatch.setattr(sys.modules[__name__], "FACTOR", 3.0)
    assert of(small(), with_global) != before


def test_equal_networks_have_equal_fingerprints_in_every_process() -> None:
    def made() -> list:
        return [of(small()), of(small(), lambda image: look(image)), of(Scaled(2.0), partial(look))]

    here = made()
    assert here == made()
    code = (
        "import sys; sys.path[:0] = ['.']; from functools import partial; from tests import "
        "test_store as t; print(t.of(t.small()), t.of(t.Scaled(2.0), partial(t.look)))"
    )
    root = store.DATA.parent
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    there = run.stdout.split()
    assert there[0] == here[0], run.stderr
    assert len(there) == 2


def test_what_cannot_be_looked_into_has_no_fingerprint() -> None:
    running, lock = (number for number in range(3)), threading.Lock()
    assert of(small(), lambda image: next(running)) is None
    assert fingerprints.of([1, [2, {"a": lock}]]) is None
    loop: list = [1]
    loop.append(loop)
    assert fingerprints.of(loop) is None


class OldStyle(nn.Module):
    """Refers to itself, as classes did before Python 3."""

    def __init__(self):
        super(OldStyle, self).__init__()  # noqa: UP008
        self.body = small()

    def forward(self, x):
        return self.body(x) if isinstance(self, OldStyle) else x


def test_a_class_that_refers_to_itself_has_a_fingerprint() -> None:
    assert of(OldStyle()) == of(OldStyle()) is not None
    assert of(OldStyle()) != of(Scaled(1.0))


@dataclasses.dataclass
class Photo:
    image: Image.Image
    label: str = ""
    mask: Image.Image | None = None


def test_pictures_labels_masks_and_palettes_count() -> None:
    picture = images.gallery("fish")[0]
    grey = picture.mask
    swapped = Image.fromarray(np.array(grey)).convert("P")
    palette = swapped.copy()
    palette.putpalette([255 - n // 3 for n in range(768)])
    lists = [
        [Photo(picture.image, "fish", picture.mask)],
        [Photo(picture.image, "mug", picture.mask)],
        [Photo(picture.image, "fish", Image.new("L", (160, 160)))],
        [Photo(picture.image, "fish")],
        [picture.image],
        [picture.image, picture.image],
        [swapped],
        [palette],
        [],
    ]
    found = [images.fingerprint(pictures) for pictures in lists]
    assert None not in found and len(set(found)) == len(found)
    assert images.fingerprint(list(lists[0])) == found[0]
    galleries = [images.gallery("fish"), images.gallery("mug"), images.gallery("fish")[:5]]
    assert len({images.fingerprint(g) for g in galleries}) == 3
