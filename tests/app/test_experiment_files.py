"""Settings of one's own in a yaml, and what such a yaml may not do."""

import pytest

from torchsag.app.composition import compose_command
from torchsag.app.experiment_files import expand_experiment_files
from torchsag.app.main import main
from torchsag.errors import InputError

SMALL = ["n=2", "box=16", "voxel_size_angstrom=24", "out=out", "device=cpu", "threads=1", "~report"]


def composed(command, *words):
    return compose_command(command, expand_experiment_files(command, ["out=o", *words]))


def test_a_file_sets_keys_and_components(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(
        "defaults:\n  - /method@methods.basic: sag_basic\n  - override /trials: listed\n"
        "seed: 5\ntrials: {particles: p.star, reference: r.mrc}\nmethods: {basic: {max_candidates: 2}}\n"
    )
    config = composed("compare", "experiment=mine.yaml", "symmetry=C2")
    assert (config["seed"], config["symmetry"], config["trials"]["particles"]) == (5, "C2", "p.star")
    assert config["methods"]["basic"]["max_candidates"] == 2
    assert composed("compare", "experiment=mine.yaml", "seed=6")["seed"] == 6


def test_any_command_takes_such_a_file(tmp_path):
    path = tmp_path / "near.yml"
    path.write_text("defaults:\n  - override /method: chen_frm\nchunk: 3\n")
    config = composed("align", f"experiment={path}", "particles=p", "reference=r")
    assert config["chunk"] == 3
    assert config["method"]["_target_"].endswith(".ChenFRM")


def test_two_files_are_two_jobs(tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text("seed: 1\n")
    words = expand_experiment_files("compare", [f"experiment={tmp_path}/one.yaml,{tmp_path}/two.yaml"])
    assert words == ["experiment=one,two"]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("none.yaml", None, "no such file"),
        ("table1.yaml", "seed: 1\n", "one of torchsag's own experiments"),
        ("list.yaml", "- 1\n", "holds something else"),
        ("broken.yaml", "a: [\n", "cannot be read"),
        ("object.yaml", "a: !!python/object/apply:os.getcwd []\n", "cannot be read"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, name, text, expected):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=expected):
        expand_experiment_files("compare", [f"experiment={tmp_path / name}"])


@pytest.mark.parametrize("several", [[], ["-m", "seed=1,2"]], ids=["run", "sweep"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("methods: {sag: {_target_: os.system, command: touch owned}}\n", "expected one of torchsag's components"),
        ("allow: [mymethods]\nmethods: {sag: {_target_: mymethods.still.Still}}\n", "add allow=[mymethods]"),
        ("hydra: {callbacks: {own: {_target_: mymethods.calls.Calls}}}\n", "expected a callback of a package named"),
        ("hydra: {searchpath: ['file://conf']}\n", "hydra.searchpath"),
    ],
)
def test_a_file_cannot_run_anything(own_project, capsys, text, expected, several):
    (own_project / "sly.yaml").write_text(text)
    assert main(["compare", *SMALL, "experiment=sly.yaml", *several]) == 2
    assert expected in capsys.readouterr().err
    assert not (own_project / "owned").exists()


@pytest.mark.parametrize(
    "text",
    [
        "hydra: {launcher: {_target_: os.system}}\n",
        "hydra: {sweeper: {_target_: subprocess.Popen}}\n",
    ],
)
def test_a_sweep_of_a_file_cannot_bring_its_own_launcher(own_project, capsys, text):
    (own_project / "sly.yaml").write_text(text)
    assert main(["compare", *SMALL, "experiment=sly.yaml", "-m", "seed=1,2"]) == 2
    assert "hydra's own launchers and sweepers" in capsys.readouterr().err
