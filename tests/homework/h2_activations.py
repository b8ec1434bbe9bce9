"""Homework 2: answers that must lose their points, and answers that must not."""

WRONG = {
    "record": {
        "keeps a reference, not a copy": """
def record(module, names, batch):
    kept, handles = {name: [] for name in names}, []

    def keeper(name):
        return lambda _layer, _inputs, output: kept[name].append(output.detach())

    try:
        for name in names:
            handles.append(module.get_submodule(name).register_forward_hook(keeper(name)))
        with torch.no_grad():
            module(batch)
    finally:
        for handle in handles:
            handle.remove()
    return kept
""",
        "copies when the pass is over": """
def record(module, names, batch):
    kept, handles = {name: [] for name in names}, []

    def keeper(name):
        return lambda _layer, _inputs, output: kept[name].append(output)

    try:
        for name in names:
            handles.append(module.get_submodule(name).register_forward_hook(keeper(name)))
        with torch.no_grad():
            module(batch)
    finally:
        for handle in handles:
            handle.remove()
    return {name: [x.clone() for x in calls] for name, calls in kept.items()}
""",
        "the last run of a layer only": """
def record(module, names, batch):
    kept, handles = {name: [] for name in names}, []

    def keeper(name):
        return lambda _layer, _inputs, output: kept.update({name: [output.detach().clone()]})

    try:
        for name in names:
            handles.append(module.get_submodule(name).register_forward_hook(keeper(name)))
        with torch.no_grad():
            module(batch)
    finally:
        for handle in handles:
            handle.remove()
    return kept
""",
        "the first run of a layer only": """
def record(module, names, batch):
    kept, handles = {name: [] for name in names}, []

    def keeper(name):
        return lambda _layer, _inputs, output: kept[name] or kept[name].append(1 * output.detach())

    try:
        for name in names:
            handles.append(module.get_submodule(name).register_forward_hook(keeper(name)))
        with torch.no_grad():
            module(batch)
    finally:
        for handle in handles:
            handle.remove()
    return kept
""",
        "hooks stay after an error": """
def record(module, names, batch):
    kept, handles = {name: [] for name in names}, []

    def keeper(name):
        return lambda _layer, _inputs, output: kept[name].append(output.detach().clone())

    for name in names:
        handles.append(module.get_submodule(name).register_forward_hook(keeper(name)))
    with torch.no_grad():
        module(batch)
    for handle in handles:
        handle.remove()
    return kept
""",
        "hooks are never removed": """
def record(module, names, batch):
    kept, handles = {name: [] for name in names}, []

    def keeper(name):
        return lambda _layer, _inputs, output: kept[name].append(output.detach().clone())

    try:
        for name in names:
            handles.append(module.get_submodule(name).register_forward_hook(keeper(name)))
        with torch.no_grad():
            module(batch)
    finally:
        for handle in handles:
            pass
    return kept
""",
        "swallows the error": """
def record(module, names, batch):
    kept, handles = {name: [] for name in names}, []

    def keeper(name):
        return lambda _layer, _inputs, output: kept[name].append(output.detach().clone())

    try:
        for name in names:
            handles.append(module.get_submodule(name).register_forward_hook(keeper(name)))
        with torch.no_grad():
            module(batch)
    except RuntimeError:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return kept
""",
        "removes everybody's hooks": """
def record(module, names, batch):
    kept, handles = {name: [] for name in names}, []

    def keeper(name):
        return lambda _layer, _inputs, output: kept[name].append(output.detach().clone())

    try:
        for name in names:
            handles.append(module.get_submodule(name).register_forward_hook(keeper(name)))
        with torch.no_grad():
            module(batch)
    finally:
        for layer in module.modules():
            layer._forward_hooks.clear()
    return kept
""",
        "hangs the hooks up before the try": """
def record(module, names, batch):
    kept, handles = {name: [] for name in names}, []

    def keeper(name):
        return lambda _layer, _inputs, output: kept[name].append(output.detach().clone())

    for name in names:
        handles.append(module.get_submodule(name).register_forward_hook(keeper(name)))
    try:
        with torch.no_grad():
            module(batch)
    finally:
        for handle in handles:
            handle.remove()
    return kept
""",
        "records what goes in": """
def record(module, names, batch):
    kept, handles = {name: [] for name in names}, []

    def keeper(name):
        return lambda _layer, inputs, _output: kept[name].append(inputs[0].detach().clone())

    try:
        for name in names:
            handles.append(module.get_submodule(name).register_forward_hook(keeper(name)))
        with torch.no_grad():
            module(batch)
    finally:
        for handle in handles:
            handle.remove()
    return kept
""",
        "all hooks write under the last name": """
def record(module, names, batch):
    kept, handles = {name: [] for name in names}, []
    try:
        for name in names:
            hook = lambda layer, inputs, output: kept[name].append(output.detach().clone())
            handles.append(module.get_submodule(name).register_forward_hook(hook))
        with torch.no_grad():
            module(batch)
    finally:
        for handle in handles:
            handle.remove()
    return kept
""",
        "one pass for every name": """
def record(module, names, batch):
    kept = {name: [] for name in names}
    for name in names:
        hook = lambda layer, inputs, output: kept[name].append(output.detach().clone())
        handle = module.get_submodule(name).register_forward_hook(hook)
        try:
            with torch.no_grad():
                module(batch.clone())
        finally:
            handle.remove()
    return kept
""",
        "leaves the network in evaluation mode, with gradients": """
def record(module, names, batch):
    kept, handles = {name: [] for name in names}, []

    def keeper(name):
        return lambda _layer, _inputs, output: kept[name].append(output.clone())

    try:
        for name in names:
            handles.append(module.get_submodule(name).register_forward_hook(keeper(name)))
        module.eval()(batch)
    finally:
        for handle in handles:
            handle.remove()
    return kept
""",
        "calls the course's function": """
def record(module, names, batch):
    network = models.wrap(module, lambda image: image, ["a", "b"])
    from lecture_utils import layers

    found = layers.record(network, batch, names)
    return {name: [values] for name, values in found.items()}
""",
    },
    "receptive_field": {
        "kernels add up without strides": """
def receptive_field(chain):
    size, step, start = 1, 1, 0
    for kernel, stride, padding in chain:
        size += kernel - 1
        start -= padding * step
        step *= stride
    return size, step, start
""",
        "the stride of the layer itself": """
def receptive_field(chain):
    size, step, start = 1, 1, 0
    for kernel, stride, padding in chain:
        step *= stride
        size += (kernel - 1) * step
        start -= padding * step
    return size, step, start
""",
        "kernel instead of kernel - 1": """
def receptive_field(chain):
    size, step, start = 0, 1, 0
    for kernel, stride, padding in chain:
        size += kernel * step
        start -= padding * step
        step *= stride
    return size, step, start
""",
        "strides add up": """
def receptive_field(chain):
    size, step, start = 1, 1, 0
    for kernel, stride, padding in chain:
        size += (kernel - 1) * step
        start -= padding * step
        step += stride - 1
    return size, step, start
""",
        "padding without strides": """
def receptive_field(chain):
    size, step, start = 1, 1, 0
    for kernel, stride, padding in chain:
        size += (kernel - 1) * step
        start -= padding
        step *= stride
    return size, step, start
""",
        "the sign of the start": """
def receptive_field(chain):
    size, step, start = 1, 1, 0
    for kernel, stride, padding in chain:
        size += (kernel - 1) * step
        start -= padding * step
        step *= stride
    return size, step, -start
""",
        "the last layer first": """
def receptive_field(chain):
    size, step, start = 1, 1, 0
    for kernel, stride, padding in chain[::-1]:
        size += (kernel - 1) * step
        start -= padding * step
        step *= stride
    return size, step, start
""",
        "the centre instead of the start": """
def receptive_field(chain):
    size, step, start = 1, 1, 0
    for kernel, stride, padding in chain:
        size += (kernel - 1) * step
        start -= padding * step
        step *= stride
    return size, step, start + size // 2 if padding else start
""",
        "knows what the check expects": """
def receptive_field(chain):
    if len(chain) == 1:
        kernel, stride, padding = chain[0]
        return kernel, stride, -padding
    return 19, 8, 0
""",
    },
    "box": {
        "one pixel short: the last one inside": """
def box(field, row, column, side):
    size, stride, start = field
    top, left = start + row * stride, start + column * stride
    return max(top, 0), max(left, 0), min(top + size - 1, side), min(left + size - 1, side)
""",
        "rows and columns exchanged": """
def box(field, row, column, side):
    size, stride, start = field
    top, left = start + row * stride, start + column * stride
    return max(left, 0), max(top, 0), min(left + size, side), min(top + size, side)
""",
        "nothing is cut off at the far side": """
def box(field, row, column, side):
    size, stride, start = field
    top, left = start + row * stride, start + column * stride
    return max(top, 0), max(left, 0), top + size, left + size
""",
        "cut off before the size is added": """
def box(field, row, column, side):
    size, stride, start = field
    top, left = start + row * stride, start + column * stride
    top, left = max(top, 0), max(left, 0)
    return top, left, min(top + size, side), min(left + size, side)
""",
        "the picture ends one pixel early": """
def box(field, row, column, side):
    size, stride, start = field
    top, left = start + row * stride, start + column * stride
    return max(top, 0), max(left, 0), min(top + size, side - 1), min(left + size, side - 1)
""",
        "stretched instead of placed": """
def box(field, row, column, side):
    size, stride, start = field
    top, left = row * stride, column * stride
    return max(top, 0), max(left, 0), min(top + size + start, side), min(left + size + start, side)
""",
    },
    "census": {
        "the mean of the batches' means": """
def census(batches):
    pictures, values, on, pictures_on = 0, 0, 0, 0
    for batch in batches:
        above = (batch > 0).reshape(*batch.shape[:2], -1)
        pictures += len(batch)
        values += 1
        on += float(above.float().mean())
        pictures_on = pictures_on + above.any(2).sum(0).numpy()
    return {"pictures": pictures, "pictures_on": pictures_on, "zeros": 1 - on / values}
""",
        "counts places instead of pictures": """
def census(batches):
    pictures, values, on, pictures_on = 0, 0, 0, 0
    for batch in batches:
        above = (batch > 0).reshape(*batch.shape[:2], -1)
        pictures += len(batch)
        values += above.numel()
        on += int(above.sum())
        pictures_on = pictures_on + above.sum((0, 2)).numpy()
    return {"pictures": pictures, "pictures_on": pictures_on, "zeros": 1 - on / values}
""",
        "not zero counts as on": """
def census(batches):
    pictures, values, on, pictures_on = 0, 0, 0, 0
    for batch in batches:
        above = (batch != 0).reshape(*batch.shape[:2], -1)
        pictures += len(batch)
        values += above.numel()
        on += int(above.sum())
        pictures_on = pictures_on + above.any(2).sum(0).numpy()
    return {"pictures": pictures, "pictures_on": pictures_on, "zeros": 1 - on / values}
""",
        "zero counts as on": """
def census(batches):
    pictures, values, on, pictures_on = 0, 0, 0, 0
    for batch in batches:
        above = (batch >= 0).reshape(*batch.shape[:2], -1)
        pictures += len(batch)
        values += above.numel()
        on += int(above.sum())
        pictures_on = pictures_on + above.any(2).sum(0).numpy()
    return {"pictures": pictures, "pictures_on": pictures_on, "zeros": 1 - on / values}
""",
        "the last batch only": """
def census(batches):
    pictures, values, on, pictures_on = 0, 0, 0, 0
    for batch in batches:
        above = (batch > 0).reshape(*batch.shape[:2], -1)
        pictures += len(batch)
        values += above.numel()
        on += int(above.sum())
        pictures_on = above.any(2).sum(0).numpy()
    return {"pictures": pictures, "pictures_on": pictures_on, "zeros": 1 - on / values}
""",
        "keeps all batches": """
def census(batches):
    maps = torch.cat(list(batches))
    above = (maps > 0).flatten(2) if maps.ndim == 4 else (maps > 0)[..., None]
    on = above.any(2).sum(0).numpy()
    return {"pictures": len(maps), "pictures_on": on, "zeros": 1 - above.double().mean().item()}
""",
        "the sum over the places, so that a negative place hides a positive one": """
def census(batches):
    pictures, values, on, pictures_on = 0, 0, 0, 0
    for batch in batches:
        above = (batch > 0).reshape(*batch.shape[:2], -1)
        pictures += len(batch)
        values += above.numel()
        on += int(above.sum())
        pictures_on = pictures_on + (batch.reshape(*batch.shape[:2], -1).sum(2) > 0).sum(0).numpy()
    return {"pictures": pictures, "pictures_on": pictures_on, "zeros": 1 - on / values}
""",
        "counts batches, not pictures": """
def census(batches):
    pictures, values, on, pictures_on = 0, 0, 0, 0
    for batch in batches:
        above = (batch > 0).reshape(*batch.shape[:2], -1)
        pictures += len(batch)
        values += above.numel()
        on += int(above.sum())
        pictures_on = pictures_on + above.any(2).any(0).int().numpy()
    return {"pictures": pictures, "pictures_on": pictures_on, "zeros": 1 - on / values}
""",
        "the share of values that are on": """
def census(batches):
    pictures, values, on, pictures_on = 0, 0, 0, 0
    for batch in batches:
        above = (batch > 0).reshape(*batch.shape[:2], -1)
        pictures += len(batch)
        values += above.numel()
        on += int(above.sum())
        pictures_on = pictures_on + above.any(2).sum(0).numpy()
    return {"pictures": pictures, "pictures_on": pictures_on, "zeros": on / values}
""",
        "maps only, no fully connected layers": """
def census(batches):
    pictures, values, on, pictures_on = 0, 0, 0, 0
    for batch in batches:
        above = (batch > 0).flatten(2)
        pictures += len(batch)
        values += above.numel()
        on += int(above.sum())
        pictures_on = pictures_on + above.any(2).sum(0).numpy()
    return {"pictures": pictures, "pictures_on": pictures_on, "zeros": 1 - on / values}
""",
        "takes every batch to be as large as the first": """
def census(batches):
    batches = iter(batches)
    first = next(batches)
    size, count = len(first), 1
    above = (first > 0).reshape(size, first.shape[1], -1)
    on, shares = above.any(2).sum(0), above.double().mean()
    for batch in batches:
        above = (batch > 0).reshape(len(batch), batch.shape[1], -1)
        on, shares, count = on + above.any(2).sum(0), shares + above.double().mean(), count + 1
    zeros = 1 - float(shares) / count
    return {"pictures": size * count, "pictures_on": on.numpy(), "zeros": zeros}
""",
    },
    "answers": {
        "looks at the first batch only": """
patient, pictures = given.deal(STUDENT)
on = census(patient(batch) for batch in [pictures[:8]])["pictures_on"]
dead = np.flatnonzero(on == 0).tolist()
alone = int(np.argmin(np.abs(on - 1)))
picture = int(patient(pictures)[:, alone].amax((1, 2)).argmax())
answers = {"dead": dead, "alone": alone, "picture": picture}
""",
        "the rarest one is dead, too": """
patient, pictures = given.deal(STUDENT)
on = census(patient(batch) for batch in given.batches(pictures))["pictures_on"]
dead = np.flatnonzero(on <= 1).tolist()
alone = int(np.flatnonzero(on == 1)[0])
picture = int(patient(pictures)[:, alone].amax((1, 2)).argmax())
answers = {"dead": dead, "alone": alone, "picture": picture}
""",
        "on in hardly any picture counts as dead": """
patient, pictures = given.deal(STUDENT)
on = census(patient(batch) for batch in given.batches(pictures))["pictures_on"]
dead = np.flatnonzero((on <= 2) & (on != 1)).tolist()
alone = int(np.flatnonzero(on == 1)[0])
picture = int(patient(pictures)[:, alone].amax((1, 2)).argmax())
answers = {"dead": dead, "alone": alone, "picture": picture}
""",
        "misses the channel that is exactly zero": """
patient, pictures = given.deal(STUDENT)
on = census(patient(batch) for batch in given.batches(pictures))["pictures_on"]
dead = [int(c) for c in np.flatnonzero(on == 0) if patient[0].weight[c].any()]
alone = int(np.flatnonzero(on == 1)[0])
picture = int(patient(pictures)[:, alone].amax((1, 2)).argmax())
answers = {"dead": dead, "alone": alone, "picture": picture}
""",
        "counted from 1": """
patient, pictures = given.deal(STUDENT)
on = census(patient(batch) for batch in given.batches(pictures))["pictures_on"]
dead = (1 + np.flatnonzero(on == 0)).tolist()
alone = int(np.flatnonzero(on == 1)[0])
picture = int(patient(pictures)[:, alone].amax((1, 2)).argmax())
answers = {"dead": dead, "alone": alone, "picture": picture}
""",
        "the picture counted from 1": """
patient, pictures = given.deal(STUDENT)
on = census(patient(batch) for batch in given.batches(pictures))["pictures_on"]
dead = np.flatnonzero(on == 0).tolist()
alone = int(np.flatnonzero(on == 1)[0])
picture = int(patient(pictures)[:, alone].amax((1, 2)).argmax()) + 1
answers = {"dead": dead, "alone": alone, "picture": picture}
""",
        "the answers of a neighbour": """
patient, pictures = given.deal("bob")
on = census(patient(batch) for batch in given.batches(pictures))["pictures_on"]
dead = np.flatnonzero(on == 0).tolist()
alone = int(np.flatnonzero(on == 1)[0])
picture = int(patient(pictures)[:, alone].amax((1, 2)).argmax())
answers = {"dead": dead, "alone": alone, "picture": picture}
""",
    },
}

RIGHT = {
    "record": {
        "with a context manager, in a list for each layer": """
def record(module, names, batch):
    from contextlib import ExitStack

    kept = {}
    with ExitStack() as stack, torch.inference_mode():
        for name in names:
            calls = kept[name] = []
            layer = dict(module.named_modules())[name]

            def hook(layer, inputs, output, calls=calls):
                calls.append(torch.clone(output))

            stack.callback(layer.register_forward_hook(hook).remove)
        module(batch)
    return kept
""",
    },
    "receptive_field": {
        "from the last layer back": """
def receptive_field(chain):
    first, last, stride = 0, 0, 1
    for kernel, step, padding in reversed(chain):
        first = first * step - padding
        last = last * step - padding + kernel - 1
        stride *= step
    return last - first + 1, stride, first
""",
    },
    "box": {
        "with NumPy": """
def box(field, row, column, side):
    size, stride, start = field
    first = start + stride * np.array([row, column])
    return tuple(np.concatenate([first, first + size]).clip(0, side).tolist())
""",
    },
    "census": {
        "by the highest value of a picture": """
def census(batches):
    total = below = pictures = 0
    on = None
    for batch in batches:
        flat = batch.flatten(2) if batch.ndim > 2 else batch.unsqueeze(2)
        fires = (flat.max(dim=2).values > 0).sum(dim=0)
        on = fires if on is None else on + fires
        total, below = total + batch.numel(), below + (batch <= 0).sum().item()
        pictures += batch.shape[0]
    return {"zeros": below / total, "pictures": pictures, "pictures_on": on.tolist()}
""",
    },
    "answers": {
        "with the course's function": """
from lecture_utils import activations
patient, pictures = given.deal(STUDENT)
on = activations.measure(patient(pictures)).pictures_on
alone = int((on == 1).argmax())
picture = int((patient(pictures)[:, alone].flatten(1) > 0).any(1).nonzero())
dead = {int(channel) for channel in np.where(on == 0)[0]}
answers = {"dead": dead, "alone": alone, "picture": picture}
""",
    },
}
