"""What a scan costs beside the bare forward pass, and whether its memory grows with the pictures.

Run from the top of the repository: `python -m tests.bench.topk`, or with `--pictures` for fewer.
"""

import argparse
import resource
import time

import torch
from torch import nn

from lecture_utils import images, models, topk

LAYERS = [f"conv{number}" for number in range(1, 6)] + ["fc6", "fc7", "fc8"]
UNITS = 1326  # as many as mini_alexnet has in these layers
ROUNDS = 3


def resident() -> float:
    """Memory of this process now, in MB."""
    with open("/proc/self/statm", encoding="utf-8") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def ratio(count: int = 350) -> float:
    """CPU time of the scan of all layers over that of the forward pass, pictures ready as tensors.

    The two take turns, so that other work on the computer burdens both; the least counts.
    """
    network = models.load()
    tensors = list(torch.cat(list(network.batches(images.gallery()[:count]))))
    ready = models.wrap(network.module, lambda tensor: tensor, network.classes, input_size=160)
    bare, scan = [], []
    for _ in range(ROUNDS):
        start = time.process_time()
        for batch in ready.batches(tensors):
            ready(batch)
        middle = time.process_time()
        topk.scan(ready, iter(tensors), LAYERS)
        scan.append(time.process_time() - middle)
        bare.append(middle - start)
    return min(scan) / min(bare)


def memory(marks: list[int]) -> list[float]:
    """Memory in MB after so many pictures of a synthetic stream, as many units as mini_alexnet."""
    module = nn.Sequential(nn.AvgPool2d(5), nn.Conv2d(3, UNITS, 1))
    network = models.wrap(module, lambda tensor: tensor, [], input_size=160)
    base = torch.rand(50, 3, 40, 40)
    used = []

    def stream():
        for number in range(marks[-1]):
            if number in marks:
                used.append(resident())
            yield base[number % 50] * (1 + number % 997 / 997)

    topk.scan(network, stream(), "1")
    return [*used, resident()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--pictures", type=int, default=50_000, help="of the synthetic stream")
    options = parser.parse_args()
    torch.set_num_threads(1)  # threads that wait for each other would count as CPU time
    print(f"scan over bare forward pass, CPU time: {ratio():.2f}")
    marks = sorted({1_400, 5_000, 20_000, options.pictures})
    marks = [mark for mark in marks if mark <= options.pictures]
    for mark, used in zip(marks, memory(marks)):
        print(f"memory after {mark:,} pictures: {used:,.0f} MB")
    torch.set_num_threads(2)
    start, cpu = time.perf_counter(), time.process_time()
    topk.scan(models.load(), iter(images.gallery()), LAYERS)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"all layers, 1,400 pictures: {wall:.0f} s, of the CPU {cpu:.0f} s; peak {peak:,.0f} MB")


if __name__ == "__main__":
    main()
