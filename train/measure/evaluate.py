"""Measure a policy the way it plays: each replay from its first frame to its last, with the state carried throughout.

``evaluate_policy`` gives the metrics of a policy in training. ``evaluate_run`` measures a run on replays it never trained on,
and ``measure_baselines`` does the same for persistence and the lookup; their reports add the main metrics of each replay and
95 % intervals.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor

from dataset.codecs.base import Codec
from dataset.errors import ConfigError, require_known
from dataset.reporting.terminal import with_progress
from dataset.store.manifest import SPLITS
from dataset.store.store import Store
from dataset.stream.bank import Bank, Rows
from dataset.stream.sampler import Sampler
from train.data.batches import build_sampler
from train.data.load import character_id
from train.data.stores import open_store
from train.measure.detailed.gather import Detailed, judge_criteria
from train.measure.grouped_metrics import GroupedMetrics
from train.measure.intervals import PerReplayReport, bootstrap, paired_difference
from train.measure.lookup import Lookup, count_transitions, find_lookup
from train.measure.metrics import Metrics
from train.measure.scored_frames import Controls, ScoredFrames, score_frames
from train.measure.walk import measuring, walk
from train.policy.components import Components, Persistence, fit_persistence
from train.policy.policy import Policy
from train.runs.checkpoint import LoadedPolicy, seen_ids

EvalSplit = Literal["val", "test", "all"]

MILLION = 1_000_000

Report = dict[str, Any]


def parse_split(name: str) -> EvalSplit:
    """The split that ``--split`` means."""
    return cast(EvalSplit, require_known("--split", name, get_args(EvalSplit)))


class Meter:
    """The main metrics of one predictor, over all frames and replay by replay."""

    def __init__(self, codec: Codec, bank: Bank, persistence: Persistence, device: torch.device | str = "cpu") -> None:
        self.components, self.controls = Components.of(codec), Controls.of(codec).to(device)
        self.metrics = Metrics(self.components, self.controls, persistence, device)
        self.per_replay = GroupedMetrics(bank.ids, self.controls)
        self._replays = torch.tensor([track.replay for track in bank.tracks], device=device)

    def add(self, frames: ScoredFrames, track: Tensor) -> None:
        """Count N frames of the tracks int64 [N]."""
        self.metrics.add(frames)
        self.per_replay.add(frames, self._replays[track])


def evaluate_policy(policy: Policy, sampler: Sampler, persistence: Persistence, device: torch.device) -> Report:
    """The metrics over every frame of ``sampler``; leaves the policy in the mode it was in."""
    metrics = Metrics(Components.of(policy.codec), Controls.of(policy.codec), persistence, device)
    with measuring(policy):
        for walked in walk(policy, sampler, device):
            metrics.add(walked.scored)
    return metrics.report()


def evaluate_run(
    loaded: LoadedPolicy,
    path: Path | str,
    *,
    split: EvalSplit,
    is_seen_allowed: bool,
    device: torch.device,
    tolerate_bad_shards: int = 0,
    detailed: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """The report of a run on a split of a store, with ``per_replay`` and the ``intervals`` of its main metrics.

    Args:
        loaded: the run.
        path: the store.
        split: ``all`` takes every replay of the store.
        is_seen_allowed: whether replays that the run trained on may count.
        device: where to compute.
        tolerate_bad_shards: window shards that may be skipped; the report names them.
        detailed: whether to add the measurements of ``train.measure.detailed``, in three more passes, and the ``criteria``.
        say: receives a line of progress every few seconds.

    Raises:
        ConfigError: the run trained on some of these replays, or none holds its character.
    """
    config = loaded.config
    store = open_store(path, config.policy.codec, config.policy.features, tolerate_bad_shards)
    bank = Bank(store.packed(split), character_id(config.data.character), codec=loaded.codec)
    _require_unseen(loaded, bank, is_seen_allowed)
    _require_tracks(bank, store, split, config.data.character)
    sampler = build_sampler(bank, config, is_shuffled=False)
    persistence = loaded.persistence
    lookup = find_lookup(loaded, store, device)
    policy = loaded.policy.to(device)
    ours, theirs = (Meter(loaded.codec, bank, persistence, device) for _ in range(2))
    more = Detailed(policy, sampler, device) if detailed else None
    about = f"{loaded.run.name}, {split}"
    began, cpu = time.perf_counter(), time.process_time()
    with measuring(policy):
        batches = walk(policy, sampler, device, lookup=lookup)
        for walked in with_progress(batches, sampler.num_steps(0), about, say):
            ours.add(walked.scored, walked.track)
            if walked.lookup is not None:
                theirs.add(walked.lookup, walked.track)
            if more is not None:
                more.add(walked)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    report, rows = ours.metrics.report(), ours.per_replay.report()
    found = {
        "run": loaded.run.name,
        "codec": loaded.codec.name,
        "features": config.policy.features,
        "delay": loaded.delay,
        "character": config.data.character,
        "split": split,
        "replays": len(bank.ids),
        "skipped_shards": list(store.skipped),
        **report,
        **_beside_lookup(report, rows, None if lookup is None else theirs),
        "intervals": bootstrap(rows),
        "per_replay": rows,
        "seconds": seconds,
        "seconds_per_million_frames": seconds / max(report["frames"], 1) * MILLION,
        "cpu_seconds_per_million_frames": cpu_seconds / max(report["frames"], 1) * MILLION,
    }
    if more is not None:
        say(f"{about}: three more passes, for --detailed")
        found["detailed"] = more.report(report["nll"], loaded.contract)
        found["criteria"] = judge_criteria(found)
    return found


def measure_baselines(
    train: Bank, splits: Mapping[str, Bank], codec: Codec, delay: int
) -> dict[str, dict[str, Report]]:
    """The reports, by baseline and split, of persistence and the lookup fitted on ``train``; a baseline samples nothing."""
    sizes = Components.of(codec).sizes
    persistence = fit_persistence(train, sizes, delay)
    lookup, table = Lookup(count_transitions(train, sizes, delay), persistence), persistence.nll_table()

    def copied(rows: Rows) -> Tensor:
        previous = torch.from_numpy(rows.previous[rows.mask]).long()
        return torch.cat([-table[k, previous[:, k], :size] for k, size in enumerate(sizes)], dim=1)

    def report(logits_of: Callable[[Rows], Tensor], bank: Bank) -> Report:
        meter = Meter(codec, bank, persistence)
        for number, track in enumerate(bank.tracks):
            rows = bank.open(track, delay)
            target, previous = (torch.from_numpy(part[rows.mask]) for part in (rows.target, rows.previous))
            frames = score_frames(logits_of(rows), previous, target, previous, meter.components, meter.controls)
            meter.add(frames, torch.full((len(target),), number))
        metrics, per_replay = meter.metrics.report(), meter.per_replay.report()
        del metrics["diversity"]
        return {**metrics, "replays": len(bank.ids), "intervals": bootstrap(per_replay), "per_replay": per_replay}

    return {
        name: {split: report(logits_of, bank) for split, bank in splits.items()}
        for name, logits_of in (("persistence", copied), ("lookup", lookup.logits))
    }


def _beside_lookup(report: Report, rows: PerReplayReport, meter: Meter | None) -> Report:
    """``lookup_nll``, ``lookup`` (the metrics of persistence), ``over_lookup`` (policy minus lookup, with intervals)."""
    if meter is None:
        return {"lookup_nll": None, "lookup": None, "over_lookup": None}
    metrics = meter.metrics.report()
    differences = paired_difference(rows, meter.per_replay.report())
    return {
        "lookup_nll": metrics["nll"],
        "lookup": {name: metrics[name] for name in report["persistence"]},
        "over_lookup": {
            name: None if found is None else [found.value, found.low, found.high] for name, found in differences.items()
        },
    }


def _require_unseen(loaded: LoadedPolicy, bank: Bank, is_seen_allowed: bool) -> None:
    seen = seen_ids(loaded.record) & set(bank.ids)
    if seen and not is_seen_allowed:
        raise ConfigError(
            f"run {loaded.run.name}: is measured on replays it never trained on, found that it trained on {len(seen)} of "
            f"these {len(bank.ids)}; choose other replays or --split test, or add --allow-seen"
        )


def _require_tracks(bank: Bank, store: Store, split: EvalSplit, character: str | None) -> None:
    if bank.tracks:
        return
    windows = {name: store.manifest.of_kind("windows", name) for name in SPLITS}
    counts = [f"{name} {sum(shard.samples for shard in shards)}" for name, shards in windows.items()]
    raise ConfigError(
        f"the {split} split needs replays with {character or 'any player'}, found none in the store "
        f"(replays of all characters: {', '.join(counts)}); choose other replays or another --split"
    )
