"""Look inside a convolutional network without disturbing it: one module beside each lecture."""

import torch

try:
    import torchvision
except RuntimeError:
    # torchvision's compiled operators load only beside the very build of torch they were made
    # for, and a CPU-only torch next to the ordinary torchvision is a common mismatch. Networks
    # for classification need none of them; only the import asks for these two names.
    for operator in ("nms", "qnms"):
        torch.library.define(
            f"torchvision::{operator}",
            "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        )
    import torchvision  # noqa: F401
