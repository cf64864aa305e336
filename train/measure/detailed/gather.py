"""Everything that ``exphil eval --detailed`` measures beyond the main metrics, and the criteria of a good imitation.

``Detailed.add`` takes the frames of the main pass. ``Detailed.report`` makes three more passes: two with the previous
controller replaced, and one in which the policy is fed its own samples.

Legend: N frames, J controls.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from dataset.features.layout import INDEX_ROW
from dataset.melee.ids import NUM_CHARACTERS, character_name
from dataset.stream.sampler import Sampler
from train.config.run_config import STREAM
from train.measure.detailed.copycat import measure_copycat
from train.measure.detailed.presses import Presses
from train.measure.detailed.self_fed import Drift, play_out
from train.measure.detailed.situations import SITUATIONS, find_situations
from train.measure.detailed.sticks import Sticks
from train.measure.grouped_metrics import GroupedMetrics
from train.measure.metrics import Calibration
from train.measure.scored_frames import Controls, ScoredFrames
from train.measure.walk import Walked, measuring
from train.policy.components import Components
from train.policy.policy import Policy

Report = dict[str, Any]

OPPONENT = INDEX_ROW["b_character"]

TIMES_LOOKUP = 2.0
"""A criterion: the main stick's accuracy where it moves, as a multiple of the lookup's."""

RATE_TOLERANCE, LEAST_RATE = 0.25, 0.005
"""A criterion: a button's share of frames may differ from the players' by this ratio; rarer buttons are left out."""

REST_TOLERANCE = 0.10
"""A criterion: the share of frames with the main stick at rest may differ from the players' by this much."""


class Detailed:
    """The detailed measurements of one policy on its replays."""

    def __init__(self, policy: Policy, sampler: Sampler, device: torch.device) -> None:
        self._policy, self._sampler, self._device = policy, sampler, device
        self._controls = controls = Controls.of(policy.codec).to(device)
        names = tuple(controls.names[j] for j in controls.buttons)
        self._situations = GroupedMetrics(SITUATIONS, controls)
        self._opponents = GroupedMetrics([character_name(number) for number in range(NUM_CHARACTERS)], controls)
        self._components = Calibration(Components.of(policy.codec).names, device)
        self._buttons = Calibration(names, device)
        self._given = Samples(names, controls, device)

    def add(self, walked: Walked) -> None:
        """Count the frames of one batch of the main pass."""
        frames, controls = walked.scored, self._controls
        self._situations.add(frames, find_situations(walked.indices, walked.continuous), walked.lookup)
        self._opponents.add(frames, walked.indices[:, OPPONENT].long(), walked.lookup)
        self._components.add(frames.confidence, frames.best == frames.target)
        self._buttons.add(controls.pressed(frames.shares), frames.values[:, controls.buttons] > 0)
        self._given.add(frames, walked.track, walked.row, frames.previous_values)

    def report(self, nll: float, contract: str) -> Report:
        """All measurements, given the ``nll`` of the main pass and the policy's ``contract``."""
        began = time.process_time()
        copycat = measure_copycat(self._policy, self._sampler, self._device, nll)
        copied = time.process_time()
        self_fed = self._play_out() if contract == STREAM else None
        return {
            "situations": self._situations.by_name(),
            "opponents": self._opponents.by_name(),
            "calibration": {"components": self._components.report(), "buttons": self._buttons.report()},
            **self._given.report(),
            "copycat": copycat,
            "self_fed": self_fed,
            "cpu_seconds": {"copycat": copied - began, "self_fed": time.process_time() - copied},
        }

    def _play_out(self) -> Report:
        """Measure the policy on its own controllers; only for streams, as a policy trained on windows never plays that way."""
        drift, samples = Drift(), Samples(self._given.names, self._controls, self._device)
        with measuring(self._policy):
            for played in play_out(self._policy, self._sampler.bank, self._sampler.delays[0], self._device):
                drift.add(played)
                real_previous = self._controls.of_classes(played.real_previous)
                samples.add(played.scored, played.track, played.row, real_previous)
        return {"drift": drift.report(), **samples.report()}


class Samples:
    """Sampled controllers beside the players': where the main stick is, and when buttons are pressed."""

    def __init__(self, names: tuple[str, ...], controls: Controls, device: torch.device) -> None:
        self.names, self._controls = names, controls
        self._sticks, self._presses = Sticks(device), Presses(names)

    def add(self, frames: ScoredFrames, track: Tensor, row: Tensor, real_previous: Tensor) -> None:
        """Count N frames; ``real_previous`` [N, J] are the controls that the player held the frame before."""
        buttons = self._controls.buttons
        before, now, own, chosen = (
            values[:, buttons] > 0
            for values in (real_previous, frames.values, frames.previous_values, frames.sampled_values)
        )
        self._sticks.add(frames)
        self._presses.add(track, row, (before, now), (own, chosen))

    def report(self) -> Report:
        """``main_stick`` and ``presses``."""
        return {"main_stick": self._sticks.report(), "presses": self._presses.report()}


def judge_criteria(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Whether a policy moves the stick when players do, presses buttons as often, and rests as much.

    A policy may meet every criterion given the player's controllers and miss them on its own, so both are judged.

    Args:
        report: a report with ``detailed``.

    Returns:
        A row per criterion: ``criterion``, ``given`` (whose controllers), ``wanted``, ``found``, ``is_met``. A criterion that
        needs the lookup or play-outs is left out where there are none.
    """
    detailed, lookup = report["detailed"], report["lookup"]
    rows = []
    if lookup is not None:
        times = report["stick_accuracy"] / max(lookup["stick_accuracy"], 1e-9)
        name = "main stick right where it moves, times the lookup's"
        rows.append(_row(name, "the player's", f"at least {TIMES_LOOKUP:g}", times, times >= TIMES_LOOKUP))
    for given, samples in (("the player's", detailed), ("its own", detailed["self_fed"])):
        if samples is not None:
            rows += _sample_rows(given, samples)
    return rows


def _sample_rows(given: str, samples: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    wanted = f"{1 - RATE_TOLERANCE:g} to {1 + RATE_TOLERANCE:g}"
    for name, rates in samples["presses"]["buttons"].items():
        if rates["held_true"] > LEAST_RATE:
            ratio = rates["held_sampled"] / rates["held_true"]
            yield _row(f"{name} held, times the players'", given, wanted, ratio, abs(ratio - 1) <= RATE_TOLERANCE)
    gap = samples["main_stick"]["rest_sampled"] - samples["main_stick"]["rest_true"]
    wanted = f"within {REST_TOLERANCE:g}"
    yield _row("main stick at rest, less the players'", given, wanted, gap, abs(gap) <= REST_TOLERANCE)


def _row(criterion: str, given: str, wanted: str, found: float, is_met: bool) -> dict[str, Any]:
    return {"criterion": criterion, "given": given, "wanted": wanted, "found": found, "is_met": is_met}
