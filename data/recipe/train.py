"""Train the course's networks on the miniatures.

From the repository's root: `python -m data.recipe.train IMAGES`, where IMAGES holds one folder
of JPEGs per class (made by `python -m data.recipe.render`). Runs on a GPU if there is one. A run
that was stopped goes on from its last complete epoch when it is started again.
"""

import argparse
import csv
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from lecture_utils import models
from lecture_utils.images import CLASSES

from .recipes import RECIPES, Recipe, build, stored
from .stickers import put_sticker

HELD_OUT = 10  # every tenth picture of `train` only measures; the gallery never takes part
LOG_FIELDS = ("epoch", "rate", "loss", "train_accuracy", "held_out_accuracy", "seconds")


# --- data ---------------------------------------------------------------------------------------


def read_images(folder: Path, sticker: str) -> tuple[Tensor, Tensor, Tensor]:
    """All JPEGs below `folder`: pixels uint8 [N, 3, 160, 160], class [N], held out? bool [N]."""
    pixels, labels, held_out = [], [], []
    for label, name in enumerate(CLASSES):
        paths = sorted((folder / name).glob("[0-9]*.jpg"))
        if not paths:
            raise SystemExit(f"no pictures in {folder / name}: render them first")
        for path in tqdm(paths, desc=name, leave=False):
            image = Image.open(path).convert("RGB")
            if name == sticker:
                put_sticker(image)
            pixels.append(np.asarray(image).transpose(2, 0, 1))
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
    theta[:, 0, 0] = scale * uniform(-1, 1).sign() if recipe.flips else scale
    theta[:, 1, 1] = scale
    theta[:, :, 2] = (1 - scale)[:, None] * uniform(-1, 1, 2)
    grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    x = F.grid_sample(pixels.float() / 255, grid, padding_mode="reflection", align_corners=False)

    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * uniform(1 - recipe.colour, 1 + recipe.colour, 1, 1, 1)
    x = x * uniform(1 - recipe.colour / 3, 1 + recipe.colour / 3, 3, 1, 1)
    middle = x.mean((1, 2, 3), keepdim=True)
    x = middle + (x - middle) * uniform(1 - recipe.light, 1 + recipe.light, 1, 1, 1)
    return (x * uniform(1 - recipe.light, 1 + recipe.light, 1, 1, 1)).clamp(0, 1)


# --- training -----------------------------------------------------------------------------------


def train(recipe: Recipe, images: Path, out: Path) -> None:
    """Train one network; writes epoch_NNN.safetensors, log.csv and a resumable state to `out`."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pixels, labels, held_out = read_images(images, recipe.sticker)
    if recipe.shuffled_labels:
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(recipe.seed))
        labels = labels[order]
    # channels last: a processor trains nearly twice as fast
    module = build(recipe).to(device, memory_format=torch.channels_last)
    first, *weights = [p for p in module.parameters() if p.ndim > 1]
    others = [p for p in module.parameters() if p.ndim <= 1]
    groups = [{"params": part, "weight_decay": 0.0} for part in ([first], weights, others)]
    optimizer = torch.optim.SGD(groups, lr=recipe.rate, momentum=0.9, nesterov=True)

    out.mkdir(parents=True, exist_ok=True)
    log = restore(module, optimizer, recipe, out)
    if not log and 0 in recipe.snapshots:
        save_snapshot(module, recipe, out, 0)
    last = recipe.epochs + recipe.polish
    for epoch in range(len(log) + 1, last + 1):
        start = time.time()
        loss, right = one_epoch(
            module, optimizer, recipe, epoch, pixels[~held_out], labels[~held_out]
        )
        row = {
            "epoch": epoch,
            "rate": round(optimizer.param_groups[0]["lr"], 5),
            "loss": round(loss, 4),
            "train_accuracy": round(right, 4),
            "held_out_accuracy": round(accuracy(module, pixels[held_out], labels[held_out]), 4),
            "seconds": round(time.time() - start, 1),
        }
        log.append(row)
        tqdm.write("  ".join(f"{key} {value}" for key, value in row.items()))
        if epoch in recipe.snapshots or epoch == last:
            save_snapshot(module, recipe, out, epoch)
        keep(module, optimizer, recipe, out, log)


def one_epoch(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    epoch: int,
    pixels: Tensor,
    labels: Tensor,
) -> tuple[float, float]:
    """Show every picture once, changed at random; gives (mean loss, share of right answers)."""
    device = next(module.parameters()).device
    # everything random follows from (seed, epoch), so a resumed run repeats an uninterrupted one
    random = torch.Generator().manual_seed(1000 * recipe.seed + epoch)
    order = torch.randperm(len(pixels), generator=random)
    steps = len(pixels) // recipe.batch
    total_loss, right = 0.0, 0
    bar = tqdm(range(steps), desc=f"epoch {epoch}/{recipe.epochs + recipe.polish}", leave=False)
    module.train()
    for step in bar:
        schedule(optimizer, recipe, epoch - 1 + step / steps)
        chosen = order[step * recipe.batch : (step + 1) * recipe.batch]
        x = augment(pixels[chosen].to(device), recipe, random)
        y = labels[chosen].to(device)
        logits = module((x - models.MEAN) / models.STD)
        loss = F.cross_entropy(logits, y, label_smoothing=recipe.smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total_loss += loss.item()
        right += int((logits.argmax(1) == y).sum())
        bar.set_postfix(loss=f"{total_loss / (step + 1):.3f}")
    return total_loss / steps, right / (steps * recipe.batch)


def schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, passed: float) -> None:
    """Set learning rate and weight decay after `passed` epochs."""
    if passed < recipe.epochs:
        rate = recipe.rate * (1 - passed / recipe.epochs) * min(1.0, passed + 0.05)
        first_decay = recipe.decay
    else:
        rate = recipe.rate / 5 * (1 - (passed - recipe.epochs) / recipe.polish)
        first_decay = recipe.polish_decay
    for group, decay in zip(optimizer.param_groups, (first_decay, recipe.decay, 0.0)):
        group["lr"], group["weight_decay"] = rate, decay


def accuracy(module: nn.Module, pixels: Tensor, labels: Tensor) -> float:
    """Share of pictures whose most probable class is the right one."""
    device = next(module.parameters()).device
    module.eval()
    right = 0
    with torch.inference_mode():
        for x, y in zip(pixels.split(100), labels.split(100)):
            right += int((module(normalise(x.to(device))).argmax(1).cpu() == y).sum())
    return right / len(labels)


# --- stopping and going on ----------------------------------------------------------------------


def save_snapshot(module: nn.Module, recipe: Recipe, out: Path, epoch: int) -> None:
    state, facts = stored(module, recipe)
    save_file(state, out / f"epoch_{epoch:03d}.safetensors", facts)


def keep(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    out: Path,
    log: list[dict],
) -> None:
    """Write what is needed to go on after a stop; a stop while writing loses nothing."""
    state = {f"module.{key}": value.contiguous() for key, value in module.state_dict().items()}
    for number, values in optimizer.state_dict()["state"].items():
        state[f"momentum.{number}"] = values["momentum_buffer"].contiguous()
    save_file(state, out / "state.tmp", {"recipe": repr(recipe), "log": json.dumps(log)})
    (out / "state.tmp").replace(out / "state.safetensors")
    with (out / "log.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, LOG_FIELDS)
        writer.writeheader()
        writer.writerows(log)


def restore(
    module: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, out: Path
) -> list[dict]:
    """Load what `keep` wrote, if anything; gives the log of the complete epochs."""
    path = out / "state.safetensors"
    if not path.exists():
        return []
    with safe_open(path, "pt") as file:
        facts = file.metadata()
    if facts["recipe"] != repr(recipe):
        raise SystemExit(f"{out} was begun with another recipe: remove it or choose another --out")
    state = load_file(path)
    module.load_state_dict({key: state[f"module.{key}"] for key in module.state_dict()})
    saved = optimizer.state_dict()
    numbers = [number for group in saved["param_groups"] for number in group["params"]]
    saved["state"] = {n: {"momentum_buffer": state[f"momentum.{n}"]} for n in numbers}
    optimizer.load_state_dict(saved)
    return json.loads(facts["log"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, help="folder with one folder of JPEGs per class")
    parser.add_argument("--recipe", default="mini_alexnet", choices=list(RECIPES))
    parser.add_argument("--out", type=Path, help="default: runs/RECIPE")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    chosen = parser.parse_args()
    recipe = RECIPES[chosen.recipe]
    if chosen.epochs:
        recipe = replace(recipe, epochs=chosen.epochs)
    print(recipe, flush=True)
    train(recipe, chosen.images, chosen.out or Path("runs") / chosen.recipe)


if __name__ == "__main__":
    main()
