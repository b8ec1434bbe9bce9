"""What assignment 6 gives: networks that the course does not know, and a check after each step."""

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from lecture_utils import homework, images, models

WORDS = "bud fork gate iris knot lens loom prism reed stem well yarn".split()
SIDE = 28  # pixels of a digit
FITTED = 1400  # digits that fit the last layer; the others are left to look at


# --- networks -----------------------------------------------------------------------------------


class Grey(nn.Module):
    """Logits [B, 10] of grey pictures [B, 1, 28, 28]. Its parts stand in no order and go by words.

    Some parts are never used. `sizes`: kernel of the first and of the second convolution.
    """

    def __init__(self, lot: np.random.Generator, sizes: tuple[int, int]):
        super().__init__()
        self.words = [str(word) for word in lot.permutation(WORDS)[:6]]
        first, second = sizes
        side = ((SIDE - first + 1) // 2 - second + 1) // 2
        parts = [
            nn.Conv2d(1, 12, first),
            nn.Conv2d(12, 16, second),
            nn.Linear(16 * side**2, 96),
            nn.Linear(96, 10),
            nn.Conv2d(1, 5, 3),
            nn.Linear(96, 10),
        ]
        # the unused ones stand where one who goes by the list will find them
        middle = [int(place) for place in lot.permutation(4)]
        for place in (4, *middle, 5):
            self.add_module(self.words[place], parts[place])

    def forward(self, batch: Tensor) -> Tensor:
        look, look_again, gather, name = (getattr(self, word) for word in self.words[:4])
        maps = max_pool2d(relu(look(batch)), 2)
        maps = max_pool2d(relu(look_again(maps)), 2)
        return name(relu(gather(maps.flatten(1))))


class Talkative(nn.Module):
    """Takes [B, 3, 32, 32] and gives a dictionary: `signature` [B, 6], `scores` [B, 4]."""

    def __init__(self):
        super().__init__()
        self.crest = nn.Linear(8, 6)
        self.brook = nn.Conv2d(3, 8, 5, stride=2)
        self.delta = nn.Linear(8, 4)

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        middle = relu(self.brook(batch)).mean((2, 3))
        scores = self.delta(middle)
        return {"signature": self.crest(middle), "scores": scores}


def seeded(lot: np.random.Generator, build, *arguments) -> nn.Module:
    """A module with random weights that depend on `lot` only."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(lot.integers(2**31)))
        return build(*arguments).eval()


def digits() -> tuple[list[Image.Image], list[str]]:
    """The 1,797 handwritten digits that come with scikit-learn, white on black, and their names."""
    stored = load_digits()
    small = [Image.fromarray((values * 15.9).astype(np.uint8)) for values in stored.images]
    pictures = [image.resize((SIDE, SIDE), Image.Resampling.BICUBIC) for image in small]
    return pictures, [str(label) for label in stored.target]


def unfitted(student: str) -> tuple[nn.Module, list[str], float, float]:
    """A network that is to read digits, its classes in order, its mean and standard deviation."""
    lot = homework.generator(student, "h6 grey")
    sizes = tuple(int(lot.choice(choice)) for choice in ((3, 5, 7), (3, 5)))
    mean, std = float(lot.choice([0.1, 0.15, 0.2, 0.25])), float(lot.choice([0.25, 0.3, 0.35]))
    classes = [str(digit) for digit in lot.permutation(10)]
    return seeded(lot, Grey, lot, sizes), classes, mean, std


def deal_grey(student: str) -> tuple[nn.Module, list[str], float, float]:
    """The same, fitted.

    The convolutions are random. The last layer is fitted to 1,400 digits (by ridge regression).
    """
    module, classes, mean, std = unfitted(student)
    pictures, labels = digits()
    batch = torch.from_numpy(np.stack(pictures[:FITTED]))[:, None] / 255
    targets = torch.tensor(
        [[float(label == name) for name in classes] for label in labels[:FITTED]]
    )
    kept: list[Tensor] = []
    last = getattr(module, module.words[3])
    hook = last.register_forward_pre_hook(lambda _module, inputs: kept.append(inputs[0]))
    with torch.no_grad():
        module((batch - mean) / std)
        hook.remove()
        read = kept[0] - kept[0].mean(0)
        ridge = read.T @ read + 0.01 * read.square().sum() / read.shape[1] * torch.eye(96)
        weight = 12 * torch.linalg.solve(ridge, read.T @ (targets - targets.mean(0)))
        last.weight.copy_(weight.T)
        last.bias.copy_(12 * targets.mean(0) - kept[0].mean(0) @ weight)
    return module, classes, mean, std


def left_over(count: int = 200) -> tuple[list[Image.Image], list[str]]:
    """Digits that took no part in the fit."""
    pictures, labels = digits()
    return pictures[FITTED : FITTED + count], labels[FITTED : FITTED + count]


def deal_talkative(student: str) -> tuple[nn.Module, list[str]]:
    """A network that gives a dictionary (untrained), and its classes in order."""
    lot = homework.generator(student, "h6 dictionary")
    return seeded(lot, Talkative), [str(word) for word in lot.permutation(WORDS)[:4]]


def halved(image: Image.Image) -> Tensor:
    """The `preprocess` of the network with a dictionary: PIL image -> Tensor [3, 32, 32]."""
    pixels = np.array(image.convert("RGB").resize((32, 32)))
    return torch.from_numpy(pixels).permute(2, 0, 1) / 127.5 - 1


def read_by(network: models.Network, last: str, pictures: list) -> np.ndarray:
    """What one layer is given of each picture: the codes, [pictures, numbers]."""
    kept: list[Tensor] = []
    layer = network.module.get_submodule(last)
    hook = layer.register_forward_pre_hook(lambda _module, inputs: kept.append(inputs[0].clone()))
    try:
        for batch in network.batches(pictures):
            network(batch)
    finally:
        hook.remove()
    return torch.cat(kept).flatten(1).numpy()


def deal_picture(student: str) -> Image.Image:
    """One picture of the gallery, to try the report before there is a photo."""
    gallery = images.gallery()
    return gallery[int(homework.generator(student, "h6 photo").integers(len(gallery)))].image


# --- a check after each step --------------------------------------------------------------------


def check_wrap_grey(wrap_grey) -> None:
    """The visible check of step 1."""
    module = seeded(np.random.default_rng(61), Grey, np.random.default_rng(61), (5, 3))
    names = [f"class {number}" for number in (3, 1, 4, 0, 5, 9, 2, 6, 8, 7)]
    network = wrap_grey(module, names, 0.4, 0.2)
    assert isinstance(network, models.Network), "wrap_grey returns what models.wrap gives"
    assert network.input_size == SIDE, f"the input is {SIDE} px wide, not {network.input_size}"
    assert list(network.classes) == names, "the classes are not those given, in their order"
    assert network.module is module, "the module is to be wrapped as it is, not changed or copied"
    white = network.preprocess(Image.new("L", (SIDE, SIDE), 255))
    assert isinstance(white, Tensor), "preprocess gives a Tensor"
    assert tuple(white.shape) == (1, SIDE, SIDE), (
        f"preprocess gives [1, 28, 28], one channel; here {list(white.shape)}"
    )
    assert not torch.allclose(white, torch.tensor((255 - 0.4) / 0.2)), (
        "pixels are 0 to 255, mean and standard deviation are for 0 to 1: divide by 255"
    )
    assert torch.allclose(white, torch.tensor(3.0), atol=1e-4), (
        "white, 1, should become (1 - mean) / std: here 3"
    )
    colour = network.preprocess(Image.new("RGB", (60, 60), (255, 0, 0)))
    assert tuple(colour.shape) == (1, SIDE, SIDE), "a colour picture becomes one grey channel"
    wide = Image.new("L", (120, 40), 255)
    wide.paste(0, (38, 0, 82, 40))
    assert (network.preprocess(wide)[:, 2:-2, 2:-2] < -1.9).all(), (
        "of a wide picture only the middle square counts: crop before you make it smaller"
    )
    shown = network.to_image(network.preprocess(Image.new("L", (SIDE, SIDE), 51)))
    assert np.allclose(shown, 0.2, atol=1e-3), (
        "to_image does not give the picture back: tell models.wrap the mean and the standard "
        "deviation, one number for each channel"
    )
    assert network.predict(Image.new("RGB", (50, 40)))[0][0] in names, "predict does not work"


def check_wrap_dictionary(wrap_dictionary) -> None:
    """The visible check of step 2."""
    module = seeded(np.random.default_rng(62), Talkative)
    network = wrap_dictionary(module, list("abcd"), halved, 32)
    assert isinstance(network, models.Network), "wrap_dictionary returns what models.wrap gives"
    assert network.input_size == 32, "the input is 32 px wide"
    batch = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found, wanted = network(batch), module(batch)
    assert isinstance(wanted, dict), "the module itself has been changed: it gave a dictionary"
    assert not torch.equal(found, wanted["signature"]), (
        "this is the signature: models.wrap takes the first tensor of a dictionary without "
        "'logits'. Put a small nn.Module around the network that picks the scores"
    )
    assert tuple(found.shape) == (3, 4), f"four scores for each picture; here {list(found.shape)}"
    assert not torch.allclose(found, wanted["scores"].softmax(1), atol=1e-6), (
        "these are probabilities; the course takes logits and does the softmax itself"
    )
    assert torch.equal(found, wanted["scores"]), "these are not the scores"
    kinds = [type(part).__name__ for part in network.module.modules()]
    assert kinds.count("Conv2d") == 1 and kinds.count("Linear") == 2, (
        "the layers inside cannot be found: keep the module as an attribute of yours (not in a "
        "list, a dictionary or a closure), then PyTorch knows that it is a part"
    )


def check_find_layers(find_layers) -> None:
    """The visible check of step 3."""
    course = models.load()
    result = find_layers(course)
    assert isinstance(result, tuple) and len(result) == 2, "two names: first, last"
    assert result == ("conv1", "fc8"), (
        f"in mini_alexnet conv1 sees the picture and fc8 gives the logits; you say {result}"
    )
    for seed in (63, 64):
        lot = np.random.default_rng(seed)
        module = seeded(lot, Grey, lot, (3, 5))
        first, last = find_layers(models.wrap(module, _flat(28, 1), range(10), input_size=28))
        where = "in a network whose parts stand in another order, some of them never used: "
        assert first == module.words[0], (
            f"{where}{module.words[0]!r} sees the picture, you say {first!r}. The order of the "
            "list is not the order of the work"
        )
        assert last == module.words[3], (
            f"{where}{module.words[3]!r} gives the logits, you say {last!r}"
        )
        hooks = sum(len(part._forward_hooks) for part in module.modules())
        assert not hooks, "hooks are left in the network: remove them, also after an error"


def check_grey_fill(grey_fill) -> None:
    """The visible check of step 4."""
    course = models.load()
    middle = grey_fill(course, 128)
    assert isinstance(middle, Tensor) and tuple(middle.shape) == (3, 1, 1), (
        "a Tensor [channels, 1, 1]: for mini_alexnet three numbers"
    )
    assert torch.allclose(middle, torch.full((3, 1, 1), (128 / 255 - 0.5) / 0.25), atol=1e-4), (
        "in mini_alexnet grey 128 becomes (128 / 255 - 0.5) / 0.25"
    )
    other = models.wrap(nn.Flatten(), _flat(20, 1), range(400), input_size=20)
    dark = grey_fill(other, 51)
    assert tuple(dark.shape) == (1, 1, 1), "a network for grey pictures has one channel"
    assert abs(float(dark) - 0.2) < 1e-4, (
        f"in a network that takes pixels from 0 to 1, grey 51 is 0.2; you say {float(dark):.3f}. "
        "Ask the network's own preprocess"
    )


def check_answers(answers) -> None:
    """Whether the answers have the right form."""
    assert isinstance(answers, dict) and set(answers) == {"first", "last", "field", "grey"}, (
        'answers has the entries "first", "last", "field" and "grey"'
    )
    for name, value in answers.items():
        if value is None:
            raise NotImplementedError(f"answers[{name!r}] is still empty")
    assert isinstance(answers["first"], str) and isinstance(answers["last"], str), (
        "first and last are names of layers"
    )
    assert float(answers["field"]) == int(answers["field"]), "field is a whole number of pixels"
    assert isinstance(answers["grey"], int | float | np.number), "grey is a number"


def _flat(side: int, channels: int):
    """A preprocess that only scales: pixels from 0 to 1."""

    def preprocess(image: Image.Image) -> Tensor:
        image = image.convert("L" if channels == 1 else "RGB").resize((side, side))
        return (
            torch.from_numpy(np.array(image)).reshape(side, side, channels).permute(2, 0, 1) / 255
        )

    return preprocess
