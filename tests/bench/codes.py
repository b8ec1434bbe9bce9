"""How long codes and maps take, and how that compares: python -m tests.bench.codes"""

import os
import tempfile
import time

os.environ["LECTURE_UTILS_CACHE"] = tempfile.mkdtemp()

from sklearn.manifold import TSNE

from lecture_utils import codes, images, models, plots


def seconds(work) -> float:
    """Processor seconds of all threads: what other programs do meanwhile hardly matters."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    network, gallery = models.load(), images.gallery()
    first = seconds(lambda: codes.of(network, gallery))
    again = seconds(lambda: codes.of(network, gallery))
    print(f"fc7 codes of {len(gallery)} pictures: {first:.1f} s, again {again:.2f} s", flush=True)
    rows = codes.of(network, gallery)
    ours = seconds(lambda: codes.embed(rows))
    theirs = seconds(lambda: TSNE(max_iter=750, random_state=0).fit(rows))
    print(f"one map: {ours:.1f} s, {theirs / ours:.1f} times as fast as scikit-learn's Barnes-Hut")
    points = codes.embed(rows, "pca")
    drawn = seconds(lambda: plots.png(plots.dots(points, gallery.labels)))
    print(f"drawing a stored map: {1000 * drawn:.0f} ms")


if __name__ == "__main__":
    main()
