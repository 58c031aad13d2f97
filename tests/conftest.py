"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest
import torch

pytest_plugins = ["placed_blobs"]


@pytest.fixture(scope="session", autouse=True)
def _single_threaded():
    """Small tensors: threads only make the tests slower and their sums order-dependent."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Public particles, structures and metadata that are not part of the package."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("TORCHSAG_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"test data not found at {folder}; set TORCHSAG_TEST_DATA")
    return folder
