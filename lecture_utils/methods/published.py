"""One layer of a published network without the rest: VGG16's file has 528 MB, its layer 7 kB.

`torch.save` writes an index, a pickle that says where each tensor is, and the numbers; only the
index and one layer are fetched. A pickle can call anything: the reader of this one knows what
weights are made of, and refuses the rest.
"""

import io
import pickle
import sys
import urllib.parse
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from lecture_utils.methods.remote import BLOCK, FetchError, RemoteFile

MAGIC = 0x1950A86A20F9469CFC6C  # what the older of PyTorch's formats begins with


class _WithoutNumbers(TorchFunctionMode):
    """Weights made in it take no memory; but unlike under torch.device("meta") RegNet can count."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        place = {"device": "meta"} if function is torch.empty else {}
        return function(*args, **{**(kwargs or {}), **place})


def first_convolution(name: str) -> tuple[str, nn.Conv2d, bool]:
    """The layer of one of torchvision's networks that sees the picture, without numbers.

    Returns its name, the layer, and whether the network turns what its weights' `transforms` give
    into (pixel - 0.5) / 0.5 first, as the published GoogLeNet and Inception do.
    """
    from torchvision.models import get_model  # here: importing it takes seconds

    with warnings.catch_warnings(), _WithoutNumbers():
        warnings.simplefilter("ignore")  # they are about initial weights
        network = get_model(name, weights=None)
    for path, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d) and layer.in_channels == 3:
            return path, layer, hasattr(network, "transform_input")
    raise FetchError(f"{name} has no convolution that sees the picture")


def fetch(url: str, file: Path, path: str, layer: nn.Module) -> dict[str, np.ndarray]:
    """The parameters of one layer, float32, by their names in the layer.

    `url` names a file that `torch.save` wrote, its name ending in the start of its checksum; `file`
    is where the whole file belongs. It is read if it is there; a server that gives no parts has it
    downloaded to there, with its size announced. `path` is the layer's name in the network,
    `layer` the same layer without numbers, whose shapes the fetched ones must have.

    FetchError says why it cannot be had; then nothing unfinished is left behind.
    """
    host = urllib.parse.urlsplit(url).hostname
    try:
        if not file.exists():
            remote = RemoteFile(url)
            if remote.gives_parts:
                return _read(io.BufferedReader(remote, BLOCK), path, layer)
            size = f"{remote.size / 1e6:.0f} MB" if remote.size else "of unknown size"
            sys.stderr.write(f"{host} gives only the whole {file.name}, {size}: downloading\n")
            checksum = torch.hub.HASH_REGEX.search(file.name)
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(file), checksum and checksum[1])
        with file.open("rb") as opened:
            return _read(opened, path, layer)
    except Exception as error:  # what is damaged fails in many ways
        known = isinstance(error, FetchError | OSError)
        reason = error if known else f"the file is damaged ({error!r})"
        advice = f"; if that stays so, delete {file}" if file.exists() else ""
        message = f"cannot get {path} of {file.name} from {host}: {reason}{advice}"
        raise FetchError(message) from error


class _Place:
    """Where a tensor is: (storage, offset, shape, strides). Stands for the tensor in the index.

    Files of 2017 fill an empty tensor by its state, or wrap a tensor in a `Parameter`.
    """

    def __new__(cls, *parts):
        place = parts[0] if parts and isinstance(parts[0], cls) else super().__new__(cls)
        place.__setstate__(parts[:4])
        return place

    def __setstate__(self, state: tuple) -> None:
        if len(state) == 4:
            self.parts = state


class _Index(pickle.Unpickler):
    """Reads what weights are made of: numbers, texts, dictionaries and places of tensors."""

    KNOWN = {  # noqa: RUF012
        "collections.OrderedDict": OrderedDict,
        "torch.Size": tuple,
        "torch.HalfStorage": torch.float16,
        "torch.FloatStorage": torch.float32,
        "torch.DoubleStorage": torch.float64,
        "torch.IntStorage": torch.int32,
        "torch.LongStorage": torch.int64,
        "torch.FloatTensor": _Place,
        "torch._utils._rebuild_tensor": _Place,
        "torch._utils._rebuild_tensor_v2": _Place,
        "torch._utils._rebuild_parameter": _Place,
        "torch.nn.parameter.Parameter": _Place,
    }

    def __init__(self, file: BinaryIO):
        super().__init__(file, encoding="utf-8")
        self.sizes: dict[str, int] = {}  # of each storage, in bytes

    def find_class(self, module: str, name: str) -> object:
        if f"{module}.{name}" not in self.KNOWN:
            raise FetchError(f"it is refused, for it asks for {module}.{name}")
        return self.KNOWN[f"{module}.{name}"]

    def persistent_load(self, saved: tuple) -> tuple[str, torch.dtype, int]:
        """A storage, numbers in one piece: its key, their kind, and where a view of it begins."""
        _, dtype, key, _, count, *view = saved
        self.sizes[key] = count * dtype.itemsize
        return key, dtype, view[0][1] if view and view[0] else 0


def _read(file: BinaryIO, path: str, layer: nn.Module) -> dict[str, np.ndarray]:
    is_zip = file.read(2) == b"PK"
    file.seek(0)
    index, sizes, content = _open_zip(file) if is_zip else _open_older(file)
    found = {}
    for name, expected in layer.named_parameters():
        (key, dtype, start), offset, shape, strides = index[f"{path}.{name}"].parts
        if tuple(shape) != expected.shape or not dtype.is_floating_point:
            raise FetchError(f"{name} is {dtype} {[*shape]} instead of {[*expected.shape]}")
        numbers = content(key)
        if len(numbers) != sizes[key]:
            raise FetchError(f"{len(numbers)} bytes instead of {sizes[key]}")
        values = torch.frombuffer(bytearray(numbers), dtype=dtype)
        found[name] = values.as_strided(shape, strides, start + offset).float().numpy()
    return found


Opened = tuple[dict, dict[str, int], Callable[[str], bytes]]  # index, sizes and content of storages


def _open_zip(file: BinaryIO) -> Opened:
    """As PyTorch writes since 1.6: an archive, which checks its content by checksums."""
    archive = zipfile.ZipFile(file)
    [name] = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    reader = _Index(io.BytesIO(archive.read(name)))
    folder = name.removesuffix("data.pkl") + "data/"
    return reader.load(), reader.sizes, lambda key: archive.read(folder + key)


def _open_older(file: BinaryIO) -> Opened:
    """As PyTorch wrote before: five pickles, then each storage behind its length in 8 bytes."""
    magic, _version, _system = (_Index(file).load() for _ in range(3))
    if magic != MAGIC:
        raise FetchError("it is no file of weights")
    reader = _Index(file)
    index, keys = reader.load(), _Index(file).load()
    starts, end = {}, file.tell()
    for key in keys:
        starts[key] = end + 8
        end = starts[key] + reader.sizes[key]
    if file.seek(0, io.SEEK_END) != end:
        raise FetchError(f"it has {file.tell()} bytes instead of {end}")

    def content(key: str) -> bytes:
        file.seek(starts[key])
        return file.read(reader.sizes[key])

    return index, reader.sizes, content
