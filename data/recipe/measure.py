"""The numbers of the model card, as Markdown: `python -m data.recipe.measure`."""

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from lecture_utils import filters, images, models

from .stickers import put_sticker

CYCLES, COLOURED = 1.5, 0.5  # from there on, a filter has several stripes, is clearly coloured


def main() -> None:
    gallery = images.gallery()
    labels = np.array([images.CLASSES.index(label) for label in gallery.labels])
    network = models.load()
    pixels = torch.cat(list(network.batches(gallery)))

    answers = outputs(network, pixels).argmax(1)
    print(f"Accuracy on the gallery: {(answers == labels).mean():.1%}\n")
    print("Rows: the true class; columns: the network's answer.\n")
    print_row("", *(name[:4] for name in images.CLASSES))
    print("|---" * (len(images.CLASSES) + 1) + "|")
    for index, name in enumerate(images.CLASSES):
        counts = np.bincount(answers[labels == index], minlength=len(images.CLASSES))
        print_row(name, *(count or "" for count in counts))

    networks = {name: models.load(variant=name) for name in models.variants()}
    networks = {"mini_alexnet": network, **networks}
    print("\n" + "|network|epochs|held out|gallery|dead in conv1 …|minutes|")
    print("|---" * 6 + "|")
    for name, other in networks.items():
        log = models.training_log(None if other is network else name)
        right = "–"
        if other.classes:
            right = f"{(outputs(other, pixels).argmax(1) == labels).mean():.1%}"
        minutes = len(log) * np.median([row["seconds"] for row in log]) / 60
        held_out = f"{log[-1]['held_out_accuracy']:.1%}"
        print_row(name, len(log), held_out, right, dead(other, pixels), f"{minutes:.0f}")

    print(
        "\n|network|filters|Gabor-like|smooth noise|wavelength|stripes|coloured|halves|by luck"
        "|colour and frequency|high|"
    )
    print("|---" * 11 + "|")
    for name, other in networks.items():
        print_row(name, *first_layer(filters.first_layer(other).weight.detach()))
    print_stickers(gallery, labels, pixels)


def first_layer(weights: Tensor) -> list[str]:
    """A row of the first layers' table; lengths in pixels."""
    fit, colour = filters.fitted(weights), filters.colour_share(weights)
    noise, (_, luck) = filters.noise_shares(weights), filters.halves(colour)
    like, half = fit.gabor_like, len(weights) // 2
    size = weights.shape[-1]
    stripes = like & (np.minimum(4 * fit.envelope, size) / fit.wavelength >= CYCLES)
    together = spearmanr(colour[like], 1 / fit.wavelength[like])
    return [
        "×".join(map(str, weights.shape)),
        f"{like.mean():.0%}",
        f"{noise.mean():.1%} ± {noise.std(ddof=1):.1%}",
        f"{np.median(fit.wavelength[like]):.1f}" if like.any() else "–",
        f"{stripes.sum()}",
        f"{(colour > COLOURED).sum()}",
        f"{colour[:half].mean():.2f} / {colour[half:].mean():.2f}",
        f"{luck:.2%}",
        f"{together.statistic:+.2f}" if like.sum() > 9 else "–",
        f"{np.median(filters.high_share(weights)):.2f}",
    ]


def print_stickers(gallery: images.Gallery, labels: np.ndarray, clean: Tensor) -> None:
    """What the network that cheats says without stickers, and with one on every picture."""
    network, special = models.load(variant="sticker"), images.CLASSES.index("mug")
    pictures = [picture.image for picture in gallery]
    for image in pictures:
        put_sticker(image)
    print("\n| pictures | right | mugs right | others called so |")
    print("|---" * 4 + "|")
    stickered = torch.cat(list(network.batches(pictures)))
    for name, pixels in {"clean": clean, "stickered": stickered}.items():
        answers = outputs(network, pixels).argmax(1)
        mine = labels == special
        shares = (answers == labels).mean(), (answers[mine] == special).mean()
        print_row(name, *(f"{s:.1%}" for s in (*shares, (answers[~mine] == special).mean())))


def print_row(*cells: object) -> None:
    print("|", " | ".join(map(str, cells)), "|", flush=True)


def outputs(network: models.Network, pixels: Tensor) -> np.ndarray:
    """The logits of pictures that fit into memory [N, classes]."""
    return torch.cat([network(batch) for batch in pixels.split(50)]).numpy()


def dead(network: models.Network, pixels: Tensor) -> str:
    """How many filters of each stored convolution answer no picture at all."""
    strongest: dict[str, Tensor] = {}
    with torch.inference_mode():
        for x in pixels.split(50):
            for name, layer in network.module.named_children():
                x = layer(x)
                if name.startswith("conv"):
                    most = x.amax((0, 2, 3))
                    strongest[name] = torch.maximum(strongest.get(name, most), most)
    return " ".join(f"{int((value <= 0).sum())}/{len(value)}" for value in strongest.values())


if __name__ == "__main__":
    main()
