"""A user's own project: one method in one file and one yaml, outside of torchsag."""

from pathlib import Path

import pytest

_METHOD = '''
from dataclasses import dataclass

import torch

from torchsag.alignment.aligner import AlignmentResult
from torchsag.errors import InputError
from torchsag.geometry import Poses


@dataclass(frozen=True)
class Still:
    """Leaves every particle where it is."""

    strength: float = 1.0
    rounds: int = 2

    def __post_init__(self):
        if self.strength <= 0:
            raise InputError(f"still: expected strength above 0, got {self.strength}")

    def prepare(self, reference, symmetry, device="cpu"):
        def align(particles):
            count = len(particles)
            nothing = torch.full((count,), float("nan"))
            covariances = torch.full((count, 6, 6), float("nan"))
            scores = particles.volumes.mean((1, 2, 3))
            return AlignmentResult(
                Poses.identity(count), scores, covariances, nothing, torch.ones(count, dtype=torch.bool), nothing
            )

        return align
'''


@pytest.fixture
def own_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder holds ``mymethods/`` and ``conf/method/still.yaml``."""
    package = tmp_path / "mymethods"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "still.py").write_text(_METHOD)
    (tmp_path / "conf" / "method").mkdir(parents=True)
    (tmp_path / "conf" / "method" / "still.yaml").write_text(
        "_target_: mymethods.still.Still\nstrength: 1.0\nrounds: 2\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path
