"""The optimiser of a fit, and lambda's own treatment in it."""

from __future__ import annotations

from typing import Any

import torch

from seqattn.config import TrainConfig
from seqattn.errors import SeqattnError
from seqattn.models.backbone import Backbone


def start_lambda(model: Backbone, config: TrainConfig) -> None:
    """Set the lambda of every layer to where a configuration has it start.

    Raises
    ------
    SeqattnError
        If it says something of lambda and the model has none.
    """
    if config.changed_lambda and not model.lambda_parameters:
        raise SeqattnError(
            f"config key {config.changed_lambda[0]!r} is of models that learn a lambda; leave it "
            "out for others"
        )
    if "lambda_start" in config.changed_lambda:  # else where the model's own code has it start
        for lam in model.lambda_parameters:
            torch.nn.init.constant_(lam, config.lambda_start)


def adam(model: Backbone, config: TrainConfig) -> torch.optim.Adam:
    """Return the optimiser of a fit, in which lambda may have a rate and a decay of its own."""
    rate = config.learning_rate
    if config.lambda_rate == 1 and not config.lambda_decay:
        return torch.optim.Adam(model.parameters(), lr=rate, fused=True)
    own = {id(lam) for lam in model.lambda_parameters}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in own]
    lambdas = {
        "params": model.lambda_parameters,
        "lr": rate * config.lambda_rate,
        "weight_decay": config.lambda_decay,
    }
    groups: list[dict[str, Any]] = [{"params": rest}, lambdas]
    return torch.optim.Adam(groups, lr=rate, fused=True, decoupled_weight_decay=True)
