"""A run to a model repository of the hub and back: what plays and what says how well, never what resumes.

In: a run and a ``HubRepo``. Out: how much was copied. The surprise: a pull adds to a folder and changes nothing there;
``config.json``, by which a run is known, arrives last and only after everything else is whole.
"""

import json
import tempfile
from pathlib import Path

from dataset.errors import CheckpointError, ConfigError
from dataset.io.atomic import sha256_of
from dataset.io.hub import HubRepo
from dataset.io.remote_folder import Copied
from dataset.reporting.command_lines import command_line
from dataset.store.readme import HUB_CARD_NAME, MARK
from train.run_folder import GRAPH, METRICS, PAGE, find_run, load_record
from train.runs.model_card import model_card

WEIGHTS, RECORD = "best.safetensors", "config.json"
LOOKUP = "lookup.safetensors"
"""``train.measure.lookup.LOOKUP``, written here because importing it would load torch."""

FILES = (WEIGHTS, GRAPH, METRICS, LOOKUP, PAGE)
"""Those that are there go up, the record after them."""


def push_run(run: str, away: HubRepo, *, is_dry: bool = False) -> Copied:
    """Send a run with a card that says what it is.

    Raises:
        CheckpointError: there is no such run, it has no weights yet, or its graph is of others.
        ExphilError: the hub says no.
    """
    folder, weights = find_run(run)
    if weights.name != WEIGHTS:
        raise CheckpointError(
            f"run {run}: a run goes up with its {WEIGHTS}, found {weights.name}; give the run's folder"
        )
    record = load_record(folder)
    _require_whole(folder, run)
    files = [name for name in FILES if (folder / name).is_file()]
    with tempfile.TemporaryDirectory(prefix="exphil-card-") as staged:
        for name in (*files, RECORD):
            (Path(staged) / name).symlink_to((folder / name).absolute())
        (Path(staged) / HUB_CARD_NAME).write_text(_card(folder, away.repo, record), encoding="utf-8")
        done = Copied()
        for part in ([*files, HUB_CARD_NAME], [RECORD]):
            done += away.send(Path(staged), part, is_dry=is_dry)
        if not is_dry:
            away.check(Path(staged), [*files, HUB_CARD_NAME, RECORD])
    return done


def pull_run(folder: Path, away: HubRepo, *, is_dry: bool = False) -> Copied:
    """Fetch a run into a folder of its own.

    Raises:
        ConfigError: the repository holds no run.
        CheckpointError: the run is not for this exphil.
        ExphilError: the hub says no, the folder holds another run, or what came is not what is listed there.
    """
    there = [name for name in (*FILES, HUB_CARD_NAME) if name in away.listed()]
    if RECORD not in away.listed() or WEIGHTS not in there:
        raise ConfigError(
            f"{away.name}: a run holds {RECORD} and {WEIGHTS}, found no such files; name the run's --repo"
        )
    if (folder / RECORD).is_file():
        held = [name for name in there if (folder / name).is_file()]
        away.require_same(folder, [RECORD, *held], "a pull changes no run that is here: give a folder of another name")
    done = Copied()
    for part in (there, [RECORD]):
        done += away.fetch(folder, part, is_dry=is_dry)
        if not is_dry:
            away.check(folder, part)
    if not is_dry:
        load_record(folder)
    return done


def _require_whole(folder: Path, run: str) -> None:
    """Refuse a run without what the card tells, and a graph that play would refuse."""
    for name in (WEIGHTS, METRICS):
        if not (folder / name).is_file():
            raise CheckpointError(f"run {run}: must have finished an epoch, found no {name}; train it first")
    graph = folder / GRAPH
    # The graph's metadata hold the digest as plain text, so no ONNX library is needed to find it.
    if graph.is_file() and sha256_of(folder / WEIGHTS).encode() not in graph.read_bytes():
        raise CheckpointError(
            f"{graph}: must be exported from {WEIGHTS}, found other weights; run '{command_line('export', run)}' or delete it"
        )


def _card(folder: Path, repo: str, record: dict[str, object]) -> str:
    """The run's own README.md if somebody wrote one, else a new card."""
    path = folder / HUB_CARD_NAME
    own = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else MARK
    if MARK not in own:
        return own
    lines = (folder / METRICS).read_text(encoding="utf-8").splitlines()
    return model_card(folder.resolve().name, repo, record, [json.loads(line) for line in lines])
