"""Policies stepped frame by frame in PyTorch, for runs that were not exported: the one module of play that imports torch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dataset.melee.controller import Classes
from play.agent.agent import PolicyInput
from train.policy.policy import Policy
from train.runs.checkpoint import load_policy


@dataclass
class TorchStepper:
    """A policy in evaluation mode with the states of its players."""

    policy: Policy
    temperature: float = 1.0
    """Divides the logits of every component; 1 samples what the policy learned."""
    num_players: int = 1
    """How many it steps at once, each with a state of its own."""

    def __post_init__(self) -> None:
        self.reset()

    @classmethod
    def load(cls, run: Path | str, temperature: float, num_players: int = 1) -> "TorchStepper":
        """The policy of a run argument; torch is set to one thread: at one frame per step, more cost more than they give."""
        torch.set_num_threads(1)
        return cls(load_policy(run).policy, temperature, num_players)

    def twin(self) -> "TorchStepper":
        """The same policy with states of its own for as many players; both share the weights."""
        return TorchStepper(self.policy, self.temperature, self.num_players)

    def reset(self) -> None:
        """Begin a new game."""
        self._state = self.policy.initial_state(self.num_players)

    def step(self, given: PolicyInput) -> Classes:
        """See ``play.agent.agent.Stepper``."""
        with torch.inference_mode():
            classes, self._state = self.policy.step(
                torch.from_numpy(given.continuous.astype(np.float32)),
                torch.from_numpy(given.indices.astype(np.int64)),
                torch.from_numpy(given.previous.astype(np.int64)),
                torch.full((self.num_players,), given.delay),
                torch.from_numpy(given.noise),
                self._state,
                self.temperature,
            )
        result: Classes = classes.numpy().astype(np.uint8)
        return result
