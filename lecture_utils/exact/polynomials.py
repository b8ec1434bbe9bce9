"""Convolution with fewer multiplications, by polynomials.

Numbers in a row are the coefficients of a polynomial: 2, 3, 5 are 2 + 3z + 5z². Multiplying two
polynomials convolves their coefficients. But a polynomial of n coefficients is also given by its
values at n points, and there the product is that of the values. So 8 pixels of a row and 3 weights
take 10 multiplications, not 24, for each pair of a map and a filter. Getting values from
coefficients, and back, is done once for each map and each filter.
Toom (1963) and Cook (1966), Winograd (1980); in networks: Lavin & Gray, "Fast Algorithms for
Convolutional Neural Networks" (CVPR 2016).
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

POINTS = (0, 1, -1, 2, -2, 1 / 2, -1 / 2, 4, -1 / 4)  # and infinity; with more, digits are lost
FEWEST = 32  # maps in a group: with fewer, there is more to do for the values than is saved


def _values(coefficients: int, count: int) -> np.ndarray:
    """Matrix [count, coefficients] that gives a polynomial's values at the points."""
    finite = np.vander(POINTS[: count - 1], coefficients, increasing=True)
    return np.vstack([finite, np.eye(coefficients)[-1]])  # at infinity the highest power is all


class Spread:
    """What inputs add to the outputs of a convolution of stride 1: no bias.

    Rows of pixels become polynomials, columns are convolved as always.
    """

    def __init__(self, layer: nn.Conv2d):
        # a product of polynomials turns the filters round, a convolutional layer does not
        turned = layer.weight.detach().flip(3)
        self.weight = turned.permute(3, 0, 2, 1).contiguous()  # columns first
        self.groups = layer.groups
        self.known: dict[int, tuple[Tensor, Tensor, Tensor]] = {}  # by the width of tiles

    def _prepared(self, tile: int) -> tuple[Tensor, Tensor, Tensor]:
        """Matrix to the values of `tile` pixels, the filters' values, matrix to coefficients.

        The filters are one column wide, all of them for the first point, then for the next.
        """
        if tile not in self.known:
            taps, _, rows, maps = self.weight.shape
            count = tile + taps - 1  # coefficients of a product
            values = [_values(number, count) for number in (tile, taps)]
            found = (*values, np.linalg.inv(_values(count, count)))
            to_values, filters_to_values, back = (torch.from_numpy(one).float() for one in found)
            filters = (filters_to_values @ self.weight.view(taps, -1)).view(-1, rows, 1, maps)
            self.known[tile] = to_values, filters.permute(0, 3, 1, 2), back
        return self.known[tile]

    def _tiles(self, columns: int) -> tuple[int, int]:
        """In how many tiles a row is cut, and how wide they are."""
        count = math.ceil(columns / (len(POINTS) + 2 - len(self.weight)))
        return count, math.ceil(columns / count)

    def multiply_adds(self, rows: int, columns: int, padding: tuple[int, int]) -> int:
        """All multiplications for the maps of one picture; rows of zeros cost nothing."""
        taps, filters, high, maps = self.weight.shape
        tiles, tile = self._tiles(columns)
        count = tile + taps - 1
        down, right = rows + 2 * padding[0] - high + 1, columns + 2 * padding[1] - taps + 1
        values = rows * tile * maps * self.groups
        products = rows * high * maps * filters
        coefficients = down * filters * (right if tiles == 1 else count)
        return tiles * count * (values + products + coefficients)

    def __call__(self, maps: Tensor, padding: tuple[int, int]) -> Tensor:
        """The outputs that `maps` give, with zeros around them.

        Args:
            maps: Tensor [rows, B, columns, maps]: in this order they need no copying.
            padding: rows and columns of zeros on each side, fewer than the filter has.

        Returns:
            Tensor [rows, B, columns, filters].
        """
        taps, filters, *_ = self.weight.shape
        rows, batch, columns, channels = maps.shape
        tiles, tile = self._tiles(columns)
        if missing := tiles * tile - columns:
            maps = F.pad(maps, (0, 0, 0, missing))
        to_values, filters_values, to_coefficients = self._prepared(tile)
        values = to_values @ maps.reshape(rows, batch * tiles, tile, channels)
        products = F.conv2d(
            values.view(1, rows, batch * tiles, -1).permute(0, 3, 1, 2),
            filters_values,
            padding=(padding[0], 0),
            groups=len(to_values) * self.groups,
        )
        products = products.permute(0, 2, 3, 1)[0].unflatten(-1, (-1, filters))
        wanted = slice(taps - 1 - padding[1], columns + padding[1])
        if tiles == 1:
            return to_coefficients[wanted] @ products
        parts = (to_coefficients @ products).unflatten(1, (batch, tiles))
        whole = parts.new_zeros(len(parts), batch, tiles * tile + taps - 1, filters)
        for number in range(tiles):
            first = number * tile
            whole[:, :, first : first + parts.shape[3]] += parts[:, :, number]
        return whole[:, :, wanted]


def spread(layer: nn.Conv2d) -> Spread | None:
    """For a layer where this saves time: many maps, small filters that move pixel by pixel."""
    _, maps, rows, columns = layer.weight.shape
    fits = maps >= FEWEST and 3 <= columns <= 7 and layer.weight.dtype == torch.float32
    by_pixel = layer.stride == layer.dilation == (1, 1)
    inside = layer.padding[0] < rows and layer.padding[1] < columns
    return Spread(layer) if fits and by_pixel and inside else None
