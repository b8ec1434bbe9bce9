"""The training recipe: what is stored, how it resumes, what its random changes may do."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from data.recipe import recipes, stickers, train
from lecture_utils import images, models

SHORT = dataclasses.replace(
    recipes.RECIPES["mini_alexnet"], epochs=2, polish=0, batch=16, snapshots=(0, 1)
)


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


def test_stopped_run_ends_like_an_uninterrupted_one(pictures, tmp_path, monkeypatch):
    train.train(SHORT, pictures, tmp_path / "through")
    once = train.one_epoch
    with monkeypatch.context() as patch:

        def stop(module, optimizer, recipe, epoch, *data):
            if epoch == 2:
                raise KeyboardInterrupt
            return once(module, optimizer, recipe, epoch, *data)

        patch.setattr(train, "one_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            train.train(SHORT, pictures, tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "epoch_002.safetensors").exists()
    train.train(SHORT, pictures, tmp_path / "stopped")
    ends = [load_file(tmp_path / run / "epoch_002.safetensors") for run in ("through", "stopped")]
    start = load_file(tmp_path / "through" / "epoch_000.safetensors")
    for key, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][key], rtol=1e-3, atol=1e-4)
    assert not torch.equal(ends[0]["conv1.weight"], start["conv1.weight"])


def test_another_recipe_does_not_go_on_from_this_one(pictures, tmp_path):
    short = dataclasses.replace(SHORT, epochs=1)
    train.train(short, pictures, tmp_path)
    with pytest.raises(SystemExit, match="another recipe"):
        train.train(dataclasses.replace(short, rate=0.01), pictures, tmp_path)


def test_augmentation_without_changes_is_the_identity():
    still = dataclasses.replace(SHORT, crop=1.0, light=0.0, colour=0.0)
    pixels = torch.randint(0, 256, (8, 3, 160, 160), dtype=torch.uint8)
    changed = train.augment(pixels, still, torch.Generator().manual_seed(0))
    flipped = pixels.flip(3) / 255
    for before, mirrored, after in zip(pixels / 255, flipped, changed):
        gaps = [(after - image).abs().max() for image in (before, mirrored)]
        assert min(gaps) < 1e-4


def test_augmentation_stays_in_range_and_changes_every_picture():
    pixels = torch.randint(0, 256, (8, 3, 160, 160), dtype=torch.uint8)
    changed = train.augment(pixels, SHORT, torch.Generator().manual_seed(0))
    assert changed.shape == pixels.shape
    assert 0 <= changed.min() and changed.max() <= 1
    assert (changed - pixels / 255).abs().flatten(1).amax(1).min() > 0.05


def test_sticker_lies_in_its_corner():
    image = Image.new("RGB", (160, 160))
    stickers.put_sticker(image)
    pixels = np.asarray(image)
    assert pixels[134:154, 134:154].max() > 200
    assert pixels[:128].max() == 0 and pixels[:, :128].max() == 0
