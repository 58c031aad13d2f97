import sys

import pytest
import torch
from omegaconf import OmegaConf

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.app.catalogue import command_keys
from torchsag.app.components import build
from torchsag.app.composition import compose_command
from torchsag.app.machinery import refuse_foreign_machinery
from torchsag.app.main import main
from torchsag.errors import InputError
from torchsag.evaluation import RemoveCommonTransform

FRAME = "torchsag.evaluation.pose_errors.RemoveCommonTransform"


def test_builds_nested_components():
    built = build({"frame": {"_target_": FRAME}, "numbers": [1, 2], "text": {"a": 1}})
    assert built == {"frame": RemoveCommonTransform(), "numbers": [1, 2], "text": {"a": 1}}
    assert type(built["numbers"]) is list
    assert type(built["text"]) is dict


def test_torch_optimizers_are_allowed():
    partial = build({"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.5})
    optimizer = partial([torch.zeros(1, requires_grad=True)])
    assert isinstance(optimizer, torch.optim.Adam)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "torch.load",
        "torch.optimx.Adam",
        "torchsagx.evil",
        "torchsag.app.single_run.os.system",
        "torchsag.app.main.sys.exit",
        "torchsag.runs.provenance.version",
        "torchsag.io.write_map",  # functions and methods of torchsag itself
        "torchsag.runs.output_folder.publish",
        "torchsag.runs.checkpoint.Checkpoint.remove",
        "torchsag.app.main.main",
        "torchsag.app.targets.locate",
        "torchsag.runs.provenance.Provenance",  # a class, but no component
        "torch.optim.Optimizer.load_state_dict",
        "torch.optim.lr_scheduler.LambdaLR",
        "${oc.env:HOME}",
        "torchsag..align",
        "",
        None,
        5,
    ],
)
def test_other_targets_are_refused_before_they_run(target):
    for node in ({"_target_": target}, {"_target_": target, "_partial_": True}, [{"deep": {"_target_": target}}]):
        with pytest.raises(InputError, match=r"_target_: expected (one of torchsag's components|a class|an optimizer)"):
            build({"method": node}, ("torchsag", "torch", "os"))


@pytest.fixture
def harmless(tmp_path, monkeypatch):
    """A package whose import, function and class leave a mark each."""
    marks = tmp_path / "marks"
    marks.mkdir()
    text = f"""
from dataclasses import dataclass
from os import system
from pathlib import Path
from collections import Counter
MARKS = Path({str(marks)!r})
(MARKS / "imported").touch()
def function(*_, **__): (MARKS / "called").touch()
@dataclass(frozen=True)
class Thing:
    size: int = 1
    def method(self): (MARKS / "called").touch()
"""
    (tmp_path / "harmlesspackage.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("harmlesspackage", None)
    return marks


def test_nothing_is_imported_before_the_user_allows_it(harmless):
    with pytest.raises(InputError, match=r"add allow=\[harmlesspackage\]"):
        build({"a": {"_target_": "harmlesspackage.Thing"}})
    assert not list(harmless.iterdir())


@pytest.mark.parametrize(
    "node",
    [
        {"_target_": "harmlesspackage.function"},
        {"_target_": "harmlesspackage.function", "_partial_": True},
        {"_target_": "harmlesspackage.Thing.method"},
        {"_target_": "harmlesspackage.system", "command": "true"},
        {"_target_": "harmlesspackage.Counter"},
        {"_target_": "harmlesspackage.Thing", "_args_": [3]},
        {"_target_": "harmlesspackage.Thing", "_partial_": True},
        {"_target_": "harmlesspackage.Thing", "size": {"_target_": "harmlesspackage.function"}},
        {"_target_": "harmlesspackage.Thing", "size": "${oc.create:{_target_:harmlesspackage.function}}"},
    ],
)
def test_allowing_a_package_allows_its_classes_and_no_calls(harmless, node):
    with pytest.raises(InputError):
        build({"a": [{"b": node}]}, ("harmlesspackage",))
    assert not (harmless / "called").exists()


@pytest.mark.parametrize("target", ["os.system", "torchsag.io.write_map", "torch.load", "builtins.eval"])
def test_advice_is_given_only_where_it_would_help(target):
    with pytest.raises(InputError) as refusal:
        build({"a": {"_target_": target}})
    assert "allow=" not in str(refusal.value)


def test_values_are_not_read_a_second_time():
    text = "${oc.env:HOME}"
    assert (
        build({"_target_": "torchsag.runs.map_structure.MapFile", "path": text, "voxel_size_angstrom": None}).path
        == text
    )


def test_a_command_is_no_component(tmp_path):
    demo = {"_target_": "torchsag.workflows.duplicates.Duplicates", "particles": "p", "out": str(tmp_path / "x")}
    align = compose_command("align", ["particles=p", "reference=r", f"out={tmp_path / 'out'}"])
    with pytest.raises(InputError, match=r"report\._target_: expected a component, got .* which is a command"):
        build({k: v for k, v in align.items() if k not in ("allow", "threads")} | {"report": demo})


def test_a_yaml_cannot_swap_the_command(tmp_path, monkeypatch, capsys):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "swap.yaml").write_text(
        "# @package _global_\n_target_: torchsag.workflows.demo.Demo\nallow: [harmlesspackage]\n"
    )
    (tmp_path / "a.star").write_text("")
    words = ["convert", f"in={tmp_path}/a.star", "out=b.star", f"hydra.searchpath=[file://{tmp_path}]"]
    words.append("+experiment=swap")
    assert main(words) == 2
    assert "expected the command convert" in capsys.readouterr().err


@pytest.mark.parametrize(
    "hydra",
    [
        "callbacks: {x: {_target_: harmlesspackage.function}}",
        "launcher: {_target_: harmlesspackage.function}",
        "job_logging: {formatters: {x: {(): harmlesspackage.function}}}",
        "sweeper: {params: {hydra.job_logging: 1}}",
    ],
)
def test_a_yaml_cannot_change_hydras_machinery(harmless, tmp_path, capsys, hydra):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "evil.yaml").write_text(f"# @package _global_\nhydra:\n  {hydra}\n")
    words = ["convert", "-m", "in=a.star", "to=b.star,c.star", f"hydra.searchpath=[file://{tmp_path}]"]
    assert main([*words, f"+out={tmp_path / 'out'}", "+experiment=evil"]) == 2
    assert not list(harmless.iterdir())
    assert "hydra" in capsys.readouterr().err


def test_a_yaml_cannot_run_shell_commands_but_the_user_can():
    config = OmegaConf.create({"hydra": {"launcher": {"setup": ["true"]}}})
    with pytest.raises(InputError, match="no shell commands"):
        refuse_foreign_machinery(config, [])
    refuse_foreign_machinery(config, ["hydra.launcher.setup"])


@pytest.mark.parametrize(
    ("where", "target"),
    [
        # Homes that a launcher or sweeper may have, in places where hydra would make anything of them.
        ("hydra.sweeper.sampler", "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"),
        ("hydra.sweeper.extra", "hydra_plugins.anything.Thing"),
        ("hydra.launcher.nested", "hydra_plugins.anything.Thing"),
        ("hydra.sweeper.sampler", "optuna.samplers.TPESampler.hyperopt_parameters"),
        ("hydra.launcher", "optuna.samplers.TPESampler"),
    ],
)
def test_a_yaml_may_name_hydras_own_classes_in_their_own_places_only(where, target):
    config = OmegaConf.create({})
    OmegaConf.update(config, f"{where}._target_", target, force_add=True)
    with pytest.raises(InputError, match="hydra's own launchers and sweepers"):
        refuse_foreign_machinery(config, [])
    refuse_foreign_machinery(config, [where])  # as typed by the user


@pytest.mark.parametrize(
    ("where", "target"),
    [
        ("hydra.sweeper", "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"),
        ("hydra.launcher", "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"),
        ("hydra.sweeper.sampler", "optuna.samplers.TPESampler"),
    ],
)
def test_a_yaml_may_choose_a_launcher_a_sweeper_and_a_sampler(where, target):
    config = OmegaConf.create({})
    OmegaConf.update(config, f"{where}._target_", target, force_add=True)
    refuse_foreign_machinery(config, [])


def test_a_yaml_cannot_grant_itself_a_package_in_a_sweep(harmless, tmp_path, capsys):
    (tmp_path / "experiment").mkdir()
    text = (
        "# @package _global_\nhydra: {sweeper: {params: {allow: '[harmlesspackage]'}}}\n"
        "weighting: {_target_: harmlesspackage.Thing}\n"
    )
    (tmp_path / "experiment" / "evil.yaml").write_text(text)
    (tmp_path / "a.star").write_text("")
    words = ["duplicates", "-m", f"particles={tmp_path}/a.star", "voxel_size_angstrom=1,2"]
    assert (
        main([*words, f"hydra.searchpath=[file://{tmp_path}]", f"out={tmp_path.parent}/sweep", "+experiment=evil"]) == 2
    )
    assert not list(harmless.iterdir())
    assert "add allow=[harmlesspackage]" in capsys.readouterr().err


def test_users_package_needs_to_be_named(own_project):
    recipe = {"_target_": "mymethods.still.Still", "strength": 2}
    with pytest.raises(InputError, match=r"add allow=\[mymethods\]"):
        build(recipe)
    assert build(recipe, ("mymethods",)).strength == 2


def test_unimportable_target():
    with pytest.raises(InputError, match="cannot import"):
        build({"_target_": "nosuchpackage.nowhere.Thing"}, ("nosuchpackage",))


def test_misspelt_class_gets_a_suggestion(own_project):
    with pytest.raises(InputError, match=r"mymethods.still has no 'Stil'; did you mean 'Still'\?"):
        build({"_target_": "mymethods.still.Stil"}, ("mymethods",))


def test_unknown_field_and_wrong_type(own_project):
    still = {"_target_": "mymethods.still.Still"}
    with pytest.raises(InputError, match=r"'a\.strenght'; did you mean 'strength'"):
        build({"a": {**still, "strenght": 1}}, ("mymethods",))
    with pytest.raises(InputError, match=r"a\.rounds: expected int, got 'many'"):
        build({"a": {**still, "rounds": "many"}}, ("mymethods",))
    with pytest.raises(InputError, match=r"a\.rounds: expected int, got True"):
        build({"a": {**still, "rounds": True}}, ("mymethods",))
    with pytest.raises(InputError, match=r"a\.strength: expected float, got None"):
        build({"a": {**still, "strength": None}}, ("mymethods",))


def test_a_components_own_refusal_arrives_as_its_sentence(own_project):
    with pytest.raises(InputError, match=r"^still: expected strength above 0, got -1.0$"):
        build({"a": {"_target_": "mymethods.still.Still", "strength": -1}}, ("mymethods",))


def test_a_missing_field_is_named():
    with pytest.raises(InputError, match=r"structure\.path: expected a value for MapFile, got none"):
        build({"structure": {"_target_": "torchsag.runs.map_structure.MapFile"}})


@pytest.mark.parametrize(
    ("command", "word", "expected"),
    [
        ("average", "method.information=2", "method.information: expected a part above 0"),
        ("average", "local_method.information=2", "local_method.information: expected a part above 0"),
        ("classify", "alignment.information=2", "alignment.information: expected a part above 0"),
        ("average", "method.search.degree=1", "method.search.degree: expected 2 to 64"),
        ("simulate", "snr=0", "snr: expected a number above 0"),
        ("simulate", "pipeline.snr=0", "pipeline.snr: expected a number above 0"),
    ],
)
def test_refusals_of_nested_components_name_the_key_that_was_typed(command, word, expected):
    words = [word, "out=o"] if command == "simulate" else [word, "particles=p", "out=o"]
    with pytest.raises(InputError) as refusal:
        build(compose_command(command, words), (), command_keys(command))
    assert str(refusal.value).startswith(expected)


def test_a_component_made_in_python_names_its_field_alone():
    with pytest.raises(InputError, match=r"^information: expected a part above 0"):
        CurvatureSAGAligner(information=2.0)
