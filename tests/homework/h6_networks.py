"""Wrong answers to homework 6, each of which must lose its step's points, and other right ones."""

WRONG = {
    "wrap_grey": {
        "pixels from 0 to 255": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.convert("L").crop((left, top, left + side, top + side)).resize((28, 28))
        return (torch.from_numpy(np.array(image)).float()[None] - mean) / std
    return models.wrap(module, preprocess, classes, "grey digits", 28, [mean], [std])
""",
        "three channels": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.convert("RGB").crop((left, top, left + side, top + side)).resize((28, 28))
        return (torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255 - mean) / std
    return models.wrap(module, preprocess, classes, "grey digits", 28, [mean] * 3, [std] * 3)
""",
        "no channel": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        pixels = np.array(image.convert("L").resize((28, 28)), np.float32)
        return (torch.from_numpy(pixels) / 255 - mean) / std
    return models.wrap(module, preprocess, classes, "grey digits", 28, [mean], [std])
""",
        "squeezed instead of cropped": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        pixels = np.array(image.convert("L").resize((28, 28)), np.float32)[None]
        return (torch.from_numpy(pixels) / 255 - mean) / std
    return models.wrap(module, preprocess, classes, "grey digits", 28, [mean], [std])
""",
        "the upper left square": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        side = min(image.size)
        image = image.convert("L").crop((0, 0, side, side)).resize((28, 28))
        return (torch.from_numpy(np.array(image)).float()[None] / 255 - mean) / std
    return models.wrap(module, preprocess, classes, "grey digits", 28, [mean], [std])
""",
        "the middle 28 pixels, not made smaller": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        left, top = (image.width - 28) // 2, (image.height - 28) // 2
        image = image.convert("L").crop((left, top, left + 28, top + 28))
        return (torch.from_numpy(np.array(image)).float()[None] / 255 - mean) / std
    return models.wrap(module, preprocess, classes, "grey digits", 28, [mean], [std])
""",
        "the course is not told the normalisation": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.convert("L").crop((left, top, left + side, top + side)).resize((28, 28))
        return (torch.from_numpy(np.array(image)).float()[None] / 255 - mean) / std
    return models.wrap(module, preprocess, classes, "grey digits", 28)
""",
        "the course is not told the input size": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.convert("L").crop((left, top, left + side, top + side)).resize((28, 28))
        return (torch.from_numpy(np.array(image)).float()[None] / 255 - mean) / std
    return models.wrap(module, preprocess, classes, mean=[mean], std=[std])
""",
        "not normalised at all": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.convert("L").crop((left, top, left + side, top + side)).resize((28, 28))
        return torch.from_numpy(np.array(image)).float()[None] / 255
    return models.wrap(module, preprocess, classes, "grey digits", 28, [0], [1])
""",
        "classes in alphabetical order": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.convert("L").crop((left, top, left + side, top + side)).resize((28, 28))
        return (torch.from_numpy(np.array(image)).float()[None] / 255 - mean) / std
    return models.wrap(module, preprocess, sorted(classes), "grey digits", 28, [mean], [std])
""",
        "grey as the mean of the colours": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.convert("RGB").crop((left, top, left + side, top + side)).resize((28, 28))
        return (torch.from_numpy(np.array(image)).float().mean(2)[None] / 255 - mean) / std
    return models.wrap(module, preprocess, classes, "grey digits", 28, [mean], [std])
""",
        "rows and columns of the picture exchanged": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.convert("L").crop((left, top, left + side, top + side)).resize((28, 28))
        return (torch.from_numpy(np.array(image).T.copy()).float()[None] / 255 - mean) / std
    return models.wrap(module, preprocess, classes, "grey digits", 28, [mean], [std])
""",
        "numbers made for the visible check": """
def wrap_grey(module, classes, mean, std):
    def preprocess(image):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.convert("L").crop((left, top, left + side, top + side)).resize((28, 28))
        return (torch.from_numpy(np.array(image)).float()[None] / 255 - 0.4) / 0.2
    return models.wrap(module, preprocess, classes, "grey digits", 28, [0.4], [0.2])
""",
    },
    "wrap_dictionary": {
        "wrapped as it is": """
def wrap_dictionary(module, classes, preprocess, input_size):
    return models.wrap(module, preprocess, classes, "dictionary", input_size)
""",
        "the signature": """
def wrap_dictionary(module, classes, preprocess, input_size):
    class Scores(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module
        def forward(self, batch):
            return self.inner(batch)["signature"]
    return models.wrap(Scores(), preprocess, classes, "dictionary", input_size)
""",
        "probabilities": """
def wrap_dictionary(module, classes, preprocess, input_size):
    class Scores(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module
        def forward(self, batch):
            return self.inner(batch)["scores"].softmax(1)
    return models.wrap(Scores(), preprocess, classes, "dictionary", input_size)
""",
        "the module in a closure": """
def wrap_dictionary(module, classes, preprocess, input_size):
    class Scores(nn.Module):
        def forward(self, batch):
            return module(batch)["scores"]
    return models.wrap(Scores(), preprocess, classes, "dictionary", input_size)
""",
        "the module in a list": """
def wrap_dictionary(module, classes, preprocess, input_size):
    class Scores(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = [module]
        def forward(self, batch):
            return self.parts[0](batch)["scores"]
    return models.wrap(Scores(), preprocess, classes, "dictionary", input_size)
""",
        "a hook that changes the module for good": """
def wrap_dictionary(module, classes, preprocess, input_size):
    module.register_forward_hook(lambda part, inputs, output: output["scores"])
    return models.wrap(module, preprocess, classes, "dictionary", input_size)
""",
        "another forward in the module itself": """
def wrap_dictionary(module, classes, preprocess, input_size):
    before = module.forward
    module.forward = lambda batch: before(batch)["scores"]
    return models.wrap(module, preprocess, classes, "dictionary", input_size)
""",
        "the batch is squeezed": """
def wrap_dictionary(module, classes, preprocess, input_size):
    class Scores(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module
        def forward(self, batch):
            return self.inner(batch)["scores"].squeeze()
    return models.wrap(Scores(), preprocess, classes, "dictionary", input_size)
""",
        "the layers of the visible check's network, by name": """
def wrap_dictionary(module, classes, preprocess, input_size):
    class Scores(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module
        def forward(self, batch):
            return self.inner.delta(self.inner.brook(batch).relu().mean((2, 3)))
    return models.wrap(Scores(), preprocess, classes, "dictionary", input_size)
""",
        "the second entry": """
def wrap_dictionary(module, classes, preprocess, input_size):
    class Scores(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module
        def forward(self, batch):
            return list(self.inner(batch).values())[1]
    return models.wrap(Scores(), preprocess, classes, "dictionary", input_size)
""",
        "an input size of 224": """
def wrap_dictionary(module, classes, preprocess, input_size):
    class Scores(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module
        def forward(self, batch):
            return self.inner(batch)["scores"]
    return models.wrap(Scores(), preprocess, classes)
""",
    },
    "find_layers": {
        "by the order of the list": """
def find_layers(network):
    parts = list(network.module.named_modules())
    convolutions = [name for name, part in parts if isinstance(part, nn.Conv2d)]
    return convolutions[0], [name for name, part in parts if isinstance(part, nn.Linear)][-1]
""",
        "by the course's names": """
def find_layers(network):
    return "conv1", "fc8"
""",
        "by the number of channels and of classes": """
def find_layers(network):
    parts = list(network.module.named_modules())
    first = next(name for name, part in parts
                 if isinstance(part, nn.Conv2d) and part.in_channels == network.channels)
    last = [name for name, part in parts
            if isinstance(part, nn.Linear) and part.out_features == len(network.classes)][-1]
    return first, last
""",
        "the first and the last that work": """
def find_layers(network):
    calls, hooks = [], []
    for name, part in network.module.named_modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            def note(module, inputs, output, name=name):
                calls.append((name, module))
            hooks.append(part.register_forward_hook(note))
    try:
        network(torch.randn(1, network.channels, network.input_size, network.input_size))
    finally:
        for hook in hooks:
            hook.remove()
    first = next(name for name, part in calls if isinstance(part, nn.Conv2d))
    return first, calls[-1][0]
""",
        "by the table, the last row of all": """
def find_layers(network):
    rows = layers.table(network)
    first = next(row.name for row in rows if row.kind == "Conv2d")
    return first, [row.name for row in rows if row.kind == "Linear"][-1]
""",
        "hooks are left behind": """
def find_layers(network):
    calls = []
    for name, part in network.module.named_modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            def note(module, inputs, output, name=name):
                calls.append((name, module, output))
            part.register_forward_hook(note)
    logits = network(torch.randn(1, network.channels, network.input_size, network.input_size))
    first = next(name for name, part, _ in calls if isinstance(part, nn.Conv2d))
    return first, next(name for name, _, output in calls if torch.equal(output, logits))
""",
        "hooks are left behind after an error": """
def find_layers(network):
    calls, hooks = [], []
    for name, part in network.module.named_modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            def note(module, inputs, output, name=name):
                calls.append((name, module, output))
            hooks.append(part.register_forward_hook(note))
    logits = network(torch.randn(1, network.channels, network.input_size, network.input_size))
    for hook in hooks:
        hook.remove()
    first = next(name for name, part, _ in calls if isinstance(part, nn.Conv2d))
    return first, next(name for name, _, output in calls if torch.equal(output, logits))
""",
        "the last convolution instead of the first": """
def find_layers(network):
    rows = layers.table(network)
    first = [row.name for row in rows if row.kind == "Conv2d"][-1]
    logits = network(torch.zeros(1, network.channels, network.input_size, network.input_size))
    return first, [row.name for row in rows if row.kind == "Linear"][-1]
""",
        "the words of the given networks": """
def find_layers(network):
    words = getattr(network.module, "words", None)
    return (words[0], words[3]) if words else ("conv1", "fc8")
""",
    },
    "grey_fill": {
        "zeros": """
def grey_fill(network, level):
    return torch.zeros(network.channels, 1, 1)
""",
        "the normalisation is forgotten": """
def grey_fill(network, level):
    return torch.full((network.channels, 1, 1), level / 255)
""",
        "the stored mean and deviation instead of the preprocessing": """
def grey_fill(network, level):
    return (level / 255 - network.mean) / network.std
""",
        "always three channels": """
def grey_fill(network, level):
    side = network.input_size
    picture = network.preprocess(Image.new("RGB", (side, side), (level,) * 3))
    return picture[:1, :1, :1].expand(3, 1, 1)
""",
        "the whole picture": """
def grey_fill(network, level):
    side = network.input_size
    return network.preprocess(Image.new("RGB", (side, side), (level,) * 3))
""",
        "one number for all channels": """
def grey_fill(network, level):
    side = network.input_size
    picture = network.preprocess(Image.new("RGB", (side, side), (level,) * 3))
    return picture.mean((1, 2), keepdim=True).mean(0, keepdim=True).expand(len(picture), 1, 1)
""",
        "always mid-grey": """
def grey_fill(network, level):
    side = network.input_size
    return network.preprocess(Image.new("RGB", (side, side), (128,) * 3))[:, :1, :1]
""",
    },
    "answers": {
        "the order of the list": """
parts = list(grey.module.named_modules())
answers = {"first": next(n for n, p in parts if isinstance(p, nn.Conv2d)),
           "last": [n for n, p in parts if isinstance(p, nn.Linear)][-1], "field": 11, "grey": 0.0}
""",
        "grey is zero": """
answers = {"first": find_layers(grey)[0], "last": find_layers(grey)[1], "grey": 0.0,
           "field": layers.receptive_field(grey, used[1]).size}
""",
        "the field without the pooling": """
answers = {"first": find_layers(grey)[0], "last": find_layers(grey)[1],
           "grey": float(grey_fill(grey, 128)),
           "field": sum(grey.module.get_submodule(n).kernel_size[0] for n in used[:2]) - 1}
""",
        "another student's": """
_theirs = wrap_grey(given.deal_grey("another")[0], classes, MEAN, STD)
_used = [row.name for row in layers.table(_theirs) if row.kind == "Conv2d"]
answers = {"first": find_layers(_theirs)[0], "last": find_layers(_theirs)[1],
           "grey": float(grey_fill(_theirs, 128)),
           "field": layers.receptive_field(_theirs, _used[1]).size}
""",
        "guessed": 'answers = {"first": "conv1", "last": "fc8", "field": 3, "grey": 0.0}',
    },
}

RIGHT = {
    "wrap_grey": {
        "by torchvision": """
def wrap_grey(module, classes, mean, std):
    from torchvision.transforms import v2
    steps = v2.Compose([
        v2.Grayscale(), v2.Resize(28, antialias=True), v2.CenterCrop(28), v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True), v2.Normalize([mean], [std]),
    ])
    return models.wrap(
        module, lambda image: torch.Tensor(steps(image.convert("L"))), classes,
        input_size=28, mean=[mean], std=[std],
    )
""",
        "by Pillow's fit": """
def wrap_grey(module, classes, mean, std):
    from PIL import ImageOps
    def preprocess(image):
        image = ImageOps.fit(image.convert("L"), (28, 28))
        pixels = np.asarray(image, np.float32)[np.newaxis] / 255
        return torch.tensor((pixels - np.float32(mean)) / np.float32(std))
    return models.wrap(module, preprocess, classes, input_size=28, mean=(mean,), std=(std,))
""",
    },
    "wrap_dictionary": {
        "two modules in a row": """
def wrap_dictionary(module, classes, preprocess, input_size):
    class Picked(nn.Module):
        def forward(self, answer):
            return answer["scores"]
    return models.wrap(nn.Sequential(module, Picked()), preprocess, classes, input_size=input_size)
""",
        "a dictionary with logits": """
def wrap_dictionary(module, classes, preprocess, input_size):
    class Renamed(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = module
        def forward(self, batch):
            return {"logits": self.network(batch)["scores"]}
    return models.wrap(Renamed(), preprocess, classes, input_size=input_size)
""",
    },
    "find_layers": {
        "by the table and by recording": """
def find_layers(network):
    rows = [row for row in layers.table(network) if row.kind in ("Conv2d", "Linear")]
    side = network.input_size
    batch = torch.rand(3, network.channels, side, side)
    outputs = layers.record(network, batch, [row.name for row in rows])
    logits = network(batch)
    first = [row.name for row in rows if row.kind == "Conv2d"][0]
    last = [name for name, output in outputs.items()
            if output.shape == logits.shape and torch.allclose(output, logits)][0]
    return first, last
""",
    },
    "grey_fill": {
        "the mean of a plain picture": """
def grey_fill(network, level):
    plain = network.preprocess(Image.new("L", (300, 300), level).convert("RGB"))
    return plain.mean(dim=(1, 2), keepdim=True)
""",
    },
}
