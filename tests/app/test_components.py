import pytest
import torch

from torchsag.app.components import build
from torchsag.errors import InputError
from torchsag.evaluation import RemoveCommonTransform
from torchsag.runs.outcome import Outcome

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
    ],
)
def test_other_targets_are_refused_before_they_run(target):
    with pytest.raises(InputError, match=r"method\._target_: expected something in torchsag, torch\.optim"):
        build({"method": {"_target_": target}})


def test_users_package_needs_to_be_named(own_project):
    recipe = {"_target_": "mymethods.still.Still", "strength": 2}
    with pytest.raises(InputError, match=r"add allow=\[mymethods\]"):
        build(recipe)
    assert build(recipe, ("mymethods",)).strength == 2


def test_unimportable_target():
    with pytest.raises(InputError, match="cannot import"):
        build({"_target_": "torchsag.nowhere.Thing"})


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


def test_a_string_where_text_is_meant():
    assert build({"_target_": "torchsag.runs.outcome.Outcome", "title": "t"}) == Outcome("t")
