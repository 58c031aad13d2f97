"""The last quadratic model seen of every term, and their running sum."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Integer
from torch import Tensor


@dataclass
class CurvatureMemory:
    """Each term's model ``h_i(x) ~ x.H_i x / 2 - x.r_i + const``; unseen terms are zero. Updated in place.

    A term visited at z with gradient y and Gauss-Newton block H has ``r = H z - y``: the tangent point itself need not
    be kept.

    Attributes
    ----------
    blocks, offsets
        ``H_i`` and ``r_i``.
    block_sum, offset_sum
        Their sums over the terms, kept up to date rather than summed anew.
    """

    blocks: Float[Tensor, "problems terms n n"]
    offsets: Float[Tensor, "problems terms n"]
    block_sum: Float[Tensor, "problems n n"]
    offset_sum: Float[Tensor, "problems n"]

    @staticmethod
    def empty(like: Float[Tensor, "problems n"], num_terms: int) -> CurvatureMemory:
        """A memory of nothing, with the moves' shape, dtype and device."""
        problems, n = like.shape
        return CurvatureMemory(
            like.new_zeros(problems, num_terms, n, n),
            like.new_zeros(problems, num_terms, n),
            like.new_zeros(problems, n, n),
            like.new_zeros(problems, n),
        )

    def remember(
        self,
        terms: Integer[Tensor, " b"],
        move: Float[Tensor, "problems n"],
        gradients: Float[Tensor, "problems b n"],
        blocks: Float[Tensor, "problems b n n"],
    ) -> None:
        """Replace the models of distinct terms by those taken at `move`."""
        offsets = (blocks.flatten(1, 2) @ move[..., None]).view_as(gradients) - gradients
        self.block_sum += (blocks - self.blocks[:, terms]).sum(1)
        self.offset_sum += (offsets - self.offsets[:, terms]).sum(1)
        self.blocks[:, terms] = blocks
        self.offsets[:, terms] = offsets

    def gradient(self, move: Float[Tensor, "problems n"]) -> Float[Tensor, "problems n"]:
        """Gradient of the summed model at `move`."""
        return (self.block_sum @ move[..., None])[..., 0] - self.offset_sum
