"""Networks by name: their layers, their preprocessing, their classes and what they predict.

`load()` gives the course's own small AlexNet, trained on the miniatures and stored beside this
package; `load("alexnet")`, `load("resnet18")` and so on give torchvision's networks with their
published ImageNet weights.
"""

import contextlib
import csv
import difflib
import functools
import itertools
import threading
import urllib.request
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor, nn

from lecture_utils import store
from lecture_utils.images import CLASSES
from lecture_utils.methods import fingerprints, published

WEIGHTS = store.DATA / "weights"
MEAN, STD = 0.5, 0.25  # mini_alexnet is fed (pixel - MEAN) / STD in all channels: mid-grey is 0
INPUT_SIZE = 160  # pixels
PATIENCE = 3.0  # seconds to find out whether published weights can be reached


class ModelError(ValueError):
    """A network, epoch or variant that does not exist or cannot be had now."""


@dataclass(eq=False, repr=False)
class Network:
    """A trained network with everything a lecture needs to use it; `network(batch)` asks it.

    `wrap`, another name for this class, makes any classifier usable in the lectures. Its module
    takes Tensor [B, channels, input_size, input_size] and gives logits [B, len(classes)], alone or
    in a tuple, a dictionary or a structure; see `__call__`.
    """

    module: nn.Module  # in evaluation mode, without wrappers such as `nn.DataParallel`
    preprocess: Callable[[Image.Image], Tensor]  # PIL image -> Tensor [channels, H, W]
    classes: Iterable[str]  # label of each output, in order
    name: str = "my network"
    input_size: int = 224  # side of the square input, in pixels
    mean: Iterable[float] = (0.0, 0.0, 0.0)  # of each channel, what `preprocess` subtracts
    std: Iterable[float] = (1.0, 1.0, 1.0)  # and divides by, to show pictures

    def __post_init__(self):
        self.module = _unwrapped(self.module).eval()
        self.classes = list(self.classes)
        self.mean, self.std = (torch.tensor([*v]).reshape(-1, 1, 1) for v in (self.mean, self.std))

    def __repr__(self) -> str:
        return f"Network({self.name!r}, {len(self.classes)} classes, {self.input_size} px)"

    def __call__(self, batch: Tensor) -> Tensor:
        """The logits of a batch: Tensor [B, channels, H, W] -> Tensor [B, classes] on the CPU.

        In evaluation mode, without gradients, on the device and in the precision of the weights;
        half precision comes back as single. Of several outputs those called `logits`, or the first
        tensor, are taken; ModelError if there is none, ValueError for a batch of another shape.
        """
        if not isinstance(batch, Tensor) or batch.ndim != 4:
            found = list(batch.shape) if isinstance(batch, Tensor) else type(batch).__name__
            raise ValueError(f"a batch is a Tensor [B, channels, H, W]; this is {found}")
        weights = (w for w in self.module.parameters() if w.is_floating_point())
        with evaluating(self.module):
            output = self.module(batch.to(next(weights, batch)))
        return on_cpu(_logits(output, self.name))

    @functools.cached_property
    def channels(self) -> int:
        """Of the pictures it takes: 3 for colour, 1 for grey."""
        return len(self.preprocess(Image.new("RGB", (self.input_size, self.input_size))))

    def to_image(self, tensor: Tensor) -> np.ndarray:
        """Undo the normalisation: Tensor [3 or 1, H, W] -> float array [H, W, 3] in 0..1."""
        image = tensor.detach().float().cpu() * self.std + self.mean
        return image.clamp(0, 1).expand(3, -1, -1).permute(1, 2, 0).numpy()

    def batches(self, pictures: Iterable, size: int = 50) -> Iterator[Tensor]:
        """Preprocess pictures (Picture or PIL images) into Tensors [up to `size`, 3, H, W]."""
        tensors = (self.preprocess(getattr(picture, "image", picture)) for picture in pictures)
        while batch := list(itertools.islice(tensors, size)):
            yield torch.stack(batch)

    def predict(self, image: Image.Image, k: int = 5) -> list[tuple[str, float]]:
        """The k most probable classes of one picture, as (label, probability), best first."""
        if not self.classes:
            raise ModelError(f"of {self.name!r} only the first layer is stored: it cannot predict")
        logits = self(self.preprocess(image)[None])[0]
        probability, index = logits.softmax(0).topk(min(k, len(logits)))
        return [(self.classes[i], p) for i, p in zip(index.tolist(), probability.tolist())]

    def fingerprint(self) -> str | None:
        """Hash of all that decides what it says, or None if some of it cannot be looked into."""
        return fingerprints.of(self.module, self.preprocess, self.classes, self.input_size)


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every part has its training flag back."""
    flags = [(part, part.training) for part in module.modules()]
    try:
        for part, _ in flags:
            part.training = False
        with torch.no_grad():
            yield
    finally:
        for part, training in flags:
            part.training = training


def on_cpu(values: Tensor) -> Tensor:
    """Values on the CPU; in single precision if they have less, for numpy knows no bfloat16."""
    less = values.dtype in (torch.float16, torch.bfloat16)
    return values.to("cpu", torch.float32 if less else values.dtype)


def _logits(output: object, name: str) -> Tensor:
    """The logits among what a module gives: what is called so, or else the first tensor."""
    if isinstance(output, Mapping):
        found = [output.get("logits"), *output.values()]
    else:
        parts = output if isinstance(output, tuple | list) else [output]
        found = [getattr(output, "logits", None), *parts]
    for value in found:
        if isinstance(value, Tensor):
            return value
    raise ModelError(
        f"{name} gives a {type(output).__name__} without a tensor in it; "
        "wrap a module that gives logits [B, classes], or a dictionary with 'logits'"
    )


def _unwrapped(module: nn.Module) -> nn.Module:
    """The network inside wrappers that only carry it out differently, and rename its layers."""
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return _unwrapped(module.module)
    inside = getattr(module, "_orig_mod", None)  # of `torch.compile`
    return module if inside is None else _unwrapped(inside)


wrap = Network


# --- the course's own network -------------------------------------------------------------------


def mini_alexnet(classes: int = 14) -> nn.Sequential:
    """AlexNet's plan (Krizhevsky et al. 2012) for pictures of 160 px, untrained.

    The filters work in two groups that meet only in conv3 and in the fully connected layers.
    Input Tensor [B, 3, 160, 160], output logits [B, classes].
    """
    plan = {
        "conv1": nn.Conv2d(3, 96, 11, stride=4),
        "relu1": nn.ReLU(),
        "pool1": nn.MaxPool2d(3, 2),
        "conv2": nn.Conv2d(96, 192, 5, padding=2, groups=2),
        "relu2": nn.ReLU(),
        "pool2": nn.MaxPool2d(3, 2),
        "conv3": nn.Conv2d(192, 192, 3, padding=1),
        "relu3": nn.ReLU(),
        "conv4": nn.Conv2d(192, 192, 3, padding=1, groups=2),
        "relu4": nn.ReLU(),
        "conv5": nn.Conv2d(192, 128, 3, padding=1, groups=2),
        "relu5": nn.ReLU(),
        "pool5": nn.MaxPool2d(3, 2),
        "flatten": nn.Flatten(),
        "fc6": nn.Linear(128 * 3 * 3, 512),
        "relu6": nn.ReLU(),
        "fc7": nn.Linear(512, 512),
        "relu7": nn.ReLU(),
        "fc8": nn.Linear(512, classes),
    }
    return nn.Sequential(OrderedDict(plan))


def _shrink(image: Image.Image) -> Tensor:
    """PIL image -> Tensor [3, 160, 160]: the middle square, scaled and normalised."""
    image = image.convert("RGB")
    left, top = (side / 2 - min(image.size) / 2 for side in image.size)
    box = left, top, image.width - left, image.height - top
    image = image.resize((INPUT_SIZE, INPUT_SIZE), Image.Resampling.BICUBIC, box, reducing_gap=3.0)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    return (pixels / 255 - MEAN) / STD


def _snapshots(folder: Path) -> dict[int, Path]:
    """The stored training epochs of one of the course's networks."""
    return {int(path.stem[-3:]): path for path in sorted(folder.glob("epoch_*.safetensors"))}


def _folder(variant: str | None) -> Path:
    """Where a variant, or mini_alexnet itself, is stored."""
    if variant is not None and variant not in variants():
        raise ModelError(f"no variant {variant!r}; there are: {', '.join(variants()) or 'none'}")
    return WEIGHTS / (variant or "mini_alexnet")


def variants() -> list[str]:
    """Networks of the same plan that were trained differently; see `data/README.md`."""
    names = sorted(path.name for path in WEIGHTS.iterdir() if _snapshots(path))
    return [name for name in names if name != "mini_alexnet"]


def snapshots(variant: str | None = None) -> list[int]:
    """The epochs after which a variant, or mini_alexnet itself, was stored; the last is its end."""
    return list(_snapshots(_folder(variant)))


def available() -> dict[str, list]:
    """What `load` takes: networks by name, epochs and variants of mini_alexnet."""
    return {
        "networks": ["mini_alexnet", *_zoo().list_models(module=_zoo())],
        "epochs": snapshots(),
        "variants": variants(),
    }


def load(
    name: str = "mini_alexnet", epoch: int | None = None, variant: str | None = None
) -> Network:
    """A trained network by name.

    Args:
        name: "mini_alexnet", or any of torchvision's classification networks; those use their
            published ImageNet weights, downloaded once with a progress bar.
        epoch: a snapshot along mini_alexnet's training; None is the end of the training.
        variant: a differently trained mini_alexnet, one of `variants()`.

    ModelError says what exists, or why the weights cannot be had and what works without.
    """
    if name != "mini_alexnet":
        if epoch is not None or variant is not None:
            raise ModelError(f"only mini_alexnet has epochs and variants, {name!r} has none")
        return _load_imagenet(name)
    snapshots = _snapshots(_folder(variant))
    if epoch is None:
        epoch = max(snapshots)
    if epoch not in snapshots:
        kept = ", ".join(map(str, snapshots))
        raise ModelError(f"no snapshot of epoch {epoch}; there are epochs {kept}")
    title = (variant or name) + ("" if epoch == max(snapshots) else f", epoch {epoch}")
    stored = safetensors.torch.load(store.read(snapshots[epoch]))
    state = {name: values.float() for name, values in stored.items()}
    whole = "fc8.weight" in state
    module = mini_alexnet(len(CLASSES)) if whole else _first_layer(state, snapshots[epoch])
    module.load_state_dict(state)
    classes = CLASSES if whole else ()
    return Network(module, _shrink, classes, title, INPUT_SIZE, (MEAN,) * 3, (STD,) * 3)


def _first_layer(state: dict[str, Tensor], path: Path) -> nn.Sequential:
    """An empty conv1 for a network of which only that is stored; its stride is in the header."""
    with safetensors.safe_open(path, "pt") as file:
        facts = file.metadata()
    filters, channels, kernel, _ = state["conv1.weight"].shape
    conv1 = nn.Conv2d(channels, filters, kernel, int(facts["stride"]), int(facts["padding"]))
    return nn.Sequential(OrderedDict(conv1=conv1))


def training_log(variant: str | None = None) -> list[dict[str, float]]:
    """How a training went, one row per epoch.

    Columns: epoch, rate (of learning), loss, train_accuracy, held_out_accuracy (on pictures of
    the training set that were held out; the gallery takes no part), seconds. Raises ModelError.
    """
    content = store.read(_folder(variant) / "log.csv").decode()
    rows = csv.DictReader(content.splitlines())
    return [{key: float(value) for key, value in row.items()} for row in rows]


# --- torchvision's networks, published ImageNet weights -----------------------------------------


def _zoo():
    """torchvision's networks, imported when they are asked for: that takes seconds."""
    import torchvision.models

    return torchvision.models


def _weights_of(name: str) -> tuple[object, Path]:
    """The best published weights of a network, and where torch keeps the file."""
    known = available()["networks"]
    if name not in known:
        close = difflib.get_close_matches(name, known, 5, 0.4) or known[:5]
        raise ModelError(
            f"no network {name!r}; close to it: {', '.join(close)}. `models.available()` lists all."
        )
    weights = _zoo().get_model_weights(name).DEFAULT
    return weights, Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[-1]


def _load_imagenet(name: str) -> Network:
    weights, file = _weights_of(name)
    there = file.exists()
    if not there and not _reachable(weights.url):
        raise ModelError(
            f"the weights of {name} are not on this computer ({file}) and there is no connection "
            "to fetch them. Connect once and run this again, or go on with "
            'NETWORK = "mini_alexnet", which needs no download.'
        )
    try:
        module = _zoo().get_model(name, weights=weights, progress=True)
    except OSError as error:  # no space, no right to write, connection lost
        raise ModelError(f"fetching {name} into {file.parent} failed: {error}") from error
    except Exception as error:
        # torch.load fails in many ways on a damaged file, a wrong checksum is a RuntimeError
        state = "the file is damaged: delete it" if there else "the download is damaged: try again"
        raise ModelError(f"cannot read the weights of {name} from {file}; {state}.") from error
    preset = weights.transforms()
    size = preset.crop_size[0]
    return Network(module, preset, weights.meta["categories"], name, size, preset.mean, preset.std)


def _reachable(url: str) -> bool:
    """Whether the server answers within `PATIENCE`, name look-up and proxies included."""
    answers = []
    request = urllib.request.Request(url, method="HEAD")

    def ask() -> None:
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=PATIENCE):
            answers.append(True)

    # a name look-up has no time limit of its own, so it is left behind in a thread
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return bool(answers)


def first_layer(name: str) -> Network:
    """The layer of a published network that sees the picture, without downloading the others.

    Takes what `load` takes. The Network has `conv1` alone and no classes; its `preprocess` gives
    what this layer meets, which is not what the whole GoogLeNet or Inception is given. Fetched
    once, a few hundred kB, and remembered. ModelError says why it cannot be had.
    """
    if name == "mini_alexnet":
        conv1 = load().module[:1]
        return Network(conv1, _shrink, (), name, INPUT_SIZE, (MEAN,) * 3, (STD,) * 3)
    weights, file = _weights_of(name)

    def fetch() -> dict[str, np.ndarray]:
        if not file.exists() and not _reachable(weights.url):
            raise ModelError(
                f"the first layer of {name} is not on this computer and there is no connection to "
                "fetch it. Connect once and run this again."
            )
        return published.fetch(weights.url, file, path, conv1)

    try:
        path, conv1, renormalised = published.first_convolution(name)
        state = store.kept(("first layer", weights.url, path), fetch)
    except published.FetchError as error:
        raise ModelError(str(error)) from error
    state = {key: torch.from_numpy(values) for key, values in state.items()}
    conv1.load_state_dict(state, assign=True)
    module = nn.Sequential(OrderedDict(conv1=conv1))
    grey = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    preset = weights.transforms(**(grey if renormalised else {}))
    return Network(module, preset, (), name, preset.crop_size[0], preset.mean, preset.std)
