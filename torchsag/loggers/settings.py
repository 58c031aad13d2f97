"""A run's settings as trackers want them: flat, by dotted key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml


def flat_settings(configuration: str) -> dict[str, Any]:
    """The keys of a yaml and their values; what is no yaml of keys gives none."""
    try:
        node = yaml.safe_load(configuration)
    except yaml.YAMLError:
        return {}
    return dict(_leaves(node, "")) if isinstance(node, dict) else {}


def _leaves(node: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
