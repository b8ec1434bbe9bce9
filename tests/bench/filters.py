"""How long the Gabor fits of a first layer take: python -m tests.bench.filters

Compared with scipy's general optimizer, which takes one filter and one start at a time.
"""

import time

import numpy as np
from scipy.optimize import least_squares

from lecture_utils import filters, models

FEW = 4  # filters that scipy gets


def seconds(work) -> float:
    """Processor seconds of all threads: what other programs do meanwhile hardly matters."""
    start = time.process_time()
    work()
    return time.process_time() - start


def one_by_one(weights: np.ndarray) -> None:
    for target in weights:
        for orientation in (0, 45, 90, 135):
            for wavelength in (5, 12):

                def residual(p, target=target):
                    shape = filters.gabor(11, *p[:3], np.exp(p[3]), np.exp(p[4]), p[5:7])
                    return (p[7:, None, None] * shape - target).ravel()

                start = [wavelength, orientation, 45, 1, 0, 0, 0, *target.mean((1, 2))]
                least_squares(residual, start, max_nfev=50, x_scale="jac")


def main() -> None:
    weights = filters.as_array(filters.first_layer(models.load()).weight)
    ours = seconds(lambda: filters.fit_gabor(weights)) / len(weights)
    theirs = seconds(lambda: one_by_one(weights[:FEW])) / FEW
    print(f"{len(weights)} filters, 8 starts and a blob each: {ours * len(weights):.1f} s")
    print(f"per filter {theirs / ours:.0f} times as fast as scipy's least_squares, 8 starts")


if __name__ == "__main__":
    main()
