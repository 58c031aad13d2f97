"""Every key is explained, once, and help shows that explanation."""

import pytest

from torchsag.app.catalogue import choices, command_names, conf_folder
from torchsag.app.explanations import (
    Key,
    attributes_of,
    commented_keys,
    documentation,
    documented_keys,
    explain,
    in_words_of_yaml,
    summary,
)
from torchsag.app.main import main

NAMES = sorted(path.relative_to(conf_folder()).with_suffix("").as_posix() for path in conf_folder().rglob("*.yaml"))


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("experiment/")])
def test_everything_is_explained(name):
    explained = explain(name)
    assert explained.summary
    assert [key.name for key in explained.keys if not key.meaning] == []
    assert [slot.word for slot in explained.slots if not slot.meaning] == []


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("experiment/")])
def test_no_key_is_explained_twice(name):
    """Its class says what it means, or a comment in the yaml where no class has it."""
    assert set(commented_keys(name)) & set(documented_keys(name)) == set()


def test_the_class_explains_a_key_in_words_of_yaml():
    keys = {key.name: key for key in explain("align").keys}
    assert keys["seed"] == Key("seed", "0", documentation("torchsag.workflows.align.Align")[1]["seed"])
    assert keys["voxel_size_angstrom"].meaning.endswith("null believes them.")
    assert (
        in_words_of_yaml("``None`` or True, `None`; a ``path`` of Nonesuch")
        == "null or true, null; a `path` of Nonesuch"
    )


def test_a_comment_explains_what_no_class_has():
    keys = {key.name: key for key in explain("align").keys}
    assert keys["threads"].meaning == "CPU threads; null takes all."
    assert keys["tilt_max_deg"].meaning == keys["tilt_min_deg"].meaning != ""


def test_without_a_comment_the_class_explains():
    (fraction,) = (key for key in explain("optimizer/sag_curvature").keys if key.name == "batch_fraction")
    assert fraction.meaning in documentation("torchsag.optim.sag_curvature.CurvatureSAG")[1].values()


def test_nested_keys_are_explained_by_the_class_of_their_part():
    (rate,) = (key for key in explain("pipeline/tilt_series").keys if key.name == "microscope.voltage_kv")
    assert rate.meaning == documentation("torchsag.imaging.ctf.Microscope")[1]["voltage_kv"]


def test_a_variant_is_explained_by_what_it_varies():
    variant, original = explain("method/curvature_sag_local"), explain("method/curvature_sag")
    assert variant.target == original.target
    assert variant.slots[0].meaning == original.slots[0].meaning


def test_inherited_attributes():
    inherited = documentation("torchsag.alignment.sag.SAGAligner")[1]
    assert (
        inherited["max_candidates"]
        == documentation("torchsag.alignment.candidate_refinement.CandidateRefinement")[1]["max_candidates"]
    )


def test_attributes_end_where_the_next_section_begins():
    section = "Attributes\n----------\na, b\n    First,\n    and more.\nc : int\n    Last.\n"
    text = f"Does.\n\n{section}\nNotes\n-----\nNothing.\n"
    assert attributes_of(text) == {"a": "First, and more.", "b": "First, and more.", "c": "Last."}


def test_places_take_methods_of_their_kind():
    fitting = {slot.word: set(slot.choices) for slot in explain("classify").slots}
    assert fitting["method"] == {"mco_a", "mco_exmx", "multi_reference"}
    assert fitting["method"] | fitting["method@alignment"] == set(choices("method"))
    assert fitting["method"] & fitting["method@alignment"] == set()


@pytest.mark.parametrize("command", command_names())
def test_help_of_each_component(command, capsys):
    for slot in explain(command).slots:
        for choice in slot.choices:
            assert main([command, "--help", f"{slot.word}={choice}"]) == 0
            printed = capsys.readouterr().out
            assert printed.startswith(f"{slot.word}={choice}")
            assert ("(default)" in printed.splitlines()[0]) == (choice == slot.chosen)
            for key in explain(f"{slot.word.partition('@')[0]}/{choice}").keys:
                assert " ".join(key.meaning.split()) in " ".join(printed.split())


@pytest.mark.parametrize("command", command_names())
def test_help_lists_each_choice_in_a_line_and_marks_the_default(command, capsys):
    assert main([command, "--help"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    for slot in explain(command).slots:
        for choice in slot.choices:
            mark = "(default) " if choice == slot.chosen else ""
            end = f"{mark}{summary_of(slot, choice)}"
            assert any(line.startswith(f"{choice} ") and line.endswith(end) for line in lines), choice


def summary_of(slot, choice):
    return summary(f"{slot.word.partition('@')[0]}/{choice}")


def test_a_command_offers_its_own_report_alone():
    for command in ("align", "average", "classify", "compare"):
        (report,) = (slot for slot in explain(command).slots if slot.word == "report")
        assert report.choices == (report.chosen,)


def test_help_of_what_is_not_there(capsys):
    assert main(["align", "--help", "method=sagg"]) == 2
    assert "did you mean 'sag'?" in capsys.readouterr().err
    assert main(["align", "--help", "methd=sag"]) == 2
    assert "did you mean 'method'?" in capsys.readouterr().err


def test_parts_of_components_are_explained_with_what_they_are_in(capsys):
    for words in (["method=sag", "loss@method.loss=student_t"], ["loss@method.loss=student_t", "method=sag"]):
        assert main(["align", "--help", *words]) == 0
        assert "method.loss.freedom=5.0" in capsys.readouterr().out
    assert main(["align", "--help", "optimizer@method.optimizer=saga"]) == 0  # of the default method
    assert "method.optimizer." in capsys.readouterr().out
    assert main(["align", "--help", "loss@method.loss=student_t"]) == 2
    assert "say first what it is a part of" in capsys.readouterr().err
    assert main(["align", "--help", "method=sag", "loss@method.loss=studen_t"]) == 2
    assert "did you mean 'student_t'?" in capsys.readouterr().err
