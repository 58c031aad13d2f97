"""SAG under the automatic optimization of PyTorch Lightning, where that is installed."""

import copy

import pytest
import torch
from torch.utils.data import DataLoader

from torchsag.errors import InputError
from torchsag.optim import SAG

TARGETS = torch.tensor([[1.0, 2.0], [3.0, -4.0], [5.0, 0.5]])
pytestmark = pytest.mark.slow


@pytest.fixture
def lightning():
    return pytest.importorskip("lightning", reason="pip install 'torchsag[lightning]'")


def squares(lightning, lr, skipped=(), told=True):
    """A sum of squares whose minimum is the mean of the targets."""

    class Squares(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.x = torch.nn.Parameter(torch.zeros(2))

        def training_step(self, batch, number):
            term, target = batch
            if told:
                self.optimizers().set_term(term)
            return None if number in skipped else (self.x - target).square().sum()

        def configure_optimizers(self):
            return SAG(self.parameters(), lr=lr, num_terms=len(TARGETS))

    return Squares()


def fit(lightning, model, epochs, tmp_path, start=None, **settings):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", enable_checkpointing=False, default_root_dir=tmp_path, **quiet, **settings
    )
    trainer.fit(model, DataLoader(list(enumerate(TARGETS))), ckpt_path=start)
    return trainer


@pytest.mark.parametrize("lr", [0.1, None])
def test_converges_to_the_minimum_of_the_sum(lightning, lr, tmp_path):
    fit(lightning, model := squares(lightning, lr), 60, tmp_path)
    torch.testing.assert_close(model.x.detach(), TARGETS.mean(0), atol=1e-3, rtol=0)


@pytest.mark.parametrize("lr", [0.1, None])
def test_goes_on_from_a_checkpoint_as_if_never_stopped(lightning, lr, tmp_path):
    fit(lightning, whole := squares(lightning, lr), 6, tmp_path)
    fit(lightning, squares(lightning, lr), 3, tmp_path).save_checkpoint(tmp_path / "half.ckpt")
    fit(lightning, rest := squares(lightning, lr), 6, tmp_path, start=tmp_path / "half.ckpt")
    assert torch.equal(rest.x, whole.x)


@pytest.mark.parametrize("lr", [0.1, None])
def test_a_step_that_training_step_skips_leaves_its_term_unseen(lightning, lr, tmp_path):
    trainer = fit(lightning, model := squares(lightning, lr, skipped=[1]), 40, tmp_path)
    assert trainer.optimizers[0].state[model.x]["seen"] == [True, False, True]
    torch.testing.assert_close(model.x.detach(), TARGETS[[0, 2]].mean(0), atol=1e-3, rtol=0)


def test_gradients_are_clipped_before_they_are_remembered(lightning, tmp_path):
    trainer = fit(lightning, model := squares(lightning, 0.01), 1, tmp_path, gradient_clip_val=0.5)
    norms = copy.copy(trainer.optimizers[0].state[model.x]["memory"]).norm(dim=-1)
    torch.testing.assert_close(norms, torch.full((3,), 0.5), atol=1e-4, rtol=0)


def test_a_module_that_names_no_term_is_told_so(lightning, tmp_path):
    with pytest.raises(InputError, match="which term"):
        fit(lightning, squares(lightning, 0.1, told=False), 1, tmp_path)
