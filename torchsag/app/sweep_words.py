"""Words of a sweep that belong to some of its jobs: ``method=sag,chen_frm method.max_passes=5``.

hydra applies every word to every job. Here a word about a part of a component that varies goes to those jobs whose
component has that part, and is refused only if none has it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

_LACKING = re.compile(r"Could not (?:override|delete)|Error merging override")


def key_of(override: Override) -> str:
    """The key as typed, without a sign before it."""
    return override.key_or_group if override.package is None else f"{override.key_or_group}@{override.package}"


def place(override: Override) -> str:
    """Where in the configuration a word acts: ``loss@method.loss=...`` acts at ``method.loss``."""
    return override.package or override.key_or_group.replace("/", ".")


def partial_words(overrides: Sequence[Override]) -> list[Override]:
    """The words about parts of components that vary, in their order; those that add something (``+``) are none."""
    varied = [override for override in overrides if override.is_sweep_override()]
    return [
        override
        for override in overrides
        if not (override.is_hydra_override() or override.is_add() or override.is_force_add())
        and any(_acts_within(override, other) for other in varied)
    ]


def _acts_within(override: Override, other: Override) -> bool:
    if other.key_or_group == "experiment":  # which may set anything
        return override.key_or_group != "experiment"
    return place(override).startswith(f"{place(other)}.")


class SweepLoader(ConfigLoaderImpl):
    """Composes each job of a sweep with the words that its components have a place for.

    Parameters
    ----------
    search_path
        Where yaml files are.
    words
        The sweep's words, as typed.
    """

    def __init__(self, search_path: ConfigSearchPath, words: Sequence[str]):
        super().__init__(search_path)
        partial = partial_words(OverridesParser.create().parse_overrides(list(words)))
        self._partial = {key_of(override) for override in partial}

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """As hydra's own; a word that has no place here is left out."""
        parsed = OverridesParser.create().parse_overrides(overrides)
        kept = self._with_place(config_name, parsed, run_mode)
        config = super().load_configuration(config_name, kept, run_mode, from_shell, validate_sweep_overrides)
        if run_mode == RunMode.MULTIRUN:  # what has no place beside the defaults is still for the jobs
            config.hydra.overrides.task = [o.input_line for o in parsed if not o.is_hydra_override()]
        return config

    def _with_place(self, config_name: str | None, words: Sequence[Override], run_mode: RunMode) -> list[str]:
        kept = [str(word.input_line) for word in words if key_of(word) not in self._partial]
        for word in (str(word.input_line) for word in words if key_of(word) in self._partial):
            try:
                super().load_configuration(config_name, [*kept, word], run_mode)
            except (HydraException, OmegaConfBaseException) as error:
                if run_mode == RunMode.RUN and not _LACKING.search(str(error)):
                    raise
            else:
                kept.append(word)
        return kept

    def without_place(self, command: str, words: Sequence[str]) -> list[str]:
        """The words that no combination of the components has a place for, as typed.

        Raises
        ------
        HydraException
            If a combination cannot be composed for another reason.
        """
        parsed = OverridesParser.create(config_loader=self).parse_overrides(list(words))
        left = [word for word in parsed if key_of(word) in self._partial]
        # Components that vary; a number that varies decides over no key.
        within = [w for w in parsed if w.is_discrete_sweep() and any(_acts_within(word, w) for word in left)]
        for chosen in itertools.product(*(_each(word) for word in within)) if left else ():
            one = dict(zip(map(key_of, within), chosen, strict=True))
            job = [one.get(key_of(word), _first(word)) for word in parsed if not word.is_interval_sweep()]
            kept = self._with_place(command, OverridesParser.create().parse_overrides(job), RunMode.RUN)
            left = [word for word in left if one.get(key_of(word), _first(word)) not in kept]
            if not left:
                break
        return [str(word.input_line) for word in left]


def _each(override: Override) -> list[str]:
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def _first(override: Override) -> str:
    return _each(override)[0] if override.is_discrete_sweep() else str(override.input_line)
