"""Whatever stands in ``conf/`` composes, builds and lists every field; nobody needs to edit this file."""

import dataclasses
import re
from functools import cache

import pytest
from hydra import compose
from hydra.utils import get_object
from omegaconf import OmegaConf

from torchsag.app.catalogue import choices, command_keys, command_names, conf_folder
from torchsag.app.components import build
from torchsag.app.composition import compose_command, hydra_ready
from torchsag.app.shorthands import expand_shorthands

GROUPS = sorted(path.name for path in conf_folder().iterdir() if path.is_dir() and choices(path.name))
GROUPS.remove("experiment")  # these set keys of a command and are no components
COMPONENTS = [(group, name) for group in GROUPS for name in choices(group)]
PROCESS = {"allow", "threads", "in"}
EVERY_YAML = "".join(path.read_text() for path in conf_folder().rglob("*.yaml"))


@cache
def config_of(path):
    with hydra_ready():
        config = compose(config_name=path)
    for key in path.split("/")[:-1]:
        config = config[key]
    return config


def without_missing(node):
    """A stand-in for values that the user must give."""
    if isinstance(node, dict):
        return {key: without_missing(value) for key, value in node.items()}
    return "given" if node == "???" else node


def check_fields(node):
    if isinstance(node, dict):
        if "_target_" in node:
            target = get_object(node["_target_"])
            if dataclasses.is_dataclass(target):
                fields = {field.name for field in dataclasses.fields(target) if field.init}
                assert set(node) - {"_target_"} == fields, node["_target_"]
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            check_fields(value)


@pytest.mark.parametrize(("group", "name"), COMPONENTS)
def test_component_builds_and_lists_every_field(group, name):
    raw = OmegaConf.to_container(config_of(f"{group}/{name}"), resolve=False)
    # Below a key of its own, as in a command: at the top, ${oc.select:seed,0} would refer to itself.
    plain = OmegaConf.to_container(OmegaConf.create({group: without_missing(raw)}), resolve=True)[group]
    check_fields(plain)
    assert type(build(plain)).__module__.startswith("torchsag.")


def default_of(field):
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default  # MISSING where there is none


def is_variant(group, name):
    return "variant" in (conf_folder() / group / f"{name}.yaml").read_text().splitlines()[0]


@pytest.mark.parametrize(("group", "name"), [pair for pair in COMPONENTS if not is_variant(*pair)])
def test_component_from_its_yaml_equals_the_class_built_without_arguments(group, name):
    raw = OmegaConf.to_container(config_of(f"{group}/{name}"), resolve=False)
    built = build(OmegaConf.to_container(OmegaConf.create({group: without_missing(raw)}), resolve=True)[group])
    defaults = {field.name: default_of(field) for field in dataclasses.fields(built) if field.init}
    expected = {key: value for key, value in defaults.items() if value is not dataclasses.MISSING}
    assert {key: getattr(built, key) for key in expected} == expected


@pytest.mark.parametrize(
    "path", sorted(conf_folder().rglob("*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_no_group_listed_after_self_hides_keys_set_here(path):
    assert hidden_keys(path.read_text()) == set()


def hidden_keys(text):
    """Keys of a yaml that a component composed later, because it is listed after ``_self_``, may overwrite."""
    own = OmegaConf.create(text)
    defaults = list(own.get("defaults", []))
    after = defaults[defaults.index("_self_") + 1 :] if "_self_" in defaults else []
    places = {key.rpartition("@")[2].removeprefix("override ").lstrip("/") for entry in after for key in entry}
    return {place for place in places if OmegaConf.select(own, place) is not None}


def test_hidden_keys_are_seen():
    text = "defaults:\n  - {first}\n  - {second}\noptimizer:\n  tolerance: 0.01\n"
    group = "/optimizer@optimizer: sag"
    assert hidden_keys(text.format(first="_self_", second=group)) == {"optimizer"}
    assert hidden_keys(text.format(first=group, second="_self_")) == set()


@pytest.mark.parametrize("name", choices("experiment"))
def test_experiment_builds_with_the_command_it_names(name):
    text = (conf_folder() / "experiment" / f"{name}.yaml").read_text()
    (line,) = re.findall(r"^#   torchsag (.*)$", text, re.MULTILINE)
    words = re.sub(r"\[.*?\]", "", line).split()
    assert f"experiment={name}" in words
    config = compose_command(words[0], expand_shorthands(words[0], words[1:]))
    check_fields(list(config.values()))
    build(config, words=command_keys(words[0]))


@pytest.mark.parametrize("command", command_names())
def test_each_key_of_a_command_is_a_field_or_read_by_a_component(command):
    config = OmegaConf.to_container(config_of(command), resolve=False)
    target = get_object(config["_target_"])
    fields = {field.name for field in dataclasses.fields(target)}
    for word in set(config) - PROCESS - {"_target_"} - fields:
        assert re.search(rf"\$\{{(oc\.select:)?{word}\b", EVERY_YAML), f"{command}: {word} is read by nothing"
    assert {"threads", "allow"} <= set(config)


def test_the_commands_seed_reaches_the_optimizer():
    with hydra_ready():
        config = compose(config_name="align", overrides=["particles=p", "reference=r", "out=o", "seed=7", "method=sag"])
    seeds = OmegaConf.select(config, "method.optimizer.optimizer.seed")
    assert seeds == 7
