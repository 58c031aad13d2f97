"""Finite sums with known minima, for the optimizers' tests."""

from dataclasses import dataclass

import torch

from torchsag.geometry import rotvec_to_matrix


@dataclass
class LinearLeastSquares:
    """``h_i(x) = |A_i x - b_i|^2 / 2``; counts the term evaluations asked of it."""

    matrices: torch.Tensor  # [problems, terms, rows, n]
    targets: torch.Tensor  # [problems, terms, rows]
    evaluated: int = 0

    @staticmethod
    def random(problems, terms, n=6, rows=4, noise=0.1, units=None, seed=1, dtype=torch.float64):
        generator = torch.Generator().manual_seed(seed)
        matrices = torch.randn(problems, terms, rows, n, generator=generator, dtype=torch.float64)
        truth = torch.randn(problems, n, generator=generator, dtype=torch.float64)
        errors = noise * torch.randn(problems, terms, rows, generator=generator, dtype=torch.float64)
        targets = torch.einsum("ptrn,pn->ptr", matrices, truth) + errors
        if units is not None:
            matrices = matrices * torch.as_tensor(units, dtype=torch.float64)
        return LinearLeastSquares(matrices.to(dtype), targets.to(dtype))

    @property
    def num_terms(self):
        return self.matrices.shape[1]

    @property
    def minimum(self):
        blocks = torch.einsum("ptrm,ptrn->pmn", self.matrices, self.matrices)
        return torch.linalg.solve(blocks, torch.einsum("ptrn,ptr->pn", self.matrices, self.targets))

    @property
    def mean_block(self):
        return torch.einsum("ptrm,ptrn->pmn", self.matrices, self.matrices) / self.num_terms

    def residuals(self, move, terms):
        return torch.einsum("ptrn,pn->ptr", self.matrices[:, terms], move) - self.targets[:, terms]

    def values(self, move, terms):
        self.evaluated += len(terms)
        return self.residuals(move, terms).square().sum(-1) / 2

    def gradients(self, move, terms):
        gradients = torch.einsum("ptrn,ptr->ptn", self.matrices[:, terms], self.residuals(move, terms))
        return self.values(move, terms), gradients

    def curvature(self, move, terms):
        blocks = torch.einsum("ptrm,ptrn->ptmn", self.matrices[:, terms], self.matrices[:, terms])
        return *self.gradients(move, terms), blocks

    def problem(self, index):
        return LinearLeastSquares(self.matrices[index : index + 1], self.targets[index : index + 1])


@dataclass
class WithoutCurvature:
    """Hides an objective's Gauss-Newton blocks."""

    objective: LinearLeastSquares

    @property
    def num_terms(self):
        return self.objective.num_terms

    def values(self, move, terms):
        return self.objective.values(move, terms)

    def gradients(self, move, terms):
        return self.objective.gradients(move, terms)


@dataclass
class CloudRegistration:
    """Rigid registration of point clouds by a tangent move: nonlinear in the rotation vector.

    Term i is half the mean squared distance of a group of points; points are `radius` from the centre.
    """

    points: torch.Tensor  # [problems, terms, group, 3]
    targets: torch.Tensor

    @staticmethod
    def random(problems, terms=16, group=4, radius=20.0, angle=0.3, shift=2.0, noise=0.0, seed=2):
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape):
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        points = radius * normal(problems, terms, group, 3) / 3**0.5
        axes = torch.nn.functional.normalize(normal(problems, 3), dim=-1)
        truth = torch.cat([angle * axes, shift * torch.nn.functional.normalize(normal(problems, 3), dim=-1)], -1)
        cloud = CloudRegistration(points, points)
        moved = cloud._moved(truth, torch.arange(terms))
        return CloudRegistration(points, moved + noise * normal(*points.shape)), truth

    @property
    def num_terms(self):
        return self.points.shape[1]

    def _moved(self, move, terms):
        rotations = rotvec_to_matrix(move[:, :3])
        return torch.einsum("pij,ptgj->ptgi", rotations, self.points[:, terms]) + move[:, None, None, 3:]

    def _residuals(self, move, terms):
        difference = self._moved(move, terms) - self.targets[:, terms]
        return difference.flatten(2) / self.points.shape[2] ** 0.5

    def values(self, move, terms):
        return self._residuals(move, terms).square().sum(-1) / 2

    def gradients(self, move, terms):
        return self.curvature(move, terms)[:2]

    def curvature(self, move, terms):
        arms = (self._moved(move, terms) - move[:, None, None, 3:]).unsqueeze(-1)
        turn = torch.linalg.cross(_left_jacobian(move[:, :3])[:, None, None], arms.expand(*arms.shape[:-1], 3), dim=-2)
        slide = torch.eye(3, dtype=move.dtype).expand_as(turn)
        jacobian = torch.cat([turn, slide], -1).flatten(2, 3) / self.points.shape[2] ** 0.5
        residuals = self._residuals(move, terms)
        gradients = torch.einsum("ptrn,ptr->ptn", jacobian, residuals)
        blocks = torch.einsum("ptrm,ptrn->ptmn", jacobian, jacobian)
        return residuals.square().sum(-1) / 2, gradients, blocks


def _left_jacobian(rotvec):
    """``exp(w + dw) = exp(J dw) exp(w)`` to first order."""
    angle = rotvec.norm(dim=-1)[:, None, None].clamp_min(1e-4)
    x, y, z = rotvec.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    first, second = (1 - angle.cos()) / angle**2, (angle - angle.sin()) / angle**3
    return torch.eye(3, dtype=rotvec.dtype) + first * cross + second * cross @ cross
