import pytest

from torchsag.app.composition import compose_command
from torchsag.app.main import main
from torchsag.app.method_choice import choose_methods
from torchsag.errors import InputError


def methods(*words):
    return list(compose_command("compare", choose_methods("compare", ["out=o", *words]))["methods"])


def test_a_list_chooses_what_is_compared():
    assert methods("methods=[chen_frm,sag]") == ["sag", "chen_frm"]
    assert methods("methods=sag") == ["sag"]
    assert set(methods("methods=[sag,sag_basic]")) == {"sag", "sag_basic"}


def test_a_list_beside_an_experiment_and_names_of_ones_own():
    assert set(methods("experiment=table1", "methods=[sag_basic,sag]")) == {"sag", "sag_basic"}
    assert set(methods("experiment=losses", "methods=[student_t,sag]")) == {"student_t", "sag"}
    words = ("+method@methods.mine=sag", "methods=[mine,chen_frm]", "methods.mine.max_candidates=3")
    assert set(methods(*words)) == {"mine", "chen_frm"}


def test_methods_are_left_out_by_key_or_by_component():
    every = set(methods())
    assert set(methods("~methods.sag")) == every - {"sag"}
    assert set(methods("~method@methods.sag", "~methods.chen_frm")) == every - {"sag", "chen_frm"}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("methods=[sag],[chen_frm]", "method=a,b runs one job for each"),
        ("methods=[]", "expected the names of methods"),
        ("methods=[1]", "expected the names of methods"),
    ],
)
def test_what_is_no_list_of_names_is_refused(word, expected):
    with pytest.raises(InputError, match=expected):
        choose_methods("compare", ["out=o", word])


def test_a_method_that_is_added_and_not_listed_is_not_dropped_silently():
    with pytest.raises(InputError, match=r"which \+method@methods\.mine=sag adds; write methods=\[chen_frm,mine\]"):
        choose_methods("compare", ["out=o", "methods=[chen_frm]", "+method@methods.mine=sag"])


def test_a_method_that_there_is_not(capsys):
    assert main(["compare", "out=o", "methods=[sagg]"]) == 2
    assert "did you mean 'sag'?" in capsys.readouterr().err


def test_other_commands_have_no_such_word(capsys):
    assert choose_methods("align", ["methods=[a]"]) == ["methods=[a]"]
