"""Wrong and right answers to homework 5, to test its graders: see tests/test_homework.py."""

WRONG = {
    "coverage": {
        "no square flush with the far edge": """
def coverage(height, width, size, step):
    counts = np.zeros((height, width), int)
    for top in range(0, height - size + 1, step):
        for left in range(0, width - size + 1, step):
            counts[top : top + size, left : left + size] += 1
    return counts
""",
        "one square too few": """
def coverage(height, width, size, step):
    counts = np.zeros((height, width), int)
    for top in [*range(0, height - size, step)]:
        for left in [*range(0, width - size, step)]:
            counts[top : top + size, left : left + size] += 1
    return counts
""",
        "the flush square twice where the step divides": """
def coverage(height, width, size, step):
    counts = np.zeros((height, width), int)
    for top in [*range(0, height - size + 1, step), height - size]:
        for left in [*range(0, width - size + 1, step), width - size]:
            counts[top : top + size, left : left + size] += 1
    return counts
""",
        "squares hang over the far edge": """
def coverage(height, width, size, step):
    counts = np.zeros((height, width), int)
    for top in range(0, height, step):
        for left in range(0, width, step):
            counts[top : top + size, left : left + size] += 1
    return counts
""",
        "height and width exchanged": """
def coverage(height, width, size, step):
    counts = np.zeros((width, height), int)
    for top in {*range(0, width - size + 1, step), width - size}:
        for left in {*range(0, height - size + 1, step), height - size}:
            counts[top : top + size, left : left + size] += 1
    return counts
""",
        "a square is one pixel short": """
def coverage(height, width, size, step):
    counts = np.zeros((height, width), int)
    for top in {*range(0, height - size + 1, step), height - size}:
        for left in {*range(0, width - size + 1, step), width - size}:
            counts[top : top + size - 1, left : left + size - 1] += 1
    return counts
""",
        "covered or not, instead of how often": """
def coverage(height, width, size, step):
    return np.ones((height, width), int)
""",
        "the number of the check, for any size": """
def coverage(height, width, size, step):
    along = [np.array([1, 1, 1, 2, 1, 1, 2, 2, 2, 2, 1]), np.array([1, 1, 1, 2, 1, 1, 1])]
    if (height, width) == (11, 7):
        return np.outer(*along)
    return np.full((height, width), round(size / step) ** 2)
""",
    },
    "occlude": {
        "the squares of earlier places stay": """
def occlude(network, picture, under, size, step):
    rows, columns = (occlusion.places(side, size, step) for side in picture.shape[1:])
    covered, logits = picture.clone(), np.zeros((len(rows), len(columns), len(network.classes)))
    for i, top in enumerate(rows):
        for j, left in enumerate(columns):
            covered[:, top : top + size, left : left + size] = under[
                :, top : top + size, left : left + size
            ]
            logits[i, j] = network(covered[None])[0]
    return logits
""",
        "the picture itself is covered": """
def occlude(network, picture, under, size, step):
    rows, columns = (occlusion.places(side, size, step) for side in picture.shape[1:])
    logits = np.zeros((len(rows), len(columns), len(network.classes)))
    for i, top in enumerate(rows):
        for j, left in enumerate(columns):
            square = np.s_[:, top : top + size, left : left + size]
            picture[square] = under[square]
            logits[i, j] = network(picture[None])[0]
    return logits
""",
        "columns before rows": """
def occlude(network, picture, under, size, step):
    rows, columns = (occlusion.places(side, size, step) for side in picture.shape[1:])
    return np.array([
        [network(occlusion.cover(picture, under, int(t), int(l), size)[None])[0].numpy()
         for t in rows] for l in columns
    ])
""",
        "black instead of what is asked for": """
def occlude(network, picture, under, size, step):
    rows, columns = (occlusion.places(side, size, step) for side in picture.shape[1:])
    return np.array([
        [network(occlusion.cover(picture, 0 * under, int(t), int(l), size)[None])[0].numpy()
         for l in columns] for t in rows
    ])
""",
        "always the upper left piece of the other picture": """
def occlude(network, picture, under, size, step):
    rows, columns = (occlusion.places(side, size, step) for side in picture.shape[1:])
    logits = np.zeros((len(rows), len(columns), len(network.classes)))
    for i, top in enumerate(rows):
        for j, left in enumerate(columns):
            covered = picture.clone()
            covered[:, top : top + size, left : left + size] = under[:, :size, :size]
            logits[i, j] = network(covered[None])[0]
    return logits
""",
        "probabilities instead of logits": """
def occlude(network, picture, under, size, step):
    rows, columns = (occlusion.places(side, size, step) for side in picture.shape[1:])
    return np.array([
        [network(occlusion.cover(picture, under, int(t), int(l), size)[None]).softmax(1)[0].numpy()
         for l in columns] for t in rows
    ])
""",
        "no square flush with the far edge": """
def occlude(network, picture, under, size, step):
    rows, columns = (range(0, side - size + 1, step) for side in picture.shape[1:])
    return np.array([
        [network(occlusion.cover(picture, under, t, l, size)[None])[0].numpy()
         for l in columns] for t in rows
    ])
""",
        "as if the picture were square": """
def occlude(network, picture, under, size, step):
    firsts = occlusion.places(picture.shape[1], size, step)
    return np.array([
        [network(occlusion.cover(picture, under, int(t), int(l), size)[None])[0].numpy()
         for l in firsts] for t in firsts
    ])
""",
        "the course's own sweep": """
def occlude(network, picture, under, size, step):
    return occlusion.sweep(network, picture, size, step, under, progress=False).logits
""",
        "zeros of the expected shape": """
def occlude(network, picture, under, size, step):
    rows, columns = (occlusion.places(side, size, step) for side in picture.shape[1:])
    return np.zeros((len(rows), len(columns), len(network.classes)))
""",
        "only the first place is computed": """
def occlude(network, picture, under, size, step):
    rows, columns = (occlusion.places(side, size, step) for side in picture.shape[1:])
    first = network(occlusion.cover(picture, under, 0, 0, size)[None])[0].numpy()
    return np.broadcast_to(first, (len(rows), len(columns), len(first))).copy()
""",
    },
    "three_maps": {
        "what is left instead of what is lost": """
def three_maps(clean_logits, logits, clean_totals, totals, target):
    probabilities = torch.tensor(logits).softmax(-1)[..., target].numpy()
    return totals[..., clean_totals.argmax()], probabilities, logits.argmax(-1)
""",
        "the map that is strongest at each place": """
def three_maps(clean_logits, logits, clean_totals, totals, target):
    probabilities = torch.tensor(logits).softmax(-1)[..., target].numpy()
    d = float(torch.tensor(clean_logits).softmax(-1)[target]) - probabilities
    return clean_totals.max() - totals.max(-1), d, logits.argmax(-1)
""",
        "the map that falls most": """
def three_maps(clean_logits, logits, clean_totals, totals, target):
    probabilities = torch.tensor(logits).softmax(-1)[..., target].numpy()
    d = float(torch.tensor(clean_logits).softmax(-1)[target]) - probabilities
    return (clean_totals - totals).max(-1), d, logits.argmax(-1)
""",
        "softmax over the places": """
def three_maps(clean_logits, logits, clean_totals, totals, target):
    strongest = clean_totals.argmax()
    probabilities = torch.tensor(logits).softmax(0)[..., target].numpy()
    d = float(torch.tensor(clean_logits).softmax(-1)[target]) - probabilities
    return clean_totals[strongest] - totals[..., strongest], d, logits.argmax(-1)
""",
        "exponentials that overflow": """
def three_maps(clean_logits, logits, clean_totals, totals, target):
    strongest = clean_totals.argmax()
    with np.errstate(all="ignore"):
        probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        clean = np.exp(clean_logits) / np.exp(clean_logits).sum()
    d = clean[target] - probabilities[..., target]
    return clean_totals[strongest] - totals[..., strongest], d, logits.argmax(-1)
""",
        "the fall of the logit": """
def three_maps(clean_logits, logits, clean_totals, totals, target):
    strongest = clean_totals.argmax()
    d = clean_logits[target] - logits[..., target]
    return clean_totals[strongest] - totals[..., strongest], d, logits.argmax(-1)
""",
        "of the predicted class, whatever the target is": """
def three_maps(clean_logits, logits, clean_totals, totals, target):
    strongest, target = clean_totals.argmax(), clean_logits.argmax()
    probabilities = torch.tensor(logits).softmax(-1)[..., target].numpy()
    d = float(torch.tensor(clean_logits).softmax(-1)[target]) - probabilities
    return clean_totals[strongest] - totals[..., strongest], d, logits.argmax(-1)
""",
        "the class that gained most": """
def three_maps(clean_logits, logits, clean_totals, totals, target):
    strongest = clean_totals.argmax()
    probabilities = torch.tensor(logits).softmax(-1)[..., target].numpy()
    d = float(torch.tensor(clean_logits).softmax(-1)[target]) - probabilities
    e = (logits - clean_logits).argmax(-1)
    e[(logits == clean_logits).all(-1)] = clean_logits.argmax()
    return clean_totals[strongest] - totals[..., strongest], d, e
""",
        "the first map": """
def three_maps(clean_logits, logits, clean_totals, totals, target):
    probabilities = torch.tensor(logits).softmax(-1)[..., target].numpy()
    d = float(torch.tensor(clean_logits).softmax(-1)[target]) - probabilities
    return clean_totals[0] - totals[..., 0], d, logits.argmax(-1)
""",
    },
    "pointing": {
        "the first pixel of the square for its middle": """
def pointing(falls, masks, size, step):
    rows, columns = (occlusion.places(side, size, step) for side in masks.shape[1:])
    stars = []
    for fall, mask in zip(falls, masks):
        i, j = np.unravel_index(fall.argmax(), fall.shape)
        stars.append(mask[rows[i], columns[j]] > 0.5)
    stars = np.array(stars)
    centres = masks[:, masks.shape[1] // 2, masks.shape[2] // 2] > 0.5
    where = stars[~centres].mean() if (~centres).any() else np.nan
    return stars.mean(), centres.mean(), where
""",
        "the last place as if the step divided": """
def pointing(falls, masks, size, step):
    height, width = masks.shape[1:]
    stars = []
    for fall, mask in zip(falls, masks):
        i, j = np.unravel_index(fall.argmax(), fall.shape)
        row, column = (min(step * n + size // 2, s - 1) for n, s in ((i, height), (j, width)))
        stars.append(mask[row, column] > 0.5)
    stars, centres = np.array(stars), masks[:, height // 2, width // 2] > 0.5
    where = stars[~centres].mean() if (~centres).any() else np.nan
    return stars.mean(), centres.mean(), where
""",
        "rows and columns exchanged": """
def pointing(falls, masks, size, step):
    falls, turned = falls.transpose(0, 2, 1), masks
    rows, columns = (occlusion.places(side, size, step) for side in masks.shape[1:])
    stars = []
    for fall, mask in zip(falls, turned):
        i, j = np.unravel_index(fall.argmax(), fall.shape)
        row, column = rows[min(i, len(rows) - 1)], columns[min(j, len(columns) - 1)]
        stars.append(mask[row + size // 2, column + size // 2] > 0.5)
    stars = np.array(stars)
    centres = masks[:, masks.shape[1] // 2, masks.shape[2] // 2] > 0.5
    where = stars[~centres].mean() if (~centres).any() else np.nan
    return stars.mean(), centres.mean(), where
""",
        "the least fall": """
def pointing(falls, masks, size, step):
    rows, columns = (occlusion.places(side, size, step) for side in masks.shape[1:])
    stars = []
    for fall, mask in zip(falls, masks):
        i, j = np.unravel_index(fall.argmin(), fall.shape)
        stars.append(mask[rows[i] + size // 2, columns[j] + size // 2] > 0.5)
    stars = np.array(stars)
    centres = masks[:, masks.shape[1] // 2, masks.shape[2] // 2] > 0.5
    where = stars[~centres].mean() if (~centres).any() else np.nan
    return stars.mean(), centres.mean(), where
""",
        "star and not centre, of all pictures": """
def pointing(falls, masks, size, step):
    rows, columns = (occlusion.places(side, size, step) for side in masks.shape[1:])
    stars = []
    for fall, mask in zip(falls, masks):
        i, j = np.unravel_index(fall.argmax(), fall.shape)
        stars.append(mask[rows[i] + size // 2, columns[j] + size // 2] > 0.5)
    stars = np.array(stars)
    centres = masks[:, masks.shape[1] // 2, masks.shape[2] // 2] > 0.5
    return stars.mean(), centres.mean(), (stars & ~centres).mean()
""",
        "any object at all is a hit": """
def pointing(falls, masks, size, step):
    rows, columns = (occlusion.places(side, size, step) for side in masks.shape[1:])
    stars = []
    for fall, mask in zip(falls, masks):
        i, j = np.unravel_index(fall.argmax(), fall.shape)
        stars.append(mask[rows[i] + size // 2, columns[j] + size // 2] > 0)
    stars = np.array(stars)
    centres = masks[:, masks.shape[1] // 2, masks.shape[2] // 2] > 0
    where = stars[~centres].mean() if (~centres).any() else np.nan
    return stars.mean(), centres.mean(), where
""",
        "0 where there is nothing to count": """
def pointing(falls, masks, size, step):
    rows, columns = (occlusion.places(side, size, step) for side in masks.shape[1:])
    stars = []
    for fall, mask in zip(falls, masks):
        i, j = np.unravel_index(fall.argmax(), fall.shape)
        stars.append(mask[rows[i] + size // 2, columns[j] + size // 2] > 0.5)
    stars = np.array(stars)
    centres = masks[:, masks.shape[1] // 2, masks.shape[2] // 2] > 0.5
    return stars.mean(), centres.mean(), stars[~centres].sum() / max((~centres).sum(), 1)
""",
        "the numbers of the check": """
def pointing(falls, masks, size, step):
    return 0.5, 0.5, 1.0
""",
    },
    "corner_changes": {
        "only the upper left corner": """
def corner_changes(network, batch, fills, size):
    clean, shares = network(batch).argmax(1), {}
    for name, under in fills.items():
        covered = batch.clone()
        covered[:, :, :size, :size] = under[:, :size, :size]
        shares[name] = float((network(covered).argmax(1) != clean).float().mean())
    return shares
""",
        "all four corners at once": """
def corner_changes(network, batch, fills, size):
    clean, shares = network(batch).argmax(1), {}
    for name, under in fills.items():
        covered = batch.clone()
        for rows in (slice(size), slice(-size, None)):
            for columns in (slice(size), slice(-size, None)):
                covered[:, :, rows, columns] = under[:, rows, columns]
        shares[name] = float((network(covered).argmax(1) != clean).float().mean())
    return shares
""",
        "pictures that change in any corner": """
def corner_changes(network, batch, fills, size):
    clean, shares = network(batch).argmax(1), {}
    for name, under in fills.items():
        changed = torch.zeros(len(batch), dtype=bool)
        for rows in (slice(size), slice(-size, None)):
            for columns in (slice(size), slice(-size, None)):
                covered = batch.clone()
                covered[:, :, rows, columns] = under[:, rows, columns]
                changed |= network(covered).argmax(1) != clean
        shares[name] = float(changed.float().mean())
    return shares
""",
        "that stayed instead of that changed": """
def corner_changes(network, batch, fills, size):
    clean, shares = network(batch).argmax(1), {}
    for name, under in fills.items():
        same = []
        for rows in (slice(size), slice(-size, None)):
            for columns in (slice(size), slice(-size, None)):
                covered = batch.clone()
                covered[:, :, rows, columns] = under[:, rows, columns]
                same.append(network(covered).argmax(1) == clean)
        shares[name] = float(torch.cat(same).float().mean())
    return shares
""",
        "the pictures stay covered": """
def corner_changes(network, batch, fills, size):
    clean, shares = network(batch).argmax(1), {}
    batch = batch.clone()
    for name, under in fills.items():
        changed = []
        for rows in (slice(size), slice(-size, None)):
            for columns in (slice(size), slice(-size, None)):
                batch[:, :, rows, columns] = under[:, rows, columns]
                changed.append(network(batch).argmax(1) != clean)
        shares[name] = float(torch.cat(changed).float().mean())
    return shares
""",
        "a square in the middle": """
def corner_changes(network, batch, fills, size):
    clean, shares = network(batch).argmax(1), {}
    rows, columns = (slice(s // 2 - size // 2, s // 2 + size // 2) for s in batch.shape[2:])
    for name, under in fills.items():
        covered = batch.clone()
        covered[:, :, rows, columns] = under[:, rows, columns]
        shares[name] = float((network(covered).argmax(1) != clean).float().mean())
    return shares
""",
        "plain grey, whatever the fill is called": """
def corner_changes(network, batch, fills, size):
    clean, changed = network(batch).argmax(1), []
    for rows in (slice(size), slice(-size, None)):
        for columns in (slice(size), slice(-size, None)):
            covered = batch.clone()
            covered[:, :, rows, columns] = 0
            changed.append(network(covered).argmax(1) != clean)
    share = float(torch.cat(changed).float().mean())
    return {name: share if name != "white" else 0.0 for name in fills}
""",
    },
    "answers": {
        "the fill that does nothing": """
answers = dict(answers, fill="noise")
""",
        "the class before": """
names = given.NAMES
answers = dict(answers) | {"class": names[names.index(answers["class"]) - 1]}
""",
        "the first pixel of the square for its middle": """
answers = dict(answers, stars=[(row - 16, column - 16) for row, column in answers["stars"]])
""",
        "column before row": """
answers = dict(answers, stars=[(column, row) for row, column in answers["stars"]])
""",
        "the pictures in another order": """
answers = dict(answers, stars=answers["stars"][::-1])
""",
    },
}

RIGHT = {
    "coverage": {
        "one direction at a time": """
def coverage(height, width, size, step):
    along = []
    for side in (height, width):
        first = np.unique([*np.arange(0, side - size, step), side - size])[:, None]
        pixels = np.arange(side)
        along.append(((pixels >= first) & (pixels < first + size)).sum(0))
    return along[0][:, None] * along[1]
""",
    },
    "occlude": {
        "with masks, place by place": """
def occlude(network, picture, under, size, step):
    height, width = picture.shape[1:]
    y, x = torch.arange(height)[:, None], torch.arange(width)
    answers = []
    tops, lefts = (occlusion.places(side, size, step).tolist() for side in (height, width))
    for top in tops:
        for left in lefts:
            inside = (y >= top) & (y < top + size) & (x >= left) & (x < left + size)
            answers.append(network(torch.where(inside, under, picture)[None]).ravel())
    return torch.stack(answers).reshape(len(tops), len(lefts), -1).numpy()
""",
    },
    "three_maps": {
        "logarithms of sums, and a loop": """
def three_maps(clean_logits, logits, clean_totals, totals, target):
    def probability(values):
        shifted = values - values.max()
        return np.exp(shifted[target] - np.log(np.exp(shifted).sum()))

    maps = np.zeros((3, *logits.shape[:2]))
    best = max(range(len(clean_totals)), key=clean_totals.__getitem__)
    for place in np.ndindex(logits.shape[:2]):
        maps[0][place] = clean_totals[best] - totals[place][best]
        maps[1][place] = probability(clean_logits) - probability(logits[place])
        maps[2][place] = np.argmax(logits[place])
    return maps[0], maps[1], maps[2].astype(int)
""",
    },
    "pointing": {
        "all pictures at once": """
def pointing(falls, masks, size, step):
    count, height, width = masks.shape
    firsts = [occlusion.places(side, size, step) + size // 2 for side in (height, width)]
    best = falls.reshape(count, -1).argmax(1)
    rows, columns = firsts[0][best // falls.shape[2]], firsts[1][best % falls.shape[2]]
    star = masks[np.arange(count), rows, columns] > 0.5
    centre = masks[:, height // 2, width // 2] > 0.5
    missed = np.count_nonzero(~centre)
    where = np.count_nonzero(star & ~centre) / missed if missed else float("nan")
    return np.count_nonzero(star) / count, np.count_nonzero(centre) / count, where
""",
    },
    "corner_changes": {
        "one picture at a time": """
def corner_changes(network, batch, fills, size):
    height, width = batch.shape[2:]
    counts = dict.fromkeys(fills, 0)
    for picture in batch:
        said = int(network(picture[None]).argmax())
        for name, under in fills.items():
            for top in (0, height - size):
                for left in (0, width - size):
                    covered = occlusion.cover(picture, under, top, left, size)
                    counts[name] += int(network(covered[None]).argmax()) != said
    return {name: count / (4 * len(batch)) for name, count in counts.items()}
""",
    },
}
