#!/usr/bin/env bash
# lightning 2.6.6, torch 2.14.1. self.optimizers() in a LightningModule gives a LightningOptimizer: an object whose class
# is made of the wrapper's and of the optimizer's own, with a __dict__ of its own. A method that an optimizer adds (which
# term, which closure, which radius comes next) is found on the optimizer's class and runs with the wrapper as self: what
# it reads is the optimizer's, what it assigns is the wrapper's, and the optimizer never sees it. No warning, no error.
# The obvious guess: the wrapper hands methods on to the optimizer, as it does with step() and with attributes.
# What follows: call self.optimizers().optimizer.method(), or keep such words in an object that is changed in place.
# (The step of the first batch has called its closure only after it looked, hence 1.0 there.)
set -euo pipefail
here=$(mktemp -d); trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet torch==2.14.1 lightning==2.6.6 numpy
cat > "$here/case.py" <<'PY'
import logging
import sys

import lightning
import torch

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Damped(torch.optim.SGD):
    """Plain descent whose next step can be shortened."""

    factor = 1.0

    def shorten(self, factor):
        self.factor = factor

    def step(self, closure=None):
        seen.append(self.factor)
        return super().step(closure)


class Model(lightning.LightningModule):
    def __init__(self, through):
        super().__init__()
        self.x, self.through = torch.nn.Parameter(torch.ones(1)), through

    def training_step(self, batch, number):
        self.through(self.optimizers()).shorten(0.5)
        return (self.x - batch).square().sum()

    def configure_optimizers(self):
        return Damped(self.parameters(), lr=0.1)


def factors(through):
    seen.clear()
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )
    trainer.fit(Model(through), torch.utils.data.DataLoader(torch.zeros(3, 1)))
    return list(seen)


seen = []
print("lightning", lightning.__version__, "torch", torch.__version__)
wrapped = factors(lambda optimizer: optimizer)
print("self.optimizers().shorten(0.5):           factors seen by steps", wrapped)
inner = factors(lambda optimizer: optimizer.optimizer)
print("self.optimizers().optimizer.shorten(0.5): factors seen by steps", inner)
sys.exit(0 if wrapped == [1.0] * 3 and inner == [1.0, 0.5, 0.5] else 1)
PY
"$here/venv/bin/python" -W ignore "$here/case.py"
# Output seen:
#   lightning 2.6.6 torch 2.14.1+cu130
#   self.optimizers().shorten(0.5):           factors seen by steps [1.0, 1.0, 1.0]
#   self.optimizers().optimizer.shorten(0.5): factors seen by steps [1.0, 0.5, 0.5]
