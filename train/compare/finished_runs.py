"""Finished runs folded into one comparison, as if ``exphil compare`` had trained them.

In: run arguments. Out: what each is a variant of. The surprise: runs are seeds of one variant only if nothing but the seed
differs between them; else each that shares its backbone is a variant of its own, under its run's name.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset.errors import ConfigError
from dataset.features.layout import union_of
from train.compare.results import Finished
from train.data.recoded_store import encoded_for
from train.run_folder import features_of, find_run, load_record


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
