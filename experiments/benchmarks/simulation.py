"""How accurate and how fast the simulation is: figures into ``simulation.json`` beside this file.

    python experiments/benchmarks/simulation.py [--data FOLDER] [--particles 1000]

``FOLDER`` holds ``groel/1oel_14mer.pdb.gz`` and ``maps/emd_3420_10.48A.mrc.gz``; without it the comparisons with real
structures are left out. Everything runs on one CPU thread.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from torchsag.fourier import (
    fourier_shell_correlation,
    from_half_spectrum,
    half_frequencies,
    hermitian_multiplicity,
    low_pass,
    phase_ramp,
    shell_sums,
    to_half_spectrum,
)
from torchsag.geometry import Poses, Symmetry
from torchsag.imaging.ctf import Microscope
from torchsag.imaging.detector import PerfectDetector
from torchsag.imaging.placement import place_spectrum
from torchsag.imaging.projection import project, to_images
from torchsag.io import read_map
from torchsag.runs.provenance import versions
from torchsag.simulation import density_of, groel_phantom, ribosome_phantom, simulate_particles
from torchsag.simulation.back_projection_filters import ExactFilter, MatchedFilter, RampFilter
from torchsag.simulation.pose_distribution import UniformPoses
from torchsag.simulation.resampling import resample_map
from torchsag.simulation.scattering import FourierKernel
from torchsag.simulation.structures import AtomicModel, GroelPhantom
from torchsag.simulation.tilt_scheme import ListedTilts, RegularTilts
from torchsag.simulation.tilt_series import TiltSeriesPipeline
from torchsag.spectra.gridding import ContinuousSpectrum
from torchsag.workflows.simulate.command import Simulate


def placement_error() -> dict[str, float]:
    """Placed map against the structure itself turned, relative root mean square error, by box and voxel size."""
    errors = {}
    for model, box, voxel_size in (
        (groel_phantom(), 64, 6.0),
        (groel_phantom(), 47, 6.0),
        (ribosome_phantom(), 64, 6.0),
    ):
        reference = density_of(model, box, voxel_size)
        poses = UniformPoses(3.0).draw(0, range(5)).to(torch.float32)
        found = place_spectrum(ContinuousSpectrum.of(reference.density), poses)
        worst = 0.0
        for i in range(len(poses)):
            turned = density_of(model.turned(poses.rotations[i].double()), box, voxel_size).density
            ramp = phase_ramp(half_frequencies(reference.box), poses.shifts[i])
            expected = to_half_spectrum(turned) * ramp
            worst = max(worst, float((found[i] - expected).norm() / expected.norm()))
        errors[f"{model.name}, box {box}"] = worst
    return errors


def projection_error() -> dict[str, float]:
    """Projection against quintic-spline resampling and summation, relative root mean square, worst of four tilts."""
    errors = {}
    for box in (48, 49):
        volume = density_of(groel_phantom(), box, 6.0, 5.0).density
        axis = np.arange(box) - box // 2
        s, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
        tilts = torch.deg2rad(torch.tensor([0.0, 33.0, -60.0, 75.0]))
        found = project(volume, Poses.identity(1), tilts)[0]
        worst = 0.0
        for image, tilt in zip(found, tilts.tolist(), strict=True):
            cos, sin = math.cos(tilt), math.sin(tilt)
            points = np.stack([-x * sin + s * cos, y, x * cos + s * sin]) + box // 2
            expected = torch.from_numpy(
                ndimage.map_coordinates(volume.double().numpy(), points, order=5).sum(0)
            ).float()
            worst = max(worst, float((image - expected).norm() / expected.norm()))
        errors[f"box {box}"] = worst
    return errors


def measured_snr() -> dict[str, float]:
    """Measured over requested SNR."""
    reference = density_of(groel_phantom(), 64, 6.0)
    ratios = {}
    for snr in (0.1, 0.003):
        clean, _ = simulate_particles(reference, 4, math.inf, -90.0, 90.0)
        noisy, _ = simulate_particles(reference, 4, snr, -90.0, 90.0)
        noise = noisy.volumes - clean.volumes
        ratio = clean.volumes.var(dim=(1, 2, 3)).mean() / noise.var(dim=(1, 2, 3)).mean() / snr
        ratios[f"fast, {snr}"] = float(ratio)
        prepared = TiltSeriesPipeline(snr, RegularTilts(60.0, step_deg=3.0), detector=PerfectDetector()).prepare(
            reference
        )
        poses = UniformPoses().draw(0, range(40)).to(torch.float32)
        signal = to_images(prepared.images(poses, -6.0), 64).var(dim=(-1, -2)).mean()
        noise = to_images(prepared.noise(range(8), 0), 64).var(dim=(-1, -2)).mean()
        ratios[f"tilt series, {snr}"] = float(signal / noise / snr)
    return ratios


def power_outside_wedge() -> float:
    """Power outside the wedge over power inside, fast pipeline."""
    reference = density_of(groel_phantom(), 64, 6.0)
    particles, _ = simulate_particles(reference, 4, 0.1)
    power = to_half_spectrum(particles.volumes).abs().square() * hermitian_multiplicity(reference.box)
    return float((power * (1 - particles.weights[0])).sum() / (power * particles.weights[0]).sum())


def full_series_fsc() -> dict[str, float]:
    """Lowest FSC to half Nyquist of the noise-free back-projection of +-90 degrees against the density."""
    lowest = {}
    for box in (64, 65):
        reference = density_of(groel_phantom(), box, 5.0)
        tilts = ListedTilts([float(a) for a in range(-89, 91)])
        prepared = TiltSeriesPipeline(math.inf, tilts, detector=PerfectDetector()).prepare(reference)
        images = prepared.geometry.project(prepared.reference, Poses.identity(1))
        flat = torch.ones(images.shape[1:])
        for weights in (RampFilter(), ExactFilter()):
            volume = prepared.geometry.back_project(images * weights.weights(prepared.geometry, flat, flat[0]))[0]
            shells = fourier_shell_correlation(
                to_half_spectrum(volume), to_half_spectrum(reference.density), reference.box
            )
            lowest[f"{type(weights).__name__}, box {box}"] = float(shells[: box // 4 + 1].min())
    return lowest


def reconstruction_model() -> dict[str, dict[str, float]]:
    """How well "weight times placed reference plus white noise" describes tilt-series particles, per filter."""
    reference = density_of(groel_phantom(), 64, 5.0, FourierKernel(6.0).sigma_angstrom)
    poses = UniformPoses().draw(0, range(4)).to(torch.float32)
    figures = {}
    for weights in (RampFilter(), ExactFilter(), MatchedFilter()):
        prepared = TiltSeriesPipeline(math.inf, filter=weights).prepare(reference)
        reconstruct = prepared.reconstruction(-6.0)
        found = to_half_spectrum(reconstruct(prepared.images(poses, -6.0)))
        expected = place_spectrum(prepared.reference, poses) * reconstruct.transfer
        correlation = (found * expected.conj()).real.sum() / (found.norm() * expected.norm())
        noise = to_half_spectrum(reconstruct(TiltSeriesPipeline(filter=weights).prepare(reference).noise(range(12), 0)))
        inside = reconstruct.factor != 0
        power = noise.abs().square().mean(0)
        radius = half_frequencies(reference.box).norm(dim=-1)
        bands = [inside & (radius > low) & (radius <= low + 0.1) for low in (0.02, 0.12, 0.22, 0.32)]
        levels = [float(power[band].mean() / power[inside].mean()) for band in bands]
        figures[type(weights).__name__] = {
            "signal_correlation": float(correlation),
            "noise_power_lowest_band": min(levels),
            "noise_power_highest_band": max(levels),
        }
    return figures


def ctf_zeros() -> float:
    """Largest deviation (1/angstrom) of the first 20 zeros at -6 um from the closed formula."""
    microscope = Microscope()
    wavelength = microscope.wavelength_angstrom
    a = 0.5 * math.pi * 1e7 * microscope.spherical_aberration_mm * wavelength**3
    b = math.pi * wavelength * 6e4
    c = np.arange(1, 21) * math.pi - math.asin(microscope.amplitude_contrast)
    expected = np.sqrt((b - np.sqrt(b**2 - 4 * a * c)) / (2 * a))
    frequency = torch.linspace(1e-5, float(expected[-1]) + 1e-4, 1_000_001, dtype=torch.float64)
    values = microscope.ctf(frequency, -6.0)
    crossing = frequency[:-1][values[1:].sign() != values[:-1].sign()].numpy()
    return float(np.abs(crossing[:20] - expected).max())


def real_structures(data: Path) -> dict[str, object]:
    """D7 of the 14-mer, and spectra of the phantoms beside those of the structures they stand for."""
    kernel = FourierKernel(6.0)
    start = time.process_time()
    groel = AtomicModel(str(data / "groel" / "1oel_14mer.pdb.gz"), kernel=kernel).density(64, 4.0)
    seconds = time.process_time() - start
    rotations = Symmetry("D7").rotations.float()
    smooth = ContinuousSpectrum.of(low_pass(groel.density, 20.0, 4.0))
    turned = from_half_spectrum(place_spectrum(smooth, Poses(rotations, torch.zeros(14, 3))), groel.box).flatten(1)
    turned = turned - turned.mean(1, keepdim=True)
    correlation = turned @ turned[0] / (turned.norm(dim=1) * turned[0].norm())
    phantom = density_of(groel_phantom(), 64, 4.0, kernel.sigma_angstrom)
    ribosome = resample_map(read_map(data / "maps" / "emd_3420_10.48A.mrc.gz"), 64, 6.0)
    blobs = density_of(ribosome_phantom(), 64, 6.0)
    resolutions = [100, 60, 40, 30, 25, 20, 16, 12, 10]
    return {
        "1OEL_D7_self_correlation_at_20A_min": float(correlation.min()),
        "1OEL_density_cpu_seconds": seconds,
        "log10_power_relative_to_zero_frequency": {
            "resolution_angstrom": resolutions,
            "1OEL": spectrum_at(groel.density, 4.0, resolutions),
            "GroEL-like phantom": spectrum_at(phantom.density, 4.0, resolutions),
            "EMD-3420 (80S)": spectrum_at(ribosome.density, 6.0, resolutions),
            "ribosome-like phantom": spectrum_at(blobs.density, 6.0, resolutions),
        },
    }


def spectrum_at(density: torch.Tensor, voxel_size: float, resolutions: list[int]) -> list[float | None]:
    """Log of the shell-averaged power at some resolutions; None beyond Nyquist."""
    box = (density.shape[0], density.shape[1], density.shape[2])
    power = to_half_spectrum(density).abs().square()
    shells = shell_sums(power, box) / shell_sums(torch.ones_like(power), box)
    index = [round(box[0] * voxel_size / resolution) for resolution in resolutions]
    return [round(math.log10(float(shells[k] / shells[0])), 2) if k < len(shells) else None for k in index]


def speed(particles: int) -> dict[str, float]:
    """Whole runs, files included; memory is the process' peak, which later runs can only raise."""
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        runs = [
            ("fast_warm_up_8_particles", 8, None),
            (f"fast_{particles // 10}_particles", particles // 10, None),
            (f"fast_{particles}_particles", particles, None),
            ("tilt_series_20_particles_121_tilts", 20, TiltSeriesPipeline(0.05, RegularTilts(60.0))),
        ]
        for name, count, pipeline in runs:
            settings = {} if pipeline is None else {"pipeline": pipeline}
            wall, cpu = time.perf_counter(), time.process_time()
            Simulate(f"{folder}/{name}", GroelPhantom(), n=count, box=64, device="cpu", **settings)()
            figures[f"{name}_wall_seconds"] = round(time.perf_counter() - wall, 2)
            figures[f"{name}_cpu_seconds"] = round(time.process_time() - cpu, 2)
            figures[f"{name}_peak_memory_MiB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return figures


def main() -> None:
    """Measure everything and write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with real structures")
    parser.add_argument("--particles", type=int, default=1000, help="particles of the long fast run")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent)
    figures = {
        "commit": commit.stdout.strip() or None,
        "versions": versions(),
        "device": "cpu, 1 thread",
        "speed_box_64": speed(arguments.particles),
        "placement_relative_rms_error": placement_error(),
        "projection_relative_rms_error": projection_error(),
        "measured_over_requested_snr": measured_snr(),
        "power_outside_over_inside_the_wedge": power_outside_wedge(),
        "full_series_lowest_fsc_to_half_nyquist": full_series_fsc(),
        "tilt_series_model_box_64_5A_defocus_6um": reconstruction_model(),
        "ctf_zeros_largest_deviation_per_angstrom": ctf_zeros(),
    }
    if arguments.data is not None:
        figures["real_structures"] = real_structures(arguments.data)
    arguments.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
