"""Shapes are checked in the tests: in the first calls of a function, not in all."""

import pytest
import torch
from first_calls import CALLS, check_first_calls
from jaxtyping import Float, TypeCheckError, jaxtyped
from torch import Tensor

from torchsag.geometry import rotvec_to_matrix


@jaxtyped(typechecker=check_first_calls)
def paired(first: Float[Tensor, "pairs 3"], second: Float[Tensor, " pairs"]) -> Float[Tensor, " pairs"]:
    return first.sum(1) + second.sum()


def test_a_wrong_shape_is_refused_until_a_function_has_been_called_often():
    for _ in range(CALLS):
        with pytest.raises(TypeCheckError, match="second"):
            paired(torch.zeros(2, 3), torch.zeros(5))
    paired(torch.zeros(2, 3), torch.zeros(5))


def test_the_package_is_checked():
    assert hasattr(rotvec_to_matrix, "__wrapped__")
