"""Freed memory is used again without going to the operating system and back."""

import subprocess
import sys

import pytest

from torchsag.allocation import keep_freed_memory

_SCRIPT = """
import resource, sys
from torchsag.allocation import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    bytearray(b"x") * 2**25
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(how):
    return int(subprocess.run([sys.executable, "-c", _SCRIPT, how], check=True, capture_output=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's own")
def test_a_block_that_was_freed_is_not_cleared_again():
    if not keep_freed_memory():
        pytest.skip("another C library than glibc")
    assert _faults("kept") < 0.5 * _faults("as ever")


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert not keep_freed_memory()
