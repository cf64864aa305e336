"""``exphil eval``: trained policies, measured on replays they never saw."""

import json
from typing import Annotated

import typer

from dataset.errors import ConfigError
from train.commands.options import AsJson, Device, ReplaysPath, StorePath, TolerateBadShards, say


def evaluate(
    runs: Annotated[list[str] | None, typer.Argument(help="Runs to compare.", metavar="RUN")] = None,
    policy: Annotated[str | None, typer.Option("--policy", help="Run to measure.", metavar="RUN")] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Measure every RUN on the same replays.")] = False,
    store: StorePath = None,
    replays: ReplaysPath = None,
    split: Annotated[
        str | None, typer.Option("--split", help="val, test or all; default: test, or all with --replays.")
    ] = None,
    allow_seen: Annotated[
        bool, typer.Option("--allow-seen", help="Also measure on replays that the run trained on.")
    ] = False,
    tolerate_bad_shards: TolerateBadShards = 0,
    detailed: Annotated[
        bool,
        typer.Option(
            "--detailed",
            help="Also measure by component, button, situation and opponent, timing of presses, calibration, and the policy "
            "given its own controllers; about four times the work.",
        ),
    ] = False,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure trained policies on replays they never saw."""
    from train.data.stores import encoded_for, find_store
    from train.fit.train_run import find_device
    from train.measure.evaluate import evaluate_run, parse_split
    from train.measure.intervals import differences
    from train.measure.report import show_reports
    from train.runs.checkpoint import load_policy

    wanted = _wanted_runs(runs or [], policy, compare)
    chosen = parse_split(split or ("test" if replays is None else "all"))
    target = find_device(device)
    reports = []
    for loaded in map(load_policy, wanted):
        codec, features = loaded.codec.name, loaded.config.policy.features
        report = evaluate_run(
            loaded,
            encoded_for(find_store(store, replays, None, codec), codec, features),
            split=chosen,
            is_seen_allowed=allow_seen,
            device=target,
            tolerate_bad_shards=tolerate_bad_shards,
            detailed=detailed,
            say=say,
        )
        reports.append(report)
    found = differences(reports)
    for shard in sorted({shard for report in reports for shard in report["skipped_shards"]}):
        say(f"bad shard {shard} was skipped, its replays are missing")
    show_reports(reports, found, is_detailed=detailed, to_stderr=as_json)
    if as_json:
        typer.echo(json.dumps({"rows": reports, "differences": found} if compare else reports[0]))


def _wanted_runs(runs: list[str], policy: str | None, compare: bool) -> list[str]:
    if compare:
        if policy is not None or len(runs) < 2:
            found = f"{len(runs)} runs" + (" and --policy" if policy is not None else "")
            raise ConfigError(f"--compare: takes two runs or more and nothing else, found {found}; name them after it")
        return runs
    if policy is None or runs:
        found = "none" if policy is None else f"also {', '.join(runs)}"
        raise ConfigError(f"--policy: names the one run to measure, found {found}; several need --compare RUN RUN")
    return [policy]
