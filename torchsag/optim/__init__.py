"""Optimizers of finite sums on R^n, batched over independent problems; they know nothing of volumes."""

from torchsag.optim.levenberg_marquardt import LevenbergMarquardt
from torchsag.optim.minimize import Minimum, minimize
from torchsag.optim.objective import LeastSquaresObjective, Objective
from torchsag.optim.optimizer import Optimizer, State
from torchsag.optim.parameter_sag import SAG
from torchsag.optim.preconditioned import Preconditioned
from torchsag.optim.sag import SAGOneTerm
from torchsag.optim.sag_curvature import CurvatureSAG
from torchsag.optim.sag_minibatch import SAGMinibatch
from torchsag.optim.saga import SAGA
from torchsag.optim.scaled_objective import scale_objective
from torchsag.optim.scaling import LengthScaling, Scaling, Whitening
from torchsag.optim.svrg import SVRG
from torchsag.optim.torch_optimizer import TorchOptimizer

__all__ = [
    "SAG",
    "SAGA",
    "SVRG",
    "CurvatureSAG",
    "LeastSquaresObjective",
    "LengthScaling",
    "LevenbergMarquardt",
    "Minimum",
    "Objective",
    "Optimizer",
    "Preconditioned",
    "SAGMinibatch",
    "SAGOneTerm",
    "Scaling",
    "State",
    "TorchOptimizer",
    "Whitening",
    "minimize",
    "scale_objective",
]
