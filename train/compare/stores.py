"""Which store each run of a sweep trains on: one for all, but for codecs, whose classes need window shards of their own.

In: configs, and what ``--store`` or ``--replays`` says. Out: planned runs. The surprise: a store of another codec, or without
features that a run is given, is not touched; a twin of it is encoded in the cache (``train.data.recoded_store``).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from dataset.features.layout import union_of
from dataset.store.store import Store
from train.cli import find_store
from train.compare.axes import within
from train.compare.plan import Planned
from train.compare.variants import plan_runs
from train.config.run_config import RunConfig
from train.data.load import load_bank, open_store
from train.data.recoded_store import encoded_for


def planned_on_stores(
    configs: Sequence[tuple[str, RunConfig]], store: str | None, replays: Path | None
) -> tuple[Planned, ...]:
    """Planned runs, each on a store of its codec that holds the features of all its runs.

    Raises:
        SchemaError: the store must be encoded anew and keeps no frame table.
    """
    first = configs[0][1]
    planned: dict[str, Planned] = {}
    for codec in dict.fromkeys(config.policy.codec for _, config in configs):
        source = find_store(store, replays, first.data.character, codec)
        alike = [one for one in configs if one[1].policy.codec == codec]
        path = str(encoded_for(source, codec, union_of(config.policy.features for _, config in alike)))
        planned |= {run.run: run for run in plan_runs(alike, path, Store(path).manifest.digest)}
    return tuple(planned[run.run] for run in plan_runs(configs, "", ""))


def fit_to_split(planned: Sequence[Planned], say: Callable[[str], None]) -> tuple[Planned, ...]:
    """The runs whose part of the train split the store has, with the epochs of their parts."""
    first = planned[0]
    store = open_store(first.store, first.config.policy.codec, first.config.policy.features)
    num_replays = len(load_bank(store, "train", first.config.data.character).ids)
    kept = within([(one.label, one.config) for one in planned], num_replays)
    labels = {label for label, _ in kept}
    if left := sorted({one.label for one in planned if one.label not in labels}):
        say(f"left out, the train split has {num_replays} replays: {', '.join(left)}")
    runs = {(label, config.seed): config for label, config in kept}
    return tuple(replace(one, config=runs[one.label, one.config.seed]) for one in planned if one.label in labels)
