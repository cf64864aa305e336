"""Everything that ``exphil eval --detailed`` measures beyond the main metrics, gathered in the main pass and in three more.

In: the frames of the main pass (``add``), then the policy and its replays again (``report``), with the previous controller
replaced twice and once fed with the policy's own samples. Out: plain values, one key a kind of measurement.

Legend: N frames, J controls.
"""

import time
from typing import Any

import torch
from torch import Tensor

from dataset.features.layout import INDEX_ROW
from dataset.melee.ids import NUM_CHARACTERS, character_name
from dataset.stream.sampler import Sampler
from train.measure.controls import Controls
from train.measure.detailed.breakdown import Breakdown
from train.measure.detailed.calibration import Calibration
from train.measure.detailed.copycat import measure_copycat
from train.measure.detailed.presses import Presses
from train.measure.detailed.self_fed import Drift, PlayedOut, play_out
from train.measure.detailed.situations import SITUATIONS, find_situations
from train.measure.detailed.sticks import Sticks
from train.measure.judged import Judged, overall_weights
from train.measure.walk import Walked, measuring
from train.policy.components import Components
from train.policy.policy import Policy
from train.run_folder import STREAM

Report = dict[str, Any]

OPPONENT = INDEX_ROW["b_character"]


class Detailed:
    """The parts that are gathered in the main pass, and what they come to."""

    def __init__(self, policy: Policy, sampler: Sampler, device: torch.device) -> None:
        self._policy, self._sampler, self._device = policy, sampler, device
        self._controls = controls = Controls.of(policy.codec).to(device)
        weights = overall_weights(controls)
        names = tuple(controls.names[j] for j in controls.buttons)
        self._situations = Breakdown(SITUATIONS, weights)
        self._opponents = Breakdown([character_name(number) for number in range(NUM_CHARACTERS)], weights)
        self._components = Calibration(Components.of(policy.codec).names, device)
        self._buttons = Calibration(names, device)
        self._given = Samples(names, controls, device)

    def add(self, seen: Walked) -> None:
        """Count the frames of one batch of the main pass."""
        frames, controls = seen.judged, self._controls
        self._situations.add(frames, seen.lookup, find_situations(seen.indices, seen.continuous))
        self._opponents.add(frames, seen.lookup, seen.indices[:, OPPONENT].long())
        self._components.add(frames.confidence, frames.best == frames.target)
        self._buttons.add(controls.pressed(frames.shares), frames.values[:, controls.buttons] > 0)
        self._given.add(frames, seen.track, seen.row, frames.previous_values)

    def report(self, nll: float, contract: str) -> Report:
        """All of it; ``nll`` is that of the main pass, ``contract`` how the policy expects context."""
        began = time.process_time()
        copycat = measure_copycat(self._policy, self._sampler, self._device, nll)
        copied = time.process_time()
        self_fed = self._play_out() if contract == STREAM else None
        return {
            "situations": self._situations.report(),
            "opponents": self._opponents.report(),
            "calibration": {"components": self._components.report(), "buttons": self._buttons.report()},
            **self._given.report(),
            "copycat": copycat,
            "self_fed": self_fed,
            "cpu_seconds": {"copycat": copied - began, "self_fed": time.process_time() - copied},
        }

    def _play_out(self) -> Report:
        """What a policy does when it holds its own controllers; one trained on windows is never played so."""
        drift, samples = Drift(), Samples(self._given.names, self._controls, self._device)
        with measuring(self._policy):
            for played in play_out(self._policy, self._sampler.bank, self._sampler.delays[0], self._device):
                drift.add(played)
                samples.add_played(played)
        return {"drift": drift.report(), **samples.report()}


class Samples:
    """Sampled controllers beside the players': where the main stick is, and when buttons are pressed."""

    def __init__(self, names: tuple[str, ...], controls: Controls, device: torch.device) -> None:
        self.names, self._controls = names, controls
        self._sticks, self._presses = Sticks(device), Presses(names)

    def add(self, frames: Judged, track: Tensor, row: Tensor, real_previous: Tensor) -> None:
        """Count N frames; ``real_previous`` [N, J] are the controls that the player held before."""
        buttons = self._controls.buttons
        before, now, own, chosen = (
            values[:, buttons] > 0
            for values in (real_previous, frames.values, frames.previous_values, frames.sampled_values)
        )
        self._sticks.add(frames)
        self._presses.add(track, row, (before, now), (own, chosen))

    def add_played(self, played: PlayedOut) -> None:
        """Count N frames of play-outs."""
        real = self._controls.of_classes(played.real_previous)
        self.add(played.judged, played.track, played.row, real)

    def report(self) -> Report:
        """``main_stick`` and ``presses``."""
        return {"main_stick": self._sticks.report(), "presses": self._presses.report()}
