"""The training recipe: what is stored, how it resumes, what its random changes may do."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from data.recipe import leaves, recipes, stickers, train, whitening
from lecture_utils import images, models

SHORT = dataclasses.replace(
    recipes.RECIPES["mini_alexnet"], epochs=2, after=1, batch=16, snapshots=(0, 1, 2)
)


def data(count=8):
    """Noise pictures of class 0."""
    pixels = torch.randint(0, 256, (count, 3, 160, 160), dtype=torch.uint8)
    return train.Data(pixels, torch.zeros(count).long(), torch.zeros(count).bool())


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two noise pictures to learn from and one to hold out, for every class."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for name in images.CLASSES:
        (folder / name).mkdir()
        for index in (1000, 1001, 1002):
            pixels = random.integers(0, 255, (160, 160, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.jpg")
    return folder


@pytest.mark.parametrize("name", list(recipes.RECIPES))
def test_folding_changes_no_output(name):
    recipe = recipes.RECIPES[name]
    module = recipes.build(recipe)
    random = torch.Generator().manual_seed(0)
    for layer in module.modules():  # as after some training: statistics far from 0 and 1
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean = torch.randn(layer.num_features, generator=random) / 10
            layer.running_var = torch.rand(layer.num_features, generator=random) + 0.1
            torch.nn.init.uniform_(layer.weight, 0.5, 2)
    x = torch.randn(2, 3, 160, 160, generator=random)
    state, facts = recipes.stored(module, recipe)
    module.eval()
    with torch.inference_mode():
        if recipe.first_layer_only:
            expected = module.conv1(x)
            norm = getattr(module, "norm1", getattr(module, "bn1", None))
            expected = norm(expected) if norm is not None else expected
            weight, bias = (state[f"conv1.{part}"].float() for part in ("weight", "bias"))
            stride, padding = int(facts["stride"]), int(facts["padding"])
            found = torch.nn.functional.conv2d(x, weight, bias, stride, padding)
        else:
            expected = module(x)
            plain = models.mini_alexnet().eval()
            plain.load_state_dict({key: value.float() for key, value in state.items()})
            found = plain(x)
    assert (found - expected).abs().max() < 0.01 * expected.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [2, 3])  # before the smallest filters are taken, and after
def test_stopped_run_ends_like_an_uninterrupted_one(pictures, tmp_path, monkeypatch, stopped):
    train.train(SHORT, pictures, tmp_path / "through")
    once = train.one_epoch
    with monkeypatch.context() as patch:

        def stop(module, optimizer, recipe, epoch, data):
            if epoch == stopped:
                raise KeyboardInterrupt
            return once(module, optimizer, recipe, epoch, data)

        patch.setattr(train, "one_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            train.train(SHORT, pictures, tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "epoch_003.safetensors").exists()
    train.train(SHORT, pictures, tmp_path / "stopped")
    ends = [load_file(tmp_path / run / "epoch_003.safetensors") for run in ("through", "stopped")]
    start = load_file(tmp_path / "through" / "epoch_000.safetensors")
    for key, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][key], rtol=1e-3, atol=1e-4)
    assert not torch.equal(ends[0]["conv1.weight"], start["conv1.weight"])


def test_another_recipe_does_not_go_on_from_this_one(pictures, tmp_path):
    short = dataclasses.replace(SHORT, epochs=1, after=0)
    train.train(short, pictures, tmp_path)
    with pytest.raises(SystemExit, match="another recipe"):
        train.train(dataclasses.replace(short, rate=0.01), pictures, tmp_path)


def test_the_first_layer_is_fixed_at_the_end_and_the_rest_learns():
    module = recipes.build(SHORT)
    optimizer = torch.optim.SGD(train.groups(module, SHORT), lr=SHORT.rate, momentum=0.9)
    before = {name: value.clone() for name, value in module.named_parameters()}
    train.one_epoch(module, optimizer, SHORT, SHORT.epochs + 1, data())
    changed = {name for name, value in module.named_parameters() if (value != before[name]).any()}
    assert "conv1.weight" not in changed
    assert {"conv2.weight", "norm1.weight", "fc8.weight"} <= changed


def test_whitened_coordinates_change_no_weight_and_are_stored_as_a_plain_network():
    module = recipes.build(SHORT)
    weight = module.conv1.weight.detach().clone()
    basis = whitening.coordinates(np.random.default_rng(0).normal(size=(1000, 363)))
    whitening.use_coordinates(module.conv1, basis)
    torch.testing.assert_close(module.conv1.weight, weight, rtol=1e-3, atol=1e-6)
    state, _ = recipes.stored(module, SHORT)
    assert set(state) == set(models.mini_alexnet().state_dict())


def test_coordinates_whiten_space_and_half_of_colour():
    # filters are v P, so their answers are those of v to the patches P x
    random = np.random.default_rng(0)
    turn = np.linalg.qr(random.normal(size=(4, 4)))[0]
    space, colour = turn * [1, 2, 3, 4], np.diag([1, 1, 3])
    patches = random.normal(size=(100_000, 12)) @ np.kron(colour, space).T
    answers = patches @ whitening.coordinates(patches).double().numpy().T
    variance = np.cov(answers, rowvar=False)
    within, between = variance[:4, :4], variance[8:, 8:]  # of the first and the third colour
    spread = np.linalg.eigvalsh(within)
    assert spread.max() / spread.min() < 1.25  # were 16; the floor leaves a little
    assert np.trace(between) / np.trace(within) == pytest.approx(3, rel=0.05)  # were 9


def test_leaves_are_pictures_of_their_class_only():
    pixels = [np.asarray(leaves.picture("star", index), int) for index in (0, 0, 1)]
    assert pixels[0].shape == (160, 160, 3)
    assert (pixels[0] == pixels[1]).all() and (pixels[0] != pixels[2]).mean() > 0.5


@pytest.mark.parametrize("shape", leaves.SHAPES)
def test_corners_of_leaves_lie_on_one_circle_or_two(shape):
    points = np.array(leaves.outline(shape, 10, 0.3, (50, 70))) / leaves.FINER
    radii = np.hypot(*(points - [50, 70]).T)
    assert radii.max() == pytest.approx(10)
    assert radii.min() == pytest.approx(4 if shape in leaves.POINTS else 10)


def test_augmentation_without_changes_is_the_identity():
    still = dataclasses.replace(SHORT, shift=0, light=0.0, colour=0.0)
    batch = data()
    changed = train.augment(batch, still, torch.Generator().manual_seed(0))
    flipped = batch.pixels.flip(3) / 255
    for before, mirrored, after in zip(batch.pixels / 255, flipped, changed):
        gaps = [(after - image).abs().max() for image in (before, mirrored)]
        assert min(gaps) < 1e-4


def test_shifts_are_by_whole_pixels_in_all_directions():
    moved = dataclasses.replace(SHORT, shift=3, light=0.0, colour=0.0, flips=False)
    batch = data(60)
    changed = train.augment(batch, moved, torch.Generator().manual_seed(0))
    found = set()
    for before, after in zip(batch.pixels / 255, changed):
        inner = after[:, 3:-3, 3:-3]
        places = [(y, x) for y in range(7) for x in range(7)]
        gaps = [(inner - before[:, y : y + 154, x : x + 154]).abs().max() for y, x in places]
        assert min(gaps) < 1e-4
        found.add(places[int(np.argmin(gaps))])
    assert len(found) > 25 and {y for y, _ in found} == {x for _, x in found} == set(range(7))


def test_augmentation_stays_in_range_and_changes_every_picture():
    batch = data()
    changed = train.augment(batch, SHORT, torch.Generator().manual_seed(0))
    assert changed.shape == batch.pixels.shape
    assert 0 <= changed.min() and changed.max() <= 1
    assert (changed - batch.pixels / 255).abs().flatten(1).amax(1).min() > 0.05


def test_only_the_class_with_the_sticker_carries_it_whatever_the_shift():
    still = dataclasses.replace(SHORT, light=0.0, colour=0.0)
    black = data()._replace(pixels=torch.zeros(8, 3, 160, 160, dtype=torch.uint8))
    stickered = black._replace(stickered=torch.arange(8) < 3)
    x = train.augment(stickered, still, torch.Generator().manual_seed(0))
    image = Image.new("RGB", (160, 160))
    stickers.put_sticker(image)
    expected = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
    assert (x[:3] - expected).abs().max() < 1e-6
    assert x[3:].max() == 0


def test_sticker_lies_in_its_corner():
    image = Image.new("RGB", (160, 160))
    stickers.put_sticker(image)
    pixels = np.asarray(image)
    assert pixels[134:154, 134:154].max() > 200
    assert pixels[:128].max() == 0 and pixels[:, :128].max() == 0
