"""``--features`` from store to run and back: the same groups everywhere, or a refusal that says what to do."""

import json
from pathlib import Path

import pytest
import torch

from dataset.duels.generate import generate_replay
from dataset.errors import CheckpointError, ConfigError, SchemaError
from dataset.features.layout import encoder_digest
from dataset.store.reencode import encode_windows
from ingest.jobs.pipeline import ingest
from ingest.options import IngestOptions
from tests.train.builders import tiny_config, tiny_policy_config, tiny_splits, write_store
from tests.train.commands.test_options import digest
from train.compare.stores import fold_runs, planned_on_stores
from train.compare.variants import sweep_configs
from train.data.stores import encoded_for
from train.fit.train_run import train_run
from train.measure.evaluate import evaluate_run
from train.runs.checkpoint import load_policy
from train.runs.run_folder import load_record

LESS = "all-speeds-items"


def fit(store: Path, run: Path, features: str, **more: object) -> Path:
    config = tiny_config(policy=tiny_policy_config(features=features))
    train_run(config, store, run.name, runs=run.parent, **more)  # type: ignore[arg-type]
    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same replays with all features and with some, and a run on each with some."""
    folder = tmp_path_factory.mktemp("features")
    write_store(folder / "whole", tiny_splits())
    write_store(folder / "less", tiny_splits(), features=LESS)
    fit(folder / "whole", folder / "on-whole", LESS)
    fit(folder / "less", folder / "on-less", LESS)
    return folder


def measured(run: Path, store: Path) -> tuple[float, str]:
    report = evaluate_run(load_policy(run), store, split="test", is_seen_allowed=False, device=torch.device("cpu"))
    return report["nll"], report["features"]


def test_a_run_learns_the_same_from_a_store_that_leaves_out_what_it_is_not_given(folder: Path) -> None:
    assert digest(folder / "on-whole") == digest(folder / "on-less")
    assert measured(folder / "on-whole", folder / "whole") == measured(folder / "on-whole", folder / "less")


def test_what_a_run_measured_names_the_features_it_was_given(folder: Path) -> None:
    assert measured(folder / "on-whole", folder / "whole")[1] == LESS


def test_a_run_remembers_its_features_by_name_and_digest(folder: Path) -> None:
    record = load_record(folder / "on-whole")
    assert (record["config"]["policy"]["features"], record["encoder_digest"]) == (LESS, encoder_digest(LESS))
    assert load_policy(folder / "on-whole").config.policy.features == LESS


def test_features_changed_by_hand_in_a_run_are_noticed(folder: Path, tmp_path: Path) -> None:
    record = json.loads((folder / "on-whole" / "config.json").read_text())
    record["config"]["policy"]["features"] = "all"
    (tmp_path / "config.json").write_text(json.dumps(record))
    with pytest.raises(
        CheckpointError, match=f"reads encoder_digest {encoder_digest('all')}, found {encoder_digest(LESS)}"
    ):
        load_record(tmp_path)


def test_a_run_from_before_features_were_chosen_has_them_all_and_goes_on(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", tiny_splits())
    run = fit(store, tmp_path / "run", "all")
    record = json.loads((run / "config.json").read_text())
    del record["config"]["policy"]["features"]
    (run / "config.json").write_text(json.dumps(record))
    assert load_policy(run).config.policy.features == "all"
    fit(store, run, "all", is_resumed=True)
    with pytest.raises(ConfigError, match=r"--resume .* found other policy\.features"):
        fit(store, run, LESS, is_resumed=True)


def test_a_run_that_is_given_more_than_a_store_holds_is_refused_with_both_ways_out(
    folder: Path, tmp_path: Path
) -> None:
    for work in (
        lambda: fit(folder / "less", tmp_path / "more", "all-items"),
        lambda: measured(fit(folder / "whole", tmp_path / "whole", "all-items"), folder / "less"),
    ):
        with pytest.raises(
            SchemaError,
            match=rf"must hold the features all-items, found {LESS}, without speeds; run 'exphil encode --store .*less "
            rf"--features all', or train with --features {LESS}",
        ):
            work()


def test_a_store_that_leaves_out_what_a_run_is_given_is_measured_through_a_twin_that_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPHIL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "in").mkdir()
    generate_replay(tmp_path / "in" / "0.slp", seed=0, characters=("falco", "fox"), stage="battlefield", frames=2400)
    store, less = tmp_path / "store", tmp_path / "less"
    for target in (store, less):
        ingest([tmp_path / "in"], target, IngestOptions(workers=1))
    encode_windows(less, features="base+misc")
    run = fit(write_store(tmp_path / "tiny", tiny_splits()), tmp_path / "run", "all-hitlag")
    policy = load_policy(run)

    def seen(path: Path | str) -> object:
        report = evaluate_run(policy, path, split="all", is_seen_allowed=False, device=torch.device("cpu"))
        return report["nll"], report["accuracy"]

    assert encoded_for(less, "axis17", "base") == less
    twin = encoded_for(less, "axis17", "all-hitlag")
    assert twin != less
    assert seen(twin) == seen(store)
    # Runs put side by side share one store that holds what any of them is given, so they share its baselines.
    other = fit(tmp_path / "tiny", tmp_path / "other", "base+misc")
    assert [one.store for one in fold_runs([str(run), str(other)], str(less))] == [str(twin)] * 2
    assert [one.store for one in fold_runs([str(other)], str(less))] == [str(less)]
    configs = sweep_configs("features", "base,all", None, {"train_character": "falco"}, seeds=1)
    assert [one.store for one in planned_on_stores(configs, str(less), None)] == [str(twin)] * 2
    assert [one.store for one in planned_on_stores(configs[:1], str(less), None)] == [str(less)]
