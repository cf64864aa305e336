"""What the documentation says is so: commands, messages, links and the page of columns."""

import os
import re
import runpy
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import py7zr
import pytest
import typer

from dataset.duels.generate import generate_replay
from dataset.reporting.terminal import HEADING

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
NEED_MORE = (
    "rclone",
    "docker",
    "torchrun",
    "--dolphin",
    "--check",
    "arena first --games 4 --watch",
    "--ray",
    "sync",
    "exphil hub",
    "runs/theirs",
    "s3://",
    "https://",
    "sh scripts/",
)
"""What cannot be run here: other programs, Dolphin, other machines' files, a terminal."""


def commands(page: Path) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    whole = (block.replace("\\\n", " ") for block in blocks)
    return [line for block in whole for line in block.splitlines() if line.strip() and not line.startswith("#")]


COMMANDS = [(page.name, line) for page in PAGES for line in commands(page)]


@pytest.fixture(scope="module")
def app() -> Any:
    app = typer.Typer()
    for stage in ("ingest", "dataset", "train", "play"):
        import_module(f"{stage}.cli").register(app)
    return typer.main.get_command(app)


@pytest.mark.parametrize(("page", "line"), [pair for pair in COMMANDS if "exphil " in pair[1]])
def test_every_command_parses(app: Any, page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("game.slp").touch()
    words = shlex.split(line, comments=True)
    if "exphil" not in words or words[0] == "docker":
        return
    name, *arguments = words[words.index("exphil") + 1 :]
    app.commands[name].make_context(name, arguments)


def test_every_help_ends_in_examples_that_parse(app: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("game.slp").touch()
    assert len(app.commands) > 10
    for command, registered in app.commands.items():
        if registered.hidden:
            continue
        heading, *lines = (registered.epilog or "").split("\n\n")
        assert (heading, bool(lines)) == (HEADING, True), f"exphil {command} --help has no examples"
        for line in lines:
            program, name, *arguments = shlex.split(line)
            assert (program, name) == ("exphil", command)
            app.commands[name].make_context(name, arguments)


def test_no_help_holds_brackets_that_its_markup_would_swallow(app: Any) -> None:
    helps = {
        f"{name} {getattr(said, 'name', '')}": said.help or ""
        for name, command in app.commands.items()
        for said in (command, *(one for one in command.params if hasattr(one, "help")))
    }
    assert len(helps) > 100
    assert {name: text for name, text in helps.items() if re.search(r"\[[a-z]", text)} == {}


def test_no_paragraph_of_a_help_is_broken_in_the_middle(app: Any) -> None:
    paragraphs = [(name, part) for name, command in app.commands.items() for part in command.help.split("\n\n")]
    assert [name for name, part in paragraphs if "\n" in part.strip()] == []


def test_every_message_in_troubleshooting_is_one_of_ours() -> None:
    code = re.sub(
        r'"\s*f?"',
        "",
        "".join(
            p.read_text(encoding="utf-8")
            for s in ("ingest", "dataset", "train", "play")
            for p in (ROOT / s).rglob("*.py")
        ),
    )
    rows = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8").splitlines()[4:]
    told = [
        message
        for row in rows
        for message in re.findall(r"`([^`]+)`", row.split("|")[1])
        if not message.startswith("--")
    ]
    assert len(told) > 15
    assert [message for message in told if message not in code] == []


def test_every_link_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_file_and_folder_of_ours_that_a_page_names_exists() -> None:
    for page in [
        *PAGES,
        ROOT / "ARCHITECTURE.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "SECURITY.md",
        *(ROOT / "benchmarks/results").glob("*.md"),
    ]:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"`((?:ingest|dataset|train|play|tests|benchmarks|scripts|docker)/[\w./*]*)`", text):
            assert list(ROOT.glob(name.rstrip("/"))), f"{page.name}: {name}"


def test_every_test_that_the_threat_model_names_is_where_it_says() -> None:
    rows = (ROOT / "SECURITY.md").read_text(encoding="utf-8").splitlines()
    named = 0
    for row in (row for row in rows if "`test_" in row):
        for file, tests in re.findall(r"`(tests/[\w/]+\.py)`: ((?:`test_\w+`(?:, )?)+)", row):
            text = (ROOT / file).read_text(encoding="utf-8")
            names = re.findall(r"`(test_\w+)`", tests)
            named += len(names)
            assert [name for name in names if f"def {name}(" not in text] == [], file
    assert named > 15


def test_the_tree_of_the_readme_names_every_room() -> None:
    tree = (ROOT / "README.md").read_text(encoding="utf-8").split("## What is where")[1].split("```")[1]
    shown: dict[str, set[str]] = {}
    for line in tree.strip().splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            package = shown.setdefault(name, set())
        elif name.endswith("/"):
            package.add(name)
    for stage in ("ingest", "dataset", "train", "play"):
        rooms = {f"{path.parent.name}/" for path in (ROOT / stage).glob("*/__init__.py")}
        assert shown[f"{stage}/"] == rooms, stage


@pytest.mark.parametrize("name", ["columns", "statistics"])
def test_a_generated_page_is_what_its_script_writes(name: str) -> None:
    page = runpy.run_path(str(ROOT / "scripts" / name))["page"]()
    assert (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") == page


@pytest.mark.slow
def test_the_commands_run_one_after_the_other(tmp_path: Path) -> None:
    for seed in range(12):
        (tmp_path / "Slippi").mkdir(exist_ok=True)
        generate_replay(tmp_path / "Slippi" / f"{seed}.slp", seed=seed, characters=("mewtwo", "fox"), frames=2400)
    with py7zr.SevenZipFile(tmp_path / "ranked.7z", "w") as archive:
        archive.writeall(tmp_path / "Slippi", "ranked")
    (tmp_path / "game.slp").write_bytes((tmp_path / "Slippi" / "0.slp").read_bytes())
    environment = os.environ | {"HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    seen = set()
    for page, line in COMMANDS:
        command = line.split("  #")[0].strip()
        if command in seen or not command.startswith("exphil ") or any(word in command for word in NEED_MORE):
            continue
        seen.add(command)
        if command.startswith(("exphil train", "exphil compare", "exphil sweep")):
            command = re.sub(r"--(minutes-per-run|epochs|warmup-steps|seeds) \S+", "", command)
            command += " --max-steps 2 --warmup-steps 0"  # production warms up for 2 000
            if command.startswith("exphil sweep size"):
                command += " --values 16,32 --no-detailed"
            elif not command.startswith("exphil train"):
                command += " --hidden-sizes 16,16 --no-detailed"
            if command.startswith("exphil sweep data"):
                command += " --values 4,all"
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{page}: {command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert len(seen) > 20
