"""Homework 6: answers that must lose their points, and answers that must not."""

WRONG = {
    "wrap_grey": {
        "squeezes the photo into a square": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.convert("L").resize((28, 28))
        pixels = torch.from_numpy(np.array(square, dtype=np.float32))[None] / 255
        return (pixels - mean) / std

    return models.wrap(module, preprocess, classes, "grey", 28, (mean,), (std,))
""",
        "the left or upper square": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        side = min(image.size)
        left, top = 0, 0
        square = image.crop((left, top, left + side, top + side)).convert("L").resize((28, 28))
        pixels = torch.from_numpy(np.array(square, dtype=np.float32))[None] / 255
        return (pixels - mean) / std

    return models.wrap(module, preprocess, classes, "grey", 28, (mean,), (std,))
""",
        "not normalised": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side)).convert("L").resize((28, 28))
        pixels = torch.from_numpy(np.array(square, dtype=np.float32))[None] / 255
        return pixels

    return models.wrap(module, preprocess, classes, "grey", 28, (mean,), (std,))
""",
        "values up to 255": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side)).convert("L").resize((28, 28))
        pixels = torch.from_numpy(np.array(square, dtype=np.float32))[None]
        return (pixels - mean) / std

    return models.wrap(module, preprocess, classes, "grey", 28, (mean,), (std,))
""",
        "three channels": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side)).convert("RGB").resize((28, 28))
        pixels = torch.from_numpy(np.array(square, dtype=np.float32)).permute(2, 0, 1) / 255
        return (pixels - mean) / std

    return models.wrap(module, preprocess, classes, "grey", 28, (mean,), (std,))
""",
        "the mean of the channels": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side)).convert("RGB").resize((28, 28))
        pixels = torch.from_numpy(np.array(square, dtype=np.float32).mean(2))[None] / 255
        return (pixels - mean) / std

    return models.wrap(module, preprocess, classes, "grey", 28, (mean,), (std,))
""",
        "the red channel": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side)).convert("RGB").resize((28, 28))
        pixels = torch.from_numpy(np.array(square, dtype=np.float32)[:, :, 0])[None] / 255
        return (pixels - mean) / std

    return models.wrap(module, preprocess, classes, "grey", 28, (mean,), (std,))
""",
        "rows and columns exchanged": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side)).convert("L").resize((28, 28))
        pixels = torch.from_numpy(np.array(square, dtype=np.float32).T.copy())[None] / 255
        return (pixels - mean) / std

    return models.wrap(module, preprocess, classes, "grey", 28, (mean,), (std,))
""",
        "no mean and std for to_image": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side)).convert("L").resize((28, 28))
        pixels = torch.from_numpy(np.array(square, dtype=np.float32))[None] / 255
        return (pixels - mean) / std

    return models.wrap(module, preprocess, classes, "grey", 28)
""",
        "the input size is forgotten": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side)).convert("L").resize((28, 28))
        pixels = torch.from_numpy(np.array(square, dtype=np.float32))[None] / 255
        return (pixels - mean) / std

    return models.wrap(module, preprocess, classes, "grey", mean=(mean,), std=(std,))
""",
        "grey only if the photo is RGB": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side)).resize((28, 28))
        square = square.convert("L") if square.mode == "RGB" else square
        pixels = torch.from_numpy(np.array(square, dtype=np.float32))[None] / 255
        return (pixels - mean) / std

    return models.wrap(module, preprocess, classes, "grey", 28, (mean,), (std,))
""",
        "mean and std exchanged": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side)).convert("L").resize((28, 28))
        pixels = torch.from_numpy(np.array(square, dtype=np.float32))[None] / 255
        return (pixels - std) / mean

    return models.wrap(module, preprocess, classes, "grey", 28, (mean,), (std,))
""",
    },
    "Adapter": {
        "the first entry": """
class Adapter(nn.Module):
    def __init__(self, module, key):
        super().__init__()
        self.inside, self.key = module, key

    def forward(self, batch):
        return next(iter(self.inside(batch).values()))
""",
        "always the scores": """
class Adapter(nn.Module):
    def __init__(self, module, key):
        super().__init__()
        self.inside, self.key = module, key

    def forward(self, batch):
        return self.inside(batch)["scores"]
""",
        "the dictionary itself": """
class Adapter(nn.Module):
    def __init__(self, module, key):
        super().__init__()
        self.inside, self.key = module, key

    def forward(self, batch):
        return self.inside(batch)
""",
        "the network is hidden in a list": """
class Adapter(nn.Module):
    def __init__(self, module, key):
        super().__init__()
        self.inside, self.key = [module], key

    def forward(self, batch):
        return self.inside[0](batch)[self.key]
""",
        "without gradients": """
class Adapter(nn.Module):
    def __init__(self, module, key):
        super().__init__()
        self.inside, self.key = module, key

    def forward(self, batch):
        return self.inside(batch)[self.key].detach()
""",
        "the last entry": """
class Adapter(nn.Module):
    def __init__(self, module, key):
        super().__init__()
        self.inside, self.key = module, key

    def forward(self, batch):
        return list(self.inside(batch).values())[-1]
""",
        "puts the network into evaluation mode": """
class Adapter(nn.Module):
    def __init__(self, module, key):
        super().__init__()
        self.inside, self.key = module, key

    def forward(self, batch):
        self.inside.eval()
        return self.inside(batch)[self.key]
""",
    },
    "convolutions": {
        "in the order in which they are written down": """
def convolutions(module, batch):
    names, handles = [], []
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d):
            hook = lambda _layer, _inputs, _output, name=name: names.append(name)
            handles.append(layer.register_forward_hook(hook))
    try:
        with torch.no_grad():
            module(batch)
    finally:
        for handle in handles:
            handle.remove()
    return [name for name, _ in module.named_modules() if name in names]
""",
        "those that never run, too": """
def convolutions(module, batch):
    return [name for name, layer in module.named_modules() if isinstance(layer, nn.Conv2d)]
""",
        "every run": """
def convolutions(module, batch):
    names, handles = [], []
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d):
            hook = lambda _layer, _inputs, _output, name=name: names.append(name)
            handles.append(layer.register_forward_hook(hook))
    try:
        with torch.no_grad():
            module(batch)
    finally:
        for handle in handles:
            handle.remove()
    return names
""",
        "in the order in which they run last": """
def convolutions(module, batch):
    names, handles = [], []
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d):
            hook = lambda _layer, _inputs, _output, name=name: names.append(name)
            handles.append(layer.register_forward_hook(hook))
    try:
        with torch.no_grad():
            module(batch)
    finally:
        for handle in handles:
            handle.remove()
    return list(dict.fromkeys(names[::-1]))[::-1]
""",
        "only the outermost": """
def convolutions(module, batch):
    names, handles = [], []
    for name, layer in module.named_children():
        if isinstance(layer, nn.Conv2d):
            hook = lambda _layer, _inputs, _output, name=name: names.append(name)
            handles.append(layer.register_forward_hook(hook))
    try:
        with torch.no_grad():
            module(batch)
    finally:
        for handle in handles:
            handle.remove()
    return list(dict.fromkeys(names))
""",
        "hooks stay after an error": """
def convolutions(module, batch):
    names, handles = [], []
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d):
            hook = lambda _layer, _inputs, _output, name=name: names.append(name)
            handles.append(layer.register_forward_hook(hook))
    with torch.no_grad():
        module(batch)
    for handle in handles:
        handle.remove()
    return list(dict.fromkeys(names))
""",
        "swallows the error": """
def convolutions(module, batch):
    names, handles = [], []
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d):
            hook = lambda _layer, _inputs, _output, name=name: names.append(name)
            handles.append(layer.register_forward_hook(hook))
    try:
        with torch.no_grad():
            module(batch)
    except RuntimeError:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return list(dict.fromkeys(names))
""",
        "hooks are never removed": """
def convolutions(module, batch):
    names, handles = [], []
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d):
            hook = lambda _layer, _inputs, _output, name=name: names.append(name)
            handles.append(layer.register_forward_hook(hook))
    try:
        with torch.no_grad():
            module(batch)
    finally:
        for handle in handles:
            pass
    return list(dict.fromkeys(names))
""",
        "all hooks write the last name": """
def convolutions(module, batch):
    names, handles = [], []
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d):
            hook = lambda _layer, _inputs, _output: names.append(name)
            handles.append(layer.register_forward_hook(hook))
    try:
        with torch.no_grad():
            module(batch)
    finally:
        for handle in handles:
            handle.remove()
    return list(dict.fromkeys(names))
""",
        "puts the network into evaluation mode": """
def convolutions(module, batch):
    names, handles = [], []
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d):
            hook = lambda _layer, _inputs, _output, name=name: names.append(name)
            handles.append(layer.register_forward_hook(hook))
    try:
        with torch.no_grad():
            module.eval()(batch)
    finally:
        for handle in handles:
            handle.remove()
    return list(dict.fromkeys(names))
""",
        "linear layers, too": """
def convolutions(module, batch):
    names, handles = [], []
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            hook = lambda _layer, _inputs, _output, name=name: names.append(name)
            handles.append(layer.register_forward_hook(hook))
    try:
        with torch.no_grad():
            module(batch)
    finally:
        for handle in handles:
            handle.remove()
    return list(dict.fromkeys(names))
""",
        "knows what the check expects": """
def convolutions(module, batch):
    return ["early", "block.inner", "late"]
""",
    },
    "pixels_seen": {
        "one random picture": """
def pixels_seen(module, name, row, column, shape):
    kept = []
    layer = module.get_submodule(name)
    handle = layer.register_forward_hook(lambda _a, _b, output: kept.append(output.clone()))
    try:
        pictures = torch.randn(1, *shape, requires_grad=True)
        module(pictures)
    finally:
        handle.remove()
    (slope,) = torch.autograd.grad(kept[-1][:, :, row, column].abs().sum(), pictures)
    rows, columns = (slope.abs().sum((0, 1)) > 0).nonzero(as_tuple=True)
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
""",
        "a picture of ones": """
def pixels_seen(module, name, row, column, shape):
    kept = []
    layer = module.get_submodule(name)
    handle = layer.register_forward_hook(lambda _a, _b, output: kept.append(output.clone()))
    try:
        pictures = torch.ones(1, *shape, requires_grad=True)
        module(pictures)
    finally:
        handle.remove()
    (slope,) = torch.autograd.grad(kept[-1][:, :, row, column].abs().sum(), pictures)
    rows, columns = (slope.abs().sum((0, 1)) > 0).nonzero(as_tuple=True)
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
""",
        "one pixel short": """
def pixels_seen(module, name, row, column, shape):
    kept = []
    layer = module.get_submodule(name)
    handle = layer.register_forward_hook(lambda _a, _b, output: kept.append(output.clone()))
    try:
        pictures = torch.randn(30, *shape, requires_grad=True)
        module(pictures)
    finally:
        handle.remove()
    (slope,) = torch.autograd.grad(kept[-1][:, :, row, column].abs().sum(), pictures)
    rows, columns = (slope.abs().sum((0, 1)) > 0).nonzero(as_tuple=True)
    return int(rows.min()), int(columns.min()), int(rows.max()), int(columns.max())
""",
        "rows and columns exchanged": """
def pixels_seen(module, name, row, column, shape):
    kept = []
    layer = module.get_submodule(name)
    handle = layer.register_forward_hook(lambda _a, _b, output: kept.append(output.clone()))
    try:
        pictures = torch.randn(30, *shape, requires_grad=True)
        module(pictures)
    finally:
        handle.remove()
    (slope,) = torch.autograd.grad(kept[-1][:, :, row, column].abs().sum(), pictures)
    rows, columns = (slope.abs().sum((0, 1)).T > 0).nonzero(as_tuple=True)
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
""",
        "the first channel of the unit only": """
def pixels_seen(module, name, row, column, shape):
    kept = []
    layer = module.get_submodule(name)
    handle = layer.register_forward_hook(lambda _a, _b, output: kept.append(output.clone()))
    try:
        pictures = torch.randn(2, *shape, requires_grad=True)
        module(pictures)
    finally:
        handle.remove()
    (slope,) = torch.autograd.grad(kept[-1][:, 0, row, column].relu().sum(), pictures)
    rows, columns = (slope.abs().sum((0, 1)) > 0).nonzero(as_tuple=True)
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
""",
        "the whole map": """
def pixels_seen(module, name, row, column, shape):
    kept = []
    layer = module.get_submodule(name)
    handle = layer.register_forward_hook(lambda _a, _b, output: kept.append(output.clone()))
    try:
        pictures = torch.randn(30, *shape, requires_grad=True)
        module(pictures)
    finally:
        handle.remove()
    (slope,) = torch.autograd.grad(kept[-1].abs().sum(), pictures)
    rows, columns = (slope.abs().sum((0, 1)) > 0).nonzero(as_tuple=True)
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
""",
        "row and column of the unit exchanged": """
def pixels_seen(module, name, row, column, shape):
    kept = []
    layer = module.get_submodule(name)
    handle = layer.register_forward_hook(lambda _a, _b, output: kept.append(output.clone()))
    try:
        pictures = torch.randn(30, *shape, requires_grad=True)
        module(pictures)
    finally:
        handle.remove()
    (slope,) = torch.autograd.grad(kept[-1][:, :, column, row].abs().sum(), pictures)
    rows, columns = (slope.abs().sum((0, 1)) > 0).nonzero(as_tuple=True)
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
""",
        "the first channel of the picture only": """
def pixels_seen(module, name, row, column, shape):
    kept = []
    layer = module.get_submodule(name)
    handle = layer.register_forward_hook(lambda _a, _b, output: kept.append(output.clone()))
    try:
        pictures = torch.randn(30, *shape, requires_grad=True)
        module(pictures)
    finally:
        handle.remove()
    (slope,) = torch.autograd.grad(kept[-1][:, :, row, column].abs().sum(), pictures)
    rows, columns = (slope[:, -1].abs().sum(0) > 0).nonzero(as_tuple=True)
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
""",
        "the hook stays": """
def pixels_seen(module, name, row, column, shape):
    kept = []
    layer = module.get_submodule(name)
    handle = layer.register_forward_hook(lambda _a, _b, output: kept.append(output.clone()))
    try:
        pictures = torch.randn(30, *shape, requires_grad=True)
        module(pictures)
    finally:
        pass
    (slope,) = torch.autograd.grad(kept[-1][:, :, row, column].abs().sum(), pictures)
    rows, columns = (slope.abs().sum((0, 1)) > 0).nonzero(as_tuple=True)
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
""",
        "only where the gradient is large": """
def pixels_seen(module, name, row, column, shape):
    kept = []
    layer = module.get_submodule(name)
    handle = layer.register_forward_hook(lambda _a, _b, output: kept.append(output.clone()))
    try:
        pictures = torch.randn(30, *shape, requires_grad=True)
        module(pictures)
    finally:
        handle.remove()
    (slope,) = torch.autograd.grad(kept[-1][:, :, row, column].abs().sum(), pictures)
    rows, columns = (slope.abs().amax((0, 1)) > 0.3).nonzero(as_tuple=True)
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
""",
        "knows what the check expects": """
def pixels_seen(module, name, row, column, shape):
    if name == "0":
        return max(row - 1, 0), max(column - 1, 0), row + 2, column + 2
    return 3, 5, 7, 9
""",
    },
    "answers": {
        "in the order of the letters": """
sealed = given.deal(STUDENT)
order = convolutions(sealed, torch.zeros(1, 1, 28, 28))
spare = (set("abcdef") - set(order)).pop()
box = pixels_seen(sealed, order[-1], 6, 9, (1, 28, 28))
answers = {"order": sorted(order), "spare": spare, "box": box}
""",
        "the unit's row and column exchanged": """
sealed = given.deal(STUDENT)
order = convolutions(sealed, torch.zeros(1, 1, 28, 28))
spare = (set("abcdef") - set(order)).pop()
box = pixels_seen(sealed, order[-1], 9, 6, (1, 28, 28))
answers = {"order": order, "spare": spare, "box": box}
""",
        "the network of a neighbour": """
sealed = given.deal("bob")
order = convolutions(sealed, torch.zeros(1, 1, 28, 28))
spare = (set("abcdef") - set(order)).pop()
box = pixels_seen(sealed, order[-1], 6, 9, (1, 28, 28))
answers = {"order": order, "spare": spare, "box": box}
""",
        "the first convolution instead of the last": """
sealed = given.deal(STUDENT)
order = convolutions(sealed, torch.zeros(1, 1, 28, 28))
spare = (set("abcdef") - set(order)).pop()
box = pixels_seen(sealed, order[0], 6, 9, (1, 28, 28))
answers = {"order": order, "spare": spare, "box": box}
""",
    },
}

RIGHT = {
    "wrap_grey": {
        "by ImageOps and torchvision": """
def wrap_grey(module, classes, mean, std):
    from PIL import ImageOps
    from torchvision.transforms import functional

    def preprocess(image):
        small = ImageOps.fit(image.convert("RGB"), (28, 28)).convert("L")
        return functional.normalize(functional.to_tensor(small), [mean], [std])

    return models.Network(module, preprocess, classes, input_size=28, mean=[mean], std=[std])
""",
    },
    "Adapter": {
        "with get": """
class Adapter(nn.Module):
    def __init__(self, module, key):
        nn.Module.__init__(self)
        self.add_module("network", module)
        self.entry = key

    def forward(self, *batch):
        answer = self.network(*batch)
        return answer.get(self.entry)
""",
    },
    "convolutions": {
        "with hooks before the layers, and a context manager": """
def convolutions(module, batch):
    from contextlib import ExitStack

    found = {}
    with ExitStack() as stack, torch.inference_mode():
        for name, part in module.named_modules():
            if type(part) is nn.Conv2d:
                note = lambda part, inputs, name=name: (found.setdefault(name, len(found)), None)[1]
                stack.callback(part.register_forward_pre_hook(note).remove)
        module(batch)
    return sorted(found, key=found.get)
""",
    },
    "pixels_seen": {
        "picture by picture": """
def pixels_seen(module, name, row, column, shape):
    seen = torch.zeros(shape[1:], dtype=torch.bool)
    for draw in range(30):
        x = torch.rand(1, *shape).mul(4).sub(2).requires_grad_()
        kept = {}
        part = dict(module.named_modules())[name]
        handle = part.register_forward_hook(lambda p, i, out: kept.update(out=out * 1))
        module(x)
        handle.remove()
        weights = torch.randn(kept["out"].shape[1])
        (kept["out"][0, :, row, column] * weights).sum().backward()
        seen |= (x.grad[0] != 0).any(0)
    rows, columns = np.where(seen.numpy())
    return rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
""",
    },
}
