"""Occlusion sweeps, ours against Captum's: python -m tests.bench.occlusion [network ...]

Square of 32 px, step 8, all places inside the picture: mini_alexnet at 160 px, the others at 224 px
with random weights. All times are by the clock, on two threads, the median of rounds in which each
way has its turn. For the larger networks there is one round, and Captum and plain passes get a step
of 32 px; their times are scaled up. Each network has a process of its own for the peak memory,
which is taken before Captum runs.

The last column is how many times faster than Captum's default a sweep could be at most: if it cost
nothing but its multiply-adds, at the speed of the fastest plain passes over whole pictures (in
batches, channels last).

`fresh`: a single picture, the network is prepared in each sweep. `held`: many pictures, as
`occlusion.judge` sweeps them, the caller holds the prepared network; Captum is compared with both.
"""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torchvision
from captum.attr import Occlusion

from lecture_utils import images, models, occlusion
from lecture_utils.exact import Sweeper

SIZE, STEP = 32, 8
NETWORKS = ("mini_alexnet", "alexnet", "resnet18", "vgg16")
BATCHES = (1, 4, 8, 16, 32)  # places per pass that Captum is tried with; 1 is its default
SPREAD = 32  # step of Captum and of plain passes for the larger networks
HEAD = """\
             places  multiply-adds (10^9)  first  fresh   held  Captum, one per pass   Captum, best   peak   at
network               plain    ours          (s)    (s)    (s)   (s)   fresh   held      batch (s)   (GB) most\
"""  # noqa: E501


def seconds(work: Callable) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def build(name: str) -> models.Network:
    if name == "mini_alexnet":
        return models.load()
    torch.manual_seed(0)
    module = torchvision.models.get_model(name, weights=None)

    def preprocess(image):
        pixels = np.array(image.resize((224, 224)))
        return torch.from_numpy(pixels).permute(2, 0, 1) / 64 - 2

    return models.wrap(module, preprocess, map(str, range(1000)), name)


def memory() -> float:
    """Gigabytes that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def plain(network: models.Network, pictures: torch.Tensor, batch: int) -> None:
    for part in pictures.split(batch):
        network.module(part.contiguous(memory_format=torch.channels_last))


@torch.no_grad()
def measure(name: str) -> None:
    network = build(name)
    picture = occlusion.input_picture(network, images.gallery("snail")[10])
    grow = partial(occlusion.growing, network, picture, SIZE, STEP)
    prepared = Sweeper(network)
    (*_, sweep) = grow(prepared=prepared)
    peak, small = memory(), name == "mini_alexnet"
    explain = partial(Occlusion(network.module).attribute, picture[None], (3, SIZE, SIZE), target=0)
    step = STEP if small else SPREAD
    places = len(occlusion.places(picture.shape[-1], SIZE, step)) ** 2
    pictures = picture.repeat(places, 1, 1, 1)
    ways = {
        "first": lambda: next(grow()),
        "fresh": lambda: [*grow()],
        "held": lambda: [*grow(prepared=prepared)],
        **{n: partial(explain, (3, step, step), perturbations_per_eval=n) for n in BATCHES},
        **{f"plain {n}": partial(plain, network, pictures, n) for n in BATCHES[1:]},
    }
    rounds = [{way: seconds(work) for way, work in ways.items()} for _ in range(9 if small else 1)]
    taken = {way: statistics.median(times[way] for times in rounds) for way in ways}
    scale = sweep.done.size / places
    best = min(BATCHES, key=taken.get)
    fewer = sweep.plain_multiply_adds / sweep.multiply_adds
    fastest = min(taken[f"plain {n}"] for n in BATCHES[1:]) * scale
    default, batched = taken[1] * scale, taken[best] * scale
    print(
        f"{name:14s}{sweep.done.size:6d}",
        f"{sweep.plain_multiply_adds / 1e9:6.0f} ->{sweep.multiply_adds / 1e9:5.0f} {fewer:4.1f} x",
        f"{taken['first']:7.3f}{taken['fresh']:7.3f}{taken['held']:7.3f}",
        f"{default:7.2f} = {default / taken['fresh']:4.1f} x, {default / taken['held']:4.1f} x",
        f"{batched:8.2f} = {batched / taken['fresh']:3.1f} x ({best:2d})",
        f"{peak:4.1f} {default * fewer / fastest:5.1f} x",
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
