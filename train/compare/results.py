"""The results of a comparison or sweep: the matrix, the baselines and the differences of all finished runs, written as JSON.

``results.json`` in the comparison's folder is one plain dict, from which the table and the page are drawn. Likelihoods are
only compared between variants of one task and one codec. Where delays, codecs or characters differ, ``notes`` say so, and
differences are taken only of values that mean the same everywhere.
"""

import json
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from dataset.codecs.registry import get_codec
from dataset.features.layout import BASE
from dataset.io.atomic import replacing
from dataset.stats.card import write_card
from dataset.store.manifest import MANIFEST_NAME
from dataset.store.store import Store
from dataset.stream.bank import Bank
from train.compare.arena import Arena, play_run, rank_correlation
from train.compare.matrix import Row, Subject, baseline_row, build_rows, find_differences, find_luck, find_split
from train.compare.measured import SPLITS, Measured, Measuring, measure_run
from train.compare.power_law import data_law
from train.config.run_config import RunConfig, flat, from_json
from train.data.load import character_id, load_bank
from train.data.stores import open_store
from train.measure.evaluate import measure_baselines
from train.measure.intervals import OTHER_DELAYS, OTHER_PLAYERS, Luck

RESULTS, MEASURED, PLAYED, CARD = "results.json", "measured", "arena", "data.html"

SWEEP_DATA = "sweep data"
"""The kind whose losses are laid on a power law."""

METRICS: tuple[str, ...] = ("nll", "change_nll", "accuracy", "change_accuracy")
"""What differences are taken of."""

ACROSS_CODECS = ("accuracy",)
"""The same between codecs: it counts what classes do to a controller."""

Results = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A run to be measured."""

    label: str
    """The variant it is a seed of."""
    run: Path
    store: str


def make_results(
    folder: Path,
    finished: Sequence[Finished],
    *,
    kind: str,
    failed: Sequence[Mapping[str, str]] = (),
    device: torch.device,
    is_detailed: bool = False,
    tolerate_bad_shards: int = 0,
    arena: Arena | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Results:
    """Measure every run that is not yet measured, let it play, and write ``results.json``.

    Args:
        folder: the comparison's.
        finished: its runs, in the order of the matrix.
        kind: ``compare``, or ``sweep`` and its axis.
        failed: ``run`` and ``error`` of those that did not come to an end.
        device: where reports are computed.
        is_detailed: whether test replays are measured in detail (``train.measure.detailed.gather``).
        tolerate_bad_shards: window shards of a store that may be skipped.
        arena: what every run plays, if anything.
        say: receives lines about progress.

    Raises:
        CheckpointError: a run cannot be loaded.
    """
    how = Measuring(
        kept=folder / MEASURED,
        device=device,
        is_detailed=is_detailed,
        tolerate_bad_shards=tolerate_bad_shards,
        say=say,
    )
    subjects = []
    for one in finished:
        measured = measure_run(one.run, one.store, how)
        played = None if arena is None else play_run(one.run, arena, folder / PLAYED, say)
        subjects.append(_subject(one, measured | {"arena": played}))
    rows, tasks = build_rows(subjects), _tasks(subjects, finished)
    split = find_split(rows)
    metrics = METRICS if len({codec for _, codec, _, _ in tasks}) == 1 else ACROSS_CODECS
    if len({character for _, _, _, character in tasks}) > 1:
        metrics = ()
    ranking = rank_correlation([one.measured for one in subjects], split) if "nll" in metrics else None
    results = {
        "kind": kind,
        "name": folder.name,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, {device.type}",
        "split": split,
        "rows": rows,
        "baselines": [row for task in tasks for row in _baselines(task, len(tasks) > 1, tolerate_bad_shards)],
        "differences": find_differences(subjects, split, metrics),
        "arena": None if arena is None else asdict(arena),
        "nll_rank_correlation": ranking,
        "notes": [*_notes(rows, tasks, split, find_luck(subjects, split, "nll")), *_arena_notes(arena, ranking, split)],
        "settings": _settings(subjects),
        "data": subjects[0].measured["record"]["data"] | {"train": _counts(subjects[0], "train")},
        "runs": [_run(one) for one in subjects],
        "failed": list(failed),
        "card": _data_card(folder, finished[0].store),
        "law": data_law(subjects) if kind == SWEEP_DATA else None,
    }
    with replacing(folder / RESULTS) as temporary:
        temporary.write_text(json.dumps(results) + "\n", encoding="utf-8")
    return results


def _data_card(folder: Path, store: str) -> str | None:
    """The page about the data beside the report, if the store's frame table is on this machine."""
    if not (Path(store) / MANIFEST_NAME).is_file():
        return None
    opened = Store(store)
    if not opened.manifest.of_kind("frames"):
        return None
    if not (folder / CARD).is_file():
        write_card(opened, folder / CARD)
    return CARD


def _subject(one: Finished, measured: Measured) -> Subject:
    seed = measured["record"]["config"]["seed"]
    return Subject(label=one.label, seed=seed, run=one.run.name, measured=measured)


Task = tuple[str, str, int, str | None]
"""Store, codec, delay and character."""


def _tasks(subjects: Sequence[Subject], finished: Sequence[Finished]) -> list[Task]:
    found: dict[Task, None] = {}
    for subject, one in zip(subjects, finished, strict=True):
        config = from_json(RunConfig, subject.measured["record"]["config"])
        found[one.store, config.policy.codec, config.data.delay, config.data.character] = None
    return list(found)


def _baselines(task: Task, is_named: bool, tolerate_bad_shards: int) -> Iterable[Row]:
    """Rows of the baselines of one task; named after it where there are several."""
    path, codec, delay, character = task
    store = open_store(path, codec, BASE, tolerate_bad_shards)
    who, classes = character_id(character), get_codec(codec)
    banks: dict[str, Bank] = {split: Bank(store.packed(split), who, codec=classes) for split in SPLITS}
    tracked = {split: bank for split, bank in banks.items() if bank.tracks}
    measured = measure_baselines(load_bank(store, "train", character), tracked, classes, delay)
    for name, reports in measured.items():
        label = f"{name}, {codec}, delay {delay}, {character or 'any player'}" if is_named else name
        yield baseline_row(label, {split: reports.get(split, {}) for split in SPLITS}) | {"reports": _slim(reports)}


def _notes(rows: Sequence[Row], tasks: Sequence[Task], split: str, luck: Luck | None) -> Iterable[str]:
    _, codecs, delays, characters = (set(kind) for kind in zip(*tasks, strict=True))
    if len(characters) > 1:
        yield OTHER_PLAYERS
    if len(codecs) > 1:
        yield (
            "The codecs differ: NLL and change frames are over each codec's own classes and cannot be compared; the "
            "overall accuracy and the buttons can."
        )
    if len(delays) > 1:
        yield OTHER_DELAYS
    if split == "val":
        yield "Not every run could be measured on test replays, so this page shows val, although the weights were chosen on it."
    if all(row["seeds"] == 1 for row in rows):
        yield "One seed each: intervals cover the choice of replays, not the spread over seeds."
    elif luck is not None:
        yield (
            f"The seed moves a run's {split} NLL by ±{luck.deviation:.4f} (standard deviation, {luck.freedom} degrees "
            "of freedom, all variants together). The intervals of differences include that for every variant, also "
            "for one with a single seed."
        )


def _arena_notes(arena: Arena | None, ranking: Mapping[str, Any] | None, split: str) -> Iterable[str]:
    if arena is None:
        return
    yield (
        f"Net stocks per minute: stocks taken minus stocks lost, in {arena.games} games of up to {arena.seconds:g} seconds "
        f"against the scripted player of {arena.world}. Intervals: 95 %, over games."
    )
    if ranking is not None:
        yield (
            f"How well NLL ranks these {ranking['runs']} runs: Spearman's rank correlation of {split} NLL and net stocks per "
            f"minute is {ranking['value']:+.2f}. At -1 a run with a lower NLL always plays better, at 0 NLL says nothing about "
            "play, above 0 it misleads."
        )


def _counts(subject: Subject, split: str) -> dict[str, Any]:
    """What the record says of a split, without the replays' ids."""
    return {name: value for name, value in subject.measured["record"]["data"][split].items() if name != "ids"}


def _settings(subjects: Sequence[Subject]) -> dict[str, Any]:
    """The settings that all runs share, and those that differ, by run."""
    configs = [flat(one.measured["record"]["config"]) for one in subjects]
    names = list(dict.fromkeys(name for config in configs for name in config))
    shared = [name for name in names if all(config.get(name) == configs[0].get(name) for config in configs)]
    return {
        "shared": {name: configs[0].get(name) for name in shared},
        "differing": {
            one.run: {name: config.get(name) for name in names if name not in shared}
            for one, config in zip(subjects, configs, strict=True)
        },
    }


def _run(subject: Subject) -> dict[str, Any]:
    measured = subject.measured
    return {
        "run": subject.run,
        "label": subject.label,
        "seed": subject.seed,
        "curve": measured["curve"],
        "latency": measured["latency"],
        "arena": measured["arena"],
        "reports": _slim({split: measured[split] for split in SPLITS}),
    }


def _slim(reports: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Reports without what only intervals need."""
    return {
        split: {name: value for name, value in report.items() if name != "per_replay"}
        for split, report in reports.items()
    }
