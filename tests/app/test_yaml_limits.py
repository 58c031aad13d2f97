"""A yaml of a few lines that stands for terabytes is refused before it is believed."""

import pytest

from torchsag.app.composition import compose_command
from torchsag.app.main import main
from torchsag.app.yaml_limits import LARGEST_FILE, require_bounded
from torchsag.errors import InputError

ALIASES = "\n".join(
    ["a0: &a0 [1,1,1,1,1,1,1,1,1,1]", *(f"a{k}: &a{k} [{','.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 12))]
)
NESTED = "\n".join(["a0: xxxxxxxxxx", *(f"a{k}: {f'${{method.a{k - 1}}}' * 10}" for k in range(1, 12))])


@pytest.fixture
def told(tmp_path):
    """The words of a command that takes a method from a yaml with this text."""

    def write(text):
        (tmp_path / "method").mkdir()
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "method" / "mine.yaml").write_bytes(content)
        return [
            "align",
            "particles=x",
            "reference=y",
            f"out={tmp_path / 'out'}",
            "method=mine",
            f"hydra.searchpath=[{tmp_path}]",
        ]

    return write


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ALIASES, "expected no aliases"),
        (NESTED, "with its interpolations filled in"),
        ("a: " + "x" * LARGEST_FILE, "at most"),
        (b"a: \xff\xfe\x00", "UTF-8"),
        ("a: [1, 2", "cannot be read as yaml"),
        ("a: " + "[" * 2000 + "]" * 2000, "cannot be read as yaml"),
        ("a: !!python/object/apply:os.system ['true']", "cannot be read as yaml"),
    ],
    ids=["aliases", "interpolations", "large", "bytes", "damaged", "deep", "tags"],
)
def test_a_yaml_beyond_the_limits_is_refused_in_one_sentence(told, capfd, text, message):
    assert main(told(text)) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert message in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ALIASES, "expected no aliases"),
        (NESTED.replace("method.", ""), "with its interpolations filled in"),
        ("a: " + "x" * LARGEST_FILE, "at most"),
        ("a: " + "[" * 2000 + "]" * 2000, "nested too deeply"),
        ("\n".join(" " * k + "b:" for k in range(700)) + " 1", "nested too deeply"),
        ("a: !!python/object/apply:os.system ['true']", "cannot be read"),
    ],
    ids=["aliases", "interpolations", "large", "deep", "steep", "tags"],
)
def test_so_is_an_experiment_file(tmp_path, capfd, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    told = ["align", "particles=x", "reference=y", f"out={tmp_path / 'out'}", f"experiment={path}"]
    assert main(told) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert message in line


def test_hydra_reads_as_before_afterwards(told):
    from omegaconf import OmegaConf

    load = OmegaConf.load
    with pytest.raises(InputError):
        compose_command("align", told(ALIASES)[1:])
    assert OmegaConf.load is load


def test_references_of_every_form_count():
    long = "x" * 2**18
    for reference in ("${a.b}", "${.b}", "${..a.b}", "${a[b]}", "${ a.b }"):
        require_bounded({"a": {"b": long}, "c": reference})
        with pytest.raises(InputError):
            require_bounded({"a": {"b": long}, "c": reference * 4})
    require_bounded({"a": "${b}", "b": "${a}"})
