"""The recipe of the miniatures: its meshes, textures, scenes and facts. Nothing is rendered."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor
from scipy.interpolate import LinearNDInterpolator

from data.recipe import check, facts, render, tracer
from data.recipe.camera import choose_view
from data.recipe.meshes import Mesh, join
from data.recipe.noise import PERIOD, noise
from data.recipe.objects import CLASSES
from data.recipe.scene import build
from data.recipe.shapes import box, lathe, solid, superellipsoid, tube
from data.recipe.textures import TEXTURES

INDEX = Path(__file__).parents[1] / "data" / "miniatures" / "index.csv"
BUILT_WITH_SOLIDS = ("car", "teddy")  # their shapes need scikit-image


def volume(mesh: Mesh) -> float:
    """By the divergence theorem: right, and positive, only if closed and facing outward."""
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces], 1, 0)
    return float((a * np.cross(b, c)).sum() / 6)


# ---------------------------------------------------------------- meshes


def test_round_solids_are_closed_and_look_outward():
    ellipsoid = superellipsoid((1, 2, 3), 120, 80)
    assert volume(ellipsoid) == pytest.approx(4 / 3 * np.pi * 6, rel=0.01)
    cone = lathe([(0, 0), (1, 0), (0, 3)], 120, 200, smooth=False)
    assert volume(cone) == pytest.approx(np.pi, rel=0.02)
    rod = tube([(0, 0, 0), (3, 4, 0)], 0.1, 60, 200, smooth=False)
    assert volume(rod) == pytest.approx(np.pi * 0.01 * 5, rel=0.02)


def test_a_box_is_closed_whichever_way_it_looks():
    assert abs(volume(box(1, 2, 3, bevel=0.001))) == pytest.approx(6, rel=0.01)


def test_a_solid_is_the_zero_of_its_distance():
    pytest.importorskip("skimage", reason="solids need scikit-image")
    ball = solid(lambda points: np.linalg.norm(points, axis=1) - 0.8, (-1,) * 3, (1,) * 3, 50)
    assert np.linalg.norm(ball.vertices, axis=1) == pytest.approx(0.8, abs=0.002)
    assert abs(volume(ball)) == pytest.approx(4 / 3 * np.pi * 0.8**3, rel=0.01)


def test_normals_of_a_sphere_point_away_from_its_centre():
    sphere = superellipsoid((1, 1, 1), 60, 40)
    away_from_poles = np.abs(sphere.vertices[:, 2]) < 0.99
    cosines = (sphere.normals() * sphere.vertices).sum(1)[away_from_poles]
    assert cosines.min() > 0.999


def test_turning_scaling_and_joining_keep_what_they_should():
    egg = superellipsoid((1, 1, 2), 40, 30)
    size = volume(egg)
    egg.place(at=(1, 2, 3), scale=2, turn_x=0.3, turn_y=-1, turn_z=2)
    assert volume(egg) == pytest.approx(8 * size)
    assert volume(join([egg, egg.copy().place(at=(9, 0, 0))])) == pytest.approx(16 * size)
    arrow = Mesh([(1.0, 0, 0)], [[0, 0, 0]]).place(turn_z=np.pi / 2)
    assert arrow.vertices[0] == pytest.approx([0, 1, 0])


# ---------------------------------------------------------------- noise and textures


def test_noise_repeats_with_its_lattice_and_not_before():
    points = np.random.default_rng(0).uniform(0, PERIOD, (500, 3))
    assert noise(points + [PERIOD, 0, 0]) == pytest.approx(noise(points), abs=1e-4)
    assert np.abs(noise(points + [PERIOD / 2, 0, 0]) - noise(points)).mean() > 0.1


@pytest.mark.parametrize("name", [name for name in TEXTURES if name != "shelf"])
def test_textures_tile(name):
    """Where a texture meets itself it changes no more than somewhere in its middle.

    A shelf is left out: its boards end at one edge, as shelves do.
    """
    colours = TEXTURES[name](np.random.default_rng(1)).colours
    assert np.isfinite(colours).all()
    for axis in (0, 1):
        steps = np.abs(colours - np.roll(colours, 1, axis)).mean(axis=(1 - axis, 2))
        assert steps[0] <= 1.2 * steps[1:].max()


# ---------------------------------------------------------------- objects and scenes


def model(name: str, index: int):
    if name in BUILT_WITH_SOLIDS:
        pytest.importorskip("skimage", reason=f"a {name} needs scikit-image")
    return CLASSES[name](np.random.default_rng([index]))


@pytest.mark.parametrize("name", CLASSES)
def test_an_object_depends_on_its_random_numbers_alone(name):
    first, again, other = model(name, 1), model(name, 1), model(name, 2)
    for part in ("vertices", "faces", "colours", "finish"):
        assert np.array_equal(getattr(first.mesh, part), getattr(again.mesh, part))
    assert not np.array_equal(first.mesh.vertices[:100], other.mesh.vertices[:100])
    mesh = first.mesh
    assert mesh.faces.max() < len(mesh.vertices)
    assert np.isfinite(mesh.vertices).all() and np.isfinite(mesh.normals()).all()
    assert mesh.colours.min() >= 0 and mesh.colours.max() < 1.2


def test_a_scene_is_a_pure_function_of_class_and_index():
    first, rng = build("mushroom", 4)
    build("sailboat", 5)
    again, rng_again = build("mushroom", 4)
    assert np.array_equal(first.clutter.vertices, again.clutter.vertices)
    assert np.array_equal(first.ground.texture.colours, again.ground.texture.colours)
    assert np.array_equal(first.place.environment, again.place.environment)
    assert np.array_equal(first.view.position, again.view.position)
    assert rng.bit_generator.state == rng_again.bit_generator.state


@pytest.mark.parametrize("index", [45, 63])
def test_a_camera_does_not_stand_inside_a_hill(index):
    """Two balloons whose cameras, looking up from afar, were put below the ground."""
    scene, _ = build("balloon", index)
    vertices = scene.ground.mesh.vertices
    ground_height = LinearNDInterpolator(vertices[:, :2], vertices[:, 2])
    assert scene.view.position[2] > ground_height(scene.view.position[:2])


@pytest.mark.parametrize(("name", "finish"), [("ladybird", [0.15, 0, 1]), ("fish", [0.05, 0, 1])])
def test_azimuth_is_measured_from_the_front(name, finish):
    """Against the place of the ladybird's neck and of the fish's eyes in the finished mesh."""
    for index in range(8):
        rng = np.random.default_rng(index)
        model = CLASSES[name](rng)
        view = choose_view(rng, model)
        mesh = model.mesh
        head = mesh.vertices[(mesh.finish == finish).all(1)].mean(0)
        middle = (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
        x, y = (head - middle)[:2]
        to_camera = view.position - view.target
        angle = np.degrees(np.arctan2(to_camera[1], to_camera[0]) - np.arctan2(y, x))
        azimuth, _ = facts.camera_angles(model, view)
        assert abs((azimuth - angle + 180) % 360 - 180) < 12


# ---------------------------------------------------------------- facts


def test_colours_have_the_names_that_web_pages_give_them():
    names = "black white grey red orange yellow green blue purple pink".split()
    pixels = np.array([ImageColor.getrgb(name) for name in names], np.uint8)
    assert facts.colour_names(pixels).tolist() == names
    browns = ["saddlebrown", "sienna"]
    pixels = np.array([ImageColor.getrgb(name) for name in browns], np.uint8)
    assert facts.colour_names(pixels).tolist() == ["brown", "brown"]


def test_the_main_colour_is_that_of_the_object():
    picture = np.full((10, 10, 3), (0, 0, 255), np.uint8)
    picture[:3] = (255, 0, 0)
    mask = np.zeros((10, 10), np.uint8)
    mask[:4] = 255
    assert facts.main_colour(picture, mask) == "red"
    assert facts.share(mask) == pytest.approx(0.4)


def test_the_index_tells_of_every_picture_and_of_no_other():
    with INDEX.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == facts.FIELDS
    listed = {(row["class"], int(row["index"])) for row in rows}
    files = {(path.parent.name, int(path.stem)) for path in render.GALLERY.glob("*/[0-9]*.jpg")}
    assert len(rows) == len(listed) == 1400
    assert listed == files
    for row in rows:
        mask = Image.open(render.paths(render.GALLERY, row["class"], int(row["index"]))[1])
        assert float(row["share"]) == pytest.approx(np.mean(mask) / 255, abs=6e-5)
        assert row["colour"] in facts.COLOURS
        assert -180 <= float(row["azimuth"]) <= 180 and -90 < float(row["elevation"]) < 90
        assert float(row["share"]) > 0.05
    assert {row["place"] for row in rows if row["class"] == "fish"} == {"under water"}
    assert {row["place"] for row in rows if row["class"] == "balloon"} == {"sky"}


# ---------------------------------------------------------------- the command line


class PretendTracer:
    """Renders grey, and fails at index 2."""

    def __init__(self):
        self.rendered = []

    def render(self, name, index):
        self.rendered.append((name, index))
        if index == 2:
            raise ValueError("no such scene")
        return np.full((8, 8, 3), 99, np.uint8), np.full((8, 8), 255, np.uint8)


def test_rendering_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    pretend = PretendTracer()
    monkeypatch.setattr(render, "tracer", lambda size: pretend)
    jobs = [("mug", index) for index in (0, 1, 2)]
    failures = render.render_all(jobs[:1], tmp_path)
    failures += render.render_all(jobs, tmp_path)
    assert pretend.rendered == [("mug", 0), ("mug", 1), ("mug", 2)]
    assert failures == ["mug 2: ValueError: no such scene"]
    written = sorted(path.name for path in tmp_path.rglob("*.*"))
    assert written == ["0000.jpg", "0000_mask.png", "0001.jpg", "0001_mask.png"]


def test_the_check_finds_a_changed_picture(tmp_path, monkeypatch):
    pretend = PretendTracer()
    monkeypatch.setattr(render, "tracer", lambda size: pretend)
    render.render_all([("mug", 0)], tmp_path)
    unchanged = check.compare(pretend, tmp_path, "mug", 0)
    assert unchanged.allowed and unchanged.same_file
    picture_path, mask_path = render.paths(tmp_path, "mug", 0)
    Image.fromarray(np.full((8, 8, 3), 104, np.uint8)).save(picture_path, quality=90)
    changed = check.compare(pretend, tmp_path, "mug", 0)
    assert changed.farther == 1 and changed.mask == 0
    assert not changed.allowed and not changed.same_file
    picture_path.unlink()
    mask_path.unlink()
    render.render_all([("mug", 0)], tmp_path)
    Image.fromarray(np.full((8, 8), 200, np.uint8)).save(mask_path)
    changed = check.compare(pretend, tmp_path, "mug", 0)
    assert changed.largest == 0 and changed.mask == 64 and not changed.allowed


def test_the_check_is_skipped_with_a_reason_where_packages_are_missing(monkeypatch, capsys):
    monkeypatch.setattr(tracer, "PACKAGES", {"no_such_module": "mitsuba"})
    monkeypatch.setattr(sys, "argv", ["check"])
    check.main()
    printed = capsys.readouterr().out
    assert printed.startswith("skipped: ") and "mitsuba" in printed


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/usr/lib/x86_64-linux-gnu/libLLVM.so.19.1", 19),
        ("/usr/lib/x86_64-linux-gnu/libLLVM-17.so.1", 17),
        ("/usr/lib/llvm-18/lib/libLLVM.so", 18),
        ("/opt/homebrew/Cellar/llvm/20.1.4/lib/libLLVM.dylib", 20),
        ("/opt/homebrew/Cellar/llvm@18/18.1.8/lib/libLLVM.dylib", 18),
        ("/usr/lib64/libLLVM.so", 0),
    ],
)
def test_the_version_of_llvm_is_read_from_its_name(path, version):
    assert tracer.llvm_version(path) == version
