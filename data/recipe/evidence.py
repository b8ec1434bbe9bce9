"""Make the stored judgements of lecture 5: its sweeps over the whole gallery, masks and curves.

From the repository's root: `python -m data.recipe.evidence`, after every change of the weights or
the gallery; about ten minutes. What was made of the same files before is found in the cache, so
that a stopped run goes on.
"""

import numpy as np

from lecture_utils import evidence, images, models

from .publish import write_arrays


def main() -> None:
    network, gallery = models.load(), images.gallery()
    size, tenth = network.input_size // 5, gallery[5::10]
    evidence.judge(network, gallery, size, size // 2, layer="relu5")
    evidence.hide(network, gallery)
    evidence.curves(network, gallery, size, size // 2)
    for side in (size // 2, size, 3 * size // 2, 2 * size):
        evidence.judge(network, tenth, side, size // 2)
    for fill in ("mean", "blur", "noise"):
        evidence.judge(network, tenth, size, size // 2, fill)
    for step in (size // 4, size):
        evidence.judge(network, tenth, size, step)
    arrays = {
        f"{key} {name}": array.astype(np.float16) if array.dtype.kind == "f" else array
        for key, found in evidence.used.items()
        for name, array in found.items()
    }
    write_arrays(evidence.STORED, arrays)


if __name__ == "__main__":
    main()
