"""The flags of ``exphil play``, each declared once, and the modes in which it can take effect.

The surprise: a flag is refused where it is idle even if it says what is so anyway, for whoever gives it expects something of it;
so what counts is whether it stands on the command line, never its value.
"""

from pathlib import Path
from typing import Annotated

import typer

from dataset.errors import ConfigError

IN_DOLPHIN = "In Dolphin"
IN_STAND_IN = "Without Dolphin"

Policy = Annotated[
    str | None, typer.Option(metavar="RUN", help="Run folder, run name or checkpoint file.", show_default=False)
]
Check = Annotated[
    bool,
    typer.Option(
        "--check",
        help="Play nothing: find Dolphin and the ISO, and say what a match lacks. --policy: is it fast enough?",
    ),
]
StandIn = Annotated[
    Path | None,
    typer.Option(
        metavar="REPLAY",
        exists=True,
        dir_okay=False,
        help="Play against this replay (Slippi 3.8 or newer), served as Dolphin would; it does not react.",
        rich_help_panel=IN_STAND_IN,
    ),
]
Fps = Annotated[
    float | None,
    typer.Option(
        min=1,
        help="Frames a second of the stand-in; default 60, with --sync as fast as the policy.",
        rich_help_panel=IN_STAND_IN,
    ),
]
Dolphin = Annotated[
    Path | None,
    typer.Option(
        help="Slippi Dolphin: the executable, its folder, or Slippi Launcher's netplay folder.",
        rich_help_panel=IN_DOLPHIN,
    ),
]
Iso = Annotated[
    Path | None, typer.Option(help="Melee, NTSC 1.02, with everything unlocked.", rich_help_panel=IN_DOLPHIN)
]
CharacterName = Annotated[
    str | None, typer.Option(help="Default: the character the run imitates.", rich_help_panel=IN_DOLPHIN)
]
StageName = Annotated[str | None, typer.Option(help="Default: final_destination.", rich_help_panel=IN_DOLPHIN)]
Opponent = Annotated[
    str | None,
    typer.Option(
        metavar="cpu|human|RUN",
        help="cpu, human (on this machine or, with --connect-code, online), or a run: --policy plays it. Default: cpu.",
    ),
]
OpponentCharacter = Annotated[
    str | None,
    typer.Option(
        help="What the CPU plays, default fox; or an opponent's run, default whom it imitates.",
        rich_help_panel=IN_DOLPHIN,
    ),
]
CpuLevel = Annotated[
    int | None, typer.Option(min=1, max=9, help="Of a CPU opponent; default 9.", rich_help_panel=IN_DOLPHIN)
]
ConnectCode = Annotated[
    str | None,
    typer.Option(
        help="Meet this player in Slippi's direct mode (never unranked); needs a login.", rich_help_panel=IN_DOLPHIN
    ),
]
DolphinHome = Annotated[
    Path | None,
    typer.Option(
        help="Dolphin's User folder to copy for a human opponent: pad settings and login. Default: Slippi's own.",
        rich_help_panel=IN_DOLPHIN,
    ),
]
ReplayDir = Annotated[
    Path | None, typer.Option(help="Where Dolphin keeps the replays; default play-replays.", rich_help_panel=IN_DOLPHIN)
]
LogDir = Annotated[
    Path | None,
    typer.Option(
        help="Where each session's log gets a folder of its own; default in Dolphin: sessions beside the replays.",
        show_default=False,
    ),
]
Techniques = Annotated[
    bool | None,
    typer.Option(
        "--techniques/--no-techniques",
        help="Afterwards: how often the agent L-cancels, techs, wavedashes …, from the replays that Dolphin kept.",
        show_default="unless --json",
        rich_help_panel=IN_DOLPHIN,
    ),
]
Headless = Annotated[
    bool,
    typer.Option(
        "--headless", help="No window; needs a build without one: mainline nogui, or ExiAI.", rich_help_panel=IN_DOLPHIN
    ),
]
SlippiPort = Annotated[
    int | None,
    typer.Option(min=1, max=65535, help="UDP port of the spectator stream; default 51441, stand-in: a free one."),
]
Games = Annotated[int | None, typer.Option(min=1, help="Games to play; default 1.", rich_help_panel=IN_DOLPHIN)]
Port = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=4,
        help="The agent's port; default 1, beside a person one without a pad, stand-in: its character's, else the lowest.",
    ),
]
Delay = Annotated[
    int | None, typer.Option(help="Frames between seeing and acting; must be what the run was trained with.")
]
Temperature = Annotated[float, typer.Option(help="Of sampling, above 0.")]
Runtime = Annotated[
    str, typer.Option(help="onnx, openvino, torch, or auto: ONNX Runtime if exphil export was run, else PyTorch.")
]
OpenVinoDevice = Annotated[str | None, typer.Option(help="CPU, GPU or AUTO, with --runtime openvino; default CPU.")]
Sync = Annotated[
    bool, typer.Option("--sync", help="Dolphin waits for the policy on every frame; without it the game never waits.")
]
Seconds = Annotated[float | None, typer.Option(min=0.1, help="Stop after so many seconds of play.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the sampling noise.")]
View = Annotated[
    bool | None,
    typer.Option(
        "--view/--no-view", help="Draw the match in the terminal, or tell of it in plain lines.", show_default="--view"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]

_LOOKED_AT = {"check", "dolphin", "iso", "dolphin_home", "replay_dir", "slippi_port", "headless", "as_json"}
_STEPPED = {"policy", "runtime", "openvino_device", "sync"}
_PLAYED = _STEPPED | {"temperature", "seed", "delay", "seconds", "opponent", "port", "log_dir", "view", "as_json"}

HEEDED: dict[str, set[str]] = {
    "--check without --policy": _LOOKED_AT,
    "--check": _LOOKED_AT | _STEPPED,
    "--stand-in": _PLAYED | {"stand_in", "fps", "slippi_port"},
    "--dolphin": _PLAYED
    | {"dolphin", "iso", "character", "stage", "opponent_character", "cpu_level", "connect_code", "dolphin_home"}
    | {"replay_dir", "techniques", "headless", "slippi_port", "games"},
}
"""By mode: the flags that can take effect there. ``play.dolphin.match`` has which kind of opponent needs which of them."""


def refuse_idle(ctx: typer.Context, mode: str) -> None:
    """Refuse what stands on the command line and could not take effect in a mode.

    Raises:
        ConfigError: there is such a flag.
    """
    for parameter in ctx.command.params:
        name = str(parameter.name)
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE" and name not in HEEDED[mode]:
            raise ConfigError(f"{parameter.opts[0]}: has no effect with {mode}; leave one of them out")
