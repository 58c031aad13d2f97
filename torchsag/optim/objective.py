"""What an optimizer sees: a sum of terms over a tangent move, for many independent problems at once."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Integer
from torch import Tensor


@runtime_checkable
class Objective(Protocol):
    """``J(move) = (1 / num_terms) sum_i h_i(move)`` for P independent problems of n unknowns each.

    Built by `torchsag.slices` or `torchsag.likelihood` around the current poses: ``move = 0`` is where one stands, and
    ``n`` is 6, or 8 where the amplitude and offset of the model are fitted too.
    `terms` are indices into ``0 .. num_terms - 1``, the same for all problems of one call.
    """

    @property
    def num_terms(self) -> int:
        """Number of terms of the sum."""
        ...

    def values(self, move: Float[Tensor, "problems n"], terms: Integer[Tensor, " b"]) -> Float[Tensor, "problems b"]:
        """Each term's value."""
        ...

    def gradients(
        self, move: Float[Tensor, "problems n"], terms: Integer[Tensor, " b"]
    ) -> tuple[Float[Tensor, "problems b"], Float[Tensor, "problems b n"]]:
        """Each term's value and gradient."""
        ...


@runtime_checkable
class LeastSquaresObjective(Objective, Protocol):
    """An objective whose terms are squared residuals, so that a Gauss-Newton block exists for each."""

    def curvature(
        self, move: Float[Tensor, "problems n"], terms: Integer[Tensor, " b"]
    ) -> tuple[Float[Tensor, "problems b"], Float[Tensor, "problems b n"], Float[Tensor, "problems b n n"]]:
        """Each term's value, gradient and Gauss-Newton block (positive semi-definite)."""
        ...
