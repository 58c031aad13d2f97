"""From projections to a particle: tilts with CTF and noise, back-projected with three filters.

python tilt_series.py [PICTURE.png]
"""

import sys

from matplotlib.figure import Figure

from torchsag.simulation import TiltSeriesPipeline, UniformPoses, density_of, ribosome_phantom
from torchsag.simulation.back_projection_filters import ExactFilter, MatchedFilter, RampFilter
from torchsag.simulation.tilt_scheme import RegularTilts

reference = density_of(ribosome_phantom(), 48, 8.0, 16.0)
poses = UniformPoses().draw(2, range(1)).to(reference.density.dtype)
tilts = RegularTilts(60.0, step_deg=3.0)

figure = Figure(figsize=(6.4, 2.4))
filters = (RampFilter(), ExactFilter(), MatchedFilter())
for axis, back_projection in zip(figure.subplots(1, 3), filters, strict=True):
    pipeline = TiltSeriesPipeline(0.2, tilts, filter=back_projection, defocus_um=-4.0)
    particles = pipeline.prepare(reference)(poses, range(1), 0)
    name = type(back_projection).__name__
    print(f"{name}: weights from {float(particles.weights.min()):.2f} to {float(particles.weights.max()):.2f}")
    axis.imshow(particles.volumes[0, :, reference.box[1] // 2], cmap="gray", origin="lower")
    axis.set_title(name, fontsize=9)
    axis.set_axis_off()
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "tilt_series.png", dpi=110, bbox_inches="tight")
