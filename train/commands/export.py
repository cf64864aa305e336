"""``exphil export``: a run as a graph, which plays faster and without PyTorch."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from dataset.errors import ConfigError
from dataset.reporting.terminal import command_line
from train.commands.options import AsJson, say


def export(
    run: Annotated[str, typer.Argument(help="Run folder, run name or checkpoint file.", metavar="RUN")],
    int8: Annotated[bool, typer.Option("--int8", help="Keep large matrices as 8-bit integers.")] = False,
    store: Annotated[
        str | None, typer.Option("--store", help="Also measure NLL and accuracy on this store.", metavar="STORE")
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="val, test or all of the store; default: test.")] = None,
    umi: Annotated[
        Path | None,
        typer.Option("--umi", help="Also write an entry for the Computer Melee Championship, a zip.", metavar="ZIP"),
    ] = None,
    entry_name: Annotated[
        str | None, typer.Option("--entry-name", help="What the entry is called; default: as the run.", metavar="NAME")
    ] = None,
    character: Annotated[
        str | None, typer.Option("--character", help="Whom the entry plays; default: whom the run imitates.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Run the league's conformance test on the entry; needs umi-melee.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a run's policy.onnx, which plays faster and without PyTorch, and check it against PyTorch."""
    from train.export.conformance import conform, require_umi
    from train.export.cost import measure_cost
    from train.export.entry import require_enterable, write_entry
    from train.export.export import CHECKED_FRAMES, export_run
    from train.runs.checkpoint import load_policy

    if split is not None and store is None:
        raise ConfigError(f"--split {split}: says what to measure of a store, found no --store; add it")
    if umi is not None:
        require_enterable(run, name=entry_name, character=character)
    about = {"--entry-name": entry_name, "--character": character, "--check": check}
    if umi is None and (idle := [option for option, value in about.items() if value]):
        raise ConfigError(f"{' and '.join(idle)}: say how an entry is written, found no --umi; add it")
    if check:
        require_umi()
    done = export_run(run, is_int8=int8)
    result: dict[str, Any] = {
        "path": str(done.path),
        "bytes": done.bytes,
        "max_abs_error": done.max_abs_error,
        "different_controllers": done.different_frames,
    }
    if store is not None:
        result |= measure_cost(load_policy(run), done.front, store, split=split or "test")
    say(
        f"{done.path}: {done.bytes:,} bytes; over {CHECKED_FRAMES} frames it differs from PyTorch by {done.max_abs_error:.1e} at "
        f"most, and in {done.different_frames} controllers"
    )
    if store is not None:
        say(
            "over {frames:,} frames of the store: NLL {nll_exported:.4f} nats (PyTorch {nll:.4f}), accuracy "
            "{accuracy_exported:.4f} ({accuracy:.4f})".format(**result)
        )
    if umi is not None:
        entry = write_entry(run, umi, name=entry_name, character=character)
        result["entry"] = {"path": str(entry.path), "bytes": entry.bytes}
        say(
            f"{entry.path}: {entry.bytes:,} bytes, the entry {entry.name}, which plays {entry.characters} with a delay of "
            f"{entry.delay}"
        )
        if check:
            result["checks"] = conform(entry.path, as_json=as_json)
    say(f"next: {command_line('play', '--policy', run, '--stand-in', 'REPLAY')}")
    if as_json:
        typer.echo(json.dumps(result))
