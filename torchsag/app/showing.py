"""``--cfg`` and ``--info``: what a command would run with, shown and not run."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Sequence

from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from torchsag.app.composition import explain, hydra_ready, parse, refuse_several_values
from torchsag.app.flags import Flags
from torchsag.app.shorthands import expand_shorthands
from torchsag.errors import InputError, printable


def show(command: str, words: Sequence[str], flags: Flags) -> int:
    """Print what the flags ask for, as any hydra program does, and return the exit status."""
    parsed = parse(words)
    package = flags.package and expand_shorthands(command, [flags.package])[0].rpartition("@")[2]
    printed = io.StringIO()
    if flags.cfg:
        refuse_several_values(parsed)
    with hydra_ready(), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        try:
            if flags.cfg:
                hydra.show_cfg(command, list(words), flags.cfg, package, flags.resolve)
            else:
                mode = RunMode.MULTIRUN if flags.several else RunMode.RUN
                hydra.show_info(flags.info, config_name=command, overrides=list(words), run_mode=mode)
        except SystemExit as error:  # hydra's own answer to a package that is not there
            raise InputError(
                f"--package: expected a part of what --cfg job shows for {command}, such as method, got "
                f"{flags.package!r}"
            ) from error
        except (HydraException, OmegaConfBaseException) as error:
            raise InputError(explain(command, parsed, error)) from error
    sys.stdout.writelines(f"{printable(line)}\n" for line in printed.getvalue().splitlines())
    return 0
