"""Builders shared by play's tests."""

from pathlib import Path

import torch

from train.checkpoint import run_record, save_weights
from train.config import DataConfig, PolicyConfig, RunConfig
from train.policy import Policy
from train.record import save_record


def random_run(
    folder: Path,
    *,
    character: str | None = "mewtwo",
    delay: int = 0,
    hidden: int = 16,
    codec: str = "axis17",
    features: str = "all",
) -> Path:
    """A run folder with a policy that was never trained, so it presses everything all the time."""
    config = RunConfig(
        policy=PolicyConfig(codec=codec, features=features, backbone="gru", hidden_sizes=(hidden, hidden)),
        data=DataConfig(character=character, delay=delay),
    )
    torch.manual_seed(0)
    folder.mkdir(parents=True)
    save_record(folder, run_record(config))
    save_weights(Policy(config.policy), folder / "best.safetensors")
    return folder
