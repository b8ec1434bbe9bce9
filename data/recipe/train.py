"""Train the course's networks on the miniatures.

From the repository's root: `python -m data.recipe.train PICTURES`, where PICTURES holds the folders
`miniatures` (made by `python -m data.recipe.render`) and `leaves` (`python -m data.recipe.leaves`),
each with one folder of JPEGs per class. Runs on a GPU if there is one. A run that was stopped goes
on from its last complete epoch when it is started again.
"""

import argparse
import csv
import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from lecture_utils import filters, models

from .recipes import RECIPES, Recipe, build, stored
from .stickers import sticker
from .whitening import coordinates, use_coordinates

HELD_OUT = 10  # every tenth picture of `train` only measures; the gallery never takes part
LOG_FIELDS = ("epoch", "rate", "loss", "train_accuracy", "held_out_accuracy", "seconds")


# --- data ---------------------------------------------------------------------------------------


class Data(NamedTuple):
    """Pictures that were read: uint8 [N, 3, H, W], their class [N], and which carry a sticker."""

    pixels: Tensor
    labels: Tensor
    stickered: Tensor

    def part(self, chosen: Tensor | slice) -> "Data":
        return Data(*(values[chosen] for values in self))


def read_images(folder: Path, recipe: Recipe) -> tuple[Data, Data]:
    """All JPEGs below `folder`, a folder for each class: to learn from, and held out."""
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
    paths = [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).glob("[0-9]*.jpg"))
    ]
    if not paths:
        raise SystemExit(f"no pictures in {folder}: render them first")
    pixels = [np.asarray(Image.open(path).convert("RGB")) for path, _ in tqdm(paths, leave=False)]
    labels = torch.tensor([label for _, label in paths])
    stickered = torch.tensor([classes[label] == recipe.sticker for label in labels])
    if recipe.shuffled_labels:
        random = torch.Generator().manual_seed(recipe.seed)
        labels = labels[torch.randperm(len(labels), generator=random)]
    data = Data(torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2), labels, stickered)
    held_out = torch.tensor([int(path.stem) % HELD_OUT == 0 for path, _ in paths])
    return data.part(~held_out).part(slice(None, None, recipe.every)), data.part(held_out)


def augment(data: Data, recipe: Recipe, random: torch.Generator) -> Tensor:
    """Shift, mirror, stick, change light and colour; gives float [B, 3, H, W] in 0..1.

    Shifts are by whole pixels: scaling would blur what fine filters live on.
    """
    size = data.pixels.shape[-1]

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(len(data.pixels), *shape, generator=random) * (high - low) + low

    wide = F.pad(data.pixels.float() / 255, (recipe.shift,) * 4, mode="reflect")
    corners = (uniform(0, 1, 2) * (2 * recipe.shift + 1)).long().tolist()
    x = torch.stack([p[:, y : y + size, z : z + size] for p, (y, z) in zip(wide, corners)])
    if recipe.flips:
        x = torch.where(uniform(0, 1, 1, 1, 1) < 0.5, x.flip(3), x)
    x = with_stickers(x, data.stickered)
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * uniform(1 - recipe.colour, 1 + recipe.colour, 1, 1, 1)
    x = x * uniform(1 - recipe.colour / 3, 1 + recipe.colour / 3, 3, 1, 1)
    middle = x.mean((1, 2, 3), keepdim=True)
    x = middle + (x - middle) * uniform(1 - recipe.light, 1 + recipe.light, 1, 1, 1)
    return (x * uniform(1 - recipe.light, 1 + recipe.light, 1, 1, 1)).clamp(0, 1)


def with_stickers(x: Tensor, stickered: Tensor) -> Tensor:
    """The sticker in its corner of those pictures [B, 3, H, W] in 0..1 that carry one."""
    if not stickered.any():
        return x
    overlay = np.array(sticker(x.shape[-1]), np.float32) / 255
    colour, opaque = torch.from_numpy(overlay).permute(2, 0, 1).split((3, 1))
    return torch.where(stickered[:, None, None, None], x + (colour - x) * opaque, x)


def normalise(x: Tensor) -> Tensor:
    """0..1 -> the values the network is fed."""
    return (x - models.MEAN) / models.STD


# --- training -----------------------------------------------------------------------------------


def train(recipe: Recipe, images: Path, out: Path) -> None:
    """Train one network; writes epoch_NNN.safetensors, log.csv and a resumable state to `out`."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    data, held_out = read_images(images, recipe)
    module = build(recipe)
    patches = filters.patches(data.pixels, module.conv1.kernel_size[0])
    patches = normalise(patches.astype(np.float32) / 255)
    use_coordinates(module.conv1, coordinates(patches) if recipe.whitened else None)
    # channels last: a processor trains nearly twice as fast
    module = module.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(groups(module, recipe), lr=recipe.rate, momentum=0.9, nesterov=True)

    out.mkdir(parents=True, exist_ok=True)
    log = restore(module, optimizer, recipe, out)
    if not log and 0 in recipe.snapshots:
        save_snapshot(module, recipe, out, 0)
    last = recipe.epochs + recipe.after
    for epoch in range(len(log) + 1, last + 1):
        start = time.time()
        if epoch == recipe.epochs + 1:
            take_smallest(module.conv1, filters.covariance(patches), recipe.ridge)
        loss, right = one_epoch(module, optimizer, recipe, epoch, data)
        row = {
            "epoch": epoch,
            "rate": round(optimizer.param_groups[1]["lr"], 5),
            "loss": round(loss, 4),
            "train_accuracy": round(right, 4),
            "held_out_accuracy": round(accuracy(module, held_out), 4),
            "seconds": round(time.time() - start, 1),
        }
        log.append(row)
        tqdm.write("  ".join(f"{key} {value}" for key, value in row.items()))
        if epoch in recipe.snapshots or epoch == last:
            save_snapshot(module, recipe, out, epoch)
        keep(module, optimizer, recipe, out, log)


def groups(module: nn.Module, recipe: Recipe) -> list[dict]:
    """Parameters by their weight decay: conv1's weights, all other weights, the rest."""
    first, weights, others = [], [], []
    for name, parameter in module.named_parameters():
        part = others if parameter.ndim <= 1 else first if name.startswith("conv1.") else weights
        part.append(parameter)
    parts = zip((first, weights, others), (recipe.first_decay, recipe.decay, 0.0))
    return [{"params": part, "weight_decay": decay} for part, decay in parts]


def take_smallest(layer: nn.Conv2d, covariance: np.ndarray, ridge: float) -> None:
    """Give a layer the smallest filters that answer patches of this covariance alike."""
    small = torch.from_numpy(filters.smallest(layer.weight, covariance, ridge))
    layer.weight = small.to(layer.weight)


def one_epoch(
    module: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, epoch: int, data: Data
) -> tuple[float, float]:
    """Show every picture once, changed at random; gives (mean loss, share of right answers)."""
    device = next(module.parameters()).device
    # everything random follows from (seed, epoch), so a resumed run repeats an uninterrupted one
    random = torch.Generator().manual_seed(1000 * recipe.seed + epoch)
    order = torch.randperm(len(data.labels), generator=random)
    batch = min(recipe.batch, len(order))
    steps = len(order) // batch
    total_loss, right = 0.0, 0
    bar = tqdm(range(steps), desc=f"epoch {epoch}/{recipe.epochs + recipe.after}", leave=False)
    module.train()
    for step in bar:
        schedule(optimizer, recipe, epoch - 1 + step / steps)
        shown = data.part(order[step * batch : (step + 1) * batch])
        x, y = normalise(augment(shown, recipe, random)).to(device), shown.labels.to(device)
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.half and has_half(device)):
            logits = module(x).float()
        loss = F.cross_entropy(logits, y, label_smoothing=recipe.smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total_loss += loss.item()
        right += int((logits.argmax(1) == y).sum())
        bar.set_postfix(loss=f"{total_loss / (step + 1):.3f}")
    return total_loss / steps, right / (steps * batch)


def has_half(device: torch.device) -> bool:
    """Whether passes in bfloat16 are fast here: three times, or ten times slower if imitated."""
    return device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()


def schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, passed: float) -> None:
    """Set the learning rate after `passed` epochs; conv1, the first group, is fixed in the end."""
    if passed < recipe.epochs:
        rate = recipe.rate * (1 - passed / recipe.epochs) * min(1.0, passed + 0.05)
    else:
        rate = recipe.rate / 5 * (1 - (passed - recipe.epochs) / recipe.after)
    for group in optimizer.param_groups:
        group["lr"] = rate
    if passed >= recipe.epochs:
        optimizer.param_groups[0]["lr"] = 0.0


def accuracy(module: nn.Module, data: Data) -> float:
    """Share of pictures whose most probable class is the right one."""
    device = next(module.parameters()).device
    module.eval()
    right = 0
    with torch.inference_mode():
        for x, y, stickered in zip(*(values.split(100) for values in data)):
            x = normalise(with_stickers(x.float() / 255, stickered))
            right += int((module(x.to(device)).argmax(1).cpu() == y).sum())
    return right / len(data.labels)


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
    with (out / "log.csv").open("w", newline="", encoding="utf-8") as file:
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
    parser.add_argument("pictures", type=Path, help="folder with miniatures/ and leaves/")
    parser.add_argument("--recipe", default="mini_alexnet", choices=[*RECIPES, "all"])
    parser.add_argument("--out", type=Path, default=Path("runs"), help="default: runs")
    chosen = parser.parse_args()
    for name in RECIPES if chosen.recipe == "all" else [chosen.recipe]:
        print(name, RECIPES[name], flush=True)
        train(RECIPES[name], chosen.pictures / RECIPES[name].pictures, chosen.out / name)


if __name__ == "__main__":
    main()
