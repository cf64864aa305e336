import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from dataset.duels.generate import generate_replay
from dataset.errors import ConfigError
from dataset.store.manifest import Manifest
from dataset.store.store import Store
from ingest import cli
from ingest.command import ingest_sources


def run(*arguments: object) -> Result:
    app = typer.Typer()
    cli.register(app)
    app.command("other")(lambda: None)  # a lone command would lose its name
    result = CliRunner().invoke(app, ["ingest", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_ingest_prints_one_json_object_and_what_to_type_next(duels: Path, tmp_path: Path) -> None:
    imports_s = time.process_time()
    result = run(duels, "--store", tmp_path / "store", "--min-frames", 1, "--workers", 1, "--json")
    found = json.loads(result.stdout.splitlines()[-1])
    assert result.stdout.count("\n") == 1
    assert found["cpu_seconds"] > imports_s
    assert (found["replays_found"], found["replays_ingested"], found["frames"]) == (4, 4, 2400)
    assert found["digest"] == Manifest.load(tmp_path / "store").digest
    assert result.stderr.splitlines()[-1] == f"next: exphil verify --store {tmp_path / 'store'}"
    assert "4 of 4 replays" in result.stderr


def test_a_store_goes_on_in_its_codec_and_another_is_an_error_that_names_the_way(duels: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    made = (duels, "--store", store, "--min-frames", 1, "--workers", 1)
    run(*made, "--codec", "joint")
    assert Manifest.load(store).codec == "joint"
    run(*made, "--codec", "joint")
    with pytest.raises(
        ConfigError, match=r"of codec 'joint', found 'axis17'; .* 'exphil encode --store \S+ --codec axis17'"
    ):
        run(*made, "--codec", "axis17")
    (tmp_path / "new").mkdir()
    generate_replay(tmp_path / "new" / "a.slp", seed=99, frames=600)
    run(tmp_path / "new", *made[1:])
    assert Store(store).manifest.codec == "joint"
    assert {sample.classes.shape[1] for sample in Store(store).samples("all")} == {4}
    assert Store(store).manifest.replays == 5


def test_rejected_replays_are_shown_by_reason(duels: Path, tmp_path: Path) -> None:
    result = run(duels, "--store", tmp_path / "store", "--workers", 1, "--json")
    assert json.loads(result.stdout)["rejections"] == {"too_short": 4}
    assert "too_short: shorter than --min-frames" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("next: look at the reasons above")


@pytest.mark.parametrize(
    "place", ["https://me:hunter2@host/a.zip", "https://host/a.zip?key=hunter2", "s3://me:hunter2@bucket/a"]
)
def test_what_holds_credentials_is_refused_before_anything_shows_it(
    duels: Path, tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for source, store in ((place, tmp_path / "store"), (duels, place)):
        with pytest.raises(ConfigError, match="found a user name or a query in it; keep credentials in") as caught:
            ingest_sources([Path(source)], Path(store), None, {"workers": 1})
        assert "hunter2" not in str(caught.value)
    assert capsys.readouterr().err == ""


def test_a_folder_without_replays_is_told_from_one_of_rejected_ones(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run(tmp_path / "empty", "--store", tmp_path / "store", "--workers", 1)
    assert result.stderr.splitlines()[-1] == "next: name the folder or archive that holds .slp files; here is none"


def test_files_that_cannot_be_read_are_not_said_to_be_filtered(tmp_path: Path) -> None:
    (tmp_path / "a.slp").write_text("no replay")
    result = run(tmp_path / "a.slp", "--store", tmp_path / "store", "--workers", 1)
    assert result.stderr.splitlines()[-1] == "next: look at the reasons above"


@pytest.mark.parametrize("more", [(), ("--rebuild",), ("--dry-run",)])
def test_a_folder_that_holds_something_else_becomes_no_store(
    duels: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.md").write_text("")
    with pytest.raises(
        ConfigError, match=r"mine: must be a store, an empty folder or a new one, found thesis.md in it"
    ):
        run(duels, "--store", tmp_path / "mine", *more)
    with pytest.raises(ConfigError, match=r"thesis.md: must be a folder, found a file; give another --store"):
        run(duels, "--store", tmp_path / "mine" / "thesis.md", *more)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.md"]


def test_without_a_source_the_datasets_are_ingested_and_locked(
    duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    entry = f"    sources: [{duels}]\n    min_frames: 1\n    store: "
    Path("data_manifest.yaml").write_text(f"datasets:\n  one:\n{entry}one\n  two:\n{entry}two\n")
    found = json.loads(run("--workers", 1, "--json").stdout)
    digest = Manifest.load("one").digest
    assert (found["replays_ingested"], found["digest"]) == (8, f"{digest},{digest}")
    assert Path("data_manifest.yaml").read_text().count(f'      digest: "{digest}"\n') == 2
    assert json.loads(run("--dataset", "two", "--workers", 1, "--json").stdout)["replays_found"] == 4


def test_two_datasets_of_one_store_are_counted_in_it_once(
    duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    entries = [f"  {i}:\n    sources: [{duels}/duel-{i}.slp]\n    min_frames: 1\n    store: s\n" for i in range(2)]
    Path("data_manifest.yaml").write_text("datasets:\n" + "".join(entries))
    found = json.loads(run("--workers", 1, "--json").stdout)
    used = os.times()
    assert found["cpu_seconds"] <= used.user + used.system + used.children_user + used.children_system + 0.01
    assert (found["replays_found"], found["replays_ingested"], found["store_replays"]) == (2, 2, 2)
    assert found["digest"] == Manifest.load("s").digest


def test_a_source_that_is_not_there_is_told_before_any_dataset_is_ingested(
    duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data_manifest.yaml").write_text(
        f"datasets:\n  a:\n    sources: [{duels}]\n    store: s\n  b:\n    sources: [gone]\n    store: t\n"
    )
    with pytest.raises(ConfigError, match="source gone: must be a file or folder, found nothing there"):
        run("--workers", 1)
    assert not Path("s").exists()


def test_a_source_that_a_dataset_names_and_that_is_not_there_is_told_with_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data_manifest.yaml").write_text("datasets:\n  one:\n    sources: [nowhere]\n    store: s\n")
    with pytest.raises(
        ConfigError, match=r"data_manifest.yaml, dataset 'one': source nowhere: must be a file or folder"
    ):
        run("--workers", 1)


def test_of_hundreds_of_sources_three_are_named(tmp_path: Path) -> None:
    for number in range(5):
        generate_replay(tmp_path / f"{number}.slp", seed=number, frames=60)
    result = run(*sorted(tmp_path.glob("*.slp")), "--store", tmp_path / "store", "--workers", 1)
    assert f"{tmp_path / '2.slp'} and 2 more -> " in result.stderr
    assert "3.slp" not in result.stderr


def test_options_that_cannot_take_effect_are_errors(
    duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data_manifest.yaml").write_text("datasets:\n  one:\n    sources: [x]\n    store: s\n")
    for arguments, message in (
        ([duels], "--store: a SOURCE needs a store"),
        ([duels, "--store", "s", "--dataset", "one"], "--dataset one"),
        (["--character", "fox"], "--character: data_manifest.yaml decides"),
        (["--store", "s"], "--store: data_manifest.yaml decides"),
        (["--dataset", "three"], "must be one of one"),
    ):
        with pytest.raises(ConfigError, match=message):
            run(*arguments)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, ingest.cli; sys.exit(bool({'numpy', 'pyarrow', 'polars', 'peppi_py', 'rich'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
