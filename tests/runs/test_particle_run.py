"""Contract of every command over a list of particles."""

from dataclasses import dataclass, fields

import pytest
import torch

from torchsag.errors import InputError
from torchsag.io import write_map
from torchsag.parallel import Serial
from torchsag.particles import DensityMap
from torchsag.runs import job
from torchsag.runs.particle_run import ParticleRun
from torchsag.runs.provenance import Provenance
from torchsag.workflows.align import Align
from torchsag.workflows.average.command import Average
from torchsag.workflows.classify.command import Classify


@dataclass(frozen=True, kw_only=True)
class Run(ParticleRun):
    """A run with one setting of its own."""

    strength: float = 1.0


@pytest.fixture
def run(tmp_path):
    write_map(tmp_path / "data/one.mrc", DensityMap(torch.rand(8, 8, 8), 5.0))
    (tmp_path / "out").mkdir()
    return {"particles": str(tmp_path / "data"), "out": str(tmp_path / "out"), "tilt_min_deg": -60, "tilt_max_deg": 60}


@pytest.mark.parametrize("kind", [Align, Average, Classify])
def test_what_may_change_when_resumed_are_settings(kind):
    assert kind.how <= {field.name for field in fields(kind)}
    assert not {"method", "symmetry", "seed", "weighting"} & kind.how


def test_another_device_or_chunk_finds_what_is_done_and_another_computation_is_refused(run):
    first = Run(**run).open_checkpoint(reference="a map")
    assert Run(**run, chunk=3, device="cuda", skip_bad=True).open_checkpoint(reference="a map") == first
    with pytest.raises(InputError, match=r"strength: 1\.0 then, 2\.0 now"):
        Run(**run, strength=2.0).open_checkpoint(reference="a map")
    with pytest.raises(InputError, match="reference: a map then, another now"):
        Run(**run).open_checkpoint(reference="another")


def test_particles_come_by_way_of_staging(run, tmp_path):
    staged = Run(**run, staging=str(tmp_path / "local")).read()
    staged.load([0])
    assert len([path for path in (tmp_path / "local").rglob("*") if path.is_file()]) == 1
    assert staged.names == Run(**run).read().names


@pytest.mark.parametrize(("change", "sentence"), [({"chunk": 0}, "chunk: expected at least 1"), ({"seed": -1}, "seed")])
def test_refuses(run, change, sentence):
    with pytest.raises(InputError, match=sentence):
        Run(**run, **change)


@dataclass(frozen=True)
class Shown:
    """A report that notes whether it was asked to show a run that goes on."""

    told: list

    def __call__(self, folder):
        raise AssertionError("not asked for")

    def running(self, folder, moment, due):
        self.told.append(moment)


@pytest.mark.parametrize("root", [True, False])
def test_one_process_alone_shows_how_far_the_run_is(run, root):
    class Rank(Serial):
        @property
        def is_root(self):
            return root

    report = Shown([])
    here = Run(**run, report=report, parallel=Rank())
    with here.logged(Provenance("align")):
        job.plan([job.Phase("aligning", 1, "alignment")])
        assert (job.current() is not None) is root
    assert len(report.told) == int(root)
    assert job.current() is None
