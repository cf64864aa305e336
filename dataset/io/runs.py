"""Finds run folders: what a run argument of a command means."""

from pathlib import Path

from dataset.errors import CheckpointError

RUNS = Path("runs")
"""Where run names are looked up, under the working directory."""


def find_run(run: Path | str) -> tuple[Path, Path]:
    """The run folder and the weights file that a run argument means: a folder, a name under ``runs/``, or a weights file.

    Raises:
        CheckpointError: there is no such run.
    """
    path = Path(run)
    if path.suffix == ".safetensors" and path.is_file():
        return path.parent, path
    for folder in (path, RUNS / path):
        if (folder / "config.json").is_file():
            return folder, folder / "best.safetensors"
    known = sorted(config.parent.name for config in RUNS.glob("*/config.json"))
    raise CheckpointError(
        f"run '{run}': a run folder, a name under {RUNS}/ or a .safetensors file in a run is needed, found none there; "
        f"known runs: {', '.join(known) or 'none, train one with exphil train'}"
    )
