"""Train the course's networks on the miniatures.

From the repository's root: `python -m data.recipe.train IMAGES`, where IMAGES holds one folder
of JPEGs per class (made by `python -m data.recipe.render`). Runs on a GPU if there is one. A run
that was stopped goes on from its last complete epoch when it is started again.
"""

import argparse
import csv
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from lecture_utils import models
from lecture_utils.images import CLASSES

SNAPSHOTS = (0, 1, 2, 5, 10, 20, 40)
HELD_OUT = 10  # every tenth picture of `train` only measures; the gallery never takes part
LOG_FIELDS = ("epoch", "rate", "loss", "train_accuracy", "held_out_accuracy", "seconds")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how one network is trained."""

    epochs: int = 50
    rate: float = 0.05  # learning rate, falls linearly to 0
    decay: float = 1e-3  # weight decay, on weights only
    smoothing: float = 0.05  # label smoothing
    batch: int = 64
    seed: int = 0
    size: int = 160  # side of the training crops, pixels
    crop: float = 0.6  # smallest share of a picture's area that a crop keeps
    light: float = 0.3  # brightness and contrast change by up to this share
    colour: float = 0.3  # saturation changes by up to this share, channels by a third of it
    normalised: str = "12345"  # convolutions followed by batch normalisation in training
    first_std: float = 0.004  # standard deviation of conv1's initial weights


RECIPES = {"mini_alexnet": Recipe()}


# --- data ---------------------------------------------------------------------------------------


def read_images(folder: Path) -> tuple[Tensor, Tensor, Tensor]:
    """All JPEGs below `folder`: pixels uint8 [N, 3, 160, 160], class [N], held out? bool [N]."""
    pixels, labels, held_out = [], [], []
    for label, name in enumerate(CLASSES):
        paths = sorted((folder / name).glob("[0-9]*.jpg"))
        if not paths:
            raise SystemExit(f"no pictures in {folder / name}: render them first")
        for path in tqdm(paths, desc=name, leave=False):
            pixels.append(np.asarray(Image.open(path).convert("RGB")).transpose(2, 0, 1))
            labels.append(label)
            held_out.append(int(path.stem) % HELD_OUT == 0)
    return torch.from_numpy(np.stack(pixels)), torch.tensor(labels), torch.tensor(held_out)


def normalise(pixels: Tensor) -> Tensor:
    """uint8 0..255 -> the values the network is fed."""
    return (pixels.float() / 255 - models.MEAN) / models.STD


def augment(pixels: Tensor, recipe: Recipe, random: torch.Generator) -> Tensor:
    """Random crop, flip, light and colour for uint8 [B, 3, H, W]; gives float in 0..1."""
    count = len(pixels)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        values = torch.rand(count, *shape, generator=random) * (high - low) + low
        return values.to(pixels.device)

    scale = uniform(recipe.crop, 1).sqrt()
    theta = torch.zeros(count, 2, 3, device=pixels.device)
    theta[:, 0, 0] = scale * uniform(-1, 1).sign()
    theta[:, 1, 1] = scale
    theta[:, :, 2] = (1 - scale)[:, None] * uniform(-1, 1, 2)
    grid = F.affine_grid(theta, [count, 3, recipe.size, recipe.size], align_corners=False)
    x = F.grid_sample(pixels.float() / 255, grid, padding_mode="reflection", align_corners=False)

    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * uniform(1 - recipe.colour, 1 + recipe.colour, 1, 1, 1)
    x = x * uniform(1 - recipe.colour / 3, 1 + recipe.colour / 3, 3, 1, 1)
    middle = x.mean((1, 2, 3), keepdim=True)
    x = middle + (x - middle) * uniform(1 - recipe.light, 1 + recipe.light, 1, 1, 1)
    return (x * uniform(1 - recipe.light, 1 + recipe.light, 1, 1, 1)).clamp(0, 1)


# --- network ------------------------------------------------------------------------------------


def build(recipe: Recipe) -> nn.Sequential:
    """mini_alexnet with batch normalisation behind its convolutions, for training only."""
    torch.manual_seed(recipe.seed)
    module = nn.Sequential()
    for name, layer in models.mini_alexnet(len(CLASSES)).named_children():
        module.add_module(name, layer)
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        if name.startswith("conv") and name[4:] in recipe.normalised:
            module.add_module(f"norm{name[4:]}", nn.BatchNorm2d(layer.out_channels))
    nn.init.normal_(module.conv1.weight, std=recipe.first_std)
    nn.init.normal_(module.fc8.weight, std=0.01)
    return module


def folded(module: nn.Sequential) -> dict[str, Tensor]:
    """The weights with every batch normalisation folded into the convolution before it, fp16.

    What is stored is then a plain AlexNet, and a first-layer filter is what the image meets.
    """
    layers = dict(module.named_children())
    state = {}
    for name, layer in layers.items():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        weight, bias = layer.weight.detach().double(), layer.bias.detach().double()
        norm = layers.get(name.replace("conv", "norm")) if name.startswith("conv") else None
        if norm is not None:
            gain = norm.weight.detach() / (norm.running_var + norm.eps).double().sqrt()
            weight = weight * gain[:, None, None, None]
            bias = norm.bias.detach() + (bias - norm.running_mean) * gain
        state[f"{name}.weight"] = weight.half().cpu().contiguous()
        state[f"{name}.bias"] = bias.half().cpu().contiguous()
    return state


# --- training -----------------------------------------------------------------------------------


def accuracy(module: nn.Module, pixels: Tensor, labels: Tensor, device: str) -> float:
    """Share of pictures whose most probable class is the right one."""
    module.eval()
    with torch.inference_mode():
        right = [
            (module(normalise(x.to(device))).argmax(1).cpu() == y).sum()
            for x, y in zip(pixels.split(100), labels.split(100))
        ]
    module.train()
    return float(sum(right)) / len(labels)


def train(recipe: Recipe, images: Path, out: Path) -> None:
    """Train one network; writes epoch_NNN.safetensors, log.csv and a resumable state to `out`."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pixels, labels, held_out = read_images(images)
    seen, seen_labels = pixels[~held_out], labels[~held_out]
    kept, kept_labels = pixels[held_out], labels[held_out]
    module = build(recipe).to(device)
    weights = [p for p in module.parameters() if p.ndim > 1]
    others = [p for p in module.parameters() if p.ndim <= 1]
    groups = [{"params": weights, "weight_decay": recipe.decay}, {"params": others}]
    optimizer = torch.optim.SGD(groups, lr=recipe.rate, momentum=0.9, nesterov=True)
    out.mkdir(parents=True, exist_ok=True)
    done, log = restore(module, optimizer, out)
    if done == 0:
        save_snapshot(module, out, 0)

    steps = len(seen) // recipe.batch
    for epoch in range(done + 1, recipe.epochs + 1):
        start = time.time()
        random = torch.Generator().manual_seed(1000 * recipe.seed + epoch)
        order = torch.randperm(len(seen), generator=random)
        total_loss, right = 0.0, 0
        bar = tqdm(range(steps), desc=f"epoch {epoch}/{recipe.epochs}", leave=False)
        for step in bar:
            passed = (epoch - 1 + step / steps) / recipe.epochs
            warm_up = min(1.0, (epoch - 1 + step / steps) + 0.05)
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate * (1 - passed) * warm_up
            chosen = order[step * recipe.batch : (step + 1) * recipe.batch]
            x = augment(seen[chosen].to(device), recipe, random)
            y = seen_labels[chosen].to(device)
            logits = module((x - models.MEAN) / models.STD)
            loss = F.cross_entropy(logits, y, label_smoothing=recipe.smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total_loss += loss.item()
            right += int((logits.argmax(1) == y).sum())
            bar.set_postfix(loss=f"{total_loss / (step + 1):.3f}")
        row = {
            "epoch": epoch,
            "rate": round(optimizer.param_groups[0]["lr"], 5),
            "loss": round(total_loss / steps, 4),
            "train_accuracy": round(right / (steps * recipe.batch), 4),
            "held_out_accuracy": round(accuracy(module, kept, kept_labels, device), 4),
            "seconds": round(time.time() - start, 1),
        }
        log.append(row)
        print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
        if epoch in SNAPSHOTS or epoch == recipe.epochs:
            save_snapshot(module, out, epoch)
        keep(module, optimizer, out, log)


def save_snapshot(module: nn.Sequential, out: Path, epoch: int) -> None:
    save_file(folded(module), out / f"epoch_{epoch:03d}.safetensors")


def keep(module: nn.Module, optimizer: torch.optim.Optimizer, out: Path, log: list[dict]) -> None:
    """Write what is needed to go on after a stop; a stop while writing loses nothing."""
    state = {f"module.{key}": value for key, value in module.state_dict().items()}
    for number, values in optimizer.state_dict()["state"].items():
        state[f"momentum.{number}"] = values["momentum_buffer"]
    save_file(state, out / "state.tmp", {"epoch": str(log[-1]["epoch"])})
    with (out / "log.tmp").open("w", newline="") as file:
        writer = csv.DictWriter(file, LOG_FIELDS)
        writer.writeheader()
        writer.writerows(log)
    (out / "log.tmp").replace(out / "log.csv")
    (out / "state.tmp").replace(out / "state.safetensors")


def restore(
    module: nn.Module, optimizer: torch.optim.Optimizer, out: Path
) -> tuple[int, list[dict]]:
    """Load what `keep` wrote, if anything: (complete epochs, their log)."""
    path = out / "state.safetensors"
    if not path.exists():
        return 0, []
    state = load_file(path)
    names = module.state_dict()
    module.load_state_dict({key: state[f"module.{key}"] for key in names})
    saved = optimizer.state_dict()
    numbers = [number for group in saved["param_groups"] for number in group["params"]]
    saved["state"] = {n: {"momentum_buffer": state[f"momentum.{n}"]} for n in numbers}
    optimizer.load_state_dict(saved)
    with (out / "log.csv").open() as file:
        log = list(csv.DictReader(file))
    return int(log[-1]["epoch"]), log


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, help="folder with one folder of JPEGs per class")
    parser.add_argument("--recipe", default="mini_alexnet", choices=list(RECIPES))
    parser.add_argument("--out", type=Path, help="default: runs/RECIPE")
    for name, value in asdict(Recipe()).items():
        parser.add_argument(f"--{name}", type=type(value), help="instead of the recipe's value")
    chosen = vars(parser.parse_args())
    images, name, out = chosen.pop("images"), chosen.pop("recipe"), chosen.pop("out")
    changed = {key: value for key, value in chosen.items() if value is not None}
    recipe = Recipe(**{**asdict(RECIPES[name]), **changed})
    print(recipe, flush=True)
    train(recipe, images, out or Path("runs") / name)


if __name__ == "__main__":
    main()
