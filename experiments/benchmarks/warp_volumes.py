"""Volumes as WarpTools exports them (``ts_export_particles --3d``): are the reported ellipsoids honest?

    python experiments/benchmarks/warp_volumes.py [--particles 64] [--average [--uncalibrated]]

Simulated tilt images (41 tilts, -3 um, dose-weighted, coloured noise) are inserted trilinearly into a Fourier volume of
twice the box, as WarpTools does (its ``TiltSeries.ReconstructSubtomos.cs``): the volume is
``sum t(image x CTF) / sum t(|CTF|) x min(1, sum t)``, its weight the same of ``CTF`` in place of the image, with t the
trilinear weight; both are cropped to the box in real space. The same images are read as tilt stacks, too. With
``--average`` the volumes and the stacks go through `torchsag average` from the reference instead, whose ellipsoids are
those of its last iteration; the common turn and shift of each half are taken out of the errors. With ``--uncalibrated``
noise is taken for white and independent there. Figures into ``warp_volumes.json``, with 95 % intervals of Wilson's.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tilt_stacks
import torch
from scipy.stats import binomtest

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.app.main import main as main_of_torchsag
from torchsag.fourier import from_half_spectrum, half_frequencies, to_half_spectrum
from torchsag.geometry import Poses, Symmetry, random_rotations
from torchsag.io import read_particles, write_map
from torchsag.io.mrc import write_mrc
from torchsag.io.relion import read_covariances
from torchsag.io.star import Loop, write_star
from torchsag.particles import DensityMap, TiltStack, Transfer
from torchsag.runs.calibration import calibrated_with
from torchsag.runs.provenance import versions
from torchsag.simulation import density_of, ribosome_phantom

BOX, PIXEL = 32, 12.0
WIDE = 2 * BOX
CHUNK = 16
SNR = 0.01
FLOORS = (0.001, 0.05, 0.1, 0.2, 0.3, 0.4)


def main() -> None:
    """Simulate, insert, align, write the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--particles", type=int, default=64)
    parser.add_argument("--snr", type=float, default=SNR)
    parser.add_argument("--average", action="store_true")
    parser.add_argument("--uncalibrated", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(7)
    wide = density_of(ribosome_phantom(), WIDE, PIXEL)
    inner = slice(WIDE // 2 - BOX // 2, WIDE // 2 + BOX // 2)
    reference = DensityMap(wide.density[inner, inner, inner].contiguous(), PIXEL)
    count = options.particles
    poses = Poses(random_rotations(count, generator), torch.randn(count, 3, generator=generator))
    positions = (torch.rand(count, 3, generator=generator) - 0.5) * torch.tensor([4000.0, 4000.0, 2000.0])
    tilt_stacks.BOX, tilt_stacks.PIXEL = BOX, PIXEL
    imaging, narrow = tilt_stacks.Imaging(wide, options.snr), tilt_stacks.Imaging(reference, options.snr)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tilt_stacks.write_project(folder, poses, positions)
        for k in range(count):  # headers are checked as the list is read
            write_mrc(folder / f"p{k}.mrcs", np.zeros((len(tilt_stacks.TILTS), BOX, BOX)), PIXEL)
        stacks = read_particles(folder / "particles.star")
        bounds = []
        for k, stack in enumerate(stacks.volumes):
            assert isinstance(stack, TiltStack)
            images = torch.from_numpy(imaging.images(stack, poses[k : k + 1], generator))
            write_mrc(stack.path, images[:, inner, inner].numpy(), PIXEL, float16=True)
            volume, weight = warp_volume(images, stack)
            write_mrc(folder / f"v{k}.mrc", volume.numpy(), PIXEL, float16=True)
            write_mrc(folder / f"w{k}.mrc", weight.numpy(), PIXEL, float16=True)
            narrow.sigma = imaging.sigma
            bounds.append(narrow.bound(stack, poses[k : k + 1]))
        names = [str(k) for k in range(count)]
        table = {"rlnImageName": [f"v{k}.mrc" for k in names], "rlnCtfImage": [f"w{k}.mrc" for k in names]}
        write_star(folder / "volumes.star", {"particles": Loop({**table, "rlnPixelSize": [str(PIXEL)] * count})})
        if options.average:
            write_map(folder / "reference.mrc", reference)
            lists = {"stacks": "particles.star", "volumes": "volumes.star"}
            words = [f"{one}.calibration_particles=0" for one in ("method", "local_method")] * options.uncalibrated
            found = {kind: averaged(folder, one, poses, words) for kind, one in lists.items()}
            keep_averages(options.out, "average" + "_uncalibrated" * options.uncalibrated, count, found)
            return
        method = CurvatureSAGAligner().prepare(reference, Symmetry("C1"), "cpu")
        figures = {}
        kinds = {"stacks": stacks}
        for floor in FLOORS:
            kinds[f"volumes, floor {floor:g}"] = read_particles(folder / "volumes.star", weighting=Transfer(floor))
        for kind, particles in kinds.items():
            ready = calibrated_with(method, particles, torch.device("cpu"))  # as `torchsag align` does
            parts = [ready(particles.load(range(k, min(k + CHUNK, count)))) for k in range(0, count, CHUNK)]
            figures[kind] = tilt_stacks._judged(parts, poses, torch.stack(bounds))
    record = {
        "what": str(__doc__).splitlines()[0], "versions": versions(), "particles": count, "snr_of_images": options.snr,
        "tilts": len(tilt_stacks.TILTS), "box": BOX, "voxel_size_angstrom": PIXEL, **figures,
    }  # fmt: skip
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))


def averaged(folder: Path, listing: str, truth: Poses, more: list[str]) -> dict[str, Any]:
    """Errors of the poses that `torchsag average` ends with, beside the uncertainties that it writes."""
    out = folder / f"average_{listing.removesuffix('.star')}"
    words = [f"particles={folder / listing}", f"reference={folder / 'reference.mrc'}", f"out={out}", "mirror=false"]
    began = time.process_time()
    assert main_of_torchsag(["average", *words, *more, "threads=1"]) == 0
    spent = time.process_time() - began
    particles, covariances = read_particles(out / "poses.star"), read_covariances(out / "poses.star")
    assert particles.poses is not None
    assert particles.halves is not None
    assert covariances is not None
    unit = torch.tensor([math.degrees(1)] * 3 + [PIXEL] * 3, dtype=torch.float64)
    covariances = covariances / unit[:, None] / unit
    off = tilt_stacks.errors(particles.poses, truth)
    near = off[:, :3].norm(dim=-1) < math.radians(10)
    frames = truth.rotations.double()
    own = torch.einsum("pji,pkj->pki", frames, off.unflatten(-1, (2, 3)))  # in the frame of the maps
    for half in (1, 2):  # each half has a map, and a frame, of its own
        members = near & (particles.halves == half)
        own[members] -= own[members].mean(0)
    off = torch.einsum("pij,pkj->pki", frames, own).flatten(1)[near]
    distance = torch.einsum("pi,pij,pj->p", off, torch.linalg.inv(covariances[near]), off)
    inside = int((distance < tilt_stacks.CHI_SQUARE_95).sum())
    interval = binomtest(inside, len(off)).proportion_ci(method="wilson")
    return {
        "within_10_deg": int(near.sum()),
        "rms_rotation_error_deg": round(math.degrees(math.sqrt(float(off[:, :3].square().sum(-1).mean()))), 3),
        "inside_95_percent_ellipsoid": inside,
        "part_inside": round(inside / int(near.sum()), 3),
        "part_inside_interval": [round(float(end), 3) for end in interval],
        "cpu_seconds": round(spent, 1),
    }


def keep_averages(out: Path, name: str, count: int, figures: dict) -> None:
    """Add to what the alignment has found."""
    kept = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    kept[name] = {"versions": versions(), "particles": count, **figures}
    out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))


def warp_volume(images: torch.Tensor, stack: TiltStack) -> tuple[torch.Tensor, torch.Tensor]:
    """Volume and weight (half-spectrum in FFT order) from images that are multiplied by their transfer already."""
    transfer = stack.optics.transfer(WIDE, PIXEL).float()
    fresh = replace(stack.optics, exposure=torch.zeros_like(stack.optics.exposure))
    amplitude = fresh.transfer(WIDE, PIXEL).float().abs()  # WarpTools divides by |CTF| without the dose
    spectra = to_half_spectrum(images.unsqueeze(-3)).squeeze(-3)
    plane = half_frequencies((1, WIDE, WIDE))[0, ..., :2]
    inside = plane.norm(dim=-1) < 0.5
    once = torch.where(plane[..., 0] == 0, 0.5, 1.0)  # both signs of v are listed there
    points = torch.einsum("pa,tac->tpc", plane[inside], stack.frames[:, :2]).reshape(-1, 3) * WIDE
    # The images are multiplied by their transfer already; what the transfer itself is like follows the same way.
    channels = [spectra, transfer * amplitude * transfer.sign() + 0j, amplitude + 0j, torch.ones_like(spectra)]
    values = torch.stack([(channel * once)[:, inside].reshape(-1) for channel in channels])
    data, power, divisor, reach = insert(values, points)[..., : WIDE // 2 + 1]
    scale = reach.real.clamp(0, 1) / divisor.real.clamp_min(1e-3)
    return cropped(data * scale), to_half_spectrum(cropped(power * scale)).real


def insert(values: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Trilinear insertion of samples and their mirror images into the wide Fourier volume."""
    points, values = torch.cat([points, -points]), torch.cat([values, values.conj()], -1)
    low = points.floor()
    part = points - low
    grid = torch.zeros(len(values), WIDE**3, dtype=values.dtype)
    for corner in range(8):
        step = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2 & 1])
        weight = torch.where(step.bool(), part, 1 - part).prod(-1)
        x, y, z = ((low.long() + step) % WIDE).unbind(-1)
        grid.index_add_(1, (z * WIDE + y) * WIDE + x, values * weight)
    return grid.reshape(-1, WIDE, WIDE, WIDE)


def cropped(half: torch.Tensor) -> torch.Tensor:
    """The middle of the wide box in real space."""
    inner = slice(WIDE // 2 - BOX // 2, WIDE // 2 + BOX // 2)
    return from_half_spectrum(half, (WIDE, WIDE, WIDE))[inner, inner, inner]


if __name__ == "__main__":
    main()
