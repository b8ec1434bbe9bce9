"""What assignment 4 gives: pictures, a unit and layers for each student, and a check per step."""

from collections.abc import Iterator

import numpy as np

from lecture_utils import homework, images

SEALED = "ABCDEFGH"
EACH = 10  # pictures of each class
UNITS = {"conv2": 192, "conv3": 192, "conv4": 192}


# --- what is dealt ------------------------------------------------------------------------------


def deal_pictures(student: str) -> images.Gallery:
    """Ten pictures of each class, dealt to one student; 140 in all, class by class."""
    lot, gallery = homework.generator(student, "h4 pictures"), images.gallery()
    firsts = range(0, len(gallery), images.PER_CLASS)
    dealt = [first + lot.choice(images.PER_CLASS, EACH, replace=False) for first in firsts]
    return images.Gallery([gallery.entries[number] for number in np.concatenate(dealt)])


def deal_unit(student: str) -> tuple[str, int]:
    """A layer of mini_alexnet, and the number of one of its units."""
    lot = homework.generator(student, "h4 unit")
    name = str(lot.choice(list(UNITS)))
    return name, int(lot.integers(UNITS[name]))


def turned(lot: np.random.Generator, units: int) -> np.ndarray:
    """A random rotation of a space with so many axes, [units, units]; all are equally likely."""
    axes, triangle = np.linalg.qr(lot.normal(size=(units, units)))
    return axes * np.sign(np.diag(triangle))


def layer(lot: np.random.Generator, aligned: bool) -> tuple[np.ndarray, np.ndarray]:
    """What 8 to 14 units of a made-up layer answer to 140 pictures, and the labels of these.

    Each of as many directions of the layer's space answers one class more than all others.
    `aligned`: these directions are the units themselves. Otherwise they lie anywhere, at right
    angles to each other, and no unit is special.
    """
    classes, units = len(images.CLASSES), lot.integers(8, 15)
    numbers = np.repeat(np.arange(classes), EACH)
    liked = lot.permutation(classes)[:units]
    responses = lot.normal(size=(len(numbers), units)) + 4 * (numbers[:, None] == liked)
    if not aligned:
        responses = responses @ turned(lot, units)
    return responses, np.array(images.CLASSES)[numbers]


def deal_layers(student: str) -> dict[str, np.ndarray]:
    """What the units of eight sealed layers answer to 140 pictures, ten of each class in order."""
    lot = homework.generator(student, "h4 layers")
    kinds = lot.permutation(np.arange(len(SEALED)) < lot.integers(3, 6))
    return {name: layer(lot, kind)[0] for name, kind in zip(SEALED, kinds)}


# --- a check after each step --------------------------------------------------------------------


def check_peaks(peaks) -> None:
    """The visible check of step 1."""
    maps = np.full((2, 3, 4, 6), -9.0)
    maps[0, 0, 1, 5], maps[0, 1, 3, 0], maps[0, 2, 0, 2] = 4, -2, 7
    maps[1, 0, 2, 2], maps[1, 1, 2, 3], maps[1, 2, 3, 5] = 1, 5, -1
    result = _called(peaks, maps)
    assert isinstance(result, tuple) and len(result) == 3, "three results: values, rows, columns"
    for part, name in zip(result, ("values", "rows", "columns")):
        _is_array(part, (2, 3), f"the {name}: one for each picture and unit")
    values, rows, columns = result
    assert not np.allclose(values, maps.mean((2, 3))), "this is the mean of a map, not its maximum"
    assert not np.allclose(values, np.maximum(maps.max((2, 3)), 0)), (
        "negative responses have become 0: keep the largest value also where it is negative"
    )
    assert np.allclose(values, [[4, -2, 7], [1, 5, -1]]), (
        "the values are not the largest of each map, [pictures, units]"
    )
    assert (rows < 4).all() and (columns < 6).all(), (
        "some places lie outside the map. Are rows and columns found with the map's width?"
    )
    assert (rows == [[1, 3, 0], [2, 2, 3]]).all() and (columns == [[5, 0, 2], [2, 3, 5]]).all(), (
        "the rows or columns are wrong: place = row * width + column, for each map by itself"
    )
    _, rows, columns = _called(peaks, np.ones((1, 1, 3, 3)))
    assert rows[0, 0] == 0 and columns[0, 0] == 0, "of equal values the first counts, row by row"


def check_strongest(strongest) -> None:
    """The visible check of step 2."""
    answers = np.array([[3, -8], [9, -1], [3, -5], [9, -6], [1, -1], [0, -7], [2, -3.0]])
    wanted = np.array([[1, 3, 0], [1, 4, 6]])
    for sizes in ((7,), (2, 2, 3), (1, 5, 1)):
        result = strongest(_stream(answers, sizes), 3)
        assert isinstance(result, tuple) and len(result) == 2, "two results: pictures, values"
        pictures, values = result
        _is_array(pictures, (2, 3), "the pictures: k numbers for each unit")
        _is_array(values, (2, 3), "the values: k for each unit")
        assert np.issubdtype(pictures.dtype, np.integer), "pictures are whole numbers"
        assert (values[1] < 0).all(), (
            "the second unit's responses are all negative; a 0 that is among its strongest was "
            "never given by a picture"
        )
        assert (np.diff(values) <= 0).all(), "the strongest comes first"
        assert np.allclose(values, np.take_along_axis(answers.T, wanted, 1)), (
            f"these are not the three strongest when the batches hold {sizes} pictures"
        )
        assert (pictures < len(answers)).all() and np.allclose(
            np.take_along_axis(answers.T, pictures, 1), values
        ), "the numbers of the pictures do not fit the values: count on from batch to batch"
        assert (pictures == wanted).all(), "of equal responses the earlier picture comes first"
    few, _ = strongest(_stream(answers, (2,)), 3)
    assert few.shape == (2, 2), "if there are fewer than k pictures, give as many as there are"


def check_cut(cut) -> None:
    """The visible check of step 3."""
    picture = np.random.default_rng(43).integers(0, 200, (12, 20, 3), np.uint8)
    inside = _called(cut, picture, 2, 5, 4, 2, 1)
    _is_array(inside, (4, 4, 3), "a patch is size × size pixels with three channels")
    assert inside.dtype == np.uint8, "a patch has the kind of the picture, np.uint8"
    assert not np.array_equal(inside, picture[2:6, 5:9]), "the stride is missing: row × stride"
    assert not np.array_equal(inside, picture[4:8, 10:14]), "the start is missing: the first pixel"
    assert not np.array_equal(inside, picture[11:15, 5:9]), "rows and columns are exchanged"
    assert np.array_equal(inside, picture[5:9, 11:15]), (
        "a patch within the picture is wrong: the first row is start + row × stride"
    )
    corner = _called(cut, picture, 0, 0, 6, 4, -2)
    _is_array(corner, (6, 6, 3), "a patch at the border has the same size as all others")
    assert np.array_equal(corner[2:, 2:], picture[:4, :4]), (
        "a patch that begins at -2 holds two rows and columns from outside, then the picture"
    )
    assert (corner[:2] == 255).all() and (corner[:, :2] == 255).all(), (
        "what lies outside the picture is white, 255"
    )
    end = _called(cut, picture, 2, 4, 6, 4, 0)
    _is_array(end, (6, 6, 3), "a patch at the far border has the same size as all others")
    assert np.array_equal(end[:4, :4], picture[8:, 16:]) and (end[4:] == 255).all(), (
        "a patch at the far border is wrong"
    )
    _is_array(
        _called(cut, picture, 9, 9, 4, 4, 0), (4, 4, 3), "a patch beside the picture is white"
    )


def check_chance_purity(chance_purity) -> None:
    """The visible check of step 4."""
    certain = float(chance_purity(["mug"] * 20, 9))
    assert abs(certain - 1) < 1e-6, "if all pictures are mugs, the purity is always 1"
    each = float(chance_purity(list("abcdefghij"), 5))
    assert abs(each - 0.2) < 1e-6, (
        "if every picture has a label of its own, five different pictures have a purity of 1/5. "
        "Are the same pictures drawn twice?"
    )
    found = float(chance_purity(["a", "a", "b", "b"], 2))
    assert abs(found - 0.5) > 0.05, (
        "for the labels a, a, b, b and two pictures it is not the share of a class. Of the six "
        "pairs two have purity 1 and four have 1/2"
    )
    assert abs(found - 2 / 3) < 0.02, (
        "for the labels a, a, b, b there are six pairs; two have purity 1, four have 1/2: the "
        f"mean is 2/3. Yours is {found:.3f}"
    )


def check_p_value(p_value) -> None:
    """The visible check of step 5."""
    lot = np.random.default_rng(45)
    responses, labels = layer(lot, aligned=True)
    small = float(_called(p_value, responses, labels, 19))
    assert small > 0, (
        "a p-value is never 0: the layer's own units count as one of the draws, so with 19 "
        "draws it is at least 1/20"
    )
    assert small <= 0.05, (
        f"in this layer each unit has a class of its own; p should be 0.05, it is {small:.2f}. "
        "Is it the share of rotations that do at least as well?"
    )
    found = [float(p_value(*layer(lot, aligned=False), 19)) for _ in range(12)]
    print("where no unit is special:", *(f"{p:.2f}" for p in sorted(found)))
    assert all(0 < p <= 1 for p in found), "a p-value lies between 0 and 1"
    assert np.mean(found) > 0.25, (
        "small p-values also where the units are no better than other directions. Does the "
        "chance model leave everything as it is, except which directions are looked along?"
    )
    assert np.mean(found) < 0.75, "p-values are large everywhere: another chance model is needed"


def check_nine(nine) -> None:
    """Whether the answer has the right form."""
    if nine is None:
        raise NotImplementedError("nine is still empty")
    numbers = list(nine)
    assert len(numbers) == 9 and len(set(numbers)) == 9, "nine is a list of nine different numbers"
    assert all(number in range(len(images.CLASSES) * EACH) for number in numbers), (
        "each is the number of one of your 140 pictures, 0 to 139"
    )


def check_answers(answers) -> None:
    """Whether the answers have the right form."""
    assert isinstance(answers, dict) and set(answers) == set(SEALED), (
        f"answers is a dictionary with an entry for each of the layers {', '.join(SEALED)}"
    )
    for name in SEALED:
        if answers[name] is None:
            raise NotImplementedError(f"answers[{name!r}] is still empty")
    assert all(value in ("units", "directions") for value in answers.values()), (
        'each answer is "units" or "directions"'
    )


def _called(function, values: np.ndarray, *others):
    """The result of a student's function, which must leave what it is given as it is."""
    before = values.copy()
    result = function(values, *others)
    assert np.array_equal(before, values), "the function has changed what it was given"
    return result


def _is_array(value, shape: tuple[int, ...], meaning: str) -> None:
    found = getattr(value, "shape", type(value).__name__)
    assert isinstance(value, np.ndarray) and value.shape == shape, (
        f"{meaning}: an array {shape} was expected, not {found}"
    )


def _stream(answers: np.ndarray, sizes: tuple[int, ...]) -> Iterator[np.ndarray]:
    first = 0
    for size in sizes:
        yield answers[first : first + size].copy()
        first += size
