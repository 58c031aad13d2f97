"""Words that belong to some jobs of a sweep only; nothing is run."""

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode

from torchsag.app.composition import hydra_ready, parse
from torchsag.app.sweep_words import SweepLoader, key_of, partial_words

SWEPT = ["out=o", "particles=p", "reference=r", "method=sag,candidate_refinement,chen_frm"]


def loaded(words, command="align"):
    """The loader of a sweep, the words without a place, and a function that composes a job."""
    with hydra_ready():
        loader = SweepLoader(GlobalHydra.instance().hydra.config_loader.get_search_path(), words)
        left = loader.without_place(command, words)
    return loader, left


def job(loader, words):
    return loader.load_configuration("align", words, RunMode.RUN)


def test_a_word_goes_to_the_jobs_whose_component_has_it():
    words = [*SWEPT, "method.max_passes=7"]
    loader, left = loaded(words)
    assert left == []
    with_it = job(loader, ["out=o", "method=sag", "method.max_passes=7"])
    assert with_it.method.max_passes == 7
    without = job(loader, ["out=o", "method=chen_frm", "method.max_passes=7"])
    assert "max_passes" not in without.method
    assert list(without.hydra.overrides.task) == ["out=o", "method=chen_frm"]


def test_the_sweep_itself_composes_and_keeps_every_word():
    words = [*SWEPT, "method.max_passes=7"]
    loader, _ = loaded(words)
    master = loader.load_configuration("align", words, RunMode.MULTIRUN)
    assert list(master.hydra.overrides.task) == words


def test_a_component_within_a_component_and_its_own_words():
    words = [*SWEPT, "loss@method.loss=student_t", "method.loss.scale=3"]
    loader, left = loaded(words)
    assert left in ([], ["method.loss.scale=3"])
    config = job(loader, ["out=o", "method=sag", "loss@method.loss=student_t"])
    assert config.method.loss._target_.endswith("StudentT")
    assert "loss" not in job(loader, ["out=o", "method=chen_frm", "loss@method.loss=student_t"]).method


def test_a_word_that_no_component_has_is_found():
    assert loaded([*SWEPT, "method.max_passses=7"])[1] == ["method.max_passses=7"]
    assert loaded([*SWEPT, "method.max_passses=7,8", "method.max_passes=3"])[1] == ["method.max_passses=7,8"]


def test_a_component_that_does_not_exist_is_not_taken_for_one_without_a_place():
    with pytest.raises(HydraException, match="studnt"):
        loaded([*SWEPT, "loss@method.loss=studnt"])


def test_only_words_within_what_varies_are_partial():
    def found(*words):
        return [key_of(word) for word in partial_words(parse(words))]

    assert found("method=sag,chen_frm", "method.x=1", "seed=1", "methods.sag.x=1", "+method.y=1") == ["method.x"]
    assert found("method=sag", "method.x=1") == []
    assert found("experiment=table1,table2", "methods.sag.x=1") == ["methods.sag.x"]
    assert found("loss@method.loss=a,b", "method.loss.x=1", "method.x=1") == ["method.loss.x"]
