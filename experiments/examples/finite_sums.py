"""The optimizers by themselves: a hundred least-squares problems of ten unknowns and forty terms, at once.

They know nothing of volumes; anything with `values`, `gradients` and `curvature` will do.

python finite_sums.py [PICTURE.png]
"""

import sys
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure

from torchsag.optim import SAGA, SVRG, CurvatureSAG, LevenbergMarquardt, SAGMinibatch, SAGOneTerm, minimize

PROBLEMS, TERMS, UNKNOWNS = 100, 40, 10


@dataclass(frozen=True)
class LeastSquares:
    """Terms ``h_i(x) = |A_i x - b_i|^2 / 2``, each of four equations."""

    matrices: torch.Tensor  # [problems, terms, 4, unknowns]
    targets: torch.Tensor  # [problems, terms, 4]
    num_terms: int = TERMS

    def curvature(self, move, terms):
        """Value, gradient and Gauss-Newton block of some terms."""
        matrices = self.matrices[:, terms]
        residual = torch.einsum("pbij,pj->pbi", matrices, move) - self.targets[:, terms]
        gradient = torch.einsum("pbij,pbi->pbj", matrices, residual)
        return residual.square().sum(-1) / 2, gradient, matrices.mT @ matrices

    def gradients(self, move, terms):
        """Value and gradient."""
        return self.curvature(move, terms)[:2]

    def values(self, move, terms):
        """Value."""
        return self.curvature(move, terms)[0]


generator = torch.Generator().manual_seed(0)
matrices = torch.randn(PROBLEMS, TERMS, 4, UNKNOWNS, generator=generator)
truth = torch.randn(PROBLEMS, UNKNOWNS, generator=generator)
problem = LeastSquares(matrices, torch.einsum("ptij,pj->pti", matrices, truth))

figure = Figure(figsize=(5, 3.4))
axis = figure.subplots()
for optimizer in (SAGOneTerm(), SAGMinibatch(), SAGA(), SVRG(), CurvatureSAG(trust_radius=100.0), LevenbergMarquardt()):
    track = []

    def watch(spent, move, track=track):
        """Note how far each problem is from its solution."""
        track.append((float(spent.mean()), float((move - truth).norm(dim=1).mean())))

    end = minimize(optimizer, problem, torch.zeros(PROBLEMS, UNKNOWNS), 30.0, watch)
    name = type(optimizer).__name__
    print(
        f"{name}: {float((end.move - truth).norm(dim=1).median()):.1e} from the solution after {end.passes:.0f} passes"
    )
    axis.semilogy(*zip(*track, strict=True), label=name)
axis.set(xlabel="passes over the terms", ylabel="distance from the solution", ylim=(1e-7, None))
axis.legend(frameon=False, fontsize=7)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "finite_sums.png", dpi=110, bbox_inches="tight")
