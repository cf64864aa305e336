"""Measuring a policy the way it plays: each replay from its first frame to its last, the state carried throughout.

In: a policy and whole-replay lanes, or run folders and replays they never trained on. Out: the report of ``train.metrics``.
The surprise: sampled controllers come from a seed of their own, so measuring never moves a training's random numbers.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch

from dataset.errors import ConfigError
from dataset.split import SPLITS
from dataset.store import Store
from dataset.stream.bank import Bank
from dataset.stream.prefetch import prefetch
from dataset.stream.sampler import Sampler
from train.batches import Tensors, to_tensors
from train.checkpoint import LoadedPolicy
from train.components import Components
from train.controls import Controls
from train.data import character_id, open_store
from train.initial import seen_ids
from train.metrics import Metrics
from train.persistence import Persistence
from train.policy import Policy
from train.sampling import build_sampler

EvalSplit = Literal["val", "test", "all"]

SAMPLE_SEED = 20_010
"""Of the noise behind sampled controllers."""


def parse_split(name: str) -> EvalSplit:
    """The split that ``--split`` means."""
    if name not in get_args(EvalSplit):
        raise ConfigError(f"--split '{name}': unknown; use one of {', '.join(get_args(EvalSplit))}")
    return cast(EvalSplit, name)


@torch.no_grad()
def evaluate_policy(policy: Policy, sampler: Sampler, persistence: Persistence, device: torch.device) -> dict[str, Any]:
    """The report over every frame of ``sampler``; leaves the policy in the mode it was in."""
    was_training = policy.training
    policy.eval()
    metrics = Metrics(Components.of(policy.codec), Controls.of(policy.codec), persistence, device)
    generator = torch.Generator(device).manual_seed(SAMPLE_SEED)
    state = policy.initial_state(sampler.num_rows)
    batches = (to_tensors(batch, device) for batch in sampler.batches(0))
    for batch in prefetch(batches, waiting_for=lambda: sampler.waiting_for):
        y, state = policy.features(batch.continuous, batch.indices, batch.previous, batch.delay, state, batch.reset)
        _add(metrics, policy, batch, y, generator)
    policy.train(was_training)
    return metrics.report()


def _add(metrics: Metrics, policy: Policy, batch: Tensors, y: torch.Tensor, generator: torch.Generator) -> None:
    rows, target, previous = y[batch.mask], batch.target[batch.mask], batch.previous[batch.mask]
    noise = torch.rand(target.shape, generator=generator, device=target.device)
    metrics.add(policy.head(rows, target), policy.head.sample(rows, noise), target, previous)


def evaluate_run(
    loaded: LoadedPolicy,
    path: Path | str,
    *,
    split: EvalSplit,
    is_seen_allowed: bool,
    device: torch.device,
    tolerate_bad_shards: int = 0,
) -> dict[str, Any]:
    """The report of a run over a split of a store.

    Args:
        loaded: the run.
        path: the store.
        split: ``all`` takes every replay of the store.
        is_seen_allowed: whether replays that the run trained on may count.
        device: where to compute.
        tolerate_bad_shards: window shards that may be skipped; the report names them.

    Raises:
        ConfigError: the run trained on some of these replays, or none holds its character.
    """
    config = loaded.config
    store = open_store(path, config.policy.codec, tolerate_bad_shards)
    bank = Bank(store.packed(split), character_id(config.data.character))
    _require_unseen(loaded, bank, is_seen_allowed)
    _require_tracks(bank, store, split, config.data.character)
    sampler = build_sampler(bank, config, is_shuffled=False)
    persistence = Persistence.from_json(loaded.record["persistence"])
    report = evaluate_policy(loaded.policy.to(device), sampler, persistence, device)
    told = {"run": loaded.run.name, "codec": loaded.codec.name, "split": split, "replays": len(bank.ids)}
    return told | {"skipped_shards": list(store.skipped)} | report


def _require_unseen(loaded: LoadedPolicy, bank: Bank, is_seen_allowed: bool) -> None:
    seen = seen_ids(loaded.record) & set(bank.ids)
    if seen and not is_seen_allowed:
        raise ConfigError(
            f"run {loaded.run.name}: is measured on replays it never trained on, found that it trained on {len(seen)} of "
            f"these {len(bank.ids)}; choose other replays or --split test, or say --allow-seen"
        )


def _require_tracks(bank: Bank, store: Store, split: EvalSplit, character: str | None) -> None:
    if bank.tracks:
        return
    counts: Sequence[str] = [
        f"{name} {sum(shard.samples for shard in store.manifest.of_kind('windows', name))}" for name in SPLITS
    ]
    raise ConfigError(
        f"store {store.path}: the {split} split needs replays with {character or 'any player'}, found none "
        f"(replays of all characters: {', '.join(counts)}); choose other replays or another --split"
    )
