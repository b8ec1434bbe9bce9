"""Homework 1: what it deals to a student, and the checks that say what is wrong.

You may read all of it. When your notebook is graded, this file is replaced by the course's own.
"""

from contextlib import ExitStack, contextmanager
from unittest.mock import Mock, patch

import numpy as np

from lecture_utils import filters, homework, models
from lecture_utils.methods import gabor as gabor_functions

ORIENTATIONS = np.arange(0, 180, 7.5)  # degrees; 180 would be 0 again
WAVELENGTHS = np.geomspace(3.5, 11, 12)  # pixels


# --- what is dealt ------------------------------------------------------------------------------


def deal_filters(student: str) -> np.ndarray:
    """Twelve filters [12, 3, 11, 11], other ones for every student; some of them have stripes."""
    random = homework.generator(student, "filters")
    others = random.choice(["blob", "crossed", "noise"], random.integers(4, 9))
    kinds = random.permutation([*others, *["stripes"] * (12 - len(others))])
    return np.array([plant(random, kind) for kind in kinds])


def plant(random: np.random.Generator, kind: str, size: int = 11) -> np.ndarray:
    """One filter [3, size, size] in one colour: stripes, blob, crossed (stripes) or noise."""
    orientation, wavelength = random.uniform(0, 180), random.uniform(3.5, 7)
    shape = np.zeros((size, size))
    if kind == "blob":
        shape = filters.gabor(size, 1e6, 0, envelope=random.uniform(1.8, 3))
    elif kind != "noise":
        for turn in (0, 90) if kind == "crossed" else (0,):
            phase = random.uniform(0, 360)
            shape = shape + filters.gabor(size, wavelength, orientation + turn, phase)
    planted = random.normal(size=(3, 1, 1)) * shape
    noise = random.normal(size=(3, size, size))
    return 10 * planted / (np.linalg.norm(planted) or 1) + 3 * noise / np.linalg.norm(noise)


def deal_patients(student: str) -> dict[str, np.ndarray]:
    """Three first layers, called A, B and C, each [24, 3, 11, 11] and on average equally strong.

    One is from a network after its first pass over the training pictures, one from a network at
    the end of its training, and one was never trained: it is smooth noise.
    """
    random = homework.generator(student, "patients")
    early, trained = ({"epoch": 1}, {"variant": random.choice([None, "seed_1", "seed_2"])})
    layers = [filters.as_array(_weights(**which)) for which in (early, trained)]
    noise = filters.smooth_noise(layers[1], int(random.integers(2**31))).mean(1, keepdims=True)
    layers.append(noise * (1 + 0.4 * random.normal(size=(len(noise), 3, 1, 1))))
    patients = {}
    for name, number in zip("ABC", random.permutation(3)):
        chosen = random.permutation(layers[number])[:24, :, :, :: random.choice([-1, 1])]
        patients[name] = chosen / np.sqrt(filters.energy(chosen).mean())
    return patients


def _weights(**which):
    return filters.first_layer(models.load(**which)).weight


def explained(weights: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """Share of each filter's energy that the best mixture of some shapes explains, [filters].

    weights: [filters, channels, size, size]; shapes: [shapes, size, size]. Every channel is free to
    mix the shapes in its own way. They need not stand at right angles on each other.
    """
    flat = weights.reshape(*weights.shape[:2], -1)
    basis, _ = np.linalg.qr(shapes.reshape(len(shapes), -1).T)  # at right angles, of length 1
    return ((flat @ basis) ** 2).sum((1, 2)) / (flat**2).sum((1, 2))


# --- what is checked ----------------------------------------------------------------------------


@contextmanager
def on_your_own():
    """In here the course's own functions for this homework refuse to work."""
    refuse = Mock(side_effect=AssertionError("write it yourself, without the course's function"))
    inside = (filters, "as_array"), (gabor_functions, "as_array"), (gabor_functions, "_wave")
    with ExitStack() as patches:
        for module, name in inside:
            patches.enter_context(patch.object(module, name, refuse))
        yield


def same_shape(found, expected: tuple[int, ...], what: str) -> None:
    shape = np.shape(found)
    assert shape == expected, f"{what} has the shape {list(expected)}; yours has {list(shape)}"


def check_to_screen(to_screen) -> None:
    random = np.random.default_rng(1)
    weights = random.normal(size=(4, 3, 5, 7)) * np.reshape([1, 10, 0.1, 3], (4, 1, 1, 1))
    weights[:, :, 2, 3] = 0
    before = weights.copy()
    with on_your_own():
        alone, shared = to_screen(weights, "per filter"), to_screen(weights, "shared")
    assert np.array_equal(weights, before), "the weights that were given have been changed"
    for shown in (alone, shared):
        assert shown is not None, "nothing comes back: does the function end with return?"
        turned = np.shape(shown) == (4, 7, 5, 3)
        assert not turned, "rows and columns have changed places"
        same_shape(shown, (4, 5, 7, 3), "pictures [filters, rows, columns, channels]: the result")
        assert np.min(shown) >= 0 and np.max(shown) <= 1, "a screen wants numbers from 0 to 1"
        grey = shown[:, 2, 3]
        assert np.allclose(grey, 0.5), (
            f"weight 0 is to be mid-grey, 0.5; here it is {grey.max():.2f}"
        )
        up = shown[0, 0, 0, 0] > 0.5
        assert up == (weights[0, 0, 0, 0] > 0), "positive weights are to be brighter than grey"
    reach = np.abs(alone - 0.5).max((1, 2, 3))
    assert np.allclose(reach, 0.5), "'per filter': every filter reaches white or black, once"
    reach = np.abs(shared - 0.5).max((1, 2, 3))
    assert np.allclose(reach.max(), 0.5), "'shared': the largest weight of all is white or black"
    assert reach.min() < 0.05, "'shared': a weak filter is to stay nearly grey"


def check_colour_share(colour_share) -> None:
    grey = np.ones((3, 1, 1)) * np.random.default_rng(2).normal(size=(1, 5, 7))
    weights = np.stack([grey, grey * [[[1]], [[-1]], [[0]]], grey * [[[1]], [[0]], [[0]]]])
    before = weights.copy()
    with on_your_own():
        share = colour_share(weights)
    assert np.array_equal(weights, before), "the weights that were given have been changed"
    assert share is not None, "nothing comes back: does the function end with return?"
    same_shape(share, (3,), "one number for each filter: the result")
    assert np.isclose(share[0], 0), f"a grey filter has no colour: 0, not {share[0]:.2f}"
    assert np.isclose(share[1], 1), f"red against green is all colour: 1, not {share[1]:.2f}"
    assert np.isclose(share[2], 2 / 3), f"red alone is one third grey: 2/3, not {share[2]:.2f}"


def check_p_value(p_value) -> None:
    first, second = np.arange(8.0), np.arange(8.0)
    p = p_value(first, second, 99, np.random.default_rng(3))
    assert p is not None, "nothing comes back: does the function end with return?"
    assert np.ndim(p) == 0, "one number is wanted"
    assert np.isclose(p, 1), f"two equal groups: luck always does as much, p = 1, not {p:.2f}"
    for sign in (1, -1):
        p = p_value(first, second + sign * 100, 99, np.random.default_rng(3))
        assert p > 0, "p is never 0: what was found is one of the possible deals, so count it, too"
        low = f"two groups that do not overlap: p = 1 / 100 in 99 deals, not {p:.2f}"
        assert np.isclose(p, 0.01), low + " (is the test two-sided?)"
    assert np.array_equal(first, np.arange(8)), "the numbers that were given have been changed"


def check_gabor_pair(gabor_pair) -> None:
    with on_your_own():
        pair = gabor_pair(11, 6.0, 90.0)
    assert pair is not None, "nothing comes back: does the function end with return?"
    same_shape(pair, (2, 11, 11), "two shapes of [size, size]: the result")
    even, odd = pair
    assert np.isclose(even[5, 5], 1), "the first shape, a bright line, is 1 in the middle"
    assert np.isclose(odd[5, 5], 0), "the second shape, an edge, is 0 in the middle"
    assert even[5, 8] < 0 < even[8, 5], "at 90 degrees the stripes are vertical: they run down"
    assert np.isclose(even[5, 8], -np.exp(-9 / 12.5)), (
        "half a wavelength beside a bright line it is dark, as dark as the bell is high there: "
        f"-exp(-9 / 12.5) = -0.49; yours is {even[5, 8]:.2f}"
    )
    rising = gabor_pair(11, 6.0, 45.0)[0]
    assert rising[3, 7] > 0.1 > rising[7, 7], (
        "at 45 degrees the stripes are to rise to the right; yours fall: rows count downwards"
    )


def check_stripes(stripes) -> None:
    random = np.random.default_rng(4)
    kinds = ["stripes", "blob", "noise", "crossed", "stripes"]
    weights = np.array([plant(random, kind) for kind in kinds])
    expected = filters.fit_gabor(weights)
    before = weights.copy()
    with on_your_own():
        found = stripes(weights)
    assert np.array_equal(weights, before), "the weights that were given have been changed"
    compare(found, expected)


def compare(found, fit: filters.GaborFit) -> None:
    """Orientation and wavelength [filters, 2] against the course's fit of the same filters."""
    assert found is not None, "nothing comes back: does the function end with return?"
    same_shape(found, (len(fit.r2), 2), "orientation and wavelength of each filter: the result")
    for number, (orientation, wavelength) in enumerate(np.asarray(found, float)):
        if fit.r2[number] < 0.85 or not fit.gabor_like[number]:
            nothing = np.isnan(orientation) and np.isnan(wavelength)
            assert nothing, f"filter {number} has no stripes, or crossed ones: the answer is NaN"
            continue
        assert np.isfinite(orientation), f"filter {number} does have stripes, but the answer is NaN"
        off = abs((orientation - fit.orientation[number] + 90) % 180 - 90)
        assert off < 10, f"filter {number}: the orientation is {off:.0f} degrees off"
        ratio = wavelength / fit.wavelength[number]
        assert 0.85 < ratio < 1.18, f"filter {number}: {ratio:.2f} times the true wavelength"


def check_answers(answers) -> None:
    for name in ("striped", "finest"):
        if answers[name] is None:
            raise NotImplementedError(f"answers[{name!r}] is still empty")
    assert np.ndim(answers["striped"]) == 1, "answers['striped'] is to be a list of numbers"
    assert np.ndim(answers["finest"]) == 0, "answers['finest'] is to be one number"
    assert answers["finest"] in answers["striped"], "the finest is not among those with stripes"


def check_diagnosis(diagnosis) -> None:
    known = ["end", "first pass", "never"]
    for name in "ABC":
        if diagnosis[name] is None:
            raise NotImplementedError(f"diagnosis[{name!r}] is still empty")
        assert diagnosis[name] in known, f"{name}: the answer is one of {', '.join(known)}"
    assert sorted(diagnosis.values()) == known, "each of the three answers is right exactly once"
