"""The numbers of the model card, as Markdown: `python -m data.recipe.measure`."""

import numpy as np
import torch
from torch import Tensor

from lecture_utils import images, models


def main() -> None:
    gallery = images.gallery()
    labels = np.array([images.CLASSES.index(label) for label in gallery.labels])
    pixels = torch.cat(list(models.load().batches(gallery)))

    logits = outputs(models.load(), pixels)
    answers = logits.argmax(1).numpy()
    print(f"Accuracy on the gallery: {(answers == labels).mean():.1%}\n")
    print("Rows: the true class; columns: the network's answer.\n")
    print("| |", " | ".join(name[:4] for name in images.CLASSES), "|")
    print("|---" * (len(images.CLASSES) + 1) + "|")
    for index, name in enumerate(images.CLASSES):
        counts = np.bincount(answers[labels == index], minlength=len(images.CLASSES))
        print(f"| {name} |", " | ".join(str(count or "") for count in counts), "|")

    print("\n| network | epochs | filters | accuracy | dead in conv1 … conv5 | noise | minutes |")
    print("|---|---|---|---|---|---|---|")
    for variant in [None, *models.variants()]:
        network, log = models.load(variant=variant), models.training_log(variant)
        filters = network.module.conv1.weight.detach()
        cells = [network.name, len(log), "×".join(map(str, filters.shape))]
        if network.classes:
            right = outputs(network, pixels).argmax(1).numpy() == labels
            cells += [f"{right.mean():.1%}", dead(network, pixels)]
        else:
            cells += ["first layer only", ""]
        minutes = sum(row["seconds"] for row in log) / 60
        cells += [f"{noise(filters):.2f}", f"{minutes:.0f}"]
        print("|", " | ".join(map(str, cells)), "|")


def outputs(network: models.Network, pixels: Tensor) -> Tensor:
    with torch.inference_mode():
        return torch.cat([network.module(batch) for batch in pixels.split(50)])


def dead(network: models.Network, pixels: Tensor) -> str:
    """How many filters of each convolution answer no picture at all."""
    counts = []
    with torch.inference_mode():
        strongest: dict[str, Tensor] = {}
        for x in pixels.split(50):
            for name, layer in network.module.named_children():
                x = layer(x)
                if name in ("relu1", "relu2", "relu3", "relu4", "relu5"):
                    seen = x.amax((0, 2, 3))
                    strongest[name] = torch.maximum(strongest.get(name, seen), seen)
    for value in strongest.values():
        counts.append(f"{int((value == 0).sum())}/{len(value)}")
    return " ".join(counts)


def noise(filters: Tensor) -> float:
    """Median share of a filter's energy above half the highest spatial frequency."""
    power = torch.fft.fft2(filters).abs().square().sum(1)
    rows, columns = (torch.fft.fftfreq(size) for size in filters.shape[-2:])
    fine = (rows[:, None] ** 2 + columns[None] ** 2).sqrt() > 0.25
    return float((power[:, fine].sum(1) / power.sum((1, 2))).median())


if __name__ == "__main__":
    main()
