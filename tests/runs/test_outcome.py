from torchsag.runs.outcome import files_made


def test_files_that_are_there_are_named_the_page_first(tmp_path):
    for name in ("average.mrc", "report.html"):
        (tmp_path / name).touch()
    names = ("average.mrc", "poses.star")
    assert files_made(tmp_path, names) == (str(tmp_path / "report.html"), str(tmp_path / "average.mrc"))
    (tmp_path / "report.html").unlink()
    assert files_made(tmp_path, names) == (str(tmp_path / "average.mrc"),)
