"""Occlusion sweeps, ours against Captum's: python -m tests.bench.occlusion [network ...]

Square of 32 px, step 8, all places inside the picture: mini_alexnet at 160 px, the others at 224 px
with random weights. Each network has a process of its own, so that the peak memory is its own.
The first coarse picture and the sweep are timed by the clock, on two threads. The comparison is in
processor seconds of one thread, which hardly depend on what else the computer does.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from captum.attr import Occlusion

from lecture_utils import images, models, occlusion

SIZE, STEP = 32, 8
NETWORKS = ("mini_alexnet", "alexnet", "resnet18", "vgg16")
BATCHES = (1, 8, 32)  # places per pass that Captum is tried with; 1 is its default
SPREAD = 24  # Captum's step for the larger networks: fewer places, and the time is scaled up
HEAD = """\
                    multiply-adds    by the clock     processor seconds                      peak
network       places plain to ours    first   sweep    ours     Captum      its best batch memory\
"""


def seconds(work: Callable, clock: Callable[[], float] = time.process_time) -> float:
    start = clock()
    work()
    return clock() - start


def build(name: str) -> models.Network:
    if name == "mini_alexnet":
        return models.load()
    torch.manual_seed(0)
    module = models.torchvision.models.get_model(name, weights=None)

    def preprocess(image):
        pixels = np.array(image.resize((224, 224)))
        return torch.from_numpy(pixels).permute(2, 0, 1) / 64 - 2

    return models.wrap(module, preprocess, map(str, range(1000)), name)


def memory() -> float:
    """Gigabytes that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def captum(network: models.Network, picture: torch.Tensor, step: int, batch: int) -> float:
    """Seconds for one place."""
    explain = Occlusion(network.module).attribute
    square, steps = (3, SIZE, SIZE), (3, step, step)
    with torch.no_grad():
        taken = seconds(
            lambda: explain(picture[None], square, steps, target=0, perturbations_per_eval=batch)
        )
    return taken / len(occlusion.places(picture.shape[-1], SIZE, step)) ** 2


def measure(name: str) -> None:
    network = build(name)
    picture = occlusion.seen(network, images.gallery("snail")[10])

    def grow() -> occlusion.Sweep:
        return [*occlusion.growing(network, picture, SIZE, STEP)][-1]

    sweep, clock = grow(), time.perf_counter
    held = memory()
    first = min(
        seconds(lambda: next(occlusion.growing(network, picture, SIZE, STEP)), clock)
        for _ in range(3)
    )
    whole = min(seconds(grow, clock) for _ in range(3 if name == "mini_alexnet" else 1))
    torch.set_num_threads(1)
    ours = seconds(grow)
    step = STEP if name == "mini_alexnet" else SPREAD
    theirs = {n: captum(network, picture, step, n) * sweep.done.size for n in BATCHES}
    best = min(theirs, key=theirs.get)
    print(
        f"{name:14s}{sweep.done.size:6d}",
        f"{sweep.plain_multiply_adds / 1e9:6.0f} -> {sweep.multiply_adds / 1e9:4.0f} G",
        f"{first:5.2f} s {whole:5.1f} s {ours:5.1f} s",
        f"{theirs[1]:6.1f} s = {theirs[1] / ours:4.1f} x",
        f"{theirs[best]:6.1f} s = {theirs[best] / ours:3.1f} x ({best:2d})",
        f"{held:4.1f} GB",
        flush=True,
    )


def main() -> None:
    if len(sys.argv) == 2:
        measure(sys.argv[1])
        return
    print(HEAD, flush=True)
    for name in sys.argv[1:] or NETWORKS:
        subprocess.run([sys.executable, "-m", "tests.bench.occlusion", name], check=True)


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
