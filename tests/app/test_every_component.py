"""Whatever stands in ``conf/`` composes, builds and lists every field; nobody needs to edit this file."""

import dataclasses
import re

import pytest
from hydra import compose
from hydra.utils import get_object
from omegaconf import OmegaConf

from torchsag.app.catalogue import choices, command_names, conf_folder
from torchsag.app.components import build
from torchsag.app.composition import compose_command, hydra_ready
from torchsag.app.shorthands import expand_shorthands

GROUPS = sorted(path.name for path in conf_folder().iterdir() if path.is_dir() and choices(path.name))
GROUPS.remove("experiment")  # these set keys of a command and are no components
COMPONENTS = [(group, name) for group in GROUPS for name in choices(group)]
NOT_FIELDS = {"allow", "threads", "in"}


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


@pytest.mark.parametrize("name", choices("experiment"))
def test_experiment_builds_with_the_command_it_names(name):
    text = (conf_folder() / "experiment" / f"{name}.yaml").read_text()
    (line,) = re.findall(r"^#   torchsag (.*)$", text, re.MULTILINE)
    words = re.sub(r"\[.*?\]", "", line).split()
    assert f"experiment={name}" in words
    config = compose_command(words[0], expand_shorthands(words[0], words[1:]))
    check_fields(list(config.values()))
    build({key: value for key, value in config.items() if key not in NOT_FIELDS})


@pytest.mark.parametrize("command", command_names())
def test_command_composes_and_its_keys_are_fields(command):
    config = OmegaConf.to_container(config_of(command), resolve=False)
    target = get_object(config["_target_"])
    fields = {field.name for field in dataclasses.fields(target)}
    assert set(config) - NOT_FIELDS - {"_target_"} <= fields
    assert {"threads", "allow"} <= set(config)


def test_the_commands_seed_reaches_the_optimizer():
    with hydra_ready():
        config = compose(config_name="align", overrides=["particles=p", "reference=r", "out=o", "seed=7", "method=sag"])
    seeds = OmegaConf.select(config, "method.optimizer.optimizer.seed")
    assert seeds == 7
