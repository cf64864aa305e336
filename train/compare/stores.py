"""The store that each run of a comparison uses: its own, or a copy in the cache with another codec or more features.

Runs of one codec share a store, and so they share its baselines. A store with another codec, or without features that a run
needs, is left as it is; a copy of it is encoded in the cache (``train.data.stores``). Finished runs that are compared
count as seeds of one variant only if nothing but the seed differs between them; otherwise each is a variant under its own name.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dataset.errors import ConfigError
from dataset.features.layout import union_of
from dataset.io.runs import find_run
from dataset.store.store import Store
from train.compare.plan import Planned
from train.compare.results import Finished
from train.compare.variants import plan_runs, within
from train.config.run_config import RunConfig
from train.data.load import load_bank
from train.data.stores import encoded_for, find_store, open_store
from train.runs.run_folder import features_of, load_record


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


def fold_runs(runs: Sequence[str], store: str) -> list[Finished]:
    """The runs as seeds of variants, to be measured on ``store``.

    Raises:
        CheckpointError: there is no such run.
        ConfigError: one is named twice, two have the same name, or weights other than a run's best are meant.
    """
    found = [find_run(run) for run in runs]
    folders = [folder for folder, _ in found]
    if others := [str(weights) for _, weights in found if weights.stem != "best"]:
        raise ConfigError(
            f"runs to compare: are measured by their best weights, found {', '.join(others)}; name the folders, or use "
            "'exphil eval --compare'"
        )
    names = [folder.name for folder in folders]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(
            f"runs to compare: each needs a name of its own, found {', '.join(twice)} twice; rename a folder"
        )
    records = {folder: load_record(folder) for folder in folders}
    variants: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records.values():
        variants[record["config"]["policy"]["backbone"]].append({**record["config"], "seed": None})
    stores = _stores(store, records.values())
    return [
        Finished(
            label=_label(folder, record["config"], variants),
            run=folder,
            store=stores[record["codec"]],
        )
        for folder, record in records.items()
    ]


def _stores(store: str, records: Collection[Mapping[str, Any]]) -> dict[str, str]:
    """Where the replays lie in each codec, with the features of all its runs: one place, so they share their baselines."""
    needed: defaultdict[str, list[str]] = defaultdict(list)
    for record in records:
        needed[record["codec"]].append(features_of(record))
    return {codec: str(encoded_for(store, codec, union_of(choices))) for codec, choices in needed.items()}


def _label(folder: Path, config: dict[str, Any], variants: dict[str, list[dict[str, Any]]]) -> str:
    backbone: str = config["policy"]["backbone"]
    alike = variants[backbone]
    return backbone if all(one == alike[0] for one in alike) else folder.name
