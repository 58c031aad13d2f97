"""Particles to spoil; the campaigns themselves stand in ``experiments/campaigns``."""

import shutil
import sys
from pathlib import Path

import pytest
from small_data import write_set

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments" / "campaigns"))


@pytest.fixture(scope="module")
def particles(request, tmp_path_factory):
    """A folder with as many particles as the module's `COUNT` says, their list and their reference."""
    folder = tmp_path_factory.mktemp("particles")
    write_set(folder, request.module.COUNT)
    return folder


@pytest.fixture
def fresh(particles, tmp_path):
    """A copy of it to spoil."""
    shutil.copytree(particles, tmp_path / "p")
    return tmp_path / "p"
