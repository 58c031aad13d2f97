"""What a tilt range leaves of a particle: the same particle, without noise, through wider and narrower wedges.

python missing_wedge.py [PICTURE.png]
"""

import math
import sys

from matplotlib.figure import Figure

from torchsag.simulation import capped_phantom, density_of, simulate_particles

reference = density_of(capped_phantom(), 48, 8.0, 16.0)
across = reference.box[1] // 2  # the plane of constant y that holds the centre: x to the right, z (the beam) upwards

figure = Figure(figsize=(8, 2.2))
for axis, tilt in zip(figure.subplots(1, 4), (90.0, 60.0, 45.0, 30.0), strict=True):
    particles, _ = simulate_particles(reference, 1, math.inf, -tilt, tilt, seed=5)
    measured = float((particles.weights > 0).float().mean())
    print(f"tilts to {tilt:.0f} deg: {100 * measured:.0f} % of the coefficients measured")
    axis.imshow(particles.volumes[0, :, across], cmap="gray", origin="lower")
    axis.set_title(f"±{tilt:.0f}°", fontsize=9)
    axis.set_axis_off()
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "missing_wedge.png", dpi=110, bbox_inches="tight")
