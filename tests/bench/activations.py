"""What the census of all layers costs: python -m tests.bench.activations [PICTURES].

Prints its time as a multiple of the bare forward pass, and by how much it raises peak memory.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable

from lecture_utils import activations, images, models


def seconds(work: Callable[[], object]) -> float:
    """Of processor time, which other programs on the computer disturb least."""
    start = time.process_time()
    work()
    return time.process_time() - start


def peak() -> float:
    """Largest resident memory so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main(count: int = 1400) -> None:
    network = models.load()
    pictures = [picture.image for picture in images.gallery()[:: 1400 // count]]
    names = activations.relu_layers(network)

    def bare() -> None:
        for batch in network.batches(pictures, 10):
            network(batch)

    bare()
    before = peak()
    with tempfile.TemporaryDirectory() as folder:  # else the second run finds the first one's
        os.environ["LECTURE_UTILS_CACHE"] = folder
        whole = seconds(lambda: activations.census(network, pictures, names))
    print(
        f"{len(pictures)} pictures, {len(names)} layers: {whole:.1f} s of processor time, ", end=""
    )
    print(f"{whole / seconds(bare):.2f} times the bare pass, +{peak() - before:.0f} MB at its peak")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
