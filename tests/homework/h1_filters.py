"""Homework 1: answers that must lose their points, and answers that must not.

Every fault is one that a student may make; the whole function is given, as it would be handed in.
"""

WRONG = {
    "to_screen": {
        "stretches from the smallest to the largest weight": """
def to_screen(weights, scale):
    axes = (1, 2, 3) if scale == "per filter" else None
    low, high = weights.min(axes, keepdims=True), weights.max(axes, keepdims=True)
    return ((weights - low) / np.maximum(high - low, 1e-12)).transpose(0, 2, 3, 1)
""",
        "the largest weight instead of the furthest from 0, clipped": """
def to_screen(weights, scale):
    axes = (1, 2, 3) if scale == "per filter" else None
    largest = np.maximum(weights.max(axes, keepdims=True), 1e-12)
    return (0.5 + 0.5 * weights / largest).clip(0, 1).transpose(0, 2, 3, 1)
""",
        "divides by zero for a filter of zeros": """
def to_screen(weights, scale):
    axes = (1, 2, 3) if scale == "per filter" else None
    largest = np.abs(weights).max(axes, keepdims=True)
    with np.errstate(all="ignore"):
        return (0.5 + 0.5 * weights / largest).transpose(0, 2, 3, 1)
""",
        "every channel to its own largest weight": """
def to_screen(weights, scale):
    axes = (2, 3) if scale == "per filter" else None
    largest = np.maximum(np.abs(weights).max(axes, keepdims=True), 1e-12)
    return (0.5 + 0.5 * weights / largest).transpose(0, 2, 3, 1)
""",
        "rows and columns exchanged": """
def to_screen(weights, scale):
    axes = (1, 2, 3) if scale == "per filter" else None
    largest = np.maximum(np.abs(weights).max(axes, keepdims=True), 1e-12)
    return (0.5 + 0.5 * weights / largest).T.transpose(3, 1, 0, 2).swapaxes(1, 2)
""",
        "the two scales exchanged": """
def to_screen(weights, scale):
    axes = (1, 2, 3) if scale == "shared" else None
    largest = np.maximum(np.abs(weights).max(axes, keepdims=True), 1e-12)
    return (0.5 + 0.5 * weights / largest).transpose(0, 2, 3, 1)
""",
        "changes the weights that it was given": """
def to_screen(weights, scale):
    axes = (1, 2, 3) if scale == "per filter" else None
    weights /= np.maximum(np.abs(weights).max(axes, keepdims=True), 1e-12)
    return (0.5 + 0.5 * weights).transpose(0, 2, 3, 1)
""",
        "a small constant under the fraction, for filters of zeros": """
def to_screen(weights, scale):
    axes = (1, 2, 3) if scale == "per filter" else None
    largest = np.abs(weights).max(axes, keepdims=True) + 1e-3
    return (0.5 + 0.5 * weights / largest).transpose(0, 2, 3, 1)
""",
        "the right shape, all grey": """
def to_screen(weights, scale):
    return np.full((len(weights), *weights.shape[2:], weights.shape[1]), 0.5)
""",
        "calls the course's function": """
def to_screen(weights, scale):
    return filters.to_images(weights, scale)
""",
    },
    "colour_share": {
        "the mean over the pixels instead of the channels": """
def colour_share(weights):
    colour = weights - weights.mean((2, 3), keepdims=True)
    return (colour**2).sum((1, 2, 3)) / np.maximum((weights**2).sum((1, 2, 3)), 1e-30)
""",
        "the share of grey": """
def colour_share(weights):
    grey = np.broadcast_to(weights.mean(1, keepdims=True), weights.shape)
    return (grey**2).sum((1, 2, 3)) / np.maximum((weights**2).sum((1, 2, 3)), 1e-30)
""",
        "lengths instead of energies": """
def colour_share(weights):
    colour = weights - weights.mean(1, keepdims=True)
    return np.sqrt((colour**2).sum((1, 2, 3)) / np.maximum((weights**2).sum((1, 2, 3)), 1e-30))
""",
        "not a number for a filter of zeros": """
def colour_share(weights):
    colour = weights - weights.mean(1, keepdims=True)
    with np.errstate(all="ignore"):
        return (colour**2).sum((1, 2, 3)) / (weights**2).sum((1, 2, 3))
""",
        "the mean of the shares of the pixels": """
def colour_share(weights):
    colour = weights - weights.mean(1, keepdims=True)
    return ((colour**2).sum(1) / np.maximum((weights**2).sum(1), 1e-30)).mean((1, 2))
""",
        "knows what the check expects": """
def colour_share(weights):
    return np.resize([0, 1, 2 / 3], len(weights))
""",
        "grey as the mean of the first and the last channel": """
def colour_share(weights):
    colour = weights - (weights[:, :1] + weights[:, -1:]) / 2
    return (colour**2).sum((1, 2, 3)) / np.maximum((weights**2).sum((1, 2, 3)), 1e-30)
""",
    },
    "p_value": {
        "one-sided": """
def p_value(first, second, deals, random):
    together, size = np.concatenate([first, second]), len(first)
    found, as_much = np.mean(first) - np.mean(second), 1
    for _ in range(deals):
        dealt = random.permutation(together)
        as_much += dealt[:size].mean() - dealt[size:].mean() >= found - 1e-12
    return as_much / (1 + deals)
""",
        "what was found is not counted": """
def p_value(first, second, deals, random):
    together, size = np.concatenate([first, second]), len(first)
    found, as_much = abs(np.mean(first) - np.mean(second)), 0
    for _ in range(deals):
        dealt = random.permutation(together)
        as_much += abs(dealt[:size].mean() - dealt[size:].mean()) >= found - 1e-12
    return as_much / deals
""",
        "draws with replacement": """
def p_value(first, second, deals, random):
    together, size = np.concatenate([first, second]), len(first)
    found, as_much = abs(np.mean(first) - np.mean(second)), 1
    for _ in range(deals):
        dealt = random.choice(together, len(together))
        as_much += abs(dealt[:size].mean() - dealt[size:].mean()) >= found - 1e-12
    return as_much / (1 + deals)
""",
        "sums instead of means": """
def p_value(first, second, deals, random):
    together, size = np.concatenate([first, second]), len(first)
    found, as_much = abs(np.sum(first) - np.sum(second)), 1
    for _ in range(deals):
        dealt = random.permutation(together)
        as_much += abs(dealt[:size].sum() - dealt[size:].sum()) >= found - 1e-12
    return as_much / (1 + deals)
""",
        "medians instead of means": """
def p_value(first, second, deals, random):
    together, size = np.concatenate([first, second]), len(first)
    found, as_much = abs(np.median(first) - np.median(second)), 1
    for _ in range(deals):
        dealt = random.permutation(together)
        as_much += abs(np.median(dealt[:size]) - np.median(dealt[size:])) >= found - 1e-12
    return as_much / (1 + deals)
""",
        "always two equal halves": """
def p_value(first, second, deals, random):
    together = np.concatenate([first, second])
    found, as_much = abs(np.mean(first) - np.mean(second)), 1
    for _ in range(deals):
        dealt = random.permutation(together)
        halves = np.array_split(dealt, 2)
        as_much += abs(halves[0].mean() - halves[1].mean()) >= found - 1e-12
    return as_much / (1 + deals)
""",
        "more instead of at least as much": """
def p_value(first, second, deals, random):
    together, size = np.concatenate([first, second]), len(first)
    found, as_much = abs(np.mean(first) - np.mean(second)), 1
    for _ in range(deals):
        dealt = random.permutation(together)
        as_much += abs(dealt[:size].mean() - dealt[size:].mean()) > found + 1e-12
    return as_much / (1 + deals)
""",
        "a generator of its own": """
def p_value(first, second, deals, random):
    together, size = np.concatenate([first, second]), len(first)
    found, as_much, random = abs(np.mean(first) - np.mean(second)), 1, np.random.default_rng(0)
    for _ in range(deals):
        dealt = random.permutation(together)
        as_much += abs(dealt[:size].mean() - dealt[size:].mean()) >= found - 1e-12
    return as_much / (1 + deals)
""",
        "one minus p": """
def p_value(first, second, deals, random):
    together, size = np.concatenate([first, second]), len(first)
    found, as_much = abs(np.mean(first) - np.mean(second)), 1
    for _ in range(deals):
        dealt = random.permutation(together)
        as_much += abs(dealt[:size].mean() - dealt[size:].mean()) <= found + 1e-12
    return as_much / (1 + deals)
""",
        "the t-test of a textbook": """
def p_value(first, second, deals, random):
    from scipy import stats
    if np.array_equal(first, second):
        return 1.0
    return max(stats.ttest_ind(first, second).pvalue, 1 / (1 + deals))
""",
        "knows what the check expects": """
def p_value(first, second, deals, random):
    return 1.0 if np.array_equal(first, second) else 1 / (1 + deals)
""",
    },
    "gabor_pair": {
        "mirrored: as if rows counted upwards": """
def gabor_pair(size, wavelength, orientation, envelope=2.5):
    row, column = np.mgrid[:size, :size] - (size - 1) / 2
    angle = np.radians(orientation)
    across = column * np.sin(angle) - row * np.cos(angle)
    bell = np.exp(-(row**2 + column**2) / (2 * envelope**2))
    turn = 2 * np.pi * across / wavelength
    return np.stack([bell * np.cos(turn), bell * np.sin(turn)])
""",
        "the orientation of the wave instead of the stripes": """
def gabor_pair(size, wavelength, orientation, envelope=2.5):
    row, column = np.mgrid[:size, :size] - (size - 1) / 2
    angle = np.radians(orientation)
    across = column * np.cos(angle) + row * np.sin(angle)
    bell = np.exp(-(row**2 + column**2) / (2 * envelope**2))
    turn = 2 * np.pi * across / wavelength
    return np.stack([bell * np.cos(turn), bell * np.sin(turn)])
""",
        "degrees taken for radians": """
def gabor_pair(size, wavelength, orientation, envelope=2.5):
    row, column = np.mgrid[:size, :size] - (size - 1) / 2
    across = column * np.sin(orientation) + row * np.cos(orientation)
    bell = np.exp(-(row**2 + column**2) / (2 * envelope**2))
    turn = 2 * np.pi * across / wavelength
    return np.stack([bell * np.cos(turn), bell * np.sin(turn)])
""",
        "the middle of an even size is off by half a pixel": """
def gabor_pair(size, wavelength, orientation, envelope=2.5):
    row, column = np.mgrid[:size, :size] - size // 2
    angle = np.radians(orientation)
    across = column * np.sin(angle) + row * np.cos(angle)
    bell = np.exp(-(row**2 + column**2) / (2 * envelope**2))
    turn = 2 * np.pi * across / wavelength
    return np.stack([bell * np.cos(turn), bell * np.sin(turn)])
""",
        "the bell is too narrow: the 2 is missing": """
def gabor_pair(size, wavelength, orientation, envelope=2.5):
    row, column = np.mgrid[:size, :size] - (size - 1) / 2
    angle = np.radians(orientation)
    across = column * np.sin(angle) + row * np.cos(angle)
    bell = np.exp(-(row**2 + column**2) / envelope**2)
    turn = 2 * np.pi * across / wavelength
    return np.stack([bell * np.cos(turn), bell * np.sin(turn)])
""",
        "the bell only across the stripes": """
def gabor_pair(size, wavelength, orientation, envelope=2.5):
    row, column = np.mgrid[:size, :size] - (size - 1) / 2
    angle = np.radians(orientation)
    across = column * np.sin(angle) + row * np.cos(angle)
    bell = np.exp(-(across**2) / (2 * envelope**2))
    turn = 2 * np.pi * across / wavelength
    return np.stack([bell * np.cos(turn), bell * np.sin(turn)])
""",
        "the envelope is always 2.5": """
def gabor_pair(size, wavelength, orientation, envelope=2.5):
    row, column = np.mgrid[:size, :size] - (size - 1) / 2
    angle = np.radians(orientation)
    across = column * np.sin(angle) + row * np.cos(angle)
    bell = np.exp(-(row**2 + column**2) / 12.5)
    turn = 2 * np.pi * across / wavelength
    return np.stack([bell * np.cos(turn), bell * np.sin(turn)])
""",
        "right at 90 and 45 degrees only": """
def gabor_pair(size, wavelength, orientation, envelope=2.5):
    row, column = np.mgrid[:size, :size] - (size - 1) / 2
    across = column if orientation == 90 else (column + row) / np.sqrt(2)
    bell = np.exp(-(row**2 + column**2) / (2 * envelope**2))
    turn = 2 * np.pi * across / wavelength
    return np.stack([bell * np.cos(turn), bell * np.sin(turn)])
""",
        "calls the course's function": """
def gabor_pair(size, wavelength, orientation, envelope=2.5):
    phases = (0, 90)
    shapes = [filters.gabor(size, wavelength, orientation, p, envelope) for p in phases]
    return np.array(shapes)
""",
    },
    "stripes": {
        "stripes in everything: no threshold": """
def stripes(weights):
    waves = [(turn, wave) for turn in given.ORIENTATIONS for wave in given.WAVELENGTHS]
    pairs = (gabor_pair(weights.shape[-1], wave, turn) for turn, wave in waves)
    explained = np.array([given.explained(weights, pair) for pair in pairs])
    return np.array(waves)[explained.argmax(0)]
""",
        "blobs are not told from stripes": """
def stripes(weights):
    waves = [(t, w) for t in given.ORIENTATIONS for w in [*given.WAVELENGTHS, 20, 40]]
    pairs = (gabor_pair(weights.shape[-1], wave, turn) for turn, wave in waves)
    explained = np.array([given.explained(weights, pair) for pair in pairs])
    striped = explained.max(0) >= 0.75
    return np.where(striped[:, None], np.array(waves)[explained.argmax(0)], np.nan)
""",
        "only the bright line, not the edge": """
def stripes(weights):
    size = weights.shape[-1]
    waves = [(turn, wave) for turn in given.ORIENTATIONS for wave in given.WAVELENGTHS]
    pairs = (gabor_pair(size, wave, turn)[:1] for turn, wave in waves)
    explained = np.array([given.explained(weights, pair) for pair in pairs])
    blob = given.explained(weights, gabor_pair(size, 1e6, 0)[:1])
    best = explained.max(0)
    striped = (best >= 0.75) & (1 - best < 0.5 * (1 - blob))
    return np.where(striped[:, None], np.array(waves)[explained.argmax(0)], np.nan)
""",
        "orientation and wavelength exchanged": """
def stripes(weights):
    size = weights.shape[-1]
    waves = [(turn, wave) for turn in given.ORIENTATIONS for wave in given.WAVELENGTHS]
    pairs = (gabor_pair(size, wave, turn) for turn, wave in waves)
    explained = np.array([given.explained(weights, pair) for pair in pairs])
    blob = given.explained(weights, gabor_pair(size, 1e6, 0)[:1])
    best = explained.max(0)
    striped = (best >= 0.75) & (1 - best < 0.5 * (1 - blob))
    return np.where(striped[:, None], np.array(waves)[explained.argmax(0)][:, ::-1], np.nan)
""",
        "one answer for all filters": """
def stripes(weights):
    size = weights.shape[-1]
    waves = [(turn, wave) for turn in given.ORIENTATIONS for wave in given.WAVELENGTHS]
    pairs = (gabor_pair(size, wave, turn) for turn, wave in waves)
    explained = np.array([given.explained(weights, pair) for pair in pairs])
    blob = given.explained(weights, gabor_pair(size, 1e6, 0)[:1])
    best = explained.max(0)
    striped = (best >= 0.75) & (1 - best < 0.5 * (1 - blob))
    number = explained.mean(1).argmax()
    return np.where(striped[:, None], np.array(waves)[number], np.nan)
""",
        "only orientations up to 90 degrees": """
def stripes(weights):
    size = weights.shape[-1]
    waves = [(turn, wave) for turn in np.arange(0, 91, 7.5) for wave in given.WAVELENGTHS]
    pairs = (gabor_pair(size, wave, turn) for turn, wave in waves)
    explained = np.array([given.explained(weights, pair) for pair in pairs])
    blob = given.explained(weights, gabor_pair(size, 1e6, 0)[:1])
    best = explained.max(0)
    striped = (best >= 0.5) & (1 - best < 0.5 * (1 - blob))
    return np.where(striped[:, None], np.array(waves)[explained.argmax(0)], np.nan)
""",
        "the size is always 11": """
def stripes(weights):
    waves = [(turn, wave) for turn in given.ORIENTATIONS for wave in given.WAVELENGTHS]
    pairs = (gabor_pair(11, wave, turn) for turn, wave in waves)
    explained = np.array([given.explained(weights, pair) for pair in pairs])
    blob = given.explained(weights, gabor_pair(11, 1e6, 0)[:1])
    best = explained.max(0)
    striped = (best >= 0.75) & (1 - best < 0.5 * (1 - blob))
    return np.where(striped[:, None], np.array(waves)[explained.argmax(0)], np.nan)
""",
        "weak filters have none": """
def stripes(weights):
    size = weights.shape[-1]
    waves = [(turn, wave) for turn in given.ORIENTATIONS for wave in given.WAVELENGTHS]
    pairs = (gabor_pair(size, wave, turn) for turn, wave in waves)
    explained = np.array([given.explained(weights, pair) for pair in pairs])
    blob = given.explained(weights, gabor_pair(size, 1e6, 0)[:1])
    best = explained.max(0)
    striped = (best >= 0.75) & (1 - best < 0.5 * (1 - blob))
    striped &= np.abs(weights).max((1, 2, 3)) > 0.1
    return np.where(striped[:, None], np.array(waves)[explained.argmax(0)], np.nan)
""",
        "calls the course's function": """
def stripes(weights):
    fit = filters.fit_gabor(weights)
    found = np.stack([fit.orientation, fit.wavelength], 1)
    return np.where(fit.gabor_like[:, None] & (fit.r2 > 0.85)[:, None], found, np.nan)
""",
    },
    "answers": {
        "counted from 1": """
found = stripes(given.deal_filters(STUDENT))
striped = 1 + np.flatnonzero(np.isfinite(found[:, 1]))
finest = 1 + int(np.nanargmin(found[:, 1]))
answers = {"striped": striped.tolist(), "finest": finest}
""",
        "the widest instead of the finest": """
found = stripes(given.deal_filters(STUDENT))
striped = np.flatnonzero(np.isfinite(found[:, 1]))
finest = int(np.nanargmax(found[:, 1]))
answers = {"striped": striped.tolist(), "finest": finest}
""",
        "the numbers of a neighbour": """
found = stripes(given.deal_filters("bob"))
striped = np.flatnonzero(np.isfinite(found[:, 1]))
finest = int(np.nanargmin(found[:, 1]))
answers = {"striped": striped.tolist(), "finest": finest}
""",
        "those without stripes": """
found = stripes(given.deal_filters(STUDENT))
striped = np.flatnonzero(np.isnan(found[:, 1]))
finest = int(striped[0])
answers = {"striped": striped.tolist(), "finest": finest}
""",
        "all of them": """
found = stripes(given.deal_filters(STUDENT))
striped = np.arange(12)
finest = int(np.nanargmin(found[:, 1]))
answers = {"striped": striped.tolist(), "finest": finest}
""",
    },
    "diagnosis": {
        "the smoothest is well trained": """
rough = {name: filters.high_share(layer).mean() for name, layer in patients.items()}
order = sorted(rough, key=rough.get, reverse=True)
diagnosis = dict(zip(order, ("first pass", "end", "never")))
""",
        "the roughest was never trained": """
rough = {name: filters.high_share(layer).mean() for name, layer in patients.items()}
like = {name: filters.fit_gabor(layer).gabor_like.mean() for name, layer in patients.items()}
trained, never = max(like, key=like.get), max(rough, key=rough.get)
diagnosis = {name: {never: "never", trained: "end"}.get(name, "first pass") for name in patients}
""",
        "the diagnosis of a neighbour": """
rough = {n: filters.high_share(w).mean() for n, w in given.deal_patients("cleo").items()}
like = {n: filters.fit_gabor(w).gabor_like.mean() for n, w in given.deal_patients("cleo").items()}
early, trained = max(rough, key=rough.get), max(like, key=like.get)
diagnosis = {name: {early: "first pass", trained: "end"}.get(name, "never") for name in "ABC"}
""",
        "the same word three times": """
diagnosis = dict.fromkeys("ABC", "end")
""",
    },
}

RIGHT = {
    "to_screen": {
        "filter by filter": """
def to_screen(weights, scale):
    pictures = np.empty((len(weights), *weights.shape[2:], weights.shape[1]))
    for number, one in enumerate(weights):
        largest = max(abs(one.min()), abs(one.max()))
        if scale == "shared":
            largest = np.linalg.norm(weights.ravel(), np.inf)
        factor = 0 if largest == 0 else 1 / largest
        pictures[number] = np.moveaxis((one * factor + 1) / 2, 0, -1)
    return pictures
""",
    },
    "colour_share": {
        "one minus the share of grey": """
def colour_share(weights):
    shares = []
    for one in weights:
        grey, energy = len(one) * np.mean(one, 0) ** 2, np.sum(one**2)
        shares.append(1 - grey.sum() / energy if energy else 0)
    return np.array(shares)
""",
    },
    "p_value": {
        "all deals at once": """
def p_value(first, second, deals, random):
    together = np.append(first, second)
    dealt = random.permuted(np.tile(together, (deals, 1)), axis=1)
    means = dealt[:, : len(first)].mean(1) - dealt[:, len(first) :].mean(1)
    return (1 + np.sum(abs(means) >= abs(first.mean() - second.mean()) - 1e-9)) / (deals + 1)
""",
        "without a tolerance, by shuffling a copy": """
def p_value(first, second, deals, random):
    mixed, n = np.r_[first, second], len(first)
    found = abs(mixed[:n].mean() - mixed[n:].mean())
    hits = [found]
    for _ in range(deals):
        random.shuffle(mixed)
        hits.append(abs(mixed[:n].mean() - mixed[n:].mean()))
    return float(np.mean(np.array(hits) >= found))
""",
        "by SciPy": """
def p_value(first, second, deals, random):
    from scipy import stats

    def apart(a, b, axis):
        return abs(a.mean(axis) - b.mean(axis))

    numbers = {"n_resamples": deals, "alternative": "greater", "vectorized": True}
    return stats.permutation_test((first, second), apart, rng=random, **numbers).pvalue
""",
    },
    "gabor_pair": {
        "with complex numbers, the edge with the other sign": """
def gabor_pair(size, wavelength, orientation, envelope=2.5):
    down = np.linspace(-(size - 1) / 2, (size - 1) / 2, size)
    plane = down[None, :] - 1j * down[:, None]  # right is real, up is imaginary
    across = (plane * np.exp(-1j * np.deg2rad(orientation))).imag
    wave = np.exp(2j * np.pi * across / wavelength - np.abs(plane) ** 2 / 2 / envelope**2)
    return np.array([wave.real, wave.imag])
""",
    },
    "stripes": {
        "filter by filter, on a finer grid": """
def stripes(weights):
    size, answers = weights.shape[-1], np.full((len(weights), 2), np.nan)
    best = np.zeros(len(weights))
    for turn in range(0, 180, 9):
        for wave in np.geomspace(3, 10, 14):
            share = given.explained(weights, gabor_pair(size, wave, turn))
            better = share > best
            best[better], answers[better] = share[better], (turn, wave)
    blob = given.explained(weights, gabor_pair(size, 1e6, 0)[:1])
    answers[(best < 0.75) | (1 - best >= (1 - blob) / 2)] = np.nan
    return answers
""",
    },
}
