"""The kernel for GPUs where there is none: by Triton's interpreter, and compiled for cards that are not there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton", reason="torch brings Triton on Linux only")

from block_sum_checks import assert_close_by_component, of_two_maps, single_precision
from fourier_problems import single

from torchsag.likelihood import fourier_blocks
from torchsag.likelihood.fourier_blocks import block_sums, reference_block_sums
from torchsag.likelihood.fourier_triton import compiled_for, triton_block_sums

INTERPRETED = Path(__file__).with_name("interpreted_triton.py")


def interpret(tmp_path, *chosen):
    """Run the interpreted tests in a process of their own."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "TRITON_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", str(INTERPRETED), *chosen]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stdout + run.stderr


def test_interpreted_it_is_the_reference(tmp_path):
    interpret(tmp_path, "-k", "(reference and 5-16-7) or interpreted")


@pytest.mark.slow
def test_interpreted_it_holds_in_every_corner(tmp_path):
    interpret(tmp_path)


def usage(kernel, folder):
    """What the assembled kernel takes of a multiprocessor, as the toolkit's own tool reads it out."""
    import triton

    cubin = folder / "kernel.cubin"
    cubin.write_bytes(kernel.asm["cubin"])
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    text = subprocess.run([tool, "--dump-resource-usage", cubin], capture_output=True, text=True, check=True).stdout
    fields = text.split("REG:")[1].split()
    return dict(part.split(":") for part in ("REG:" + " ".join(fields)).split() if ":" in part)


@pytest.mark.parametrize("capability", [80, 90])
def test_it_compiles_without_a_card_and_keeps_all_in_registers(capability, tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = compiled_for(capability)
    assert f".target sm_{capability}" in kernel.asm["ptx"]
    used = usage(kernel, tmp_path)
    assert used["STACK"] == used["LOCAL"] == "0"  # nothing spilled
    assert int(used["REG"]) <= 128  # sixteen warps at once


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90, 100])
@pytest.mark.parametrize(("lanes", "warps"), [(32, 1), (128, 4)])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_every_form_of_it_compiles(capability, order, lanes, warps, tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    used = usage(compiled_for(capability, order, lanes, warps, several=True), tmp_path)
    assert used["STACK"] == used["LOCAL"] == "0"
    assert int(used["REG"]) <= 128


def test_without_a_gpu_triton_is_not_taken(monkeypatch, caplog):
    """The log says once why."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.setattr(fourier_blocks, "_can_use_triton", fourier_blocks._can_use_triton.__wrapped__)
    assert not fourier_blocks._can_use_triton()
    assert "Triton cannot be used here" in caplog.text


def on_the_gpu(table, band, observed, poses, particle):
    """A problem in single precision there."""
    there = type(band).of(band.box, band.max_shell, band.num_blocks, "cuda")
    parts = {name: getattr(single(observed), name).to("cuda") for name in ("data", "weights", "weight_index")}
    seen = type(observed)(**parts, power=observed.power.float().cuda(), support=observed.support.float().cuda())
    return table.to("cuda", torch.float32), there, seen, poses.to(torch.float32).to("cuda"), particle.to("cuda")


@pytest.mark.gpu
@pytest.mark.parametrize(("blocks", "box", "shell"), [(1, 16, 6), (5, 16, 7), (40, 17, 7), (8, 64, 24)])
def test_compiled_it_is_the_reference(blocks, box, shell):
    problem = single_precision(blocks, box=box, shell=shell)
    terms = torch.arange(blocks).flip(0)
    found = triton_block_sums(*on_the_gpu(*problem), terms)
    assert_close_by_component(found.cpu(), reference_block_sums(*problem, terms))


@pytest.mark.gpu
def test_it_is_what_a_gpu_takes_and_always_the_same():
    problem = on_the_gpu(*single_precision(8, box=32, shell=12))
    terms = torch.arange(8)
    assert fourier_blocks._can_use_triton()
    raw = triton_block_sums(*problem, terms)
    assert torch.equal(block_sums(*problem, terms).cross, raw[..., 0])
    assert all(torch.equal(triton_block_sums(*problem, terms), raw) for _ in range(5))
    for order, sums in ((0, 2), (1, 14)):
        low = triton_block_sums(*problem, terms, order)
        torch.testing.assert_close(low, raw[..., :sums], rtol=1e-5, atol=1e-5 * float(raw.abs().max()))


@pytest.mark.gpu
def test_on_a_gpu_what_does_not_exist_is_no_number():
    table, band, observed, poses, _ = on_the_gpu(*single_precision(2, count=4))
    astray = torch.tensor([0, 3, -1, 2], device="cuda")  # of three particles
    found = triton_block_sums(table, band, observed, poses, astray, torch.tensor([0, 2]))
    assert found[[0, 3], 0].isfinite().all()
    assert found[[1, 2]].isnan().all()
    assert found[:, 1].isnan().all()


@pytest.mark.gpu
def test_on_a_gpu_each_particle_is_compared_with_its_own_map():
    both, (band, observed, poses, particle), _, _ = of_two_maps()
    expected = reference_block_sums(both, band, observed, poses, particle, torch.arange(4))
    table, there, seen, at, rows = on_the_gpu(both, band, observed, poses, particle)
    seen = type(seen)(**{**vars(seen), "maps": observed.maps.cuda()})
    assert_close_by_component(triton_block_sums(table, there, seen, at, rows, torch.arange(4)).cpu(), expected)
