"""``--init-from``: a run that begins with another's weights, say of all characters before one of them.

In: a run and the config of the new one. Out: its policy and what the new run must remember of it. The surprise: the replays it
trained on stay seen, so the new run neither chooses its weights by them nor is measured on them.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dataset.errors import ConfigError
from train.config.run_config import RunConfig, to_json
from train.runs.checkpoint import LoadedPolicy, load_policy

FREE = frozenset({"dropout", "prev_dropout", "attention_window"})
"""Fields of the policy that no weight depends on."""


def load_initial(run: Path | str, config: RunConfig) -> LoadedPolicy:
    """The run's policy, if its weights fit ``config``.

    Raises:
        CheckpointError: there is no such run, or it belongs to another schema, encoder or codec.
        ConfigError: it is built otherwise; every differing field is named.
    """
    loaded = load_policy(run)
    theirs, ours = to_json(loaded.config.policy), to_json(config.policy)
    differing = [
        f"{name} {_plain(ours[name])} (there {_plain(theirs[name])})"
        for name in ours
        if name not in FREE and _plain(ours[name]) != _plain(theirs[name])
    ]
    if differing:
        raise ConfigError(
            f"--init-from {run}: the new policy must be built as that run's, found other {', '.join(differing)}; "
            "give the same flags as there"
        )
    return loaded


def inherited(loaded: LoadedPolicy) -> dict[str, Any]:
    """What ``config.json`` keeps of the run that was begun from."""
    return {"run": loaded.run.name, "ids": sorted(seen_ids(loaded.record))}


def seen_ids(record: Mapping[str, Any]) -> set[str]:
    """The replays that a run's weights have seen: its own, and those of the runs it began from."""
    return set(record["data"]["train"]["ids"]) | set((record.get("init_from") or {"ids": ()})["ids"])


def require_unseen(val: Iterable[str], loaded: LoadedPolicy) -> None:
    """Refuse to choose weights by replays that were trained on."""
    seen = seen_ids(loaded.record) & set(val)
    if seen:
        raise ConfigError(
            f"--init-from {loaded.run.name}: the val replays must be new to it, found {len(seen)} that it trained on; "
            "ingest both stores with the same --split-seed"
        )


def _plain(value: Any) -> Any:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else value
