"""Codes, neighbours and maps against brute force, scikit-learn and closed forms."""

import copy
import itertools
import math

import numpy as np
import pytest
import sklearn.manifold
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits
from torch import nn

from data.recipe import publish, results
from lecture_utils import codes, images, layers, models, store
from lecture_utils.methods import tsne

DIGITS = load_digits().data[:200]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Each test starts with an empty cache."""
    monkeypatch.setenv("LECTURE_UTILS_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def network():
    return models.load()


@pytest.fixture(scope="module")
def pictures():
    return images.gallery()[::70]


def no_computing(*_args, **_keywords):
    raise AssertionError("this should have come from the cache")


# --- codes --------------------------------------------------------------------------------------


def test_fc7_codes_are_what_the_modules_compute_one_by_one(network, pictures):
    values = torch.cat(list(network.batches(pictures)))
    with torch.no_grad():
        for name, module in network.module.named_children():
            values = module(values)
            if name == "relu7":
                break
    found = codes.of(network, pictures)
    assert found.shape == (len(pictures), 512)
    np.testing.assert_allclose(found, values.numpy(), atol=1e-4)


class Parts(nn.Module):
    """A convolution, and what `forward` makes of it; the mean of each map is the answer."""

    def __init__(self, forward, **parts):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        for name, part in parts.items():
            setattr(self, name, part)
        self.follow = forward

    def forward(self, batch):
        return self.follow(self, self.first(batch)).mean((2, 3))


def overwritten(parts, maps):
    """The result of the ReLU is not used, but it has changed the maps."""
    F.relu(maps, inplace=True)
    return maps * 2


def late(parts, maps):
    doubled = maps * 2
    return doubled + maps.relu_()


KINDS = {  # what follows the layer: whether a ReLU does, alone and directly
    "module": (lambda parts, maps: parts.relu(maps), True, {"relu": nn.ReLU()}),
    "in place": (lambda parts, maps: parts.relu(maps), True, {"relu": nn.ReLU(inplace=True)}),
    "function": (lambda parts, maps: F.relu(maps), True, {}),
    "method": (lambda parts, maps: maps.relu() + 1, True, {}),
    "result unused": (overwritten, True, {}),
    "twice": (lambda parts, maps: maps.relu() + maps.relu(), True, {}),
    "reused": (lambda p, maps: p.relu(p.second(p.relu(maps))), True,
               {"relu": nn.ReLU(inplace=True), "second": nn.Conv2d(4, 4, 1)}),
    "batch norm": (lambda p, maps: p.norm(maps).relu(), False, {"norm": nn.BatchNorm2d(4)}),
    "sum": (lambda p, maps: F.relu(maps + p.second(maps)), False, {"second": nn.Conv2d(4, 4, 1)}),
    "beside a shortcut": (lambda parts, maps: maps.relu() + maps, False, {}),
    "joined": (lambda parts, maps: torch.cat([maps, maps.relu()], 1), False, {}),
    "after others": (late, False, {}),
    "GELU": (lambda parts, maps: parts.gelu(maps), False, {"gelu": nn.GELU()}),
    "ReLU6": (lambda parts, maps: F.relu6(maps), False, {}),
    "nothing": (lambda parts, maps: maps, False, {}),
}  # fmt: skip


def by_hook(module, name, batch):
    """What one module gives, copied by a hook before anything can overwrite it."""
    found = []
    part = module.get_submodule(name)
    hook = part.register_forward_hook(lambda _m, _i, output: found.append(output.clone()))
    with torch.no_grad():
        module(batch)
    hook.remove()
    return found[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_relu_belongs_to_the_code_where_it_follows_directly(kind, pictures):
    follow, rectified, parts = KINDS[kind]
    module = Parts(follow, **parts).eval()
    network = models.wrap(module, models.load().preprocess, "abcd", "parts", 160)
    batch = torch.cat(list(network.batches(pictures[:3])))
    expected = by_hook(module, "first", batch)
    assert expected.min() < 0
    expected = expected.clamp(min=0) if rectified else expected
    expected = F.adaptive_avg_pool2d(expected, 50).flatten(1)
    np.testing.assert_allclose(codes.of(network, pictures[:3], "first"), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "rectified"),
    [("conv1", False), ("bn1", True), ("layer1.0.conv2", False), ("layer1.0.bn1", True),
     ("layer1.0.bn2", False), ("layer2", False), ("layer1.0.relu#1", False)],
)  # fmt: skip
def test_codes_of_a_residual_network_are_what_hooks_give(layer, rectified):
    torch.manual_seed(0)
    module = torchvision.models.resnet18().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.bias)  # so that the normalised maps are not symmetric
    network = models.wrap(module, models.load().preprocess, [], "resnet18", 160)
    pictures = images.gallery()[:2]
    batch = torch.cat(list(network.batches(pictures)))
    if "#" in layer:
        expected = by_hook(module, "layer1.0.bn1", batch).relu()
    else:
        expected = by_hook(module, layer, batch)
    expected = expected.relu() if rectified else expected
    side = math.isqrt(codes.LARGEST // expected.shape[1])
    expected = F.adaptive_avg_pool2d(expected, side).flatten(1)
    np.testing.assert_allclose(codes.of(network, pictures, layer), expected, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_codes_in_other_precisions(dtype, network, pictures):
    module = copy.deepcopy(network.module).to(dtype)
    other = models.wrap(module, network.preprocess, network.classes, "other", 160)
    for layer in ("fc7", "conv1"):
        found, expected = (codes.of(each, pictures[:3], layer) for each in (other, network))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=0.05 * expected.max())


def test_codes_of_a_grey_network_that_answers_with_a_dictionary():
    class LeNet(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv1, self.fc7 = nn.Conv2d(1, 6, 5), nn.Linear(6 * 144, 20)
            self.fc8 = nn.Linear(20, 10)

        def forward(self, batch):
            maps = F.max_pool2d(F.relu(self.conv1(batch)), 2)
            return {"logits": self.fc8(F.relu(self.fc7(maps.flatten(1))))}

    def grey(image):
        return torch.from_numpy(np.array(image.convert("L").resize((28, 28)), np.float32))[None]

    module = LeNet()
    network = models.wrap(module, grey, range(10), "lenet", 28)
    pictures = images.gallery()[:4]
    batch = torch.stack([grey(picture.image) for picture in pictures])
    assert codes.depths(network) == ["pixels", "conv1", "fc7"]
    np.testing.assert_array_equal(codes.of(network, pictures, "pixels"), batch.flatten(1))
    for layer in ("conv1", "fc7"):
        expected = by_hook(module, layer, batch).relu().flatten(1)
        np.testing.assert_allclose(codes.of(network, pictures, layer), expected, rtol=1e-5)


def test_hidden_layers_are_rectified_and_the_output_is_not(network, pictures):
    for layer in ("conv1", "conv5", "fc6", "fc7"):
        assert codes.of(network, pictures, layer).min() == 0
    assert codes.of(network, pictures, "fc8").min() < 0


def test_large_maps_are_averaged_over_a_grid_and_small_ones_are_not(network, pictures):
    batch = torch.cat(list(network.batches(pictures)))
    found = layers.record(network, batch, ["conv1", "pool5"])
    by_hand = np.stack(
        [
            found["conv1"].clamp(min=0).numpy()[..., top:bottom, left:right].mean((2, 3))
            for (top, bottom), (left, right) in itertools.product(
                [(math.floor(i * 3.8), math.ceil((i + 1) * 3.8)) for i in range(10)], repeat=2
            )
        ],
        axis=2,
    )
    conv1 = codes.of(network, pictures, "conv1")
    np.testing.assert_allclose(conv1, by_hand.reshape(len(pictures), -1), atol=1e-5)
    pool5 = codes.of(network, pictures, "pool5")
    np.testing.assert_array_equal(pool5, found["pool5"].flatten(1))
    pixels = codes.of(network, pictures, "pixels")
    assert pixels.shape == (len(pictures), 3 * 57 * 57)
    np.testing.assert_allclose(pixels.mean(1), batch.mean((1, 2, 3)), atol=0.02)


def test_the_cache_is_used_and_knows_networks_pictures_and_layers(network, pictures, monkeypatch):
    first = codes.of(network, pictures)
    other_network = codes.of(models.load(epoch=0), pictures)
    other_pictures = codes.of(network, pictures[1:])
    other_layer = codes.of(network, pictures, "fc6")
    monkeypatch.setattr(layers, "record", no_computing)
    np.testing.assert_array_equal(codes.of(network, pictures), first)
    np.testing.assert_allclose(other_pictures, first[1:], atol=1e-4)
    assert not np.allclose(other_network, first) and not np.allclose(other_layer, first)


def test_a_changed_picture_is_not_taken_from_the_cache(network):
    image = images.gallery()[0].image
    before = codes.of(network, [image])
    assert not np.allclose(codes.of(network, [image.transpose(0)]), before)  # mirrored


def test_an_unwritable_and_a_corrupt_cache_are_no_errors(network, pictures, tmp_path, monkeypatch):
    expected = codes.of(network, pictures[:2])
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(b"PK damaged")
    np.testing.assert_array_equal(codes.of(network, pictures[:2]), expected)
    (tmp_path / "file").touch()
    monkeypatch.setenv("LECTURE_UTILS_CACHE", str(tmp_path / "file"))
    np.testing.assert_array_equal(codes.of(network, pictures[:2]), expected)


def test_unknown_layers_and_no_pictures(network, pictures):
    with pytest.raises(layers.UnknownLayer, match="no layer 'fc9'"):
        codes.of(network, pictures, "fc9")
    with pytest.raises(ValueError, match="no pictures"):
        codes.of(network, [])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("alexnet", ["pixels", "conv1", "pool5", "fc7"]),
        ("vgg11", ["pixels", "conv1", "pool5", "fc7"]),
        ("resnet18", ["pixels", "conv1", "pool5"]),  # the last pooling is what fc reads
        ("squeezenet1_1", ["pixels", "conv1", "pool5", "features"]),
        ("densenet121", ["pixels", "conv1", "features"]),
        ("mobilenet_v3_small", ["pixels", "avgpool"]),
    ],
)
def test_every_family_has_depths_to_compare(name, expected):
    with torch.device("meta"):
        module = torchvision.models.get_model(name)
    assert codes.depths(models.wrap(module, None, [], name)) == expected


def test_codes_of_another_architecture():
    torch.manual_seed(0)
    module = torchvision.models.resnet18()
    network = models.wrap(module, models.load().preprocess, [], "resnet18", 160)
    found = codes.of(network, images.gallery()[:3], "pool5")
    head = module.fc(torch.from_numpy(found))
    expected = module(torch.cat(list(network.batches(images.gallery()[:3]))))
    torch.testing.assert_close(head, expected, atol=1e-4, rtol=1e-4)


# --- neighbours ---------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 30), st.integers(1, 8), st.integers(0, 10_000))
def test_neighbours_are_those_of_brute_force(count, size, seed):
    points = np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32)
    k = max(1, count // 2)
    for i, near in enumerate(codes.neighbours(points, k)):
        others = [j for j in range(count) if j != i]
        others.sort(key=lambda j: math.dist(points[i].tolist(), points[j].tolist()))
        assert near.tolist() == others[:k]


def test_neighbours_far_from_the_origin_and_of_other_queries():
    rng = np.random.default_rng(0)
    points = (rng.normal(size=(60, 40)) + 1000).astype(np.float32)
    queries = (rng.normal(size=(5, 40)) + 1000).astype(np.float32)
    distances = cdist(queries.astype(float), points.astype(float))
    np.testing.assert_array_equal(codes.neighbours(points, 7, queries), distances.argsort(1)[:, :7])


@pytest.mark.parametrize("k", [5, 0, -1, 2.5, None])
def test_impossible_numbers_of_neighbours_are_refused(k):
    with pytest.raises(ValueError, match=f"from 1 to 4, the other pictures; not {k}"):
        codes.neighbours(np.eye(5), k)


def test_impossible_codes_are_refused():
    with pytest.raises(ValueError, match="queries of 4 numbers for codes of 5"):
        codes.neighbours(np.eye(5), 2, np.eye(4))
    with pytest.raises(ValueError, match="rows"):
        codes.neighbours(np.eye(5), 2, np.ones(5))
    for wrong in (np.nan, np.inf):
        spoilt = np.eye(40)
        spoilt[3, 3] = wrong
        for use in (codes.neighbours, codes.embed, lambda rows: codes.embed(rows, "pca")):
            with pytest.raises(ValueError, match="not finite"):
                use(spoilt)
        with pytest.raises(ValueError, match="not finite"):
            codes.neighbours(np.eye(40), 2, spoilt)
    with pytest.raises(ValueError, match="k = 3, but 2 neighbours"):
        codes.same_class(np.ones((4, 2), int), "abab", 3)


def test_shares_of_classes():
    near = np.array([[1, 2], [0, 2], [3, 0], [2, 1]])
    labels = ["a", "a", "b", "b"]
    assert codes.same_class(near, labels, 1) == 1
    assert codes.same_class(near, labels, 2) == 0.5
    np.testing.assert_array_equal(codes.mixing(near, labels), [[0.5, 0.5], [0.5, 0.5]])
    np.testing.assert_array_equal(codes.mixing(near[:, :1], labels), np.eye(2))


# --- maps ---------------------------------------------------------------------------------------


def test_similarities_have_the_perplexity_asked_for():
    points = DIGITS[:40]
    distances = cdist(points, points, "sqeuclidean")
    rows = np.zeros_like(distances)
    for i, row in enumerate(distances):
        others = np.delete(np.arange(40), i)

        def chances(sharpness, row=row[others]):
            weights = np.exp(-(row - row.min()) * sharpness)
            return weights / weights.sum()

        def surplus(logarithm, chances=chances):
            p = chances(np.exp(logarithm))
            return -(p * np.log(np.maximum(p, 1e-300))).sum() - np.log(7)

        rows[i, others] = chances(np.exp(brentq(surplus, -20, 5, xtol=1e-12)))
    expected = (rows + rows.T) / 80
    np.testing.assert_allclose(tsne.similarities(points, 7), expected, atol=1e-9)


def test_similarities_of_equal_codes_are_finite():
    found = tsne.similarities(np.zeros((20, 5)), 5)
    np.testing.assert_allclose(found[~np.eye(20, dtype=bool)], 1 / 380)
    half = tsne.similarities(np.repeat(np.eye(2), 10, axis=0), 5)
    assert np.isfinite(half).all() and half.sum() == pytest.approx(1)


def test_the_first_step_follows_the_gradient():
    similar = torch.from_numpy(tsne.similarities(DIGITS[:50], 10))
    start = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)).double()
    points = start.clone().requires_grad_()
    near = 1 / (1 + ((points[:, None] - points) ** 2).sum(-1)) * (1 - torch.eye(50))
    # with attraction exaggerated, the descent is on -12 sum p log w + log sum w
    (near.sum().log() - 12 * (similar * (near + torch.eye(50)).log()).sum()).backward()
    moved = tsne.descend(similar.numpy(), start.numpy(), (0, 1))
    np.testing.assert_allclose(moved[1] - moved[0], -50 * 0.8 * points.grad, atol=1e-4)


def divergence(similar, points):
    """Kullback and Leibler's, of the map's neighbourhoods from those of the codes."""
    near = 1 / (1 + cdist(points, points, "sqeuclidean"))
    p, q = similar[similar > 0], (near / (near.sum() - len(near)))[similar > 0]
    return (p * np.log(p / q)).sum()


@pytest.fixture(scope="module")
def digit_map():
    return codes.embed(DIGITS, perplexity=15)


def test_maps_are_as_good_as_those_of_scikit_learn(digit_map):
    theirs = sklearn.manifold.TSNE(perplexity=15, method="exact", random_state=0, max_iter=750)
    their_map = theirs.fit_transform(DIGITS)
    ours = divergence(tsne.similarities(DIGITS, 15), digit_map)
    # t-SNE has many minima, and which one is found depends on the machine's rounding
    assert ours < 1.2 * theirs.kl_divergence_
    trust = [codes.faithfulness(DIGITS, points)[0] for points in (digit_map, their_map)]
    assert trust[0] == pytest.approx(trust[1], abs=0.01)


def test_a_seed_gives_the_same_map_again_and_another_seed_another():
    first, again, other = (codes.embed(DIGITS[:80], perplexity=10, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other, atol=1)


def test_frames_belong_to_one_run(digit_map):
    film = codes.embed(DIGITS, perplexity=15, frames=(0, 100, 750))
    np.testing.assert_allclose(film[0].std(0)[0], 1e-4, rtol=1e-3)
    np.testing.assert_array_equal(film[-1], digit_map)
    assert codes.faithfulness(DIGITS, film[1])[0] < codes.faithfulness(DIGITS, film[2])[0]


def test_pca_is_that_of_the_singular_value_decomposition():
    centred = DIGITS - DIGITS.mean(0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    found = codes.embed(DIGITS, "pca")
    np.testing.assert_allclose(np.abs(found), np.abs(u[:, :2] * s[:2]), atol=1e-3)


def test_impossible_maps_are_refused():
    with pytest.raises(ValueError, match="no method 'umap'"):
        codes.embed(DIGITS, "umap")
    for perplexity in (29, 30, 0.9, np.nan):
        with pytest.raises(ValueError, match="at least 1 and below 29"):
            codes.embed(DIGITS[:30], perplexity=perplexity)
    for count in (0, 3):
        with pytest.raises(ValueError, match=f"at least 4 pictures; there are {count}"):
            codes.embed(DIGITS[:count])


@pytest.mark.parametrize(("count", "perplexity"), [(4, 1), (4, 2.9), (30, 28.9)])
def test_maps_at_the_limits_of_the_perplexity(count, perplexity):
    points = codes.embed(DIGITS[:count], perplexity=perplexity)
    assert points.shape == (count, 2) and np.isfinite(points).all()


def test_faithfulness_is_that_of_scikit_learn_and_of_brute_force(digit_map):
    for points in (digit_map, DIGITS[:, 20:22] + np.random.default_rng(0).random((200, 2))):
        trust, preserved = codes.faithfulness(DIGITS, points, 8)
        expected = sklearn.manifold.trustworthiness(DIGITS, points, n_neighbors=8)
        assert trust == pytest.approx(expected, abs=1e-3)  # equal distances are sorted differently
        near = cdist(DIGITS, DIGITS).argsort(1)[:, 1:9], cdist(points, points).argsort(1)[:, 1:9]
        common = [len(set(a) & set(b)) / 8 for a, b in zip(*near)]
        assert preserved == pytest.approx(np.mean(common), abs=2e-3)
    assert codes.faithfulness(digit_map, digit_map) == (1, 1)
    with pytest.raises(ValueError, match="less than half"):
        codes.faithfulness(DIGITS, digit_map, 100)


def test_aligning_undoes_turning_mirroring_and_enlarging():
    points = np.random.default_rng(0).normal(size=(20, 2))
    turned = 3 * points @ [[0.6, 0.8], [0.8, -0.6]] + [5, 7]
    np.testing.assert_allclose(codes.aligned(turned, points), points - points.mean(0), atol=1e-9)


def test_the_grid_has_each_point_once_and_the_shortest_moves():
    points = np.random.default_rng(3).random((6, 2))
    cells = codes.grid(points, columns=3)
    assert sorted(cells.ravel()) == list(range(6))
    places = (points - points.min(0)) / np.ptp(points, axis=0) * (2, 1)
    spots = np.array([(0, 1), (1, 1), (2, 1), (0, 0), (1, 0), (2, 0)])  # the first row is on top

    def effort(who):
        return ((places[list(who)] - spots) ** 2).sum()

    best = min(itertools.permutations(range(6)), key=effort)
    assert cells.ravel().tolist() == list(best)
    assert (codes.grid(points[:5], columns=3) == -1).sum() == 1


# --- the atlas ----------------------------------------------------------------------------------


def test_the_stored_maps_fit_the_stored_network_and_need_no_computing(network, monkeypatch):
    atlas = codes.Atlas(network, images.gallery())
    monkeypatch.setattr(codes, "of", no_computing)
    film = atlas.film()
    assert film.shape == (len(codes.FRAMES), 1400, 2)
    near, labels = atlas.neighbours(), images.gallery().labels
    found = codes.neighbours(atlas.map(), 10)
    common = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(near, found)])
    assert common > 0.3  # by chance: 10 / 1399
    assert codes.same_class(near, labels, 10) > codes.same_class(
        atlas.neighbours("pixels"), labels, 10
    )


@pytest.mark.parametrize("epoch", [None, 0])
def test_stored_neighbours_are_nearer_than_other_pictures(epoch):
    gallery = images.gallery()
    atlas = codes.Atlas(models.load(epoch=epoch), gallery)
    near, others = atlas.neighbours()[777], range(0, 1400, 25)
    chosen = [777, *near, *(i for i in others if i != 777 and i not in near)]
    rows = codes.of(atlas.network, [gallery[i] for i in chosen])
    distances = cdist(rows[:1], rows[1:])[0]
    assert (np.diff(distances[:10]) > -1e-3).all()
    assert distances[:10].max() <= distances[10:].min() + 1e-3


def test_other_pictures_get_maps_of_their_own_and_keep_them(network, monkeypatch):
    monkeypatch.setattr(codes, "FRAMES", (0, 60))  # short descents
    atlas = codes.Atlas(network, images.gallery()[::40])
    first, near = atlas.map(perplexity=5, seed=0), atlas.neighbours("pool5", 3)
    film = atlas.film()
    assert first.shape == (35, 2) and near.shape == (35, 3) and first.dtype == np.float32
    rows = codes.of(network, atlas.pictures)
    expected = codes.embed(rows, perplexity=5, seed=0, frames=(60,))
    np.testing.assert_allclose(first, expected, rtol=1e-3)  # halves have 11 bits
    np.testing.assert_allclose(film[1], codes.embed(rows, frames=(60,)), rtol=1e-3)
    np.testing.assert_array_equal(
        near, codes.neighbours(codes.of(network, atlas.pictures, "pool5"), 3)
    )
    monkeypatch.setattr(codes, "of", no_computing)
    np.testing.assert_array_equal(atlas.map(perplexity=5, seed=0), first)
    np.testing.assert_array_equal(atlas.neighbours("pool5", 3), near)
    np.testing.assert_array_equal(atlas.film(), film)
    for other in ({"perplexity": 6, "seed": 0}, {"perplexity": 5, "seed": 1}, {"perplexity": 5}):
        with pytest.raises(AssertionError, match="from the cache"):
            atlas.map(**other)
    with pytest.raises(AssertionError, match="from the cache"):
        atlas.neighbours("pool5", 4)


def test_an_atlas_of_a_changed_network_leaves_the_old_results_alone():
    network, pictures = models.load(), images.gallery()[::100]
    atlas = codes.Atlas(network, pictures)
    good = atlas.neighbours(k=5)
    with torch.no_grad():
        network.module.fc7.weight.normal_(generator=torch.Generator().manual_seed(0))
    changed = atlas.neighbours(k=5)
    np.testing.assert_array_equal(changed, codes.neighbours(codes.of(network, pictures), 5))
    assert (changed != good).any()
    np.testing.assert_array_equal(codes.Atlas(models.load(), pictures).neighbours(k=5), good)


def test_what_the_recipe_stores_is_found_again(network, pictures, tmp_path, monkeypatch):
    few = [pictures[number] for number in range(8)]  # decoded: found whatever `DATA` is
    atlas, kept = codes.Atlas(network, few), store.kept
    for module in (store, publish):
        monkeypatch.setattr(module, "DATA", tmp_path)
    monkeypatch.setattr(store, "SHIPPED", tmp_path / "kept")
    store.SHIPPED.mkdir()
    (store.SHIPPED / "of_other_weights.npz").touch()
    store.published.cache_clear()
    try:
        near = atlas.neighbours(k=3)
        names = results.run([lambda: atlas.neighbours(k=3), lambda: atlas.neighbours(k=4)])
        assert len(names) == 2 and store.kept is kept  # and the codes, which are large, are not
        for _ in range(2):  # the second time all is there already
            results.publish(names)
            assert sorted(path.name for path in store.SHIPPED.iterdir()) == sorted(names)
            store.published.cache_clear()
            store.clear()
        monkeypatch.setattr(codes, "of", no_computing)
        np.testing.assert_array_equal(atlas.neighbours(k=3), near)
    finally:
        store.published.cache_clear()
