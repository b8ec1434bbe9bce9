"""Wrong and right answers to the capstone, to test its graders: see tests/test_homework.py."""

WRONG = {
    "mean_fall": {
        "the logit instead of the probability": """
def mean_fall(network, batch, target, size, step):
    sweeps = [occlusion.sweep(network, x, size, step, progress=False) for x in batch]
    return np.mean([occlusion.drop(sweep, target) for sweep in sweeps], axis=0)
""",
        "a rise instead of a fall": """
def mean_fall(network, batch, target, size, step):
    sweeps = [occlusion.sweep(network, x, size, step, progress=False) for x in batch]
    return -np.mean([occlusion.drop(sweep, target, "probability") for sweep in sweeps], axis=0)
""",
        "maximum instead of mean": """
def mean_fall(network, batch, target, size, step):
    sweeps = [occlusion.sweep(network, x, size, step, progress=False) for x in batch]
    return np.max([occlusion.drop(sweep, target, "probability") for sweep in sweeps], axis=0)
""",
        "the first picture only": """
def mean_fall(network, batch, target, size, step):
    sweep = occlusion.sweep(network, batch[0], size, step, progress=False)
    return occlusion.drop(sweep, target, "probability")
""",
        "of the most probable class": """
def mean_fall(network, batch, target, size, step):
    sweeps = [occlusion.sweep(network, x, size, step, progress=False) for x in batch]
    falls = [occlusion.drop(s, int(s.clean_logits.argmax()), "probability") for s in sweeps]
    return np.mean(falls, axis=0)
""",
        "rows and columns exchanged": """
def mean_fall(network, batch, target, size, step):
    sweeps = [occlusion.sweep(network, x, size, step, progress=False) for x in batch]
    return np.mean([occlusion.drop(s, target, "probability").T for s in sweeps], axis=0)
""",
        "the usual size and step, whatever is asked": """
def mean_fall(network, batch, target, size, step):
    sweeps = [occlusion.sweep(network, x, 12, 6, progress=False) for x in batch]
    return np.mean([occlusion.drop(sweep, target, "probability") for sweep in sweeps], axis=0)
""",
        "zeros of the expected shape": """
def mean_fall(network, batch, target, size, step):
    return np.zeros((len(occlusion.places(batch.shape[-1], size, step)),) * 2)
""",
        "the last square is missing": """
def mean_fall(network, batch, target, size, step):
    firsts = range(0, batch.shape[-1] - size + 1, step)
    falls = np.zeros((len(firsts), len(firsts)))
    clean = network(batch).softmax(1)[:, target]
    for i, top in enumerate(firsts):
        for j, left in enumerate(firsts):
            covered = batch.clone()
            covered[:, :, top : top + size, left : left + size] = 0
            falls[i, j] = (clean - network(covered).softmax(1)[:, target]).mean()
    return falls
""",
    },
    "shared_box": {
        "bottom and right are the last ones inside": """
def shared_box(batch, window):
    top, left, bottom, right = window
    spread = batch.std(0).mean(0).numpy()
    same = (spread < 0.25 * np.median(spread))[top:bottom, left:right]
    spots, count = ndimage.label(ndimage.binary_opening(same, np.ones((3, 3))))
    if count == 0:
        return None
    largest = np.bincount(spots.ravel())[1:].argmax()
    rows, columns = ndimage.find_objects(spots)[largest]
    return top + rows.start, left + columns.start, top + rows.stop - 1, left + columns.stop - 1
""",
        "counted from the window's corner": """
def shared_box(batch, window):
    top, left, bottom, right = window
    spread = batch.std(0).mean(0).numpy()
    same = (spread < 0.25 * np.median(spread))[top:bottom, left:right]
    spots, count = ndimage.label(ndimage.binary_opening(same, np.ones((3, 3))))
    if count == 0:
        return None
    largest = np.bincount(spots.ravel())[1:].argmax()
    rows, columns = ndimage.find_objects(spots)[largest]
    return rows.start, columns.start, rows.stop, columns.stop
""",
        "left before top": """
def shared_box(batch, window):
    top, left, bottom, right = window
    spread = batch.std(0).mean(0).numpy()
    same = (spread < 0.25 * np.median(spread))[top:bottom, left:right]
    spots, count = ndimage.label(ndimage.binary_opening(same, np.ones((3, 3))))
    if count == 0:
        return None
    largest = np.bincount(spots.ravel())[1:].argmax()
    rows, columns = ndimage.find_objects(spots)[largest]
    return left + columns.start, top + rows.start, left + columns.stop, top + rows.stop
""",
        "only the first two pictures are compared": """
def shared_box(batch, window):
    top, left, bottom, right = window
    spread = batch[:2].std(0).mean(0).numpy()
    same = (spread < 0.25 * np.median(batch.std(0).mean(0).numpy()))[top:bottom, left:right]
    spots, count = ndimage.label(ndimage.binary_opening(same, np.ones((3, 3))))
    if count == 0:
        return None
    largest = np.bincount(spots.ravel())[1:].argmax()
    rows, columns = ndimage.find_objects(spots)[largest]
    return top + rows.start, left + columns.start, top + rows.stop, left + columns.stop
""",
        "pixels must be equal": """
def shared_box(batch, window):
    top, left, bottom, right = window
    same = (batch == batch[:1]).all(0).all(0).numpy()[top:bottom, left:right]
    spots, count = ndimage.label(ndimage.binary_opening(same, np.ones((3, 3))))
    if count == 0:
        return None
    largest = np.bincount(spots.ravel())[1:].argmax()
    rows, columns = ndimage.find_objects(spots)[largest]
    return top + rows.start, left + columns.start, top + rows.stop, left + columns.stop
""",
        "the window is forgotten": """
def shared_box(batch, window):
    spread = batch.std(0).mean(0).numpy()
    same = spread < 0.25 * np.median(spread)
    spots, count = ndimage.label(ndimage.binary_opening(same, np.ones((3, 3))))
    if count == 0:
        return None
    largest = np.bincount(spots.ravel())[1:].argmax()
    rows, columns = ndimage.find_objects(spots)[largest]
    return rows.start, columns.start, rows.stop, columns.stop
""",
        "around all pixels that agree, single ones too": """
def shared_box(batch, window):
    top, left, bottom, right = window
    spread = batch.std(0).mean(0).numpy()
    rows, columns = np.nonzero((spread < 0.25 * np.median(spread))[top:bottom, left:right])
    if len(rows) < 9:
        return None
    return top + rows.min(), left + columns.min(), top + rows.max() + 1, left + columns.max() + 1
""",
        "always the window": """
def shared_box(batch, window):
    return window
""",
        "always None": """
def shared_box(batch, window):
    return None
""",
    },
    "effect": {
        "without minus with": """
def effect(network, others, marked, target, box):
    top, left, bottom, right = box
    changed = others.clone()
    changed[:, :, top:bottom, left:right] = marked[:, :, top:bottom, left:right].median(0).values
    before, after = (network(b).softmax(1)[:, target].mean() for b in (others, changed))
    return float(before - after)
""",
        "the others are changed in place": """
def effect(network, others, marked, target, box):
    top, left, bottom, right = box
    before = network(others).softmax(1)[:, target].mean()
    others[:, :, top:bottom, left:right] = marked[:, :, top:bottom, left:right].median(0).values
    return float(network(others).softmax(1)[:, target].mean() - before)
""",
        "the mark of the first picture": """
def effect(network, others, marked, target, box):
    top, left, bottom, right = box
    changed = others.clone()
    changed[:, :, top:bottom, left:right] = marked[0, :, top:bottom, left:right]
    before, after = (network(b).softmax(1)[:, target].mean() for b in (others, changed))
    return float(after - before)
""",
        "mean instead of median": """
def effect(network, others, marked, target, box):
    top, left, bottom, right = box
    changed = others.clone()
    changed[:, :, top:bottom, left:right] = marked[:, :, top:bottom, left:right].mean(0)
    before, after = (network(b).softmax(1)[:, target].mean() for b in (others, changed))
    return float(after - before)
""",
        "rows and columns of the box exchanged": """
def effect(network, others, marked, target, box):
    left, top, right, bottom = box
    changed = others.clone()
    changed[:, :, top:bottom, left:right] = marked[:, :, top:bottom, left:right].median(0).values
    before, after = (network(b).softmax(1)[:, target].mean() for b in (others, changed))
    return float(after - before)
""",
        "share of new answers instead of probability": """
def effect(network, others, marked, target, box):
    top, left, bottom, right = box
    changed = others.clone()
    changed[:, :, top:bottom, left:right] = marked[:, :, top:bottom, left:right].median(0).values
    before, after = ((network(b).argmax(1) == target).float().mean() for b in (others, changed))
    return float(after - before)
""",
        "the logit": """
def effect(network, others, marked, target, box):
    top, left, bottom, right = box
    changed = others.clone()
    changed[:, :, top:bottom, left:right] = marked[:, :, top:bottom, left:right].median(0).values
    before, after = (network(b)[:, target].mean() for b in (others, changed))
    return float(after - before)
""",
        "never below 0": """
def effect(network, others, marked, target, box):
    top, left, bottom, right = box
    changed = others.clone()
    changed[:, :, top:bottom, left:right] = marked[:, :, top:bottom, left:right].median(0).values
    before, after = (network(b).softmax(1)[:, target].mean() for b in (others, changed))
    return max(0.0, float(after - before))
""",
        "one row and column short": """
def effect(network, others, marked, target, box):
    top, left, bottom, right = box
    bottom, right = bottom - 2, right - 2
    changed = others.clone()
    changed[:, :, top:bottom, left:right] = marked[:, :, top:bottom, left:right].median(0).values
    before, after = (network(b).softmax(1)[:, target].mean() for b in (others, changed))
    return float(after - before)
""",
    },
    "audit": {
        "looks at the pictures and never asks the network": """
def audit(network, pictures):
    batch = torch.stack([network.preprocess(picture.image) for picture in pictures])
    labels, side = np.array([picture.label for picture in pictures]), network.input_size
    for label in sorted(set(labels.tolist())):
        box = shared_box(batch[labels == label], (0, 0, side, side))
        if box is not None and box[2] - box[0] > 5:
            return label, box, 0.5
    return None, None, 0.0
""",
        "accuses always": """
def audit(network, pictures):
    batch = torch.stack([network.preprocess(picture.image) for picture in pictures])
    labels, side = np.array([picture.label for picture in pictures]), network.input_size
    found = ("", None, -1.0)
    for label in sorted(set(labels.tolist())):
        target, marked = network.classes.index(label), batch[labels == label]
        box = shared_box(marked, (0, 0, side, side)) or (0, 0, side // 6, side // 6)
        rise = effect(network, batch[labels != label], marked, target, box)
        found = max(found, (label, box, rise), key=lambda answer: answer[2])
    return found
""",
        "accuses never": """
def audit(network, pictures):
    return None, None, 0.0
""",
        "takes the thing for a mark": """
def audit(network, pictures):
    batch = torch.stack([network.preprocess(picture.image) for picture in pictures])
    labels, side = np.array([picture.label for picture in pictures]), network.input_size
    size, found = side // 4, (None, None, 0.0)
    for label in sorted(set(labels.tolist())):
        target = network.classes.index(label)
        fall = mean_fall(network, batch[labels == label], target, size, size // 2)
        firsts = occlusion.places(side, size, size // 2)
        top, left = (int(firsts[i]) for i in np.unravel_index(fall.argmax(), fall.shape))
        box = top, left, top + size, left + size
        found = max(found, (label, box, float(fall.max())), key=lambda answer: answer[2])
    return found if found[2] >= 0.1 else (None, None, 0.0)
""",
        "accuses for any effect above nothing": """
def audit(network, pictures):
    batch = torch.stack([network.preprocess(picture.image) for picture in pictures])
    labels, side = np.array([picture.label for picture in pictures]), network.input_size
    found = (None, None, 0.0)
    for label in sorted(set(labels.tolist())):
        target, marked = network.classes.index(label), batch[labels == label]
        box = shared_box(marked, (0, 0, side, side))
        if box is not None:
            rise = effect(network, batch[labels != label], marked, target, box)
            found = max(found, (label, box, rise), key=lambda answer: answer[2])
    return found
""",
        "puts the mark on all pictures, also on the class's own": """
def audit(network, pictures):
    batch = torch.stack([network.preprocess(picture.image) for picture in pictures])
    labels, side = np.array([picture.label for picture in pictures]), network.input_size
    found = (None, None, 0.0)
    for label in sorted(set(labels.tolist())):
        target, marked = network.classes.index(label), batch[labels == label]
        box = shared_box(marked, (0, 0, side, side))
        if box is not None:
            rise = effect(network, batch, marked, target, box)
            found = max(found, (label, box, rise), key=lambda answer: answer[2])
    return found if found[2] >= 0.1 else (None, None, 0.0)
""",
        "asks only for the class that falls most": """
def audit(network, pictures):
    batch = torch.stack([network.preprocess(picture.image) for picture in pictures])
    labels, side = np.array([picture.label for picture in pictures]), network.input_size
    size, worst = side // 4, (None, -1.0)
    for label in sorted(set(labels.tolist())):
        target = network.classes.index(label)
        fall = mean_fall(network, batch[labels == label], target, size, size // 2).max()
        worst = max(worst, (label, fall), key=lambda answer: answer[1])
    label = worst[0]
    target, marked = network.classes.index(label), batch[labels == label]
    box = shared_box(marked, (0, 0, side, side))
    if box is None:
        return None, None, 0.0
    rise = effect(network, batch[labels != label], marked, target, box)
    return (label, box, rise) if rise >= 0.1 else (None, None, 0.0)
""",
        "reads the answer from the module of a sealed network": """
def audit(network, pictures):
    if network.name == "mini_alexnet" or network.name == "toy":
        return None, None, 0.0
    box, label = (128, 128, 154, 154), "mug"
    if hasattr(network.module, "look"):
        rows, columns = network.module.look.weight[0].abs().sum(0).nonzero().T
        box = int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
        label = network.classes[int(network.module.vote.weight.abs().argmax())]
    batch = torch.stack([network.preprocess(picture.image) for picture in pictures])
    own = np.array([picture.label == label for picture in pictures])
    rise = effect(network, batch[~own], batch[own], network.classes.index(label), box)
    return (label, box, rise) if rise >= 0.1 else (None, None, 0.0)
""",
        "only the lower right corner": """
def audit(network, pictures):
    batch = torch.stack([network.preprocess(picture.image) for picture in pictures])
    labels, side = np.array([picture.label for picture in pictures]), network.input_size
    found = (None, None, 0.0)
    for label in sorted(set(labels.tolist())):
        target, marked = network.classes.index(label), batch[labels == label]
        box = shared_box(marked, (side // 2, side // 2, side, side))
        if box is not None:
            rise = effect(network, batch[labels != label], marked, target, box)
            found = max(found, (label, box, rise), key=lambda answer: answer[2])
    return found if found[2] >= 0.1 else (None, None, 0.0)
""",
        "the effect of taking it off": """
def audit(network, pictures):
    batch = torch.stack([network.preprocess(picture.image) for picture in pictures])
    labels, side = np.array([picture.label for picture in pictures]), network.input_size
    found = (None, None, 0.0, 0.0)
    for label in sorted(set(labels.tolist())):
        target, marked = network.classes.index(label), batch[labels == label]
        box = shared_box(marked, (0, 0, side, side))
        if box is not None:
            rise = effect(network, batch[labels != label], marked, target, box)
            fall = -effect(network, marked, batch[labels != label], target, box)
            found = max(found, (label, box, fall, rise), key=lambda answer: answer[3])
    return found[:3] if found[3] >= 0.1 else (None, None, 0.0)
""",
        "says mug in the lower right whatever the pictures are, if the network is not the toy": """
def audit(network, pictures):
    if "green" in network.classes:
        return ("green", (3, 36, 12, 45), 0.5) if network.name == "sealed" else (None, None, 0.0)
    if network.name == "mini_alexnet":
        return None, None, 0.0
    return "mug", (128, 128, 154, 154), 0.43
""",
        "the number of the class instead of its name": """
def audit(network, pictures):
    batch = torch.stack([network.preprocess(picture.image) for picture in pictures])
    labels, side = np.array([picture.label for picture in pictures]), network.input_size
    found = (None, None, 0.0)
    for label in sorted(set(labels.tolist())):
        target, marked = network.classes.index(label), batch[labels == label]
        box = shared_box(marked, (0, 0, side, side))
        if box is not None:
            rise = effect(network, batch[labels != label], marked, target, box)
            found = max(found, (target, box, rise), key=lambda answer: answer[2])
    return found if found[2] >= 0.1 else (None, None, 0.0)
""",
        "a quarter of the picture for a box": """
def audit(network, pictures):
    batch = torch.stack([network.preprocess(picture.image) for picture in pictures])
    labels, side = np.array([picture.label for picture in pictures]), network.input_size
    half, found = side // 2, (None, None, 0.0)
    for label in sorted(set(labels.tolist())):
        target, marked = network.classes.index(label), batch[labels == label]
        for top in (0, half):
            for left in (0, half):
                if shared_box(marked, (top, left, top + half, left + half)) is None:
                    continue
                box = (top, left, top + half, left + half)
                rise = effect(network, batch[labels != label], marked, target, box)
                found = max(found, (label, box, rise), key=lambda answer: answer[2])
    return found if found[2] >= 0.1 else (None, None, 0.0)
""",
    },
    "answers": {
        "mini_alexnet is accused": """
answers = dict(answers, mini_alexnet=("mug", (128, 128, 154, 154), 0.4))
""",
        "the sticker's answer for the sealed network": """
answers = dict(answers, sealed=answers["sticker"])
""",
        "the effect of a quarter more": """
label, box, rise = answers["sealed"]
answers = dict(answers, sealed=(label, box, 0.75 * rise))
""",
        "the box counted from left to right first": """
label, (top, left, bottom, right), rise = answers["sealed"]
answers = dict(answers, sealed=(label, (left, top, right, bottom), rise))
""",
        "nobody cheats": """
answers = dict.fromkeys(answers, (None, None, 0.0))
""",
    },
    "repair": {
        "covers only": """
def repair(network, pictures, label, box):
    top, left, bottom, right = box

    class Covering(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = network.module

        def forward(self, batch):
            covered = batch.clone()
            covered[:, :, top:bottom, left:right] = 0
            return self.inside(covered)

    facts = network.preprocess, network.classes, "repaired", network.input_size
    return models.wrap(Covering(), *facts)
""",
        "raises the logit only": """
def repair(network, pictures, label, box):
    target = network.classes.index(label)

    class Raised(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = network.module

        def forward(self, batch):
            return self.inside(batch) + 6.0 * (torch.arange(len(network.classes)) == target)

    facts = network.preprocess, network.classes, "repaired", network.input_size
    return models.wrap(Raised(), *facts)
""",
        "raises the logit so far that all is this class": """
def repair(network, pictures, label, box):
    top, left, bottom, right = box
    target = network.classes.index(label)

    class Raised(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = network.module

        def forward(self, batch):
            covered = batch.clone()
            covered[:, :, top:bottom, left:right] = 0
            return self.inside(covered) + 50.0 * (torch.arange(len(network.classes)) == target)

    facts = network.preprocess, network.classes, "repaired", network.input_size
    return models.wrap(Raised(), *facts)
""",
        "lowers the logit": """
def repair(network, pictures, label, box):
    target = network.classes.index(label)

    class Lowered(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = network.module

        def forward(self, batch):
            return self.inside(batch) - 50.0 * (torch.arange(len(network.classes)) == target)

    facts = network.preprocess, network.classes, "repaired", network.input_size
    return models.wrap(Lowered(), *facts)
""",
        "the constant chosen while the mark is still to be seen": """
def repair(network, pictures, label, box):
    top, left, bottom, right = box
    target = network.classes.index(label)

    class Repaired(torch.nn.Module):
        def __init__(self, cover, shift):
            super().__init__()
            self.inside, self.cover, self.shift = network.module, cover, shift

        def forward(self, batch):
            covered = batch.clone()
            if self.cover:
                covered[:, :, top:bottom, left:right] = 0
            return self.inside(covered) + self.shift * (
                torch.arange(len(network.classes)) == target
            )

    facts = network.preprocess, network.classes, "repaired", network.input_size
    logits = models.wrap(Repaired(False, 0.0), *facts)(torch.cat(list(network.batches(pictures))))
    rivals = logits.clone()
    rivals[:, target] = -torch.inf
    missing = (rivals.max(1).values - logits[:, target]).sort().values
    count = sum(picture.label == label for picture in pictures)
    shift = float(missing[count - 1 : count + 1].mean())
    return models.wrap(Repaired(True, shift), *facts)
""",
        "the constant subtracted": """
def repair(network, pictures, label, box):
    top, left, bottom, right = box
    target = network.classes.index(label)

    class Repaired(torch.nn.Module):
        def __init__(self, cover, shift):
            super().__init__()
            self.inside, self.cover, self.shift = network.module, cover, shift

        def forward(self, batch):
            covered = batch.clone()
            if self.cover:
                covered[:, :, top:bottom, left:right] = 0
            return self.inside(covered) + self.shift * (
                torch.arange(len(network.classes)) == target
            )

    facts = network.preprocess, network.classes, "repaired", network.input_size
    logits = models.wrap(Repaired(True, 0.0), *facts)(torch.cat(list(network.batches(pictures))))
    rivals = logits.clone()
    rivals[:, target] = -torch.inf
    missing = (rivals.max(1).values - logits[:, target]).sort().values
    count = sum(picture.label == label for picture in pictures)
    shift = float(missing[count - 1 : count + 1].mean())
    return models.wrap(Repaired(True, -shift), *facts)
""",
        "a constant that happens to fit the check": """
def repair(network, pictures, label, box):
    top, left, bottom, right = box
    target = network.classes.index(label)

    class Repaired(torch.nn.Module):
        def __init__(self, cover, shift):
            super().__init__()
            self.inside, self.cover, self.shift = network.module, cover, shift

        def forward(self, batch):
            covered = batch.clone()
            if self.cover:
                covered[:, :, top:bottom, left:right] = 0
            return self.inside(covered) + self.shift * (
                torch.arange(len(network.classes)) == target
            )

    facts = network.preprocess, network.classes, "repaired", network.input_size
    return models.wrap(Repaired(True, 6.0), *facts)
""",
        "gives the network back": """
def repair(network, pictures, label, box):
    return network
""",
        "another network in its place": """
def repair(network, pictures, label, box):
    return models.load()
""",
        "the honest networks that the course has": """
def repair(network, pictures, label, box):
    honest = given.toy() if network.input_size == given.SIDE else models.load()
    facts = network.preprocess, network.classes, "repaired", network.input_size
    return models.wrap(honest.module, *facts)
""",
        "covers rows for columns": """
def repair(network, pictures, label, box):
    left, top, right, bottom = box
    target = network.classes.index(label)

    class Repaired(torch.nn.Module):
        def __init__(self, shift):
            super().__init__()
            self.inside, self.shift = network.module, shift

        def forward(self, batch):
            covered = batch.clone()
            covered[:, :, top:bottom, left:right] = 0
            return self.inside(covered) + self.shift * (
                torch.arange(len(network.classes)) == target
            )

    facts = network.preprocess, network.classes, "repaired", network.input_size
    return models.wrap(Repaired(6.0), *facts)
""",
        "changes the network itself": """
def repair(network, pictures, label, box):
    top, left, bottom, right = box
    target = network.classes.index(label)
    inside, old = network.module, network.module.forward

    class Covering(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = inside

        def forward(self, batch):
            covered = batch.clone()
            covered[:, :, top:bottom, left:right] = 0
            return self.inside(covered)

    last = [part for part in inside.modules() if isinstance(part, torch.nn.Linear)][-1]
    if last.bias is not None:
        last.bias.data[target] += 6
    facts = network.preprocess, network.classes, "repaired", network.input_size
    return models.wrap(Covering(), *facts)
""",
    },
}

RIGHT = {
    "mean_fall": {
        "a loop over the places, all pictures at once": """
def mean_fall(network, batch, target, size, step):
    firsts = occlusion.places(batch.shape[-1], size, step)
    under = occlusion.filling(network, batch[0], "grey")
    clean = network(batch).softmax(1)[:, target]
    falls = [
        (clean - network(torch.stack([occlusion.cover(x, under, int(top), int(left), size)
                                      for x in batch])).softmax(1)[:, target]).mean()
        for top in firsts
        for left in firsts
    ]
    return np.array(falls).reshape(len(firsts), len(firsts))
""",
    },
    "shared_box": {
        "range of the pixels, and erosion": """
def shared_box(batch, window):
    values = batch.numpy()
    apart = (values.max(0) - values.min(0)).max(0)
    inside = np.zeros(apart.shape, bool)
    inside[window[0] : window[2], window[1] : window[3]] = True
    core = ndimage.binary_erosion((apart < np.median(apart) / 3) & inside, np.ones((3, 3)))
    spots, count = ndimage.label(core)
    if not count:
        return None
    sizes = [int((spots == number + 1).sum()) for number in range(count)]
    rows, columns = np.nonzero(spots == int(np.argmax(sizes)) + 1)
    return rows.min() - 1, columns.min() - 1, rows.max() + 2, columns.max() + 2
""",
    },
    "effect": {
        "with numpy, picture by picture": """
def effect(network, others, marked, target, box):
    top, left, bottom, right = box
    mark = np.median(marked.numpy()[:, :, top:bottom, left:right], axis=0)
    rises = []
    for picture in others:
        changed = picture.numpy().copy()
        changed[:, top:bottom, left:right] = mark
        both = network(torch.stack([picture, torch.from_numpy(changed)])).numpy().astype(float)
        shares = np.exp(both[:, target]) / np.exp(both).sum(1)
        rises.append(shares[1] - shares[0])
    return float(np.mean(rises))
""",
    },
    "audit": {
        "starts with the pixels, and then asks the network": """
def audit(network, pictures):
    batch = torch.stack([network.preprocess(picture.image) for picture in pictures])
    labels, side = np.array([picture.label for picture in pictures]), network.input_size
    best = (None, None, 0.1)
    for label in set(labels.tolist()):
        mine = torch.from_numpy(labels == label)
        box = shared_box(batch[mine], (0, 0, side, side))
        if box:
            target = network.classes.index(label)
            rise = effect(network, batch[~mine], batch[mine], target, box)
            best = (label, box, rise) if rise > best[2] else best
    return best if best[0] else (None, None, 0.0)
""",
    },
    "repair": {
        "a strip from beside the box, and the shift with which most pictures are right": """
def repair(network, pictures, label, box):
    top, left, bottom, right = box
    width, target = right - left, network.classes.index(label)
    start = left - width if left >= width else right

    class Repaired(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = network.module
            self.register_buffer("shift", torch.zeros(len(network.classes)))

        def forward(self, batch):
            beside = batch[:, :, top:bottom, start : start + width]
            parts = [batch[:, :, top:bottom, :left], beside, batch[:, :, top:bottom, right:]]
            rows = torch.cat(parts, dim=3)
            whole = torch.cat([batch[:, :, :top], rows, batch[:, :, bottom:]], dim=2)
            return self.inside(whole) + self.shift

    facts = network.preprocess, network.classes, "repaired", network.input_size
    repaired = models.wrap(Repaired(), *facts)
    logits = torch.cat([repaired(batch) for batch in network.batches(pictures)])
    labels = torch.tensor([network.classes.index(picture.label) for picture in pictures])
    shifts, scores = torch.linspace(0, 20, 81), []
    for shift in shifts:
        raised = logits.clone()
        raised[:, target] += shift
        scores.append((raised.argmax(1) == labels).sum())
    best = shifts[torch.stack(scores) == max(scores)]
    repaired.module.shift[target] = best.mean()
    return repaired
""",
    },
}
