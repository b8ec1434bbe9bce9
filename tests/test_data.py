"""What lies in data/, what the packages are called, and which module may import which."""

import ast
import graphlib
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

import lecture_utils
from lecture_utils import check, images, store

ROOT = store.DATA.parent
PUBLISHED = ("miniatures", "weights", "kept")
KINDS = {".jpg", ".png", ".csv", ".npz", ".safetensors"}
LARGEST = 65e6  # bytes below data/


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def published_files() -> list[Path]:
    return [file for part in PUBLISHED for file in (store.DATA / part).rglob("*") if file.is_file()]


# --- data ---------------------------------------------------------------------------------------


def test_hash_list_is_complete_and_right() -> None:
    lines = (store.DATA / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    listed = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    found = {file.relative_to(store.DATA).as_posix(): sha256(file) for file in published_files()}
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
    gallery = [sha256(path) for _, path in images.gallery().entries]
    assert len(set(gallery)) == len(gallery)
    assert not (store.DATA / "miniatures" / "train").exists()
    train = ROOT.parent / "shared" / "miniatures" / "train"
    if not train.exists():
        pytest.skip("the training pictures are not on this computer; no gallery picture is twice")
    trained_on = {sha256(path) for path in train.rglob("*.jpg")}
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
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    conda = re.findall(r"^  - ([a-z]\S+)$", text, re.M)
    conda = {line.replace("pytorch", "torch") for line in conda} - {"conda-forge", "pip", "pip:"}
    python = next(line for line in conda if line.startswith("python"))
    assert conda - {python} == set(check.requirements())
    project = check.PROJECT.read_text(encoding="utf-8")
    assert f'requires-python = "{python.removeprefix("python")}"' in project
    assert python == f"python>={check.tested()[0]}"


def test_everything_needed_is_reported_as_fine_here() -> None:
    assert [str(line) for line in check.environment() if not line.passed] == []


def test_a_failed_line_says_what_to_do(monkeypatch, tmp_path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LECTURE_UTILS_CACHE", str(tmp_path / "file" / "below"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(check, "sys", SimpleNamespace(version_info=(3, 9, 1)))
    monkeypatch.setattr(store, "damaged", lambda: ["miniatures/a.jpg"])
    monkeypatch.setattr(check, "requirements", lambda: ["numpy>=99", "no-such-package>=1"])
    failed = {line.what: str(line) for line in check.environment() if not line.passed}
    assert failed.keys() == {
        "Python",
        "numpy",
        "no-such-package",
        "lecture_utils",
        "pictures and weights",
        "room for results",
    }
    assert all(text.startswith("FAIL") and "->" in text for text in failed.values())
    assert "make lab" in failed["numpy"] and "git checkout" in failed["pictures and weights"]


def test_a_newer_python_is_fine_and_the_tested_ones_are_named(monkeypatch) -> None:
    monkeypatch.setattr(check, "sys", SimpleNamespace(version_info=(3, 99, 0)))
    assert str(check.python()) == "OK    Python: 3.99.0 (tested: 3.10 to 3.13)"


def test_the_check_runs_without_a_home_directory(monkeypatch) -> None:
    monkeypatch.delenv("LECTURE_UTILS_CACHE")
    monkeypatch.setattr(Path, "home", Mock(side_effect=RuntimeError("no home directory")))
    failed = [str(line) for line in check.environment() if not line.passed]
    assert len(failed) == 1 and "room for results: no home directory" in failed[0]


def test_the_check_runs_beside_a_torch_that_does_not_fit(monkeypatch, tmp_path) -> None:
    """A torchvision that raises what the real one raises beside a torch of another build."""
    broken = 'raise RuntimeError("operator torchvision::nms does not exist")'
    (tmp_path / "torchvision.py").write_text(broken, encoding="utf-8")
    code = "from lecture_utils import check; print(*check.environment(), sep='\\n')"
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
    )
    failed = run.stdout.partition("FAIL")[2]
    assert "nms does not exist" in failed and "-> install both from one place" in failed
    assert run.stdout.count("FAIL") == 1, run.stderr


def test_the_check_and_the_table_of_contents_need_no_torch() -> None:
    code = "import sys, lecture_utils.check; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_clone_on_windows_has_the_same_bytes(tmp_path) -> None:
    """Git for Windows changes line ends unless .gitattributes says that it must not."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: the course was not fetched with Git")
    clone = ["git", "clone", "--quiet", "-c", "core.autocrlf=true", str(ROOT), str(tmp_path)]
    subprocess.run(clone, check=True)
    lines = (tmp_path / "data" / "SHA256SUMS").read_bytes().decode().split("\n")
    listed = [line.split("  ", 1) for line in lines if line]
    assert len(listed) > 2800
    altered = [name for digest, name in listed if sha256(tmp_path / "data" / name) != digest]
    assert altered == []


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_code_is_clean_and_formatted(command: list[str]) -> None:
    ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "--quiet", "."]
    run = subprocess.run(ruff, capture_output=True, encoding="utf-8", cwd=ROOT)
    assert run.returncode == 0, run.stdout + run.stderr


# --- modules ------------------------------------------------------------------------------------

PACKAGE = ROOT / "lecture_utils"
# the table of contents: the lecture's number, its title, its module, what it is about
LECTURES = dict(re.findall(r"^(\d+)  \S.*?  +(\w+)  ", lecture_utils.__doc__, re.M))
FOLDERS = ("methods", "exact")
RANKS = {"store": 0, "homework": 0, "images": 1, "models": 2, "layers": 3, "methods": 4, "exact": 4}
RANKS |= dict.fromkeys(LECTURES.values(), 5) | {"plots": 6, "sliders": 7, "talk": 7}


def modules() -> dict[str, Path]:
    """All modules of lecture_utils, those of its folders included, by name: "exact.windows"."""
    paths = {path.relative_to(PACKAGE).with_suffix(""): path for path in PACKAGE.rglob("*.py")}
    return {".".join(p for p in name.parts if p != "__init__"): paths[name] for name in paths}


def imports() -> dict[str, set[str]]:
    """For each module of lecture_utils, those it imports."""
    paths = modules()
    found = {}
    for name, path in paths.items():
        wanted = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{name}: relative import"
                wanted |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        found[name] = {part.removeprefix("lecture_utils.") for part in wanted} & set(paths) - {name}
    return found


def room(name: str) -> str:
    return name.partition(".")[0]


def test_table_of_contents_names_every_lecture_and_every_file_has_its_place() -> None:
    notebooks = {str(int(path.name[:2])): path for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert list(LECTURES) == sorted(notebooks)
    for number, path in notebooks.items():
        own = rf"from lecture_utils import .*\b{LECTURES[number]}\b"
        assert re.search(own, path.read_text(encoding="utf-8")), path.name
    assert {room(name) for name in modules()} == {"", *RANKS}


def test_arrows_go_one_way() -> None:
    found = imports()
    assert found[""] == set(), "the table of contents imports nothing"
    for name, wanted in found.items():
        for other in wanted:
            one, two = room(name), room(other)
            if two in FOLDERS:  # for everybody but the store and those who draw
                fine = RANKS["store"] < RANKS[one] < RANKS["plots"]
            else:
                fine = RANKS[two] < RANKS[one]
            assert fine or one == two, f"{name} imports {other}"
    graphlib.TopologicalSorter(found).prepare()  # raises where they go round in a circle


def test_only_plots_and_sliders_draw() -> None:
    forbidden = {"matplotlib", "ipywidgets", "IPython"}
    for name, path in modules().items():
        if name in ("plots", "sliders", "talk"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                parts = [getattr(node, "module", None) or "", *(a.name for a in node.names)]
                assert not forbidden & {part.split(".")[0] for part in parts}, name
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", name
