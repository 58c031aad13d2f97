"""Do 95 % of the ellipsoids hold the truth? Squared errors in units of each particle's own covariance.

Where uncertainties are right they follow the chi-squared distribution with six degrees of freedom, three of the
rotation and three of the shift.

python calibration.py [PICTURE.png]
"""

import sys

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.stats import chi2

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.geometry import Symmetry
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles

reference = density_of(ribosome_phantom(), 48, 8.0, 8.0)
particles, truth = simulate_particles(reference, 120, 0.02)
result = CurvatureSAGAligner().prepare(reference, Symmetry("C1"))(particles)

move = result.poses.move_to(truth).double()  # rotation vector and shift from the pose found to the true one
squared = torch.einsum("pi,pij,pj->p", move, torch.linalg.inv(result.covariances.double()), move)
inside = float((squared < chi2.ppf(0.95, 6)).double().mean())
print(
    f"{100 * inside:.0f} % of the 95 % ellipsoids hold the true pose; median {float(squared.median()):.1f}, ideal 5.3"
)

figure = Figure(figsize=(4.4, 3))
axis = figure.subplots()
axis.hist(squared, bins=30, range=(0, 25), density=True, alpha=0.5, label="measured")
axis.plot(grid := np.linspace(0, 25, 200), chi2.pdf(grid, 6), label="chi-squared, 6")
axis.set(xlabel="squared error in units of its covariance", ylabel="density")
axis.legend(frameon=False)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "calibration.png", dpi=110, bbox_inches="tight")
