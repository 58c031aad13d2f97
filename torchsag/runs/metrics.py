"""``metrics.json``: everything a run can be judged by, one list per column."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from torchsag import loggers
from torchsag.errors import printable
from torchsag.evaluation import PoseErrors
from torchsag.particles import ParticleSet
from torchsag.runs.checkpoint import Columns
from torchsag.runs.provenance import Provenance, git_states, versions


def alignment_columns(particles: ParticleSet, columns: Columns, errors: PoseErrors | None) -> dict[str, list[Any]]:
    """One list per quantity, in the order of the particles; angles in degrees, shifts in angstrom."""
    variances = np.diagonal(columns["covariances"], axis1=1, axis2=2).clip(0, None)
    shifts = columns["shifts"] * particles.voxel_size
    table: dict[str, Any] = {
        "name": list(particles.names),
        "score": columns["scores"],
        "cpu_seconds": columns["cpu_seconds"],
        "converged": columns["converged"],
        "passes": columns["passes"],
        "ambiguity": columns["ambiguity"],
        "shift_angstrom": np.linalg.norm(shifts, axis=1),
        # root of the summed variances: the expected length of the error vector
        "rotation_sigma_deg": np.degrees(np.sqrt(variances[:, :3].sum(1))),
        "shift_sigma_angstrom": np.sqrt(variances[:, 3:].sum(1)) * particles.voxel_size,
        "fault": list(columns["fault"]),
    }
    view = columns["rotations"][:, 2, :]  # where the beam points in the reference's frame: R^T z
    table["view_latitude_deg"] = np.degrees(np.arcsin(view[:, 2].clip(-1, 1)))
    table["view_longitude_deg"] = np.degrees(np.arctan2(view[:, 1], view[:, 0]))
    if errors is not None:
        table["rotation_error_deg"] = errors.rotation_deg.numpy()
        table["shift_error_angstrom"] = errors.shift_voxels.numpy() * particles.voxel_size
    return {name: _plain(values) for name, values in table.items()}


def alignment_summary(columns: dict[str, list[Any]]) -> dict[str, Any]:
    """Counts and medians over the particles that were aligned."""
    used = [not fault for fault in columns["fault"]]

    def median(name: str) -> float | None:
        values = [v for v, keep in zip(columns.get(name, []), used, strict=False) if keep and math.isfinite(v)]
        return float(np.median(values)) if values else None

    summary: dict[str, Any] = {"particles": len(used), "aligned": sum(used), "set_aside": len(used) - sum(used)}
    for name in ("score", "cpu_seconds", "shift_angstrom", "rotation_sigma_deg", "shift_sigma_angstrom"):
        summary[f"median_{name}"] = median(name)
    if "rotation_error_deg" in columns:
        errors = [e for e, keep in zip(columns["rotation_error_deg"], used, strict=True) if keep and e is not None]
        summary["median_rotation_error_deg"] = median("rotation_error_deg")
        summary["median_shift_error_angstrom"] = median("shift_error_angstrom")
        summary["within_10_deg"] = sum(error < 10 for error in errors)
    return summary


def surroundings(provenance: Provenance, seed: int, device: torch.device, processes: int) -> dict[str, Any]:
    """What a reader needs to repeat the run, beside its configuration."""
    return {
        "command": provenance.command,
        "versions": versions(),
        "git": git_states(("torchsag", *provenance.packages)),
        "seed": seed,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "processes": processes,
    }


def write_metrics(path: Path, metrics: dict[str, Any]) -> None:
    """Write as strict JSON, six digits; what is not a number becomes null. The run's logger gets the summary, too."""
    loggers.summary(path, metrics.get("summary"))
    path.write_text(json.dumps(_strict(metrics), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_set_aside(path: Path, faults: Iterable[str]) -> None:
    """One line for each particle that could not be used: which, and why."""
    path.write_text("".join(f"{printable(fault)}\n" for fault in faults if fault), encoding="utf-8")


def _plain(values: Any) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def _strict(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _strict(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_strict(value) for value in node]
    if isinstance(node, float):
        return float(f"{node:.6g}") if math.isfinite(node) else None
    return node
