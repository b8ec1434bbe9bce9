"""Scans against sorting everything, patches against the network, measures against counting."""

import copy
from collections import Counter, OrderedDict
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from lecture_utils import images, layers, models, topk
from lecture_utils.images import Picture
from lecture_utils.methods import scans as streaming

SIDE = 9
LAYERS = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Each test starts with an empty cache."""
    monkeypatch.setenv("LECTURE_UTILS_CACHE", str(tmp_path / "cache"))


def to_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image, np.float32)).permute(2, 0, 1)


def whole_numbers() -> models.Network:
    """A network that computes in whole numbers, so that equal responses are really equal."""
    torch.manual_seed(1)
    module = nn.Sequential(
        OrderedDict(
            first=nn.Conv2d(3, 5, 3, stride=2),
            relu=nn.ReLU(inplace=True),  # overwrites what `first` gave
            second=nn.Conv2d(5, 4, 2),
            flatten=nn.Flatten(),
            last=nn.Linear(36, 3),
        )
    )
    for parameter in module.parameters():
        parameter.data = torch.randint(-1, 2, parameter.shape).float()
    return models.wrap(module, to_tensor, "abc", input_size=SIDE)


def some_pictures(count: int, seed: int = 0, grey_levels: int = 2) -> list[Picture]:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, grey_levels, (count, SIDE, SIDE, 3), dtype=np.uint8)
    names = random.choice(["cup", "boat", "snail"], count)
    return [
        Picture(Image.fromarray(array), str(name), None, None) for array, name in zip(pixels, names)
    ]


def everything(network: models.Network, pictures: list[Picture], layer: str) -> np.ndarray:
    """All values of a layer, [pictures, units, rows, columns], by calling the modules in turn."""
    values = torch.stack([network.preprocess(picture.image) for picture in pictures])
    with torch.no_grad():
        for name, module in network.module.named_children():
            values = module(values)
            if name == layer:
                values = values.clone()
                break
    return values.reshape(*values.shape[:2], *(values.shape[2:] or (1, 1))).numpy()


@settings(max_examples=12, deadline=None)
@given(
    count=st.integers(1, 25),
    batch=st.integers(4, 30),
    k=st.integers(1, 12),
    seed=st.integers(0, 99),
    layer=st.sampled_from(["first", "second", "last"]),
)
def test_a_scan_is_what_sorting_everything_gives(count, batch, k, seed, layer):
    network, pictures = whole_numbers(), some_pictures(count, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topk, "PIXELS", batch * SIDE**2)
        scan = topk.scan(network, iter(pictures), layer, k)[layer]
    maps = everything(network, pictures, layer)
    peaks, means = maps.max((2, 3)), maps.clip(min=0).mean((2, 3))
    numbers = np.arange(count)
    assert (scan.units, scan.total) == (maps.shape[1], count)
    for unit in range(scan.units):
        for ranking, key in (
            (scan.strongest, -peaks[:, unit]),
            (scan.weakest, peaks[:, unit]),
        ):
            order = np.lexsort((numbers, key))[:k]
            assert ranking.pictures[unit].tolist() == order.tolist()
            assert ranking.values[unit].tolist() == peaks[order, unit].tolist()
            for picture, row, column in zip(
                ranking.pictures[unit], ranking.rows[unit], ranking.columns[unit]
            ):
                flat = maps[picture, unit].argmax()
                assert (row, column) == np.unravel_index(flat, maps.shape[2:])
        np.testing.assert_allclose(
            scan.fullest.values[unit], np.sort(means[:, unit])[::-1][:k], rtol=1e-5
        )
        np.testing.assert_allclose(
            means[scan.fullest.pictures[unit], unit], scan.fullest.values[unit], rtol=1e-5
        )
        # numpy's bins own their lower bound, ours the upper one: mirror both
        counts, _ = np.histogram(-peaks[:, unit], -scan.edges(unit)[::-1])
        assert scan.counts[unit].tolist() == counts[::-1].tolist()
        assert scan.counts[unit].sum() == count
    assert scan.firing().tolist() == (peaks > 0).mean(0).tolist()
    labels = np.array([picture.label for picture in pictures])
    assert scan.classes.tolist() == sorted(set(labels))
    for name, profile in zip(scan.classes, scan.profile()):
        expected = peaks[labels == name].clip(min=0).mean(0)
        np.testing.assert_allclose(profile, expected, rtol=1e-6)


def test_histograms_stay_fine_enough_to_be_read():
    network, pictures = whole_numbers(), some_pictures(30, grey_levels=200)
    scan = topk.scan(network, iter(pictures), "first")["first"]
    peaks = everything(network, pictures, "first").max((2, 3))
    largest = np.abs(peaks).max(0)
    assert (scan.limits > largest).all() and (scan.limits <= 2 * largest).all()


def test_the_sample_is_spread_over_the_stream_whatever_the_batches(monkeypatch):
    network, pictures = whole_numbers(), some_pictures(150)
    monkeypatch.setattr(streaming, "SAMPLE", 30)
    scans = []
    for batch in (40, 150):
        monkeypatch.setattr(topk, "PIXELS", batch * SIDE**2)
        scans.append(topk.scan(network, iter(pictures), "first")["first"])
    chosen = np.sort(scans[0].sample.pictures[0])
    assert chosen.tolist() == np.sort(scans[1].sample.pictures[0]).tolist()
    assert len(chosen) == 30 and np.diff(chosen).max() <= 10  # 5 would be perfectly even
    peaks = everything(network, pictures, "first").max((2, 3))
    for unit in range(5):
        numbers, values = scans[0].sample.pictures[unit], scans[0].sample.values[unit]
        assert values.tolist() == peaks[numbers, unit].tolist()
        middle = scans[0].middle(4).values[unit]
        assert np.sort(values)[[13, 16]].tolist() == np.sort(middle)[[0, 3]].tolist()


def test_interrupted_it_keeps_what_was_seen():
    network, pictures = whole_numbers(), some_pictures(40)
    size = 10

    def impatient():
        yield from pictures[:25]
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topk, "PIXELS", size * SIDE**2)
        scan = topk.scan(network, impatient(), "first")["first"]
        whole = topk.scan(network, iter(pictures[:20]), "first")["first"]
    assert scan.total == 20
    assert (scan.strongest.pictures == whole.strongest.pictures).all()
    assert (scan.counts == whole.counts).all()
    assert not any(module._forward_hooks for module in network.module.modules())

    def at_once():
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        topk.scan(network, at_once(), "first")


def test_an_interrupted_scan_is_not_taken_for_a_whole_one_later(monkeypatch):
    network, pictures = whole_numbers(), some_pictures(20, seed=5)
    record, calls = layers.record, []

    def stops(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return record(*arguments)

    monkeypatch.setattr(topk, "PIXELS", 5 * SIDE**2)
    monkeypatch.setattr(layers, "record", stops)
    assert topk.scan(network, pictures, "first")["first"].total == 5
    monkeypatch.setattr(layers, "record", record)
    assert topk.scan(network, pictures, "first")["first"].total == 20


def test_the_cache_gives_back_the_same_and_knows_the_labels(monkeypatch):
    network, pictures = whole_numbers(), some_pictures(20, seed=6)
    first = topk.scan(network, pictures, ["first", "last"], directions=2)
    monkeypatch.setattr(layers, "record", lambda *_: pytest.fail("computed again"))
    again = topk.scan(network, pictures, ["first", "last"], directions=2)
    for name in first:
        for field in fields(topk.LayerScan):
            one, two = (getattr(scans[name], field.name) for scans in (first, again))
            assert type(one) is type(two)
            for a, b in zip(*((v if isinstance(v, tuple) else (v,)) for v in (one, two))):
                np.testing.assert_array_equal(a, b)
                assert np.asarray(a).dtype == np.asarray(b).dtype
    monkeypatch.undo()
    renamed = [Picture(picture.image, "new", None, None) for picture in pictures]
    assert topk.scan(network, renamed, ["first", "last"], directions=2)["first"].classes == ["new"]


def test_every_setting_of_a_scan_is_part_of_its_key(monkeypatch):
    network, pictures = whole_numbers(), some_pictures(20, seed=7)
    topk.scan(network, pictures, "first", k=3)
    record, calls = layers.record, []
    monkeypatch.setattr(layers, "record", lambda *given: calls.append(1) or record(*given))
    for arguments in ({"k": 4}, {"directions": 1}, {"layer": "second"}, {"pictures": pictures[1:]}):
        calls.clear()
        topk.scan(
            **{"network": network, "pictures": pictures, "layer": "first", "k": 3} | arguments
        )
        assert calls
    with torch.no_grad():
        network.module.first.weight.neg_()
    calls.clear()
    topk.scan(network, pictures, "first", k=3)
    assert calls


def test_pictures_that_cannot_be_told_apart_are_scanned_anew(monkeypatch):
    network, pictures = whole_numbers(), some_pictures(6, seed=8)
    monkeypatch.setattr(images, "fingerprint", lambda _: None)
    first = topk.scan(network, pictures, "first")["first"]
    other = topk.scan(network, pictures[::-1], "first")["first"]
    assert (first.strongest.pictures != other.strongest.pictures).any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_scans_in_other_precisions(dtype):
    network, pictures = whole_numbers(), some_pictures(12)  # small whole numbers are exact in all
    module = copy.deepcopy(network.module).to(dtype)
    other = models.wrap(module, to_tensor, "abc", input_size=SIDE)
    expected, found = (
        topk.scan(each, iter(pictures), "first", k=3, directions=2)["first"]
        for each in (network, other)
    )
    for one, two in zip(expected.strongest, found.strongest):
        np.testing.assert_allclose(one, two, rtol=1e-5)


def test_a_grey_network_that_answers_with_a_dictionary():
    class Grey(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv1, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(4, 2)

        def forward(self, batch):
            return {"logits": self.fc(self.conv1(batch).relu().mean((2, 3)))}

    def grey(image):
        return (torch.from_numpy(np.array(image.convert("L"), np.float32))[None] / 255 - 0.5) / 0.25

    module, pictures = Grey(), some_pictures(7, grey_levels=256)
    network = models.wrap(module, grey, "ab", input_size=SIDE, mean=[0.5] * 3, std=[0.25] * 3)
    scan = topk.scan(network, iter(pictures), "conv1", k=3, directions=1)["conv1"]
    batch = torch.stack([grey(picture.image) for picture in pictures])
    peaks = module.conv1(batch).detach().amax((2, 3))
    np.testing.assert_allclose(scan.strongest.values[:4], peaks.topk(3, 0)[0].T, rtol=1e-5)
    views, _ = topk.views(network, pictures)
    assert views.shape == (7, SIDE, SIDE, 3)
    assert (views == np.stack([np.array(p.image.convert("L")) for p in pictures])[..., None]).all()
    unit = topk.patches(views, layers.ReceptiveField(3, 1, 0), scan.strongest, 0)
    assert [patch.shape for patch in unit] == [(3, 3, 3)] * 3
    alone = topk.only(batch, (2, 3, 5, 6))
    assert alone.shape == batch.shape and (alone[:, :, 2:5, 3:6] == batch[:, :, 2:5, 3:6]).all()


def test_random_directions_stand_behind_the_units():
    network, pictures = whole_numbers(), some_pictures(12)
    scan = topk.scan(network, iter(pictures), "second", k=3, directions=6)["second"]
    maps = everything(network, pictures, "second").clip(min=0)
    vectors = topk.random_directions(4, 6).numpy()
    np.testing.assert_allclose((vectors**2).sum(1), 1, rtol=1e-5)
    peaks = np.tensordot(maps, vectors, (1, 1)).max((1, 2))
    assert (scan.units, len(scan.limits)) == (4, 10)
    np.testing.assert_allclose(
        scan.strongest.values[4:], -np.sort(-peaks.T, axis=1)[:, :3], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "squeezenet1_1", "mobilenet_v2"])
def test_networks_of_every_family(name):
    torch.manual_seed(0)
    module = torchvision.models.get_model(name, weights=None)
    network = models.wrap(module, to_tensor, range(1000), name, input_size=64)
    random = np.random.default_rng(0)
    pictures = [
        Image.fromarray(random.integers(0, 255, (64, 64, 3), dtype=np.uint8)) for _ in range(3)
    ]
    places = [place for place, part in module.named_modules() if isinstance(part, nn.Conv2d)]
    places = [places[0], places[len(places) // 2], places[-1]]
    scans = topk.scan(network, iter(pictures), places, k=2)
    maps = layers.record(network, next(network.batches(pictures)), places)
    for place in places:
        best = maps[place].amax((2, 3)).sort(0, descending=True)
        np.testing.assert_allclose(scans[place].strongest.values.T, best.values[:2], rtol=1e-4)
        assert scans[place].classes.tolist() == [""]


def test_errors_are_sentences():
    network, pictures = whole_numbers(), some_pictures(3)
    with pytest.raises(layers.UnknownLayer, match="no layer 'conv6'"):
        topk.scan(network, pictures, "conv6")
    with pytest.raises(ValueError, match="no pictures"):
        topk.scan(network, [], "first")
    with pytest.raises(ValueError, match="no pictures"):
        topk.views(network, [])
    with pytest.raises(ValueError, match="at least one picture"):
        topk.scan(network, pictures, "first", k=0)
    sequence = models.wrap(nn.Sequential(nn.Flatten(2)), to_tensor, "ab", input_size=SIDE)
    with pytest.raises(ValueError, match=r"\[B, C, H, W\]"):
        topk.scan(sequence, iter(pictures), "0")
    network.module.first.bias.data[0] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        topk.scan(network, iter(pictures), "first")


# --- patches ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def few():
    """The course network, a few of the gallery's pictures, and their scan."""
    network, pictures = models.load(), images.gallery()[:: 1400 // 20]
    return network, pictures, topk.scan(network, iter(pictures), LAYERS, k=2)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_patch_alone_gives_the_stored_response(few, layer):
    network, pictures, scans = few
    field = layers.receptive_field(network, layer)
    ranking = scans[layer].strongest
    choice = np.linspace(0, scans[layer].units - 1, 6).astype(int)
    inside = 0
    for unit in choice:
        picture, value, row, column = (part[unit, 0] for part in ranking)
        batch = network.preprocess(pictures[int(picture)].image)[None]
        box = field.box(row, column, network.input_size)
        inside += box == field.box(row, column)
        for pixels in (batch, topk.only(batch, box)):
            maps = layers.record(network, pixels, [layer])[layer]
            again = maps.reshape(1, maps.shape[1], *(maps.shape[2:] or (1, 1)))[0, unit]
            assert again[row, column].item() == pytest.approx(value, rel=1e-3, abs=1e-3)
    if layer == "conv1":
        assert inside == len(choice)  # conv1 is not padded: no patch leaves the picture


def test_a_smaller_patch_does_not_give_the_stored_response(few):
    """Otherwise the test above would pass for boxes that are too large."""
    network, pictures, scans = few
    field = layers.receptive_field(network, "conv2")
    changed = 0
    for unit in range(0, 192, 32):
        picture, value, row, column = (part[unit, 0] for part in scans["conv2"].strongest)
        top, left, bottom, right = field.box(row, column, network.input_size)
        batch = network.preprocess(pictures[int(picture)].image)[None]
        cut = topk.only(batch, (top + 6, left + 6, bottom - 6, right - 6))
        again = layers.record(network, cut, ["conv2"])["conv2"][0, unit, row, column]
        changed += abs(again.item() - value) > 1e-3
    assert changed >= 5


@settings(max_examples=50, deadline=None)
@given(
    top=st.integers(-12, 8), left=st.integers(-12, 8), height=st.integers(1, 30),
    width=st.integers(1, 30),
)  # fmt: skip
def test_patches_are_padded_where_the_picture_ends(top, left, height, width):
    view = np.random.default_rng(0).integers(0, 200, (9, 9, 3), dtype=np.uint8)
    padded = np.pad(view, ((50, 50), (50, 50), (0, 0)), constant_values=128)
    expected = padded[top + 50 : top + 50 + height, left + 50 : left + 50 + width]
    assert (topk.patch(view, (top, left, top + height, left + width)) == expected).all()


def test_views_are_what_the_network_sees(few):
    network, pictures, _ = few
    views, masks = topk.views(network, pictures[:3])
    for number in range(3):
        picture = pictures[number]
        assert np.abs(views[number].astype(int) - np.asarray(picture.image)).max() <= 1
        assert np.abs(masks[number].astype(int) - np.asarray(picture.mask)).max() <= 1
    assert topk.views(network, [pictures[0].image])[1] is None


# --- measures -----------------------------------------------------------------------------------


def test_purity_counts_the_commonest_class():
    random = np.random.default_rng(0)
    labels = random.choice(list("abcd"), 50).tolist()
    chosen = random.integers(0, 50, (30, 9))
    expected = [Counter(labels[i] for i in row).most_common(1)[0][1] / 9 for row in chosen]
    np.testing.assert_allclose(topk.purity(chosen, labels), expected)


def test_selectivity_of_made_up_profiles():
    network, pictures = whole_numbers(), some_pictures(30)
    scan = topk.scan(network, iter(pictures), "last")["last"]
    made_up = replace(
        scan,
        class_counts=np.array([1.0, 2.0, 4.0]),
        class_sums=np.array([[6.0, 1.0, 0.0], [0.0, 2.0, 0.0], [0.0, 4.0, 0.0]]),
    )
    one, alike, silent = topk.selectivity(made_up)
    assert (one, alike) == (1, 0) and np.isnan(silent)


@pytest.mark.parametrize("layer", ["conv1", "conv3", "conv5"])
def test_on_the_object_is_the_mask_around_the_middle_of_the_field(few, layer):
    network, pictures, scans = few
    _, masks = topk.views(network, pictures)
    field, ranking = layers.receptive_field(network, layer), scans[layer].strongest
    shares = topk.on_object(masks, field, ranking)
    for unit in range(0, scans[layer].units, 17):
        for rank in range(2):
            picture, row, column = (
                part[unit, rank] for part in (ranking.pictures, ranking.rows, ranking.columns)
            )
            top, left, bottom, right = field.box(row, column)
            down, across = (top + bottom) // 2, (left + right) // 2
            reach = field.stride // 2
            around = masks[picture][
                max(down - reach, 0) : down + reach, max(across - reach, 0) : across + reach
            ]
            # half a pixel more or less, where the field has an odd number of pixels
            assert shares[unit, rank] == pytest.approx(around.mean() / 255, abs=0.3)
    assert ((shares >= 0) & (shares <= 1)).all()
    with pytest.raises(ValueError, match="no masks"):
        topk.on_object(None, field, ranking)
    with pytest.raises(ValueError, match="no place"):
        topk.on_object(masks, layers.receptive_field(network, "fc6"), scans["fc6"].strongest)


def test_on_the_object_exactly():
    masks = np.zeros((2, 160, 160), np.uint8)
    masks[1, 40:80, 40:80] = 255
    field = layers.ReceptiveField(size=16, stride=16, start=0)
    one = np.ones((1, 4), int)
    rows, columns = np.array([[2, 2, 4, 5]]), np.array([[2, 4, 4, 4]])
    ranking = topk.Ranking(one, one, rows, columns)
    # cells 32..48, 64..80 and so on against the square 40..80
    assert topk.on_object(masks, field, ranking).tolist() == [[0.25, 0.5, 1, 0]]
    assert topk.on_object(masks, field, topk.Ranking(one * 0, one, rows, columns)).sum() == 0


def test_on_the_object_where_rows_and_columns_differ():
    masks = np.zeros((1, 40, 80), np.uint8)
    masks[0, :, 60:] = 255  # the right quarter of a wide picture
    field = layers.ReceptiveField(size=(2, 6), stride=(2, 4), start=(0, -1))
    one = np.ones((1, 5), int)
    rows, columns = np.array([[0, 0, 19, 0, 30]]), np.array([[14, 15, 15, 30, 19]])
    ranking = topk.Ranking(one * 0, one, rows, columns)
    # cells of 4 columns from 4 times the column on: 56..60, 60..64; beyond the edge its last pixel
    assert topk.on_object(masks, field, ranking).tolist() == [[0, 1, 1, 1, 1]]


def test_along_a_unit_and_along_a_mixture():
    network, pictures = whole_numbers(), some_pictures(20)
    maps = everything(network, pictures, "second")
    scan = topk.scan(network, iter(pictures), "second", k=5)["second"]
    unit = topk.along(maps, np.eye(4)[2], k=5)
    for along, scanned in zip(unit, scan.strongest):
        assert along[0].tolist() == scanned[2].tolist()
    mixed = topk.along(maps, np.array([0, 3, -2, 0]), k=20)
    by_hand = (3 * maps[:, 1] - 2 * maps[:, 2]).max((1, 2))
    assert sorted(by_hand.tolist(), reverse=True) == mixed.values[0].tolist()
    assert by_hand[mixed.pictures[0]].tolist() == mixed.values[0].tolist()
    flat = topk.along(maps[:, :, 0, 0], np.eye(4)[1], k=20)
    assert maps[flat.pictures[0], 1, 0, 0].tolist() == np.sort(maps[:, 1, 0, 0])[::-1].tolist()


def test_blind_places_are_those_of_the_layer():
    masks = np.zeros((3, 160, 160), np.uint8)
    masks[:, 32:64, 32:64] = 255
    masks[0] = 255
    field = layers.ReceptiveField(size=16, stride=16, start=32)  # cells of 16 from 32 on
    everywhere = [
        topk.on_object(
            masks, field, topk.Ranking(*np.array([[[picture]], [[0]], [[row]], [[column]]]))
        )
        for picture in range(3)
        for row in range(4)
        for column in range(4)
    ]
    assert topk.blindly_on_object(masks, field, (4, 4)) == pytest.approx(
        np.mean(everywhere), abs=1 / 255
    )


def test_the_highest_contrast_is_at_the_edge_of_a_square():
    views = np.full((2, 160, 160, 3), 100, np.uint8)
    views[0, 80:100, 120:] = 255
    views[1, :, :30] = 0
    field = layers.ReceptiveField(size=11, stride=4, start=-2)
    found = topk.highest_contrast(views, field, (39, 39))
    assert found.pictures.tolist() == [[0], [1]]
    for number, row, column in (
        (0, found.rows[0, 0], found.columns[0, 0]),
        (1, 5, found.columns[1, 0]),
    ):
        top, left, bottom, right = field.box(row, column, 160)
        assert np.ptp(views[number, top:bottom, left:right]) > 0
    middle = topk.core(field)
    assert middle.box(0, 0) == (1, 1, 5, 5) and middle.box(2, 1) == (9, 5, 13, 9)


def test_one_picture_answers_as_in_a_scan():
    network, pictures = whole_numbers(), some_pictures(1)
    scan = topk.scan(network, iter(pictures), ["first", "last"])
    alone = topk.of_picture(network, pictures[0].image, ["first", "last"])
    for name, ranking in alone.items():
        for one, other in zip(ranking, scan[name].strongest):
            np.testing.assert_array_equal(one, other)
