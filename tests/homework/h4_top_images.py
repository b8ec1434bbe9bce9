"""Wrong answers to homework 4, each of which must lose its step's points, and other right ones."""

WRONG = {
    "peaks": {
        "the mean of each map": """
def peaks(maps):
    flat = maps.reshape(*maps.shape[:2], -1)
    places = flat.argmax(-1)
    return flat.mean(-1), places // maps.shape[3], places % maps.shape[3]
""",
        "divided by the height instead of the width": """
def peaks(maps):
    flat = maps.reshape(*maps.shape[:2], -1)
    places = flat.argmax(-1)
    return flat.max(-1), places // maps.shape[2], places % maps.shape[2]
""",
        "rows and columns exchanged": """
def peaks(maps):
    flat = maps.reshape(*maps.shape[:2], -1)
    places = flat.argmax(-1)
    return flat.max(-1), places % maps.shape[3], places // maps.shape[3]
""",
        "the largest over all units": """
def peaks(maps):
    flat = maps.max(1, keepdims=True).repeat(maps.shape[1], 1).reshape(*maps.shape[:2], -1)
    places = flat.argmax(-1)
    return flat.max(-1), places // maps.shape[3], places % maps.shape[3]
""",
        "negative responses become 0": """
def peaks(maps):
    flat = np.maximum(maps, 0).reshape(*maps.shape[:2], -1)
    places = flat.argmax(-1)
    return flat.max(-1), places // maps.shape[3], places % maps.shape[3]
""",
        "the largest in size, whatever its sign": """
def peaks(maps):
    flat = maps.reshape(*maps.shape[:2], -1)
    places = np.abs(flat).argmax(-1)
    values = np.take_along_axis(flat, places[..., None], -1)[..., 0]
    return values, places // maps.shape[3], places % maps.shape[3]
""",
        "of equal values the last": """
def peaks(maps):
    flat = maps.reshape(*maps.shape[:2], -1)
    places = flat.shape[-1] - 1 - flat[..., ::-1].argmax(-1)
    return flat.max(-1), places // maps.shape[3], places % maps.shape[3]
""",
        "the row and the column with the largest sums": """
def peaks(maps):
    return maps.max((2, 3)), maps.sum(3).argmax(2), maps.sum(2).argmax(2)
""",
        "of equal values the first by columns": """
def peaks(maps):
    flat = maps.transpose(0, 1, 3, 2).reshape(*maps.shape[:2], -1)
    places = flat.argmax(-1)
    return flat.max(-1), places % maps.shape[2], places // maps.shape[2]
""",
        "the row of the best row, the column of the best column": """
def peaks(maps):
    return maps.max((2, 3)), maps.max(3).argmax(2), maps.max(2).argmax(2)
""",
        "zeros of the right shape": """
def peaks(maps):
    return np.zeros(maps.shape[:2]), np.zeros(maps.shape[:2], int), np.zeros(maps.shape[:2], int)
""",
    },
    "strongest": {
        "everything is kept": """
def strongest(batches, k):
    values = np.concatenate(list(batches)).T
    order = np.argsort(-values, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(values, order, 1)
""",
        "copies of all batches are kept, in half precision": """
def strongest(batches, k):
    kept = [batch.astype(np.float16) for batch in batches]
    values = np.concatenate(kept).T.astype(float)
    order = np.argsort(-values, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(values, order, 1)
""",
        "the best of each batch are kept, all of them": """
def strongest(batches, k):
    kept, numbers, first = [], [], 0
    for batch in batches:
        order = np.argsort(-batch.T, axis=1, kind="stable")[:, :k]
        kept.append(np.take_along_axis(batch.T, order, 1))
        numbers.append(order + first)
        first += len(batch)
    values, numbers = np.hstack(kept), np.hstack(numbers)
    order = np.argsort(-values, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(numbers, order, 1), np.take_along_axis(values, order, 1)
""",
        "counting begins again in each batch": """
def strongest(batches, k):
    pictures = values = None
    for batch in batches:
        numbers = np.broadcast_to(np.arange(len(batch)), batch.T.shape)
        both, names = (batch.T, numbers) if values is None else (
            np.hstack([values, batch.T]), np.hstack([pictures, numbers]))
        order = np.argsort(-both, axis=1, kind="stable")[:, :k]
        values, pictures = np.take_along_axis(both, order, 1), np.take_along_axis(names, order, 1)
    return pictures, values
""",
        "all batches are taken to be as long as the first": """
def strongest(batches, k):
    pictures = values = None
    for number, batch in enumerate(batches):
        length = len(batch) if number == 0 else length
        numbers = np.broadcast_to(number * length + np.arange(len(batch)), batch.T.shape)
        both, names = (batch.T, numbers) if values is None else (
            np.hstack([values, batch.T]), np.hstack([pictures, numbers]))
        order = np.argsort(-both, axis=1, kind="stable")[:, :k]
        values, pictures = np.take_along_axis(both, order, 1), np.take_along_axis(names, order, 1)
    return pictures, values
""",
        "the ranking starts with zeros": """
def strongest(batches, k):
    pictures = values = None
    first = 0
    for batch in batches:
        if values is None:
            values = np.zeros((batch.shape[1], k))
            pictures = np.zeros((batch.shape[1], k), int)
        numbers = np.broadcast_to(first + np.arange(len(batch)), batch.T.shape)
        first += len(batch)
        both, names = np.hstack([values, batch.T]), np.hstack([pictures, numbers])
        order = np.argsort(-both, axis=1, kind="stable")[:, :k]
        values, pictures = np.take_along_axis(both, order, 1), np.take_along_axis(names, order, 1)
    return pictures, values
""",
        "of equal responses the later picture": """
def strongest(batches, k):
    pictures = values = None
    first = 0
    for batch in batches:
        numbers = np.broadcast_to(first + np.arange(len(batch)), batch.T.shape)
        first += len(batch)
        both, names = (batch.T, numbers) if values is None else (
            np.hstack([values, batch.T]), np.hstack([pictures, numbers]))
        order = np.lexsort((-names, -both))[:, :k]
        values, pictures = np.take_along_axis(both, order, 1), np.take_along_axis(names, order, 1)
    return pictures, values
""",
        "ties in the order of an unstable sort": """
def strongest(batches, k):
    pictures = values = None
    first = 0
    for batch in batches:
        numbers = np.broadcast_to(first + np.arange(len(batch)), batch.T.shape)
        first += len(batch)
        both, names = (batch.T, numbers) if values is None else (
            np.hstack([values, batch.T]), np.hstack([pictures, numbers]))
        order = np.argsort(both, axis=1)[:, ::-1][:, :k]
        values, pictures = np.take_along_axis(both, order, 1), np.take_along_axis(names, order, 1)
    return pictures, values
""",
        "new ones stand before old ones of the same value": """
def strongest(batches, k):
    pictures = values = None
    first = 0
    for batch in batches:
        numbers = np.broadcast_to(first + np.arange(len(batch)), batch.T.shape)
        first += len(batch)
        both, names = (batch.T, numbers) if values is None else (
            np.hstack([batch.T, values]), np.hstack([numbers, pictures]))
        order = np.argsort(-both, axis=1, kind="stable")[:, :k]
        values, pictures = np.take_along_axis(both, order, 1), np.take_along_axis(names, order, 1)
    return pictures, values
""",
        "the weakest": """
def strongest(batches, k):
    pictures = values = None
    first = 0
    for batch in batches:
        numbers = np.broadcast_to(first + np.arange(len(batch)), batch.T.shape)
        first += len(batch)
        both, names = (batch.T, numbers) if values is None else (
            np.hstack([values, batch.T]), np.hstack([pictures, numbers]))
        order = np.argsort(both, axis=1, kind="stable")[:, :k]
        values, pictures = np.take_along_axis(both, order, 1), np.take_along_axis(names, order, 1)
    return pictures, values
""",
        "the last batch only": """
def strongest(batches, k):
    first = 0
    for batch in batches:
        order = np.argsort(-batch.T, axis=1, kind="stable")[:, :k]
        result = order + first, np.take_along_axis(batch.T, order, 1)
        first += len(batch)
    return result
""",
        "one ranking for all units": """
def strongest(batches, k):
    pictures = values = None
    first = 0
    for batch in batches:
        numbers = first + np.arange(len(batch))
        first += len(batch)
        both, names = (batch, numbers) if values is None else (
            np.vstack([values, batch]), np.hstack([pictures, numbers]))
        order = np.argsort(-both.max(1), kind="stable")[:k]
        values, pictures = both[order], names[order]
    return np.tile(pictures, (values.shape[1], 1)), values.T
""",
    },
    "cut": {
        "a plain slice, shorter at the border": """
def cut(picture, row, column, size, stride, start):
    top, left = start + row * stride, start + column * stride
    return picture[max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)]
""",
        "a slice with negative beginnings": """
def cut(picture, row, column, size, stride, start):
    top, left = start + row * stride, start + column * stride
    return picture[top : top + size, left : left + size]
""",
        "black outside": """
def cut(picture, row, column, size, stride, start):
    framed = np.pad(picture, ((300, 300), (300, 300), (0, 0)))
    top, left = 300 + start + row * stride, 300 + start + column * stride
    return framed[top : top + size, left : left + size]
""",
        "the border is repeated outside": """
def cut(picture, row, column, size, stride, start):
    framed = np.pad(picture, ((300, 300), (300, 300), (0, 0)), mode="edge")
    top, left = 300 + start + row * stride, 300 + start + column * stride
    return framed[top : top + size, left : left + size]
""",
        "rows and columns exchanged": """
def cut(picture, row, column, size, stride, start):
    framed = np.pad(picture, ((300, 300), (300, 300), (0, 0)), constant_values=255)
    top, left = 300 + start + column * stride, 300 + start + row * stride
    return framed[top : top + size, left : left + size]
""",
        "without the start": """
def cut(picture, row, column, size, stride, start):
    framed = np.pad(picture, ((300, 300), (300, 300), (0, 0)), constant_values=255)
    top, left = 300 + row * stride, 300 + column * stride
    return framed[top : top + size, left : left + size]
""",
        "one pixel too far": """
def cut(picture, row, column, size, stride, start):
    framed = np.pad(picture, ((300, 300), (300, 300), (0, 0)), constant_values=255)
    top, left = 301 + start + row * stride, 301 + start + column * stride
    return framed[top : top + size, left : left + size]
""",
        "around the place instead of from it": """
def cut(picture, row, column, size, stride, start):
    framed = np.pad(picture, ((300, 300), (300, 300), (0, 0)), constant_values=255)
    top, left = (300 + start + place * stride - size // 2 for place in (row, column))
    return framed[top : top + size, left : left + size]
""",
        "pushed back into the picture at the border": """
def cut(picture, row, column, size, stride, start):
    top = min(max(start + row * stride, 0), max(picture.shape[0] - size, 0))
    left = min(max(start + column * stride, 0), max(picture.shape[1] - size, 0))
    return picture[top : top + size, left : left + size]
""",
        "the picture is taken to be square": """
def cut(picture, row, column, size, stride, start):
    patch = np.full((size, size, 3), 255, np.uint8)
    for i in range(size):
        for j in range(size):
            y, x = start + row * stride + i, start + column * stride + j
            if 0 <= y < picture.shape[0] and 0 <= x < picture.shape[0]:
                patch[i, j] = picture[y, x]
    return patch
""",
        "a patch beside the picture is not thought of": """
def cut(picture, row, column, size, stride, start):
    top, left = start + row * stride, start + column * stride
    patch = np.full((size, size, 3), 255, np.uint8)
    up, down = max(top, 0), min(top + size, picture.shape[0])
    first, last = max(left, 0), min(left + size, picture.shape[1])
    if size > min(picture.shape[:2]):
        size = min(picture.shape[:2])
    patch[up - top : down - top, first - left : last - left] = picture[up:down, first:last]
    return patch[:size, :size]
""",
        "all white": """
def cut(picture, row, column, size, stride, start):
    return np.full((size, size, 3), 255, np.uint8)
""",
    },
    "nine": {
        "the first nine": "nine = list(range(9))",
        "another unit's": "nine = best[(UNIT + 1) % len(best)].tolist()",
        "counted from one": "nine = ((best[UNIT] + 1) % 140).tolist()",
        "one of them twice": "nine = best[UNIT, [0, 1, 2, 3, 4, 5, 6, 7, 7]].tolist()",
    },
    "chance_purity": {
        "one by the number of classes": """
def chance_purity(labels, k):
    return 1 / len(set(labels))
""",
        "the share of the largest class": """
def chance_purity(labels, k):
    return max(map(list(labels).count, set(labels))) / len(labels)
""",
        "the same picture may come twice": """
def chance_purity(labels, k):
    _, numbers = np.unique(labels, return_inverse=True)
    drawn = numbers[np.random.default_rng(0).integers(0, len(numbers), (10_000, k))]
    return np.max([(drawn == n).sum(1) for n in set(numbers)], axis=0).mean() / k
""",
        "classes are drawn, all alike": """
def chance_purity(labels, k):
    drawn = np.random.default_rng(0).integers(0, len(set(labels)), (10_000, k))
    return np.max([(drawn == n).sum(1) for n in range(len(set(labels)))], axis=0).mean() / k
""",
        "the share of the first picture's label": """
def chance_purity(labels, k):
    _, numbers = np.unique(labels, return_inverse=True)
    order = np.random.default_rng(0).random((10_000, len(numbers))).argsort(axis=1)[:, :k]
    return (numbers[order] == numbers[order][:, :1]).mean()
""",
        "divided by the number of labels met": """
def chance_purity(labels, k):
    _, numbers = np.unique(labels, return_inverse=True)
    order = np.random.default_rng(0).random((5000, len(numbers))).argsort(axis=1)[:, :k]
    return np.mean([1 / len(set(row)) for row in numbers[order].tolist()])
""",
        "ten draws": """
def chance_purity(labels, k):
    _, numbers = np.unique(labels, return_inverse=True)
    order = np.random.default_rng(0).random((10, len(numbers))).argsort(axis=1)[:, :k]
    return np.max([(numbers[order] == n).sum(1) for n in set(numbers)], axis=0).mean() / k
""",
        "the first k pictures, not drawn": """
def chance_purity(labels, k):
    return max(map(list(labels)[:k].count, labels)) / k
""",
    },
    "p_value": {
        "the labels are shuffled": """
def p_value(responses, labels, rotations=99):
    def pureness(names):
        nine = np.argsort(-responses, axis=0, kind="stable")[:9]
        return topk.purity(nine.T, names).mean()
    lot = np.random.default_rng(0)
    own = pureness(labels)
    others = [pureness(lot.permutation(labels)) for _ in range(rotations)]
    return (1 + sum(other >= own for other in others)) / (1 + rotations)
""",
        "nine pictures drawn blindly are the rival": """
def p_value(responses, labels, rotations=99):
    nine = np.argsort(-responses, axis=0, kind="stable")[:9]
    own = topk.purity(nine.T, labels).mean()
    lot = np.random.default_rng(0)
    others = [topk.purity(lot.integers(0, len(labels), nine.T.shape), labels).mean()
              for _ in range(rotations)]
    return (1 + sum(other >= own for other in others)) / (1 + rotations)
""",
        "the own units are not counted": """
def p_value(responses, labels, rotations=99):
    def pureness(answers):
        return topk.purity(np.argsort(-answers, axis=0, kind="stable")[:9].T, labels).mean()
    lot = np.random.default_rng(0)
    own = pureness(responses)
    return np.mean([pureness(responses @ given.turned(lot, responses.shape[1])) >= own
                    for _ in range(rotations)])
""",
        "the other side": """
def p_value(responses, labels, rotations=99):
    def pureness(answers):
        return topk.purity(np.argsort(-answers, axis=0, kind="stable")[:9].T, labels).mean()
    lot = np.random.default_rng(0)
    own = pureness(responses)
    others = [pureness(responses @ given.turned(lot, responses.shape[1])) for _ in range(rotations)]
    return (1 + sum(other <= own for other in others)) / (1 + rotations)
""",
        "directions with positive weights only": """
def p_value(responses, labels, rotations=99):
    def pureness(answers):
        return topk.purity(np.argsort(-answers, axis=0, kind="stable")[:9].T, labels).mean()
    lot = np.random.default_rng(0)
    own = pureness(responses)
    others = []
    for _ in range(rotations):
        weights = lot.random((responses.shape[1], responses.shape[1]))
        others.append(pureness(responses @ weights))
    return (1 + sum(other >= own for other in others)) / (1 + rotations)
""",
        "the bottom nine": """
def p_value(responses, labels, rotations=99):
    def pureness(answers):
        return topk.purity(np.argsort(answers, axis=0, kind="stable")[:9].T, labels).mean()
    lot = np.random.default_rng(0)
    own = pureness(responses)
    others = [pureness(responses @ given.turned(lot, responses.shape[1])) for _ in range(rotations)]
    return (1 + sum(other >= own for other in others)) / (1 + rotations)
""",
        "the best unit against the mean of the directions": """
def p_value(responses, labels, rotations=99):
    def pureness(answers):
        return topk.purity(np.argsort(-answers, axis=0, kind="stable")[:9].T, labels)
    lot = np.random.default_rng(0)
    own = pureness(responses).max()
    others = [pureness(responses @ given.turned(lot, responses.shape[1])).mean()
              for _ in range(rotations)]
    return (1 + sum(other >= own for other in others)) / (1 + rotations)
""",
        "the units are shuffled": """
def p_value(responses, labels, rotations=99):
    def pureness(answers):
        return topk.purity(np.argsort(-answers, axis=0, kind="stable")[:9].T, labels).mean()
    lot = np.random.default_rng(0)
    own = pureness(responses)
    others = [pureness(lot.permuted(responses, axis=0)) for _ in range(rotations)]
    return (1 + sum(other >= own for other in others)) / (1 + rotations)
""",
        "always one twentieth": """
def p_value(responses, labels, rotations=99):
    return 1 / (1 + rotations)
""",
        "a random number": """
def p_value(responses, labels, rotations=99):
    return float(1 - np.modf(abs(responses).sum())[0])
""",
    },
    "answers": {
        "all units": 'answers = dict.fromkeys("ABCDEFGH", "units")',
        "all directions": 'answers = dict.fromkeys("ABCDEFGH", "directions")',
        "the wrong way round": """
answers = {name: "directions" if p_value(responses, sealed_labels, 29) < 0.04 else "units"
           for name, responses in sealed.items()}
""",
        "another student's": """
answers = {name: "units" if p_value(responses, sealed_labels, 29) < 0.04 else "directions"
           for name, responses in given.deal_layers("another").items()}
""",
        "a bound for the purity": """
answers, bound = {}, chance_purity(sealed_labels, 9)
for name, responses in sealed.items():
    pure = topk.purity(np.argsort(-responses, axis=0)[:9].T, sealed_labels).mean()
    answers[name] = "units" if pure > bound else "directions"
""",
    },
}

RIGHT = {
    "peaks": {
        "a loop": """
def peaks(maps):
    values, rows, columns = np.zeros(maps.shape[:2]), *np.zeros((2, *maps.shape[:2]), int)
    for picture, unit in np.ndindex(*maps.shape[:2]):
        row, column = np.unravel_index(maps[picture, unit].argmax(), maps.shape[2:])
        values[picture, unit] = maps[picture, unit, row, column]
        rows[picture, unit], columns[picture, unit] = row, column
    return values, rows, columns
""",
        "by PyTorch": """
def peaks(maps):
    import torch
    values, places = torch.from_numpy(maps).flatten(2).max(-1)
    return values.numpy(), (places // maps.shape[3]).numpy(), (places % maps.shape[3]).numpy()
""",
    },
    "strongest": {
        "a heap for each unit": """
def strongest(batches, k):
    import heapq
    heaps, number, bound = None, 0, None
    for batch in batches:
        if heaps is None:
            heaps = [[] for _ in range(batch.shape[1])]
        for unit, heap in enumerate(heaps):
            column = batch[:, unit]
            lowest = heap[0][0] if len(heap) == k else -np.inf
            for place in np.flatnonzero(column > lowest):
                item = (float(column[place]), -(number + int(place)))
                if len(heap) < k:
                    heapq.heappush(heap, item)
                else:
                    heapq.heappushpop(heap, item)
        number += len(batch)
    ranked = [sorted(heap, reverse=True) for heap in heaps]
    return (np.array([[-place for _, place in heap] for heap in ranked]),
            np.array([[value for value, _ in heap] for heap in ranked]))
""",
        "sorted by two keys": """
def strongest(batches, k):
    kept, first = None, 0
    for batch in batches:
        units = batch.shape[1]
        new = np.stack([batch, np.repeat(np.arange(first, first + len(batch))[:, None], units, 1)])
        first += len(batch)
        new = new if kept is None else np.concatenate([kept, new], axis=1)
        order = np.lexsort((new[1], -new[0]), axis=0)[:k]
        kept = np.take_along_axis(new, order[None], 1)
    return kept[1].T.astype(int), kept[0].T
""",
    },
    "cut": {
        "a wide white frame": """
def cut(picture, row, column, size, stride, start):
    wide = size + abs(start) + stride * (max(row, column) + 1)
    framed = np.pad(picture, ((wide, wide), (wide, wide), (0, 0)), constant_values=255)
    top, left = wide + start + row * stride, wide + start + column * stride
    return framed[top : top + size, left : left + size]
""",
        "by Pillow": """
def cut(picture, row, column, size, stride, start):
    top, left = int(start + row * stride), int(start + column * stride)
    sheet = Image.new("RGB", (int(size), int(size)), "white")
    sheet.paste(Image.fromarray(picture), (-left, -top))
    return np.array(sheet)
""",
    },
    "chance_purity": {
        "exactly, by counting": """
def chance_purity(labels, k):
    from math import comb
    sizes = [list(labels).count(label) for label in set(labels)]
    def ways(most):
        total = [1] + [0] * k
        for size in sizes:
            total = [sum(total[n - j] * comb(size, j) for j in range(min(most, size, n) + 1))
                     for n in range(k + 1)]
        return total[k]
    return sum(m * (ways(m) - ways(m - 1)) for m in range(1, k + 1)) / k / comb(len(labels), k)
""",
        "a loop with a Counter": """
def chance_purity(labels, k):
    import random
    from collections import Counter
    lot = random.Random(3)
    labels = list(labels)
    draws = [Counter(lot.sample(labels, k)).most_common(1)[0][1] for _ in range(3000)]
    return sum(draws) / len(draws) / k
""",
    },
    "p_value": {
        "with directions of its own": """
def p_value(responses, labels, rotations=99):
    def pureness(answers):
        nine = np.stack([np.argsort(-column)[:9] for column in answers.T])
        return np.mean([max(np.unique(np.asarray(labels)[row], return_counts=True)[1]) / 9
                        for row in nine])
    lot = np.random.default_rng(5)
    own, beaten = pureness(responses), 1
    for _ in range(rotations):
        turn = np.linalg.svd(lot.normal(size=(responses.shape[1],) * 2))[0]
        turn = turn * lot.choice((-1, 1), len(turn))
        beaten += pureness(responses @ turn) >= own
    return beaten / (rotations + 1)
""",
    },
}
