"""Command lines with values that are wrong, huge, negative, no number, empty, not ASCII or contradict each other.

Every line starts from one that works. Files may be made and changed below the working folder only. What needs a network, a GPU,
hours, or thousands of processes is left out, see ``LEFT_OUT``.
"""

import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import typer

from dataset.store.manifest import Manifest
from tests.hardening.campaign import Case, Part, WrongError
from tests.hardening.parts.replays import whole_game
from tests.hardening.parts.runs import TINY, small_run
from tests.hardening.shell import fresh, run, small_store

LINES = {
    "ingest": "games --store new --workers 1 --min-frames 1",
    "inspect": "--store store --frames 0:2",
    "verify": "--store store",
    "stats": "--store store",
    "encode": "--store store",
    "sync": "up store --remote away",
    "train": f"--store store --name two --backbone mlp {TINY}",
    "eval": "--policy runs/one --store store --allow-seen",
    "export": "runs/one",
    "compare": f"--store store --name both --backbones mlp --no-detailed {TINY}",
    "sweep": f"data --values 1,all --store store --backbone mlp --no-detailed {TINY}",
    "doctor": "--no-speed",
    "play": "--policy runs/one --stand-in games/0.slp --sync --seconds 0.2",
    "eval-games": "games",
    "arena": "runs/one --games 2 --seconds 0.3 --save-replays saved",
    "demo": "--replays nowhere --minutes 0",
}
"""A line of every command that works, or ends at once; edits come behind it."""

OFTEN = (
    "ingest",
    "inspect",
    "verify",
    "stats",
    "encode",
    "sync",
    "eval",
    "export",
    "eval-games",
    "play",
    "arena",
    "train",
    "compare",
    "sweep",
)

LEFT_OUT = frozenset(
    {
        "--watch",
        "--ray",
        "--wandb",
        "--dolphin",
        "--iso",
        "--verbose",
        "--speed",
        "--compile",
        "--view",
        "--headless",
        "--dolphin-home",
        "--minutes",
    }
)
"""Options that wait for ever or for minutes, need a network, a display, Dolphin or a compiler."""

NOT_HUGE = frozenset(
    {
        "--workers",
        "--num-workers",
        "--epochs",
        "--max-steps",
        "--minutes-per-run",
        "--minutes",
        "--seconds",
        "--games",
        "--seeds",
    }
)
"""Options whose huge values are honest work without end, or more processes than a machine has."""

HUGE = ("1e400", "99999999999999999999", "2147483648", "1000000", "9" * 5000)
VALUES = (
    *(
        "",
        " ",
        "x",
        "-1",
        "0",
        "-0",
        "nan",
        "inf",
        "-inf",
        "1.5",
        "1e3",
        "1,2",
        ",",
        "1:2",
        "2:1",
        ":",
        "None",
        "null",
        "true",
        "[1]",
    ),
    *(
        "\u30d5\u30a9\u30c3\u30af\u30b9",
        "\u0661",
        "\udcff\udcfe",
        "\u202egnp",
        "\u001b[31mred",
        "\u001b]0;title\u0007",
        "a\nb",
        "'",
        '"',
        ";",
        "$HOME",
        "%s",
    ),
    *(
        "store",
        "runs/one",
        "games",
        "games/0.slp",
        "nowhere/x",
        "runs/one/config.json",
        ".",
        "..",
        "~",
        "n" * 300,
        "a/" * 200,
        "link",
    ),
    *(
        "memory://x",
        "nope://x",
        "http://[::1",
        "s3:",
        "file:///nowhere",
        "https://user:secret@127.0.0.1:1/x",
        "-",
        "--",
        "--json",
        "-h",
    ),
    *(
        "axis17",
        "joint",
        "mewtwo",
        "fox",
        "last",
        "test",
        "all",
        "gru",
        "mamba",
        "cpu",
        "cuda",
        "bf16",
        "SELECT 1",
        "frames > 0",
        "1" + "+1" * 20_000 + " > 0",
        "id not in (" + "'x'," * 3_000 + "'x')",
        "greatest() > 1",
        "SELECT greatest() FROM replays",
        "DROP TABLE replays",
    ),
    *(
        "SELECT * FROM read_csv('/etc/passwd')",
        "base+speeds",
        "all-items",
        "size",
        "8,8",
        "16",
        "2",
        "down",
        "openvino",
        "torch",
    ),
)


class Commands(Part):
    """Lines of the command line."""

    name = "commands"
    limit_s = 200.0
    must_fit = False
    has_run = True
    """Whether there is a run to play and measure, which takes seconds to train."""

    def prepare(self) -> None:
        """Make a store, a run and some games, and watch what is opened for writing."""
        self.whole = self.scratch.parent / f"whole-work-{self.has_run}"
        if not self.whole.exists():
            self.whole.mkdir()
            shutil.copytree(small_store(self.scratch.parent / "small-store"), self.whole / "store")
            if self.has_run:
                shutil.copytree(small_run(self.scratch.parent), self.whole / "runs" / "one")
            (self.whole / "games").mkdir()
            (self.whole / "games" / "0.slp").write_bytes(whole_game(0))
            (self.whole / "link").symlink_to("nowhere")
        self.work = self.scratch / "deep" / "work"
        self.work.parent.mkdir()
        os.environ |= {
            "HOME": str(self.scratch / "home"),
            "EXPHIL_CACHE": str(self.scratch / "cache"),
            "TMPDIR": str(self.scratch),
            "CUDA_VISIBLE_DEVICES": "",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
            "WANDB_MODE": "disabled",
        }
        tempfile.tempdir = str(self.scratch)
        app = typer.main.get_command(import_module("exphil").build_app())
        self.options = {
            name: [o for o in command.params if not {*o.opts} & LEFT_OUT and name != "hub"]
            for name, command in app.commands.items()  # type: ignore[attr-defined]
            if name in LINES
        }
        cost = dict.fromkeys(("nll", "nll_exported", "accuracy", "accuracy_exported"), 0.0) | {"frames": 0}
        self._replaced = {
            (import_module("train.export.export"), "export_run"): _loaded,
            (import_module("train.export.cost"), "measure_cost"): lambda *_, **__: dict(cost),
        }
        for (module, name), double in self._replaced.items():
            self._replaced[module, name] = getattr(module, name)
            setattr(module, name, double)
        self.is_watching, self.touched = False, ""
        sys.addaudithook(self._watch)

    def close(self) -> None:
        """Let exports take their time again."""
        tempfile.tempdir = None
        for (module, name), real in self._replaced.items():
            setattr(module, name, real)

    def _watch(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.is_watching or event not in (
            "open",
            "os.remove",
            "os.rename",
            "os.mkdir",
            "os.rmdir",
            "os.truncate",
            "shutil.rmtree",
        ):
            return
        path, mode, flags = (*arguments, None, None)[:3]
        is_text = isinstance(mode, str) and bool(set(mode) & set("wax+"))
        is_low = isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        if event == "open" and not (is_text or is_low):
            return
        if not isinstance(path, str | bytes | os.PathLike):
            return
        found = str(Path(os.fsdecode(path)).resolve())
        if not found.startswith((str(self.scratch), "/dev/", "/proc/")) and "__pycache__" not in found:
            self.touched = f"{event} {found}"

    def line(self, case: Case) -> list[str]:
        """The words of the case."""
        dice = random.Random(case.seed)
        name = dice.choice(OFTEN) if dice.random() < 0.95 else dice.choice(list(LINES))
        words = LINES[name].split()
        for edit in case.edits:
            self._edit(random.Random(edit), name, words)
        return [name, *(["--json"] if dice.random() < 0.5 else []), *words]

    def _edit(self, dice: random.Random, name: str, words: list[str]) -> None:
        option = dice.choice(self.options[name])
        names = [*option.opts, *option.secondary_opts]
        value = self._value(dice, names)
        if option.param_type_name == "argument":
            words.insert(0, value)
        elif getattr(option, "is_flag", False):
            words.append(dice.choice([*names, f"{names[0]}={value}"]))
        elif dice.random() < 0.05:
            words.append(names[0])
        elif names[0] in words[:-1] and dice.random() < 0.7:
            words[words.index(names[0]) + 1] = value
        else:
            words += [names[0], value] if dice.random() < 0.8 else [f"{names[0]}={value}"]
        if dice.random() < 0.05 and name != "doctor":
            del words[dice.randrange(len(words))]

    def _value(self, dice: random.Random, names: list[str]) -> str:
        is_huge = dice.random() < 0.2 and not set(names) & NOT_HUGE
        value = dice.choice(HUGE) if is_huge else dice.choice(VALUES)
        return "2" if set(names) & NOT_HUGE and value in ("1e3", "16", "inf") else value

    def attempt(self, cases: Sequence[Case]) -> None:
        """Run each line in a fresh working folder."""
        for case in cases:
            words = self.line(case)
            for place in self.scratch.iterdir():
                shutil.rmtree(place, ignore_errors=True) if place.is_dir() else place.unlink()
            fresh(self.whole, self.work)
            self.touched, self.is_watching = "", True
            try:
                done = run(*words, cwd=self.work)
            finally:
                self.is_watching = False
                os.environ.pop("COLUMNS", None)
            self.tally[f"{words[0]} exit {done.code}"] += 1
            for manifest in self.work.rglob("manifest.json"):
                Manifest.load(manifest.parent)
            if self.touched:
                raise WrongError("outside", f"{self.touched} by exphil {' '.join(words)}")
            if "\x1b" in done.out + done.err:
                raise WrongError(
                    "message", f"a terminal's escape comes back raw from exphil {words[0]}: {done.err[:200]!r}"
                )
            if done.code == 0 and words[1:2] == ["--json"] and not _is_json(done.out):
                raise WrongError("message", f"--json, and no object as the last line: exphil {' '.join(words)}")

    def write(self, case: Case, folder: Path) -> str:
        """The folder in which the line goes wrong."""
        fresh(self.whole, folder / "work")
        (folder / "line.json").write_text(json.dumps(self.line(case)))
        return f"cd {folder / 'work'}; exphil {self.line(case)}"


def _loaded(run: Path | str, **_: Any) -> SimpleNamespace:
    """In place of an export, which takes seconds: only its arguments are tried here."""
    from train.runs.checkpoint import load_policy

    load_policy(run)
    return SimpleNamespace(path=run, bytes=1, max_abs_error=0.0, different_frames=0, front=None)


def _is_json(out: str) -> bool:
    lines = out.splitlines() or [""]
    try:
        return isinstance(json.loads(lines[-1]), dict)
    except ValueError:
        return "--help" in out or "Usage" in out
