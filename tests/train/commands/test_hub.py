"""Stores and runs to the hub and back, against a hub in memory whose signatures are the library's."""

import inspect
import json
from importlib import import_module
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from dataset.errors import CheckpointError, ConfigError, ExphilError, ShardError
from dataset.features.layout import ENCODER_DIGEST
from dataset.io.atomic import sha256_of
from dataset.store.manifest import Manifest
from tests.train.builders import tiny_config, tiny_splits, write_store
from tests.train.hub_double import HfApi, Hub, Repo
from train.cli import register
from train.runs.checkpoint import run_record
from train.runs.run_folder import save_record

REPO = "me/falco"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    double = Hub()
    monkeypatch.setattr("dataset.io.hub.library", lambda: double)
    return double


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = write_store(tmp_path / "store", tiny_splits(train=1, val=1, test=1))
    (folder / "salt").write_text("secret")
    (folder / "README.md").write_text("a card")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder as training leaves it, but for what the weights say."""
    folder = tmp_path / "runs" / "first"
    folder.mkdir(parents=True)
    data = {
        "manifest_digest": "d" * 32,
        "train": {"replays": 98, "frames": 1_075_674, "ids": []},
        "val": {"replays": 17, "frames": 9, "ids_sha256": ""},
    }
    record = run_record(tiny_config(), parameters=1_284_210, data=data, versions={"exphil": "0.1.0"})
    save_record(folder, record)
    persistence = {"nll": 2.2, "accuracy": 0.93, "change_nll": 6.5, "change_accuracy": 0.78, "change_exact": 0.0}
    lines = [
        {
            "epoch": epoch,
            "is_best": epoch == 1,
            "val": {name: value / (epoch + 1) for name, value in persistence.items()},
        }
        for epoch in range(3)
    ]
    for line in lines:
        line["val"]["persistence"] = persistence  # type: ignore[index]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "best.safetensors").write_bytes(b"weights")
    (folder / "last.state.pt").write_bytes(b"what resumes")
    (folder / "policy.onnx").write_bytes(b"graph of " + sha256_of(folder / "best.safetensors").encode())
    (folder / "report.html").write_text("<html>")
    return folder


def exphil(*arguments: object) -> Result:
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, ["hub", *map(str, arguments), "--repo", REPO])


def done(*arguments: object) -> dict[str, object]:
    result = exphil(*arguments, "--json")
    if result.exception is not None:
        raise result.exception
    found: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return found


def contents(folder: Path) -> dict[str, bytes]:
    left = ("salt", ".lock")
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in left)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("name", [name for name in vars(HfApi) if not name.startswith("_")])
def test_the_double_takes_what_the_library_takes(name: str) -> None:
    real = getattr(pytest.importorskip("huggingface_hub").HfApi, name)
    theirs, ours = (inspect.signature(method).parameters for method in (real, getattr(HfApi, name)))
    for parameter in ours.values():
        assert (theirs[parameter.name].kind, theirs[parameter.name].default) == (parameter.kind, parameter.default)
    needed = [one.name for one in theirs.values() if one.default is inspect.Parameter.empty]
    assert set(needed) <= set(ours)


def test_the_double_has_the_errors_and_values_of_the_library() -> None:
    library = pytest.importorskip("huggingface_hub")
    double = Hub()
    for name, ours in vars(double.errors).items():
        theirs = getattr(library.errors, name)
        assert [base.__name__ for base in theirs.__mro__ if hasattr(double.errors, base.__name__)] == [
            base.__name__ for base in ours.__mro__ if hasattr(double.errors, base.__name__)
        ]
    entry = import_module("huggingface_hub.hf_api").RepoFile(
        path="a.tar", size=3, oid="0", lfs={"size": 3, "oid": "abc", "pointerSize": 1}
    )
    assert (entry.path, entry.size, entry.blob_id, entry.lfs.sha256) == ("a.tar", 3, "0", "abc")


def test_a_store_goes_up_as_a_dataset_with_its_manifest_last_and_without_its_salt(hub: Hub, store: Path) -> None:
    told = done("push", store, "--dry-run")
    assert hub.repos == {}
    assert done("push", store, "--private") == told
    assert hub.files("dataset", REPO) == contents(store)
    assert not any("secret" in str(data) for data in hub.files("dataset", REPO).values())
    kept = hub.repos["dataset", REPO]
    assert (kept.is_private, len(kept.messages), kept.messages[-1]) == (True, 3, "Add manifest.json")
    assert told == {
        "files": len(contents(store)),
        "bytes": sum(map(len, contents(store).values())),
        "repo": REPO,
        "repo_type": "dataset",
        "revision": None,
    }
    assert done("push", store) == told | {"files": 0, "bytes": 0}


def test_a_store_comes_down_whole_and_a_second_pull_fetches_nothing(hub: Hub, store: Path, tmp_path: Path) -> None:
    done("push", store)
    there = tmp_path / "there"
    assert done("pull", there, "--dry-run")["files"] == len(contents(store))
    assert not there.exists()
    assert done("pull", there)["files"] == len(contents(store))
    assert contents(there) == contents(store)
    hub.downloaded.clear()
    assert done("pull", there)["files"] == 0
    assert hub.downloaded == ["manifest.json"]


def test_a_store_that_holds_less_does_not_go_over_one_that_holds_more(hub: Hub, store: Path, tmp_path: Path) -> None:
    done("push", store)
    text = (store / "manifest.json").read_text()
    more = json.loads(text)
    del more["manifest_digest"]
    more["shards"].append(dict(more["shards"][0], path="frames/frames-00009.parquet", kind="frames", split=None))
    hub.files("dataset", REPO)["manifest.json"] = json.dumps(more).encode()
    result = exphil("push", store)
    assert isinstance(result.exception, ConfigError)
    assert "may not lose replays, found 1 frame shards there" in str(result.exception)


def test_a_shard_that_came_down_wrong_is_named_and_the_manifest_stays_away(
    hub: Hub, store: Path, tmp_path: Path
) -> None:
    done("push", store)
    shard = Manifest.load(store).shards[0].path
    hub.files("dataset", REPO)[shard] = b"damaged"
    with pytest.raises(ShardError, match=f"shard {shard}: must have the SHA-256"):
        done("pull", tmp_path / "there")
    del hub.files("dataset", REPO)[shard]
    with pytest.raises(ShardError, match=r"found no such file; sync it up again"):
        done("pull", tmp_path / "elsewhere")
    assert not (tmp_path / "there" / "manifest.json").exists()


def test_a_file_that_a_download_leaves_out_is_named(hub: Hub, store: Path, tmp_path: Path) -> None:
    done("push", store)
    hub.lost = {"manifest.json"}
    with pytest.raises(ExphilError, match=r"manifest\.json must be the same on both sides"):
        done("pull", tmp_path / "there")


def test_a_store_with_names_is_only_published_privately(hub: Hub, store: Path) -> None:
    manifest = json.loads((store / "manifest.json").read_text())
    manifest["filters"] = {"keep_names": True}
    del manifest["settings_digest"], manifest["manifest_digest"]
    (store / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ConfigError, match="found one made with --keep-names; add --private"):
        done("push", store)
    hub.repos["dataset", REPO] = Repo(is_private=False)
    with pytest.raises(ConfigError, match="must be private already or new, found a public one"):
        done("push", store, "--private")
    hub.repos["dataset", REPO] = Repo(is_private=True)
    assert done("push", store, "--private")["files"] == len(contents(store))


def test_a_run_goes_up_as_a_model_with_a_card_and_comes_down_to_be_played(hub: Hub, run: Path, tmp_path: Path) -> None:
    told = done("push", run)
    files = hub.files("model", REPO)
    assert sorted(files) == [
        "README.md",
        "best.safetensors",
        "config.json",
        "metrics.jsonl",
        "policy.onnx",
        "report.html",
    ]
    assert told["files"] == 6
    assert hub.repos["model", REPO].messages[-1] == "Add config.json"
    assert "README.md" not in contents(run)
    assert done("push", run, "--dry-run")["files"] == 0
    there = tmp_path / "runs" / "again"
    assert done("pull", there)["files"] == 6
    assert contents(there) == files
    assert done("pull", there)["files"] == 0


def test_the_card_tells_the_kept_epoch_beside_persistence_and_how_to_play(hub: Hub, run: Path) -> None:
    done("push", run)
    card = hub.files("model", REPO)["README.md"].decode()
    for line in (
        "A `gru` of 1,284,210 parameters, trained by exphil to imitate falco in Super Smash Bros. Melee: game state in, a",
        "| on 17 val replays, epoch 2 of training | persistence | this policy |",
        "| NLL, nats per frame | 2.2000 | 1.1000 |",
        "| change frames: accuracy | 0.7800 | 0.3900 |",
        "exphil hub pull runs/first --repo me/falco",
        "| trained on | 98 replays, 1,075,674 frames |",
        f"| data digest | `{'d' * 32}` |",
        f"| encoder | `{ENCODER_DIGEST}`, features `all` |",
    ):
        assert line in card.splitlines()
    (run / "README.md").write_text("My own words.")
    done("push", run)
    assert hub.files("model", REPO)["README.md"] == b"My own words."


def test_a_pull_changes_no_run_that_is_here(hub: Hub, run: Path) -> None:
    done("push", run)
    (run / "best.safetensors").write_bytes(b"trained on")
    with pytest.raises(ExphilError, match=r"best\.safetensors must be the same .* give a folder of another name"):
        done("pull", run)
    assert (run / "best.safetensors").read_bytes() == b"trained on"


def test_a_run_that_is_not_whole_stays_here(hub: Hub, run: Path) -> None:
    (run / "best.safetensors").write_bytes(b"other weights")
    with pytest.raises(CheckpointError, match=r"must be exported from best\.safetensors, found other weights"):
        done("push", run)
    (run / "best.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"found no best\.safetensors; train it first"):
        done("push", run)


def test_a_revision_is_a_branch_of_its_own(hub: Hub, run: Path, tmp_path: Path) -> None:
    done("push", run, "--revision", "v2")
    assert list(hub.files("model", REPO)) == []
    assert len(hub.files("model", REPO, "v2")) == 6
    pulled = done("pull", tmp_path / "there", "--revision", "v2")
    assert (pulled["files"], pulled["revision"]) == (6, "v2~2")
    with pytest.raises(ExphilError, match="404: no revision v9"):
        done("pull", tmp_path / "nothing", "--revision", "v9")


def test_a_name_for_both_is_asked_about(hub: Hub, run: Path, store: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found neither that you may read; mend the name"):
        done("pull", tmp_path / "there")
    done("push", run)
    done("push", store)
    with pytest.raises(ConfigError, match="found both; say which with --repo-type"):
        done("pull", tmp_path / "there")
    assert done("pull", tmp_path / "there", "--repo-type", "dataset")["repo_type"] == "dataset"
    assert done("pull", tmp_path / "there")["files"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sideways", "x"], "'sideways': unknown; use one of push, pull"),
        (["pull", "x", "--private"], "--private: is for a repository that is pushed to"),
        (["push", "x", "--repo-type", "model"], "--repo-type: a store is a dataset and a run a model"),
        (["pull", "x", "--repo-type", "space"], "--repo-type 'space': unknown; use one of dataset, model"),
        (["pull", "x", "--repo", "just-a-name"], "--repo: a user or organisation and a name, found 'just-a-name'"),
    ],
)
def test_what_cannot_take_effect_is_refused(hub: Hub, arguments: list[str], message: str) -> None:
    app = typer.Typer()
    register(app)
    given = ["hub", *arguments, *([] if "--repo" in arguments else ["--repo", REPO])]
    result = CliRunner().invoke(app, given)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)


def test_what_the_hub_refuses_is_told_without_signatures(hub: Hub, store: Path) -> None:
    hub.is_down = True
    result = exphil("push", store)
    assert isinstance(result.exception, ExphilError)
    assert "403 Forbidden for url: https://storage.example/x?…; see that it exists" in str(result.exception)
    assert "hunter2" not in str(result.exception)


@pytest.mark.parametrize("words", [("push", "--dry-run"), ("push",), ("pull",), ("pull", "--repo-type", "dataset")])
def test_a_hub_that_does_not_answer_is_not_waited_for(hub: Hub, store: Path, tmp_path: Path, words: tuple[str]) -> None:
    hub.is_mute = True
    result = exphil(words[0], store if words[0] == "push" else tmp_path / "new", *words[1:])
    assert isinstance(result.exception, ExphilError)
    assert "must succeed, found: timed out; see that this machine is online" in str(result.exception)
