import pytest

from torchsag.app.flags import Flags, read_flags, with_config_dir
from torchsag.app.main import main
from torchsag.errors import InputError


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a=1", "-m", "b=2"], Flags(("a=1", "b=2"), several=True)),
        (["--multirun", "--run"], Flags()),
        (["--cfg", "job", "a=1"], Flags(("a=1",), cfg="job")),
        (["-c", "all", "--resolve", "-p", "method"], Flags(cfg="all", resolve=True, package="method")),
        (["--cfg=hydra", "--package=x"], Flags(cfg="hydra", package="x")),
        (["--info", "a=1"], Flags(("a=1",), info="all")),
        (["-i", "defaults-tree"], Flags(info="defaults-tree")),
        (["--info=plugins"], Flags(info="plugins")),
        (["--unknown"], Flags(("--unknown",))),
    ],
)
def test_flags_stand_anywhere_and_take_values_as_in_hydra(words, expected):
    assert read_flags(words) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--cfg"], "--cfg: expected a value behind it"),
        (["--cfg", "jobs"], "--cfg: expected one of job, hydra, all, got 'jobs'"),
        (["--info=nothing"], "--info: expected one of all, config"),
        (["--package", "method"], "expected --cfg with them"),
        (["--config-dir", "nowhere"], "--config-dir: expected a folder of yaml files, got nowhere"),
        (["--config-name", "x"], "--config-name: expected none of this flag"),
    ],
)
def test_slips_in_flags_are_told(words, expected):
    with pytest.raises(InputError, match=expected):
        read_flags(words)


def test_a_folder_of_yaml_files_joins_those_that_are_searched_already(tmp_path):
    added = f"'file://{tmp_path}'"
    assert with_config_dir(["a=1"], None) == ["a=1"]
    assert with_config_dir(["a=1"], str(tmp_path)) == ["a=1", f"hydra.searchpath=[{added}]"]
    assert with_config_dir(["hydra.searchpath=[file://b]"], str(tmp_path)) == [f"hydra.searchpath=[file://b,{added}]"]


def test_a_configuration_is_shown_and_not_run(own_project, capsys):
    words = ["compare", "out=o", "--config-dir", "conf", "method=still", "seed=7", "--cfg", "job"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "seed: 7\n" in printed
    assert "  _target_: mymethods.still.Still\n" in printed
    assert main([*words, "--package", "method"]) == 0
    assert capsys.readouterr().out == ("# @package method\n_target_: mymethods.still.Still\nstrength: 1.0\nrounds: 2\n")
    assert main(["align", "out=o", "particles=p", "--cfg=job", "--resolve", "-p", "method.optimizer"]) in (0, 2)
    assert not (own_project / "o").exists()


def test_where_a_configuration_comes_from(own_project, capsys):
    assert main(["compare", "out=o", "--config-dir=conf", "--info", "searchpath"]) == 0
    assert str(own_project / "conf") in capsys.readouterr().out
    assert main(["compare", "out=o", "--info", "defaults"]) == 0
    assert "method/sag" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--cfg", "job", "-p", "nonsense"], "--package: expected a part of what --cfg job shows for compare"),
        (["--cfg", "job", "seed=1,2"], "add -m"),
        (["--cfg", "job", "sede=1"], "did you mean 'seed'"),
        (["--info", "config", "method=sagg"], "method: expected one of"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(own_project, capsys, words, expected):
    assert main(["compare", "out=o", *words]) == 2
    captured = capsys.readouterr()
    assert expected in captured.err
    assert captured.err.count("\n") == 1


def test_a_part_may_be_called_by_its_short_word(capsys):
    assert main(["compare", "out=x", "snr=0.5", "--cfg", "job", "--package", "snr"]) == 0
    assert capsys.readouterr().out == "0.5\n"
    assert main(["compare", "out=x", "--cfg", "job", "--package", "structure"]) == 0
    assert capsys.readouterr().out.startswith("# @package trials.structure\n_target_: ")
