"""Is a map of importance right? Held against the object's mask, and by hiding pixels.

Importance and masks are arrays [H, W]; pictures are Tensors [channels, H, W] as the network's
`preprocess` makes them. Where the importance comes from does not matter here.
"""

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

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


def hidden(network: Network, picture: Tensor, under: Tensor, mask: np.ndarray) -> dict:
    """Logits [classes] of a picture, and with parts of it taken from `under`.

    `clean`; `object`: its shape covered; `box`: the upright rectangle around it covered, so that
    no outline gives it away; `background`: all but the object covered.
    """
    box = np.zeros_like(mask)
    if found := ndimage.find_objects((mask > 0.1).astype(int)):
        box[found[0]] = 1
    parts = {"clean": 0 * mask, "object": mask, "box": box, "background": 1 - mask}
    batch = [torch.lerp(picture, under, torch.from_numpy(part)) for part in parts.values()]
    return dict(zip(parts, network(torch.stack(batch)).numpy()))


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
