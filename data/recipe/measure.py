"""The numbers of the model card, as Markdown: `python -m data.recipe.measure`."""

import numpy as np
import torch
from torch import Tensor

from lecture_utils import filters, images, models

from .recipes import RECIPES
from .stickers import put_sticker


def main() -> None:
    gallery = images.gallery()
    labels = np.array([images.CLASSES.index(label) for label in gallery.labels])
    pixels = torch.cat(list(models.load().batches(gallery)))

    answers = outputs(models.load(), pixels).argmax(1).numpy()
    print(f"Accuracy on the gallery: {(answers == labels).mean():.1%}\n")
    print("Rows: the true class; columns: the network's answer.\n")
    print_row("", *(name[:4] for name in images.CLASSES))
    print("|---" * (len(images.CLASSES) + 1) + "|")
    for index, name in enumerate(images.CLASSES):
        counts = np.bincount(answers[labels == index], minlength=len(images.CLASSES))
        print_row(name, *(count or "" for count in counts))

    print()
    print_row(*"network|epochs|filters|held out|gallery|dead in conv1 …|noise|minutes".split("|"))
    print("|---" * 8 + "|")
    for variant in [None, *models.variants()]:
        network, log = models.load(variant=variant), models.training_log(variant)
        weights = network.module.conv1.weight
        right = "–"
        if network.classes:
            right = f"{(outputs(network, pixels).argmax(1).numpy() == labels).mean():.1%}"
        print_row(
            network.name,
            len(log),
            "×".join(map(str, weights.shape)),
            f"{log[-1]['held_out_accuracy']:.1%}",
            right,
            dead(network, pixels),
            f"{np.median(filters.high_share(weights)):.2f}",
            f"{len(log) * np.median([row['seconds'] for row in log]) / 60:.0f}",
        )
    if "sticker" in models.variants():
        print_stickers(gallery, labels, pixels)


def print_stickers(gallery: images.Gallery, labels: np.ndarray, clean: Tensor) -> None:
    """What the network that cheats says without stickers, and with one on every picture."""
    network = models.load(variant="sticker")
    special = images.CLASSES.index(RECIPES["sticker"].sticker)
    pictures = [picture.image for picture in gallery]
    for image in pictures:
        put_sticker(image)
    print(f"\n| pictures | right | {images.CLASSES[special]}s right | others called so |")
    print("|---" * 4 + "|")
    stickered = torch.cat(list(network.batches(pictures)))
    for name, pixels in {"clean": clean, "stickered": stickered}.items():
        answers = outputs(network, pixels).argmax(1).numpy()
        mine = labels == special
        shares = (answers == labels).mean(), (answers[mine] == special).mean()
        print_row(name, *(f"{s:.1%}" for s in (*shares, (answers[~mine] == special).mean())))


def print_row(*cells: object) -> None:
    print("|", " | ".join(map(str, cells)), "|")


def outputs(network: models.Network, pixels: Tensor) -> Tensor:
    with torch.inference_mode():
        return torch.cat([network.module(batch) for batch in pixels.split(50)])


def dead(network: models.Network, pixels: Tensor) -> str:
    """How many filters of each stored convolution answer no picture at all."""
    strongest: dict[str, Tensor] = {}
    with torch.inference_mode():
        for x in pixels.split(50):
            for name, layer in network.module.named_children():
                x = layer(x)
                if name.startswith("conv"):
                    seen = x.amax((0, 2, 3))
                    strongest[name] = torch.maximum(strongest.get(name, seen), seen)
    return " ".join(f"{int((value <= 0).sum())}/{len(value)}" for value in strongest.values())


if __name__ == "__main__":
    main()
