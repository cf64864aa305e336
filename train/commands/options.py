"""Options that several commands share, and those made of the settings that ``train.settings`` declares."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from dataset.reporting.terminal import option_name, to_stderr
from train.config.resolve import FLAGS, PRESETS
from train.settings import Flag

Command = Callable[..., None]
Options = TypeVar("Options")

PANELS = {"policy": "Policy", "data": "Data", "optim": "Optimization", "loss": "Loss"}
"""Where help shows the settings of each part of the config."""

StorePath = Annotated[str | None, typer.Option("--store", help="Folder or URL of the store.", metavar="STORE")]
ReplaysPath = Annotated[
    Path | None, typer.Option("--replays", help="Replays to ingest first, into a cached store.", metavar="PATH")
]
Preset = Annotated[
    str | None, typer.Option("--preset", help=f"{', '.join(PRESETS)}: settings that flags then override.")
]
TolerateBadShards = Annotated[
    int,
    typer.Option("--tolerate-bad-shards", help="Window shards that may be damaged or missing: skipped and counted."),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
CompileMode = Annotated[
    str,
    typer.Option(
        "--compile", help="auto, off or on: fuse a step's operations with torch.compile; auto does so on CUDA."
    ),
]
NumWorkers = Annotated[
    int,
    typer.Option(
        "--num-workers", min=0, help="Threads that decode replays ahead of training; 0 decodes between its steps."
    ),
]
Wandb = Annotated[bool, typer.Option("--wandb", help="Log to Weights & Biases, each run separately.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")]


def with_settings(*left_out: str, besides: type | None = None) -> Callable[[Command], Command]:
    """Give a command more options in the place of its ``**flags``.

    Args:
        left_out: parameter names of settings that it does not get; it gets one option for every other.
        besides: a dataclass of options, annotated as parameters are, that ``gathered`` makes of the flags.
    """

    def decorate(command: Command) -> Command:
        own = inspect.signature(command)
        named = [one for one in own.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        shared = [] if besides is None else list(inspect.signature(besides).parameters.values())
        settings = [_parameter(flag) for flag in FLAGS.values() if flag.name not in left_out]
        parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*named, *shared, *settings)]
        command.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {one.name: one.annotation for one in parameters}
        return command

    return decorate


def gathered(kind: type[Options], flags: dict[str, Any]) -> Options:
    """The options of a dataclass, taken out of ``flags``."""
    return kind(**{name: flags.pop(name) for name in inspect.signature(kind).parameters})


def _parameter(flag: Flag) -> inspect.Parameter:
    """A flag as typer reads it from a signature; ``None`` where it is not given, so that it overrides no preset."""
    option = option_name(flag.name)
    if flag.kind is bool and flag.setting.has_negation:
        option += f"/{option_name('no_' + flag.name)}"
    kind: Any = str if flag.kind is tuple else flag.kind
    panel = PANELS.get((flag.path or "policy").partition(".")[0])
    option_info = typer.Option(option, help=flag.help, metavar=flag.setting.metavar, rich_help_panel=panel)
    declared = Annotated[kind | None, option_info]
    return inspect.Parameter(flag.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=declared)


def say(text: str) -> None:
    """Write a line for people, who read stderr: stdout belongs to results."""
    to_stderr(text)


def given(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were given."""
    return {name: value for name, value in flags.items() if value is not None}


def is_given(ctx: typer.Context, name: str) -> bool:
    """Whether an option was given, be it at its default."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"  # by name: typer may bring a click of its own
