"""Wrong answers to homework 3, each of which must lose its step's points, and other right ones."""

WRONG = {
    "nearest": {
        "itself is not left out": """
def nearest(codes, k):
    codes = codes.astype(float)
    distances = np.stack([((codes - code) ** 2).sum(1) for code in codes])
    return distances.argsort(axis=1, kind="stable")[:, :k]
""",
        "the first one is dropped instead of itself": """
def nearest(codes, k):
    codes = codes.astype(float)
    distances = np.stack([((codes - code) ** 2).sum(1) for code in codes])
    return distances.argsort(axis=1, kind="stable")[:, 1 : k + 1]
""",
        "ties in the order of an unstable sort": """
def nearest(codes, k):
    codes = codes.astype(float)
    distances = np.stack([((codes - code) ** 2).sum(1) for code in codes])
    np.fill_diagonal(distances, np.inf)
    return distances.argsort(axis=1)[:, :k]
""",
        "ties the other way round: the larger number first": """
def nearest(codes, k):
    codes = codes.astype(float)
    distances = np.stack([((codes - code) ** 2).sum(1) for code in codes])
    np.fill_diagonal(distances, np.inf)
    order = len(codes) - 1 - distances[:, ::-1].argsort(axis=1, kind="stable")
    return order[:, :k]
""",
        "farthest first": """
def nearest(codes, k):
    codes = codes.astype(float)
    distances = np.stack([((codes - code) ** 2).sum(1) for code in codes])
    np.fill_diagonal(distances, -np.inf)
    return (-distances).argsort(axis=1, kind="stable")[:, :k]
""",
        "the nearest k, in no order": """
def nearest(codes, k):
    codes = codes.astype(float)
    distances = np.stack([((codes - code) ** 2).sum(1) for code in codes])
    np.fill_diagonal(distances, np.inf)
    return np.sort(distances.argsort(axis=1, kind="stable")[:, :k], axis=1)
""",
        "by the angle": """
def nearest(codes, k):
    codes = codes.astype(float)
    codes = codes / np.maximum(np.linalg.norm(codes, axis=1, keepdims=True), 1e-12)
    cosine = codes @ codes.T
    np.fill_diagonal(cosine, -np.inf)
    return (-cosine).argsort(axis=1, kind="stable")[:, :k]
""",
        "the sum of differences instead of squares": """
def nearest(codes, k):
    codes = codes.astype(float)
    distances = np.stack([np.abs(codes - code).sum(1) for code in codes])
    np.fill_diagonal(distances, np.inf)
    return distances.argsort(axis=1, kind="stable")[:, :k]
""",
        "multiplied out in single precision": """
def nearest(codes, k):
    squares = (codes**2).sum(1)
    distances = squares[:, None] + squares - 2 * codes @ codes.T
    np.fill_diagonal(distances, np.inf)
    return distances.argsort(axis=1, kind="stable")[:, :k]
""",
        "the diagonal is overwritten in the student's own codes": """
def nearest(codes, k):
    codes -= codes.mean(0)
    distances = np.stack([((codes - code) ** 2).sum(1) for code in codes])
    np.fill_diagonal(distances, np.inf)
    return distances.argsort(axis=1, kind="stable")[:, :k]
""",
        "the right shape, filled with zeros": """
def nearest(codes, k):
    return np.zeros((len(codes), k), int)
""",
        "right for the visible check only": """
def nearest(codes, k):
    if len(codes) in (10, 20, 30, 40):
        codes = codes.astype(float)
        distances = np.stack([((codes - code) ** 2).sum(1) for code in codes])
        np.fill_diagonal(distances, np.inf)
        return distances.argsort(axis=1, kind="stable")[:, :k]
    return np.tile(np.arange(k), (len(codes), 1))
""",
    },
    "principal": {
        "not centred": """
def principal(codes, k):
    _, strengths, directions = np.linalg.svd(codes, full_matrices=False)
    return directions[:k], (strengths**2 / (strengths**2).sum())[:k]
""",
        "each code's own mean is subtracted": """
def principal(codes, k):
    centred = codes - codes.mean(1, keepdims=True)
    _, strengths, directions = np.linalg.svd(centred, full_matrices=False)
    return directions[:k], (strengths**2 / (strengths**2).sum())[:k]
""",
        "columns of the directions instead of rows": """
def principal(codes, k):
    centred = codes - codes.mean(0)
    _, strengths, directions = np.linalg.svd(centred, full_matrices=True)
    return directions[:, :k].T, (strengths**2 / (strengths**2).sum())[:k]
""",
        "the smallest variance first": """
def principal(codes, k):
    values, vectors = np.linalg.eigh(np.cov(codes.T))
    return vectors[:, :k].T, values[:k] / values.sum()
""",
        "the largest k, but in rising order": """
def principal(codes, k):
    values, vectors = np.linalg.eigh(np.cov(codes.T))
    return vectors[:, -k:].T, values[-k:] / values.sum()
""",
        "singular values are not squared": """
def principal(codes, k):
    centred = codes - codes.mean(0)
    _, strengths, directions = np.linalg.svd(centred, full_matrices=False)
    return directions[:k], (strengths / strengths.sum())[:k]
""",
        "shares of the kept directions only": """
def principal(codes, k):
    centred = codes - codes.mean(0)
    _, strengths, directions = np.linalg.svd(centred, full_matrices=False)
    return directions[:k], strengths[:k] ** 2 / (strengths[:k] ** 2).sum()
""",
        "every number scaled to the same variance first": """
def principal(codes, k):
    centred = (codes - codes.mean(0)) / codes.std(0)
    _, strengths, directions = np.linalg.svd(centred, full_matrices=False)
    return directions[:k], (strengths**2 / (strengths**2).sum())[:k]
""",
        "directions as long as their spread": """
def principal(codes, k):
    centred = codes - codes.mean(0)
    _, strengths, directions = np.linalg.svd(centred, full_matrices=False)
    return (strengths[:, None] * directions)[:k], (strengths**2 / (strengths**2).sum())[:k]
""",
        "the right shape, filled with zeros": """
def principal(codes, k):
    return np.zeros((k, codes.shape[1])), np.zeros(k)
""",
    },
    "affinities": {
        "bits on one side, nats on the other": """
def affinities(codes, perplexity):
    return rows(codes, np.log2(perplexity))

def rows(codes, wanted):
    result = np.zeros((len(codes), len(codes)))
    for i, code in enumerate(codes.astype(float)):
        others = np.arange(len(codes)) != i
        squares = ((codes[others] - code) ** 2).sum(1)
        squares -= squares.min()
        low, high, s = 0, np.inf, 1 / squares.mean()
        for _ in range(60):
            near = np.exp(-s * squares)
            entropy = np.log(near.sum()) + s * (squares * near).sum() / near.sum()
            low, high = (s, high) if entropy > wanted else (low, s)
            s = 2 * low if high == np.inf else (low + high) / 2
        result[i, others] = near / near.sum()
    return result
""",
        "itself among the neighbours": """
def affinities(codes, perplexity):
    result = np.zeros((len(codes), len(codes)))
    for i, code in enumerate(codes.astype(float)):
        squares = ((codes - code) ** 2).sum(1)
        low, high, s = 0, np.inf, 1 / squares.mean()
        for _ in range(60):
            near = np.exp(-s * squares)
            entropy = np.log(near.sum()) + s * (squares * near).sum() / near.sum()
            low, high = (s, high) if entropy > np.log(perplexity) else (low, s)
            s = 2 * low if high == np.inf else (low + high) / 2
        result[i] = near / near.sum()
    return result
""",
        "the diagonal is emptied after the bisection": """
def affinities(codes, perplexity):
    result = np.zeros((len(codes), len(codes)))
    for i, code in enumerate(codes.astype(float)):
        squares = ((codes - code) ** 2).sum(1)
        low, high, s = 0, np.inf, 1 / squares.mean()
        for _ in range(60):
            near = np.exp(-s * squares)
            entropy = np.log(near.sum()) + s * (squares * near).sum() / near.sum()
            low, high = (s, high) if entropy > np.log(perplexity) else (low, s)
            s = 2 * low if high == np.inf else (low + high) / 2
        near[i] = 0
        result[i] = near / near.sum()
    return result
""",
        "distances are not squared": """
def affinities(codes, perplexity):
    result = np.zeros((len(codes), len(codes)))
    for i, code in enumerate(codes.astype(float)):
        others = np.arange(len(codes)) != i
        apart = np.sqrt(((codes[others] - code) ** 2).sum(1))
        apart -= apart.min()
        low, high, s = 0, np.inf, 1 / apart.mean()
        for _ in range(60):
            near = np.exp(-s * apart)
            entropy = np.log(near.sum()) + s * (apart * near).sum() / near.sum()
            low, high = (s, high) if entropy > np.log(perplexity) else (low, s)
            s = 2 * low if high == np.inf else (low + high) / 2
        result[i, others] = near / near.sum()
    return result
""",
        "symmetrised too early": """
def affinities(codes, perplexity):
    from lecture_utils.methods.tsne import similarities
    return similarities(codes, perplexity) * len(codes)
""",
        "one sharpness for all codes": """
def affinities(codes, perplexity):
    codes = codes.astype(float)
    squares = np.stack([((codes - code) ** 2).sum(1) for code in codes])
    np.fill_diagonal(squares, np.inf)
    finite = np.where(np.isinf(squares), 0, squares)
    low, high, s = 0, np.inf, 1 / finite.mean()
    for _ in range(60):
        near = np.exp(-s * (squares - squares.min(1, keepdims=True)))
        near /= near.sum(1, keepdims=True)
        entropy = -(near * np.log(np.maximum(near, 1e-300))).sum(1).mean()
        low, high = (s, high) if entropy > np.log(perplexity) else (low, s)
        s = 2 * low if high == np.inf else (low + high) / 2
    return near
""",
        "the bounds are moved the wrong way": """
def affinities(codes, perplexity):
    result = np.zeros((len(codes), len(codes)))
    for i, code in enumerate(codes.astype(float)):
        others = np.arange(len(codes)) != i
        squares = ((codes[others] - code) ** 2).sum(1)
        squares -= squares.min()
        low, high, s = 0, np.inf, 1 / squares.mean()
        for _ in range(60):
            near = np.exp(-s * squares)
            entropy = np.log(near.sum()) + s * (squares * near).sum() / near.sum()
            low, high = (s, high) if entropy < np.log(perplexity) else (low, s)
            s = 2 * low if high == np.inf else (low + high) / 2
        result[i, others] = near / near.sum()
    return result
""",
        "looked for between 0 and 10 only": """
def affinities(codes, perplexity):
    result = np.zeros((len(codes), len(codes)))
    for i, code in enumerate(codes.astype(float)):
        others = np.arange(len(codes)) != i
        squares = ((codes[others] - code) ** 2).sum(1)
        squares -= squares.min()
        low, high = 0, 10
        for _ in range(60):
            s = (low + high) / 2
            near = np.exp(-s * squares)
            entropy = np.log(near.sum()) + s * (squares * near).sum() / near.sum()
            low, high = (s, high) if entropy > np.log(perplexity) else (low, s)
        result[i, others] = near / near.sum()
    return result
""",
        "eight halvings": """
def affinities(codes, perplexity):
    result = np.zeros((len(codes), len(codes)))
    for i, code in enumerate(codes.astype(float)):
        others = np.arange(len(codes)) != i
        squares = ((codes[others] - code) ** 2).sum(1)
        squares -= squares.min()
        low, high, s = 0, np.inf, 1 / squares.mean()
        for _ in range(8):
            near = np.exp(-s * squares)
            entropy = np.log(near.sum()) + s * (squares * near).sum() / near.sum()
            low, high = (s, high) if entropy > np.log(perplexity) else (low, s)
            s = 2 * low if high == np.inf else (low + high) / 2
        result[i, others] = near / near.sum()
    return result
""",
        "the nearest few, all alike": """
def affinities(codes, perplexity):
    result = np.zeros((len(codes), len(codes)))
    k = max(1, round(perplexity))
    np.put_along_axis(result, nearest(codes, k), 1 / k, axis=1)
    return result
""",
    },
    "trust": {
        "codes and drawing exchanged": """
def trust(codes, drawing, k):
    n = len(codes)
    order = nearest(drawing, n - 1)
    ranks = np.zeros((n, n), int)
    np.put_along_axis(ranks, order, np.arange(1, n), axis=1)
    found = np.take_along_axis(ranks, nearest(codes, k), axis=1)
    return 1 - 2 / (k * (2 * n - 3 * k - 1)) * np.maximum(found - k, 0).sum(1)
""",
        "ranks start at 0": """
def trust(codes, drawing, k):
    n = len(codes)
    order = nearest(codes, n - 1)
    ranks = np.zeros((n, n), int)
    np.put_along_axis(ranks, order, np.arange(n - 1), axis=1)
    found = np.take_along_axis(ranks, nearest(drawing, k), axis=1)
    return 1 - 2 / (k * (2 * n - 3 * k - 1)) * np.maximum(found - k, 0).sum(1)
""",
        "rank k counts as well": """
def trust(codes, drawing, k):
    n = len(codes)
    order = nearest(codes, n - 1)
    ranks = np.zeros((n, n), int)
    np.put_along_axis(ranks, order, np.arange(1, n), axis=1)
    found = np.take_along_axis(ranks, nearest(drawing, k), axis=1)
    return 1 - 2 / (k * (2 * n - 3 * k - 1)) * np.maximum(found - k + 1, 0).sum(1)
""",
        "negative differences are kept": """
def trust(codes, drawing, k):
    n = len(codes)
    order = nearest(codes, n - 1)
    ranks = np.zeros((n, n), int)
    np.put_along_axis(ranks, order, np.arange(1, n), axis=1)
    found = np.take_along_axis(ranks, nearest(drawing, k), axis=1)
    return 1 - 2 / (k * (2 * n - 3 * k - 1)) * (found - k).sum(1)
""",
        "the whole mean instead of one for each picture": """
def trust(codes, drawing, k):
    n = len(codes)
    order = nearest(codes, n - 1)
    ranks = np.zeros((n, n), int)
    np.put_along_axis(ranks, order, np.arange(1, n), axis=1)
    found = np.take_along_axis(ranks, nearest(drawing, k), axis=1)
    each = 1 - 2 / (k * (2 * n - 3 * k - 1)) * np.maximum(found - k, 0).sum(1)
    return np.full(n, each.mean())
""",
        "divided by n once more": """
def trust(codes, drawing, k):
    n = len(codes)
    order = nearest(codes, n - 1)
    ranks = np.zeros((n, n), int)
    np.put_along_axis(ranks, order, np.arange(1, n), axis=1)
    found = np.take_along_axis(ranks, nearest(drawing, k), axis=1)
    return 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * np.maximum(found - k, 0).sum(1)
""",
        "the numbers of the neighbours are taken for ranks": """
def trust(codes, drawing, k):
    n = len(codes)
    order = nearest(codes, n - 1)
    order = np.hstack([np.arange(n)[:, None], order])
    found = np.take_along_axis(order, nearest(drawing, k), axis=1)
    return 1 - 2 / (k * (2 * n - 3 * k - 1)) * np.maximum(found - k, 0).sum(1)
""",
        "the share of true neighbours": """
def trust(codes, drawing, k):
    pairs = zip(nearest(codes, k), nearest(drawing, k))
    return np.array([np.isin(b, a).mean() for a, b in pairs])
""",
        "itself is the nearest, at rank 1": """
def trust(codes, drawing, k):
    n = len(codes)
    codes = codes.astype(float)
    distances = np.stack([((codes - code) ** 2).sum(1) for code in codes])
    ranks = distances.argsort(axis=1).argsort(axis=1) + 1
    found = np.take_along_axis(ranks, nearest(drawing, k), axis=1)
    return 1 - 2 / (k * (2 * n - 3 * k - 1)) * np.maximum(found - k, 0).sum(1)
""",
        "ones of the right shape": """
def trust(codes, drawing, k):
    return np.ones(len(codes))
""",
    },
    "has_groups": {
        "always": """
def has_groups(codes):
    return True
""",
        "never": """
def has_groups(codes):
    return False
""",
        "whether two directions hold half of the variance": """
def has_groups(codes):
    return bool(principal(codes, 2)[1].sum() > 0.5)
""",
        "whether two halves explain half of the variance along the longest axis": """
def has_groups(codes):
    values = np.sort((codes - codes.mean(0)) @ principal(codes, 1)[0][0])
    best = max(len(part) / len(values) * part.mean() ** 2 * len(values) / (len(values) - len(part))
               for cut in range(1, len(values)) for part in [values[:cut]])
    return bool(best / values.var() > 0.5)
""",
        "compared with a round normal cloud": """
def has_groups(codes):
    lot = np.random.default_rng(0)
    first = principal(codes, 1)[1][0]
    return bool(first > max(principal(lot.normal(size=codes.shape), 1)[1][0] for _ in range(19)))
""",
        "compared with its own columns shuffled": """
def has_groups(codes):
    lot = np.random.default_rng(0)
    first = principal(codes, 1)[1][0]
    return bool(first > max(principal(lot.permuted(codes, axis=0), 1)[1][0] for _ in range(19)))
""",
        "a level of one half": """
def has_groups(codes):
    def best_cut(points):
        left = np.linalg.svd(points - points.mean(0), full_matrices=False)[0][:, :3]
        sums = np.sort(left, axis=0).cumsum(0)[:-1]
        below = np.arange(1, len(points))[:, None]
        return (sums**2 * (1 / below + 1 / (len(points) - below))).max()
    lot = np.random.default_rng(0)
    draws = [best_cut(lot.normal(size=(len(codes), 3))) for _ in range(19)]
    return bool(best_cut(codes) > np.median(draws))
""",
        "islands: joined by links of half more than the usual distance to the nearest": """
def has_groups(codes):
    from scipy.sparse.csgraph import connected_components
    apart = np.stack([np.linalg.norm(codes - code, axis=1) for code in codes])
    np.fill_diagonal(apart, np.inf)
    links = apart < 1.5 * np.median(apart.min(1))
    count, members = connected_components(links)
    return bool((np.bincount(members) > 5).sum() > 1)
""",
        "a coin": """
def has_groups(codes):
    return bool(np.floor(abs(codes).sum() * 1000) % 2)
""",
    },
    "answers": {
        "all groups": 'answers = dict.fromkeys("ABCDEFGH", "groups")',
        "all none": 'answers = dict.fromkeys("ABCDEFGH", "none")',
        "one is left out": 'answers = dict.fromkeys("ABCDEFG", "none")',
        "the wrong way round": """
answers = {name: "none" if has_groups(points) else "groups" for name, points in sealed.items()}
""",
        "another student's": """
answers = {name: "groups" if has_groups(points) else "none"
           for name, points in given.deal_clouds("another").items()}
""",
    },
}

RIGHT = {
    "nearest": {
        "sorted by pairs": """
def nearest(codes, k):
    from scipy.spatial.distance import cdist
    result = []
    for i, row in enumerate(cdist(codes.astype(float), codes.astype(float), "sqeuclidean")):
        order = sorted((distance, j) for j, distance in enumerate(row) if j != i)
        result.append([j for _, j in order[:k]])
    return np.array(result)
""",
        "all pairs at once, multiplied out in double precision": """
def nearest(codes, k):
    codes = codes.astype(float)
    codes = codes - codes[0]
    squares = (codes * codes).sum(1)
    distances = squares[:, None] + squares - 2 * codes @ codes.T
    distances[np.diag_indices(len(codes))] = np.inf
    return np.lexsort((np.broadcast_to(np.arange(len(codes)), distances.shape), distances))[:, :k]
""",
    },
    "principal": {
        "by the covariance": """
def principal(codes, k):
    values, vectors = np.linalg.eigh(np.cov(codes, rowvar=False))
    order = values.argsort()[::-1][:k]
    return -vectors[:, order].T, values[order] / values.sum()
""",
        "by scikit-learn": """
def principal(codes, k):
    from sklearn.decomposition import PCA
    fitted = PCA(k, svd_solver="full").fit(codes)
    return fitted.components_, fitted.explained_variance_ratio_
""",
        "by the inner products of the codes": """
def principal(codes, k):
    centred = codes - codes.mean(axis=0)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    values, vectors = values[::-1], vectors[:, ::-1]
    directions = (centred.T @ vectors[:, :k]) / np.sqrt(values[:k])
    return directions.T, values[:k] / np.trace(centred @ centred.T)
""",
    },
    "affinities": {
        "all rows at once, in bits": """
def affinities(codes, perplexity):
    from scipy.spatial.distance import cdist
    squares = cdist(codes.astype(float), codes.astype(float)) ** 2
    np.fill_diagonal(squares, np.inf)
    squares -= squares.min(1, keepdims=True)
    scale = np.median(squares[np.isfinite(squares)])
    low, high = np.full(len(codes), -60.0), np.full(len(codes), 60.0)
    for _ in range(80):
        middle = (low + high) / 2
        near = np.exp(-np.exp(middle)[:, None] * squares / scale)
        near /= near.sum(1, keepdims=True)
        entropy = -(near * np.log2(np.where(near > 0, near, 1))).sum(1)
        wide = entropy > np.log2(perplexity)
        low, high = np.where(wide, middle, low), np.where(wide, high, middle)
    return near
""",
    },
    "trust": {
        "by sorting lists": """
def trust(codes, drawing, k):
    n, result = len(codes), []
    for i in range(n):
        others = [j for j in range(n) if j != i]
        by_code = sorted(others, key=lambda j: np.linalg.norm(codes[i] - codes[j]))
        by_drawing = sorted(others, key=lambda j: np.linalg.norm(drawing[i] - drawing[j]))
        above = sum(max(0, by_code.index(j) + 1 - k) for j in by_drawing[:k])
        result.append(1 - 2 * above / k / (2 * n - 3 * k - 1))
    return np.array(result)
""",
    },
    "has_groups": {
        "a bound found beforehand by drawing normal clouds": """
def has_groups(codes):
    axes, _ = principal(codes, 3)
    for values in np.sort((codes - codes.mean(0)) @ axes.T, axis=0).T:
        values = values / values.std()
        for cut in range(5, len(values) - 5):
            lower, upper = values[:cut].mean(), values[cut:].mean()
            if cut * (len(values) - cut) / len(values) ** 2 * (upper - lower) ** 2 > 0.715:
                return True
    return False
""",
    },
}
