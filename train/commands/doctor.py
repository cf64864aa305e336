"""``exphil doctor``: arguments only; ``train.doctor.diagnose`` looks, ``train.doctor.speeds`` measures."""

import json
from dataclasses import asdict
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dataset.reporting.command_lines import examples

if TYPE_CHECKING:
    from train.doctor.diagnose import Diagnosis

_WIDTH = 100
_UNITS = {
    "parse_frames_per_cpu_second": ("ingest", "frames a CPU-second"),
    "loader_windows_per_second": ("loader", "windows a second"),
    "train_frames_per_second": ("training", "supervised frames a second, a GRU twice 128 wide"),
    "step_ms_p50": ("step", "ms, that GRU in PyTorch, median"),
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", epilog=examples("exphil doctor", "exphil doctor --no-speed --json"))(doctor)


def doctor(
    speed: Annotated[bool, typer.Option("--speed/--no-speed", help="Also measure for about ten seconds.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")] = False,
) -> None:
    """Tell versions, extras, devices and room, and how fast this machine parses, loads, trains and steps.

    What is not installed is told with the command that adds it. Exit 1 only if something installed is broken.
    """
    from train.doctor.diagnose import diagnose

    found = diagnose()
    speeds: dict[str, Any] | None = None
    if speed:
        from train.doctor.speeds import measure_speeds

        typer.echo("measuring for about ten seconds", err=True)
        speeds = asdict(measure_speeds(found.whole_extras()))
    is_sound = found.is_sound and not (speeds and speeds["failed"])
    if as_json:
        typer.echo(json.dumps({"ok": is_sound, **found.as_json(), "speeds": speeds}))
    else:
        _show(found, speeds)
    raise typer.Exit(0 if is_sound else 1)


def _show(found: "Diagnosis", speeds: dict[str, Any] | None) -> None:
    told = found.as_json()
    typer.echo("exphil {exphil}, Python {python}, {system}".format(**told["versions"]))
    for extra, state in told["extras"].items():
        lacking = ", ".join(state["missing"])
        typer.echo(
            f"{extra:<10} "
            + ("ok" if state["whole"] else f"lacks {lacking}: {state['install']}" if lacking else "BROKEN")
        )
        for name, fault in state["broken"].items():
            typer.echo(f"{'':10} {name} {told['libraries'][name]}: {fault}")
    libraries = ", ".join(f"{name} {version}" for name, version in told["libraries"].items() if version)
    typer.echo(
        fill(libraries, _WIDTH, initial_indent="libraries  ", subsequent_indent=" " * 11, break_on_hyphens=False)
    )
    devices = told["devices"]
    typer.echo(
        f"CPU        {devices['cpus']} usable, {devices['instructions'] or 'instruction sets unknown without torch'}"
    )
    for card in devices["cuda"]:
        typer.echo(f"CUDA       {card['name']}, {_gib(card['free_bytes'])} of {_gib(card['memory_bytes'])} free")
    if devices["openvino"]:
        typer.echo(f"OpenVINO   {', '.join(devices['openvino'])}")
    typer.echo(f"memory     {_gib(told['memory_free_bytes'])} of {_gib(told['memory_bytes'])} free")
    typer.echo(f"disk       {_gib(told['disk_free_bytes'])} free here")
    if speeds is not None:
        _show_speeds(speeds)


def _show_speeds(speeds: dict[str, Any]) -> None:
    for key, (name, unit) in _UNITS.items():
        if speeds[key] is not None:
            typer.echo(f"{name:<10} {speeds[key]:,.{3 if unit.startswith('ms') else 0}f} {unit}")
        else:
            typer.echo(f"{name:<10} " + (speeds["skipped"].get(key) or f"BROKEN: {speeds['failed'][key]}"))


def _gib(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 2**30:,.1f} GiB"
