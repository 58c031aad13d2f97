import pytest

from torchsag.app.composition import allowed_modules, compose_command, parse
from torchsag.errors import InputError

REQUIRED = ["particles=p.star", "reference=r.mrc", "out=o"]
OWN = ["hydra.searchpath=[file://conf]", "method=still", "allow=[mymethods]"]


def test_a_users_own_yaml_is_found_through_the_search_path(own_project):
    config = compose_command("align", [*REQUIRED, *OWN, "method.strength=3"])
    assert config["method"] == {"_target_": "mymethods.still.Still", "strength": 3, "rounds": 2}
    assert config["particles"] == "p.star"


def test_missing_required_keys_are_named(own_project):
    with pytest.raises(InputError, match=r"align needs out=\.\.\. reference=\.\.\."):
        compose_command("align", ["particles=p.star", *OWN])


def test_unknown_key_gets_a_suggestion(own_project):
    with pytest.raises(InputError, match=r"unknown configuration key 'symetry' for align; did you mean 'symmetry'\?"):
        compose_command("align", [*REQUIRED, *OWN, "symetry=D7"])


def test_unknown_nested_key_gets_a_suggestion(own_project):
    with pytest.raises(InputError, match=r"'method.strenght'.*did you mean 'method.strength'"):
        compose_command("align", [*REQUIRED, *OWN, "method.strenght=1"])


def test_unknown_choice_lists_what_there_is(own_project):
    with pytest.raises(InputError, match=r"method: expected one of .*still.*, got 'stil'; did you mean 'still'"):
        compose_command("align", [*REQUIRED, OWN[0], "method=stil"])


def test_unknown_choice_far_from_all_says_where_ones_own_is_looked_for(own_project):
    with pytest.raises(InputError, match=r"got 'mine'; one of your own is found in FOLDER/method/mine.yaml by 'hydra"):
        compose_command("align", [*REQUIRED, OWN[0], "method=mine"])


def test_a_word_for_nothing_says_how_to_go_without(own_project):
    with pytest.raises(InputError, match=r"^report: expected one of .*got 'none'; to go without one write ~report$"):
        compose_command("align", [*REQUIRED, OWN[0], "report=none"])
    assert "report" not in compose_command("align", [*REQUIRED, *OWN, "~report"])
    with pytest.raises(InputError, match=r"^method: expected one of .*got 'none'; one of your own is found"):
        compose_command("align", [*REQUIRED, OWN[0], "method=none"])  # which no alignment can go without


def test_several_values_need_multirun(own_project):
    with pytest.raises(InputError, match="add -m"):
        compose_command("align", [*REQUIRED, *OWN, "seed=1,2"])


def test_unreadable_word_is_quoted_back():
    with pytest.raises(InputError, match=r"cannot read 'out=\[a'"):
        parse(["out=[a"])


def test_only_the_command_line_can_allow_a_package(own_project):
    (own_project / "conf" / "method" / "sly.yaml").write_text(
        "# @package _global_\nallow: [os]\nmethod:\n  _target_: os.system\n  command: echo\n"
    )
    words = [*REQUIRED, OWN[0], "method=sly"]
    assert compose_command("align", words)["allow"] in ([], ["os"])
    assert allowed_modules(parse(words)) == ()
    assert allowed_modules(parse([*words, "allow=[mymethods]"])) == ("mymethods",)
    assert allowed_modules(parse(["allow=mymethods"])) == ("mymethods",)
