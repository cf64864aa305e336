"""Entries for the Computer Melee Championship: a zip with a run's graph and all the code that plays it.

The code is exphil's own: the module that answers frames and every module that it imports, copied under one package name, with
imports rewritten to it. So a bot encodes and decodes as this exphil does, without exphil being installed. The same run gives
the same bytes.
"""

import ast
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from dataset.errors import ConfigError
from dataset.io.atomic import replacing
from dataset.io.runs import find_run
from dataset.melee.ids import CHARACTERS, Character, character_from_name
from dataset.version import VERSION
from train.config.run_config import STREAM
from train.runs.run_folder import GRAPH, load_record

MOST_DELAY = 30
"""Frames; the boards for delays of 18 and 21 take these only."""

REQUIREMENTS = ("msgpack>=1.0,<2", "numpy>=2.0,<3", "onnxruntime>=1.23,<2", "umi-melee>=0.1.0,<0.2")

PACKAGE = "exphil_bot"
"""Holds the copied modules in a zip."""

_PLAYS = "play.umi.games"
"""The module that answers frames. It is only read here: ``play`` imports ``train``."""

_ROOT = Path(__file__).parents[2]
_OURS = ("dataset", "ingest", "train", "play")
_IMPORT = re.compile(rf"^(\s*from )(?=({'|'.join(_OURS)})[. ])", re.MULTILINE)

_RECORD = ("schema_version", "encoder_digest", "codec", "codec_digest", "contract", "config")
"""What a bot's record holds; a run's also lists the replays that it was trained on."""

_DATE = (1980, 1, 1, 0, 0, 0)
"""Of every file in a zip: the earliest that the format knows."""

_LEAGUE_NAMES = {
    "captain_falcon": "CPTFALCON",
    "doctor_mario": "DOC",
    "donkey_kong": "DK",
    "game_and_watch": "GAMEANDWATCH",
    "ice_climbers": "POPO",
    "young_link": "YLINK",
}

_RUN = '''"""A bot for the Computer Melee Championship, written by exphil {version} (MIT licence)."""

import os
from pathlib import Path

import umi

from {package}.{plays} import Games


class Bot(umi.Bot):
    name = {name!r}
    characters = {characters!r}
    delay = {delay}
    pad = False  # inferences have a fixed number of rows anyway

    def setup(self, session):
        folder, cores = Path(__file__).parent, int(os.environ.get("UMI_CORES", "1"))
        self.games = Games(folder, session.num_slots, session.rng_seed, num_threads=max(1, cores))

    def act(self, batch):
        return umi.Actions(ctrl=self.games.answer(batch.frames, batch.slots, batch.first))


if __name__ == "__main__":
    umi.serve(Bot())
'''


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A zip that can be entered."""

    path: Path
    bytes: int
    name: str
    characters: str
    """In the league's spelling."""
    delay: int


def write_entry(run: Path | str, path: Path, *, name: str | None = None, character: str | None = None) -> Entry:
    """Write the zip of a run whose graph is exported.

    Args:
        run: a run argument.
        path: of the zip.
        name: the entry's; the run folder's unless given.
        character: whom it plays; whom the run imitates unless given.

    Raises:
        CheckpointError: there is no such run.
        ConfigError: the league cannot take it.
    """
    folder = find_run(run)[0]
    record = load_record(folder)
    made = _run_file(folder, record, name, character)
    files = {
        "run.py": made["run"].encode(),
        "LICENSE": str(distribution("exphil").read_text("licenses/LICENSE")).encode(),
        "requirements.txt": "".join(f"{line}\n" for line in REQUIREMENTS).encode(),
        "config.json": (json.dumps({key: record[key] for key in _RECORD}, indent=1) + "\n").encode(),
        "policy.onnx": (folder / GRAPH).read_bytes(),
        f"{PACKAGE}/__init__.py": f'"""Modules of exphil {VERSION} that play."""\n'.encode(),
    } | {f"{PACKAGE}/{place}": text.encode() for place, text in copied_modules(_PLAYS).items()}
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for place in sorted(files):
            member = zipfile.ZipInfo(place, _DATE)
            member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(member, files[place], compresslevel=9)
    return Entry(
        path=path,
        bytes=path.stat().st_size,
        name=made["name"],
        characters=made["characters"],
        delay=record["config"]["data"]["delay"],
    )


def require_enterable(run: Path | str, *, name: str | None = None, character: str | None = None) -> None:
    """Refuse what the league cannot take, before anything is written.

    Raises:
        CheckpointError: there is no such run.
        ConfigError: the league cannot take it.
    """
    folder = find_run(run)[0]
    _run_file(folder, load_record(folder), name, character)


def _run_file(folder: Path, record: dict[str, Any], name: str | None, character: str | None) -> dict[str, str]:
    data = record["config"]["data"]
    if record["contract"] != STREAM:
        raise ConfigError(
            f"run {folder.name}: an entry carries its memory from frame to frame, found one trained on windows that begin "
            "without any; train it with --sampling lanes"
        )
    if data["delay"] > MOST_DELAY:
        raise ConfigError(
            f"run {folder.name}: the league's delays are 0 to {MOST_DELAY} frames, found {data['delay']}; train with a shorter "
            "--delay"
        )
    name, wanted = name or folder.name, character or data["character"]
    if not (name.isprintable() and len(name) <= 64):
        raise ConfigError(
            f"--entry-name {name!r}: must be at most 64 printable characters, found {len(name)}; shorten it"
        )
    if wanted is None:
        raise ConfigError(
            f"run {folder.name}: imitates everybody, so it has no character of its own; give --character, one of "
            f"{', '.join(each.name for each in CHARACTERS)}"
        )
    characters = league_name(character_from_name(wanted))
    made = _RUN.format(
        version=VERSION, package=PACKAGE, plays=_PLAYS, name=name, characters=characters, delay=data["delay"]
    )
    return {"run": made, "name": name, "characters": characters}


def league_name(character: Character) -> str:
    """What the league calls a character: libmelee's name."""
    return _LEAGUE_NAMES.get(character.name, character.name.upper())


def copied_modules(first: str) -> dict[str, str]:
    """A module and all of ours that it imports, by place under ``PACKAGE``, their imports rewritten to it."""
    found: dict[str, str] = {}
    waiting = [first]
    while waiting:
        place = _place(waiting.pop())
        if place in found:
            continue
        text = (_ROOT / place).read_text(encoding="utf-8")
        found[place] = _IMPORT.sub(rf"\1{PACKAGE}.", text)
        waiting += _imported(ast.parse(text))
        waiting += [".".join(parent.parts) for parent in Path(place).parents if parent.parts]
    return found


def _place(module: str) -> str:
    path = module.replace(".", "/")
    return f"{path}.py" if (_ROOT / f"{path}.py").is_file() else f"{path}/__init__.py"


def _imported(tree: ast.AST) -> Iterator[str]:
    """Our modules that a module imports, wherever in it; not those that only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in _OURS:
            yield str(node.module)
        elif isinstance(node, ast.Import):
            assert not any(alias.name.split(".")[0] in _OURS for alias in node.names), ast.unparse(node)
        else:
            yield from _imported(node)
