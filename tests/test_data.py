"""What lies in data/, what the packages are called, and which module may import which."""

import ast
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lecture_utils import check, images, store

ROOT = store.DATA.parent
PUBLISHED = ("miniatures", "weights")
KINDS = {".jpg", ".png", ".csv", ".npz", ".safetensors"}
LARGEST = 65e6  # bytes below data/


def published_files() -> list[Path]:
    return [file for part in PUBLISHED for file in (store.DATA / part).rglob("*") if file.is_file()]


# --- data ---------------------------------------------------------------------------------------


def test_hash_list_is_complete_and_right() -> None:
    lines = (store.DATA / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    found = {
        file.relative_to(store.DATA).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in published_files()
    }
    assert listed == found


def test_gallery_is_complete_and_of_one_size() -> None:
    folder = store.DATA / "miniatures" / "gallery"
    assert sorted(part.name for part in folder.iterdir()) == sorted(images.CLASSES)
    for label in images.CLASSES:
        names = {file.name for file in (folder / label).iterdir()}
        numbers = [f"{number:04d}" for number in range(100)]
        assert names == {f"{n}.jpg" for n in numbers} | {f"{n}_mask.png" for n in numbers}
    for file in folder.rglob("*.*"):
        with Image.open(file) as image:
            assert image.size == (160, 160)
            assert image.mode == ("L" if file.stem.endswith("mask") else "RGB")


def steepness(picture: images.Picture) -> np.ndarray:
    """How fast the colours change at each pixel."""
    pixels = np.asarray(picture.image, float)
    return sum(np.hypot(*np.gradient(pixels[:, :, colour])) for colour in range(3))


def test_masks_cover_the_object() -> None:
    """Colours change along the outline of an object, so the mask's outline must lie there."""
    pictures = images.gallery()[::10]
    own, other = [], []
    for number, picture in enumerate(pictures):
        mask = np.asarray(picture.mask) / 255
        assert 0.03 < mask.mean() < 0.9, picture.path
        change = steepness(picture)
        foreign = np.asarray(pictures[(number + 5) % len(pictures)].mask) / 255
        for outlines, shape in ((own, mask), (other, foreign)):
            outline = np.hypot(*np.gradient(shape)) > 0.25
            outlines.append(change[outline].mean() / change.mean())
    assert np.median(own) > 1.5 * np.median(other)
    assert np.mean(np.array(own) > np.array(other)) > 0.9


def test_stickered_pictures_differ_from_the_gallery_in_one_corner() -> None:
    stickered = images.stickered()
    assert stickered.labels == [name for name in images.CLASSES for _ in range(10)]
    corner = np.zeros((160, 160), bool)
    corner[128:, 128:] = True  # blocks of 8 x 8 pixels that JPEG compresses together
    for picture in stickered:
        plain = images.gallery(picture.label)[int(picture.path.stem)]
        assert picture.mask == plain.mask
        off = np.abs(np.asarray(picture.image, float) - np.asarray(plain.image, float)).mean(2)
        assert off[~corner].mean() < 2 and off[134:154, 134:154].mean() > 20, picture.path


def test_no_picture_twice_and_none_of_the_training_set() -> None:
    gallery = [hashlib.sha256(path.read_bytes()).digest() for _, path in images.gallery().entries]
    assert len(set(gallery)) == len(gallery)
    assert not (store.DATA / "miniatures" / "train").exists()
    train = ROOT.parent / "shared" / "miniatures" / "train"
    if not train.exists():
        pytest.skip("the training pictures are not on this computer; no gallery picture is twice")
    trained_on = {hashlib.sha256(path.read_bytes()).digest() for path in train.rglob("*.jpg")}
    assert len(trained_on) > 1000 and not trained_on & set(gallery)


def test_data_is_small_and_holds_nothing_that_runs_when_it_is_read() -> None:
    files = [file for file in store.DATA.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= LARGEST
    assert {file.suffix for file in published_files()} <= KINDS
    for file in published_files():
        if file.suffix == ".safetensors":  # eight bytes of length, then JSON: no pickle
            assert file.open("rb").read(9)[8:] == b"{"
        if file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as arrays:
                assert all(arrays[name].dtype != object for name in arrays.files)


# --- packages -----------------------------------------------------------------------------------


def test_conda_and_pip_install_the_same() -> None:
    conda = re.findall(r"^  - ([a-z]\S+)$", (ROOT / "environment.yml").read_text(), re.M)
    conda = {line.replace("pytorch", "torch") for line in conda} - {"conda-forge", "pip", "pip:"}
    python = next(line for line in conda if line.startswith("python"))
    assert conda - {python} == set(check.requirements(ROOT / "pyproject.toml"))
    project = (ROOT / "pyproject.toml").read_text()
    assert f'requires-python = "{python.removeprefix("python")}"' in project


def test_everything_needed_is_reported_as_fine_here() -> None:
    assert [str(line) for line in check.environment() if not line.passed] == []


def test_a_failed_line_says_what_to_do(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("LECTURE_UTILS_CACHE", "/dev/null/nowhere")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(store, "damaged", lambda: ["miniatures/a.jpg"])
    monkeypatch.setattr(check, "requirements", lambda _: ["numpy>=99", "no-such-package>=1"])
    failed = {line.what: str(line) for line in check.environment() if not line.passed}
    assert failed.keys() == {
        "numpy",
        "no-such-package",
        "lecture_utils",
        "pictures and weights",
        "room for results",
    }
    assert all(text.startswith("FAIL") and "->" in text for text in failed.values())
    assert "make lab" in failed["numpy"] and "git checkout" in failed["pictures and weights"]


# --- modules ------------------------------------------------------------------------------------

LECTURES = ("filters", "activations", "codes", "topk", "occlusion")
RANKS = {"store": 0, "images": 1, "models": 2, "graph": 3, "layers": 4, "plots": 6, "sliders": 7}
RANKS |= dict.fromkeys(LECTURES, 5)


def imports() -> dict[str, set[str]]:
    """For each module of lecture_utils, those it imports."""
    paths = {path.stem: path for path in (ROOT / "lecture_utils").glob("*.py")}
    found = {}
    for name, path in paths.items():
        names = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "lecture_utils":
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lecture_ut"):
                names.add(node.module.split(".")[1])
            elif isinstance(node, ast.Import):
                names |= {a.name.split(".")[1] for a in node.names if "lecture_utils." in a.name}
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{name}: relative import"
        found[name] = names & set(paths) - {name}
    return found


def test_arrows_go_one_way() -> None:
    found = imports()
    assert found.keys() >= RANKS.keys()
    for name, wanted in found.items():
        # a module that is not named above is a part of one lecture
        rank = RANKS.get(name, RANKS["filters"])
        for other in wanted - {"check"}:
            below = RANKS.get(other, RANKS["filters"])
            same_lecture = rank == below and not {name, other} <= set(LECTURES)
            assert below < rank or same_lecture, f"{name} imports {other}"


def test_lectures_stand_apart() -> None:
    found = imports()

    def reached(name: str, seen: frozenset = frozenset()) -> set[str]:
        further = found[name] - seen
        return further.union(*(reached(other, seen | further) for other in further), set())

    for lecture in LECTURES:
        family = {lecture} | {other for other in found if lecture in reached(other)}
        foreign = set(LECTURES) - {lecture}
        assert not reached(lecture) & foreign, lecture
        helpers = family - set(RANKS)
        assert not any(reached(helper) & foreign for helper in helpers), lecture


def test_lecture_modules_draw_nothing() -> None:
    forbidden = {"matplotlib", "ipywidgets", "IPython"}
    for name, path in {p.stem: p for p in (ROOT / "lecture_utils").glob("*.py")}.items():
        if RANKS.get(name, 5) > 5:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                parts = [getattr(node, "module", None) or "", *(a.name for a in node.names)]
                assert not forbidden & {part.split(".")[0] for part in parts}, name
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", name
