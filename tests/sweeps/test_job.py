import sys

from torchsag.sweeps.job import Job, alone, jobs_below, mark_of, remove_locks, take_over


def test_a_record_survives_and_a_damaged_one_is_none(tmp_path):
    job = Job("a=1", {"a": "1"}, merit=2.5, mark="m")
    job.write(tmp_path)
    assert Job.read(tmp_path / "a=1") == job
    (tmp_path / "a=1" / "job.json").write_text("{")
    assert Job.read(tmp_path / "a=1") is None
    assert Job.read(tmp_path) is None


def test_records_of_earlier_versions_are_read(tmp_path):
    (tmp_path / "job.json").write_text('{"folder": "a", "settings": {}, "error": "", "merit": null}')
    assert Job.read(tmp_path).mark == ""


def test_the_mark_follows_settings_and_files_but_not_where_results_go(tmp_path):
    path = tmp_path / "particles.star"
    path.write_text("one")
    config = {"particles": str(path), "method": {"rounds": 2}, "out": "a", "threads": 1}
    mark = mark_of(config)
    assert mark_of({**config, "out": "b", "threads": 4, "logger": {"name": "x"}}) == mark
    assert mark_of({**config, "method": {"rounds": 3}}) != mark
    path.write_text("another")
    assert mark_of(config) != mark


def test_the_mark_follows_the_code_of_the_package_a_component_is_from(tmp_path, monkeypatch):
    from torchsag.sweeps import job as module

    package = tmp_path / "ownthings"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "loss.py").write_text("a = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    __import__("ownthings")
    config, other = {"loss": {"_target_": "ownthings.loss.Loss"}}, {"loss": {"_target_": "torchsag.x.Y"}}
    before = mark_of(config), mark_of(other)
    (package / "loss.py").write_text("a = 2\n")
    module._code.cache_clear()
    assert mark_of(config) != before[0]
    assert mark_of(other) == before[1]
    del sys.modules["ownthings"]
    module._code.cache_clear()


def test_a_job_keeps_its_results_under_a_new_name(tmp_path):
    Job("method=sag", {"method": "sag"}, merit=2.0, mark="m").write(tmp_path)
    (tmp_path / "method=sag" / "metrics.json").write_text("{}")
    wanted = Job("method=sag,seed=1", {"method": "sag", "seed": "1"}, mark="m")
    (tmp_path / wanted.folder).mkdir()
    assert take_over(tmp_path, wanted) == Job(wanted.folder, wanted.settings, merit=2.0, mark="m")
    assert (tmp_path / wanted.folder / "metrics.json").exists()
    assert jobs_below(tmp_path) == [Job(wanted.folder, wanted.settings, merit=2.0, mark="m")]
    assert take_over(tmp_path, Job("a", {}, mark="other")) is None
    Job("failed", {}, "error", mark="x").write(tmp_path)
    assert take_over(tmp_path, Job("again", {}, mark="x")) is None


def test_locks_leave_nothing(tmp_path):
    with alone(tmp_path, "a=1"):
        assert any(tmp_path.iterdir())
    remove_locks(tmp_path)
    assert not any(tmp_path.iterdir())


def test_what_varied_in_one_sweep_and_was_set_in_another_is_in_all_jobs(tmp_path):
    Job("method=sag", {"method": "sag"}, known={"seed": "0", "method": "sag", "chunk": "8"}).write(tmp_path)
    Job("seed=1", {"seed": "1"}, known={"seed": "1", "method": "chen_frm"}).write(tmp_path)
    Job("margin=2", {"method.margin": "2"}, known={"seed": "0", "method": "sag"}).write(tmp_path)
    found = {job.folder: job.settings for job in jobs_below(tmp_path)}
    assert found["method=sag"] == {"method": "sag", "seed": "0"}
    assert found["seed=1"] == {"method": "chen_frm", "seed": "1"}
    assert found["margin=2"] == {"method": "sag", "seed": "0", "method.margin": "2"}
