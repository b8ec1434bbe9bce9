"""Is a map of importance right? Held against the object's mask, and by hiding pixels.

Importance and masks are arrays [H, W]; pictures are Tensors [channels, H, W] as the network's
`preprocess` makes them. Where the importance comes from does not matter here.
"""

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from scipy.stats import binomtest
from torch import Tensor
from torch.nn.functional import interpolate

from lecture_utils.models import Network, on_cpu


def black_and_white(network: Network) -> tuple[Tensor, Tensor]:
    """What `preprocess` makes of a black and of a white pixel, Tensors [channels, 1, 1]."""
    sides = (network.input_size, network.input_size)
    black = network.preprocess(Image.new("RGB", sides, "black"))
    white = network.preprocess(Image.new("RGB", sides, "white"))
    return black[:, :1, :1], white[:, :1, :1]


def object_mask(network: Network, picture: object) -> np.ndarray:
    """How much of each pixel that the network sees is object, [H, W] in 0..1.

    Raises ValueError for a picture without a mask.
    """
    mask = getattr(picture, "mask", None)
    if mask is None:
        raise ValueError(
            "this picture has no mask of its object, as the miniatures have; "
            "`occlusion.sweep` and `occlusion.curves` take any photo"
        )
    black, white = black_and_white(network)
    level = (network.preprocess(mask.convert("RGB")) - black) / (white - black)
    return on_cpu(level[0]).numpy()


def share(importance: np.ndarray, mask: np.ndarray) -> float:
    """Part of the positive importance that lies on the object."""
    positive = np.maximum(importance, 0)
    return float((positive * mask).sum() / max(positive.sum(), 1e-12))


def rate(found: np.ndarray) -> tuple[float, float, float]:
    """How often something is true (bool [n]), and its 95 % interval of Wilson: (rate, low, high).

    Raises ValueError without any case.
    """
    if not len(found):
        raise ValueError("a rate needs at least one case")
    test = binomtest(int(np.sum(found)), len(found))
    return test.statistic, *test.proportion_ci(method="wilson")


def rectangle(mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the upright rectangle around the object; empty if there is none."""
    found = ndimage.find_objects((mask > 0.1).astype(int))
    return found[0] if found else (slice(0), slice(0))


def surroundings(picture: Tensor, mask: np.ndarray) -> Tensor:
    """The picture with the rectangle around its object filled by what lies beside it.

    The largest of the four strips between the rectangle and an edge (one pixel wide at least) is
    stretched over it. Tensor [channels, H, W].
    """
    rows, columns = rectangle(mask)
    filled = picture.clone()
    strips = [
        picture[:, rows, : max(columns.start or 0, 1)],
        picture[:, rows, min(columns.stop, mask.shape[1] - 1) :],
        picture[:, : max(rows.start or 0, 1), columns],
        picture[:, min(rows.stop, mask.shape[0] - 1) :, columns],
    ]
    if mask[rows, columns].size:
        strip, size = max(strips, key=Tensor.numel), mask[rows, columns].shape
        filled[:, rows, columns] = interpolate(strip[None], size, mode="bilinear")[0]
    return filled


def parts(mask: np.ndarray) -> dict[str, np.ndarray]:
    """What can be hidden of a picture, as masks [H, W].

    `clean`: nothing; `object`: its shape; `box`: the upright rectangle around it, so that no
    outline gives it away; `background`: all but the object.
    """
    box = np.zeros_like(mask)
    box[rectangle(mask)] = 1
    return {"clean": 0 * mask, "object": mask, "box": box, "background": 1 - mask}


def hidden(network: Network, picture: Tensor, under: Tensor, mask: np.ndarray) -> dict:
    """Logits [classes] of a picture with each of its `parts` taken from `under`."""
    masks = parts(mask)
    batch = [torch.lerp(picture, under, torch.from_numpy(part)) for part in masks.values()]
    return dict(zip(masks, network(torch.stack(batch)).numpy()))


def curve(
    network: Network,
    picture: Tensor,
    under: Tensor,
    importance: np.ndarray,
    target: int,
    steps: int = 10,
    insert: bool = False,
) -> np.ndarray:
    """Probability of one class while pixels are taken from `under`, most important first.

    `importance` is [H, W], equal values go in reading order. `insert` is the other way round: it
    starts with `under`, in which pixels are shown. Gives [steps + 1] probabilities for 0 ... all
    pixels, in equal steps; their mean is the area under the curve. Deletion and insertion as in
    Petsiuk, Das & Saenko (BMVC 2018, RISE).
    """
    start, end = (under, picture) if insert else (picture, under)
    rank = np.argsort(np.argsort(-importance, axis=None, kind="stable"))
    rank = torch.from_numpy(rank.reshape(importance.shape))
    counts = np.linspace(0, rank.numel(), steps + 1).round()
    batch = torch.stack([torch.where(rank < count, end, start) for count in counts])
    return network(batch).softmax(1)[:, target].numpy()
