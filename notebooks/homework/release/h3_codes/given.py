"""What assignment 3 gives: pictures and clouds of points for each student, and a check per step."""

import numpy as np
from sklearn.manifold import trustworthiness

from lecture_utils import homework, images

APART = 4.0  # distance of two centres; within a group the standard deviation is at most 1
SEALED = "ABCDEFGH"


# --- what is dealt ------------------------------------------------------------------------------


def deal_pictures(student: str) -> images.Gallery:
    """Ten pictures of each class, dealt to one student; 140 in all, class by class."""
    lot, gallery = homework.generator(student, "h3 pictures"), images.gallery()
    firsts = range(0, len(gallery), images.PER_CLASS)
    dealt = [first + lot.choice(images.PER_CLASS, 10, replace=False) for first in firsts]
    return images.Gallery([gallery.entries[number] for number in np.concatenate(dealt)])


def cloud(lot: np.random.Generator, groups: bool) -> np.ndarray:
    """A cloud of 120 to 240 points with 8 to 30 numbers each, turned, moved and scaled at random.

    With `groups` it is made of two to four normal clouds whose centres are equally far apart.
    Without, it is one normal cloud that has the covariance such a cloud has.
    """
    count, n, numbers = lot.integers(2, 5), lot.integers(120, 241), lot.integers(8, 31)
    share = lot.uniform(1, 2, count)
    members = lot.choice(count, n, p=share / share.sum())
    centres = APART / np.sqrt(2) * np.eye(count, numbers)
    points = centres[members] + lot.normal(size=(n, numbers)) * lot.uniform(0.3, 1, numbers)
    if not groups:
        points = lot.multivariate_normal(points.mean(0), np.cov(points.T), n)
    turn, _ = np.linalg.qr(lot.normal(size=(numbers, numbers)))
    return (points @ turn + lot.normal(0, 9, numbers)) * np.exp(lot.normal(0, 2))


def deal_clouds(student: str) -> dict[str, np.ndarray]:
    """Eight sealed clouds: some have groups, some have none."""
    lot = homework.generator(student, "h3 clouds")
    kinds = lot.permutation(np.arange(len(SEALED)) < lot.integers(3, 6))
    return {name: cloud(lot, kind) for name, kind in zip(SEALED, kinds)}


# --- a check after each step --------------------------------------------------------------------


def check_nearest(nearest) -> None:
    """The visible check of step 1."""
    lot = np.random.default_rng(31)
    points = lot.normal(size=(30, 4))
    near = _called(nearest, points, 5)
    _is_array(near, (30, 5), "nearest(codes, k) gives a row of k numbers for each code")
    assert np.issubdtype(near.dtype, np.integer), "the neighbours are whole numbers (of rows)"
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    itself = near == np.arange(30)[:, None]
    assert not itself.any(), "some codes are among their own neighbours: leave each itself out"
    assert (np.diff(np.take_along_axis(apart, near, 1)) >= 0).all(), (
        "the neighbours of a code are not in order: the nearest comes first"
    )
    np.fill_diagonal(apart, np.inf)
    assert (near[:, 0] == apart.argmin(1)).all(), (
        "the first neighbour is not the nearest other code by Euclidean distance"
    )
    twice = np.repeat(lot.normal(size=(5, 4)), 2, axis=0)
    assert (_called(nearest, twice, 1)[:, 0] == np.arange(10) ^ 1).all(), (
        "of two equal codes each is the other's nearest, at distance 0: leave out the code itself "
        "by its number, not whatever comes first"
    )
    equally = np.zeros((40, 2))
    assert (_called(nearest, equally, 3)[5:] == (0, 1, 2)).all(), (
        "of codes that are equally near, the one with the smaller number comes first"
    )
    far = (np.arange(20.0)[:, None] + np.full(50, 5000)).astype(np.float32)
    assert (_called(nearest, far, 1)[1:-1, 0] == np.arange(18)).all(), (
        "codes in single precision, far from zero and near each other, come out wrong: compute "
        "in double precision (codes.astype(float))"
    )


def check_principal(principal) -> None:
    """The visible check of step 2."""
    lot = np.random.default_rng(32)
    axes, _ = np.linalg.qr(lot.normal(size=(6, 6)))
    scores = lot.normal(size=(40, 6))
    scores, _ = np.linalg.qr(scores - scores.mean(0))
    points = scores * (6, 5, 4, 3, 2, 1) @ axes.T + 20
    directions, shares = _pair(principal, points, 2)
    _is_array(directions, (2, 6), "the directions are k rows, each as long as a code")
    _is_array(shares, (2,), "the shares are k numbers")
    assert np.allclose(directions @ directions.T, np.eye(2), atol=1e-6), (
        "the directions must have length 1 and be at right angles to each other"
    )
    along = np.abs(directions @ axes)
    assert not np.allclose(along[0, 5], 1, atol=1e-3), (
        "the first direction is the one with the least variance: the largest comes first"
    )
    assert np.allclose(along[:, :2], np.eye(2), atol=1e-3), (
        "these are not the directions of largest variance. Is the mean code subtracted? Is each "
        "direction a row of the last result of the singular value decomposition?"
    )
    assert not np.allclose(shares.sum(), 1), (
        "the shares are of the variance in all directions, not only in the k that are kept"
    )
    assert np.allclose(shares, np.array([36, 25]) / 91, atol=1e-6), (
        "the shares are wrong: a variance goes with the square of a singular value"
    )


def check_affinities(affinities) -> None:
    """The visible check of step 3."""
    points = np.random.default_rng(33).normal(size=(25, 3))
    near = _called(affinities, points, 6.0)
    _is_array(near, (25, 25), "affinities(codes, perplexity) gives a square table")
    assert np.isfinite(near).all() and (near >= 0).all(), "probabilities are finite, not negative"
    assert (np.diag(near) == 0).all(), "nobody is its own neighbour: the diagonal is 0"
    assert np.allclose(near.sum(1), 1), "each row must sum to 1 (it is symmetrised later, not here)"
    reached = np.exp(-(near * np.log(np.where(near > 0, near, 1))).sum(1))
    assert not np.allclose(np.log(reached), np.log2(6), rtol=0.01) and not np.allclose(
        np.log2(reached), np.log(6), rtol=0.01
    ), "an entropy in bits and one in nats are mixed up: the same logarithm on both sides"
    assert np.allclose(reached, 6, rtol=0.01), (
        "the perplexity of some rows is not what was asked for: it is the exponential of the "
        f"row's entropy; asked for 6.0, found {reached.min():.1f} to {reached.max():.1f}"
    )
    squares = ((points[:, None] - points) ** 2).sum(2)
    assert _gaussian(near, squares), (
        "within a row, the logarithm of a probability must fall in proportion to the square of "
        "the distance"
    )
    stranger = np.vstack([points, np.full(3, 1000.0)])
    assert np.isfinite(_called(affinities, stranger, 6.0)).all(), (
        "a code far from all others makes numbers that are not finite: subtract the smallest "
        "squared distance before the exponential, it cancels"
    )


def check_trust(trust) -> None:
    """The visible check of step 4."""
    lot = np.random.default_rng(34)
    points = lot.normal(size=(20, 6))
    flat = points[:, :2]
    found = _called(trust, points, flat, 4)
    _is_array(found, (20,), "trust(codes, drawing, k) gives one number for each picture")
    assert np.allclose(_called(trust, points, 3 * points, 4), 1), (
        "a drawing in which all neighbours are right has a trust of 1 everywhere"
    )
    line = np.arange(12.0)[:, None]
    swapped = line.copy()
    swapped[[0, 11]] = swapped[[11, 0]]  # on the drawing the two ends have changed places
    ends = _called(trust, line, swapped, 1)[[0, 11]]
    assert np.allclose(ends, 1 - 2 / (24 - 3 - 1) * (10 - 1)), (
        "by hand: on a line of 12 the ends change places. The nearest of number 0 in the drawing "
        "is number 10, whose rank in the codes is 10, so its trust is 1 - 2/(1 * (24 - 3 - 1)) "
        f"* (10 - 1) = 0.1; yours is {ends[0]:.3f}"
    )
    wanted = trustworthiness(points, flat, n_neighbors=4)
    exchanged = trustworthiness(flat, points, n_neighbors=4)
    assert not np.isclose(found.mean(), exchanged), (
        "codes and drawing are exchanged: neighbours in the drawing, their ranks in the codes"
    )
    assert np.isclose(found.mean(), wanted), (
        f"the mean of all trusts should be {wanted:.4f}, it is {found.mean():.4f}. The nearest "
        "other code has rank 1; only ranks above k count, each by how far it is above"
    )


def check_has_groups(has_groups) -> None:
    """The visible check of step 5: 20 clouds of each kind, other ones than those that grade."""
    lot = np.random.default_rng(35)
    alarms = sum(_verdict(has_groups, cloud(lot, groups=False)) for _ in range(20))
    found = sum(_verdict(has_groups, cloud(lot, groups=True)) for _ in range(20))
    print(f"false alarms {alarms} of 20, groups found {found} of 20")
    assert alarms <= 2, f"false alarms: {alarms} of 20 clouds without groups were said to have some"
    assert found >= 16, f"missed: of 20 clouds with groups only {found} were found"


def check_answers(answers) -> None:
    """Whether the answers of the last step have the right form."""
    assert isinstance(answers, dict) and set(answers) == set(SEALED), (
        f"answers is a dictionary with an entry for each of the clouds {', '.join(SEALED)}"
    )
    for name in SEALED:
        if answers[name] is None:
            raise NotImplementedError(f"answers[{name!r}] is still empty")
    assert all(value in ("groups", "none") for value in answers.values()), (
        'each answer is "groups" or "none"'
    )


def _called(function, codes: np.ndarray, *others):
    """The result of a student's function, which must leave the codes as they are."""
    before = codes.copy()
    result = function(codes, *others)
    assert np.array_equal(before, codes), "the function has changed the codes: work on a copy"
    return result


def _is_array(value, shape: tuple[int, ...], meaning: str) -> None:
    found = getattr(value, "shape", type(value).__name__)
    assert isinstance(value, np.ndarray) and value.shape == shape, (
        f"{meaning}: an array {shape} was expected, not {found}"
    )


def _pair(function, *arguments):
    result = _called(function, *arguments)
    assert isinstance(result, tuple) and len(result) == 2, "two results: directions, shares"
    return result


def _verdict(function, codes: np.ndarray) -> bool:
    said = _called(function, codes)
    assert isinstance(said, bool | np.bool_), f"the answer is True or False, not {said!r}"
    return bool(said)


def _gaussian(near: np.ndarray, squares: np.ndarray) -> bool:
    """Whether in each row log p is a falling straight line over the squared distance."""
    for row, (p, square) in enumerate(zip(near, squares)):
        seen = (p > 1e-200) & (np.arange(len(p)) != row)
        if seen.sum() < 3 or np.ptp(square[seen]) == 0:
            continue
        slope, start = np.polyfit(square[seen], np.log(p[seen]), 1)
        if slope > 0 or not np.allclose(
            np.log(p[seen]), slope * square[seen] + start, rtol=1e-4, atol=1e-4
        ):
            return False
    return True
