from dataclasses import replace
from pathlib import Path

from ruamel.yaml import YAML

from dataset.store.manifest import Manifest
from dataset.store.readme import HUB_CARD_NAME, hub_card, write_hub_card


def test_the_card_of_an_ingested_store_lists_its_parquet_files_and_nothing_else(store: Path) -> None:
    _, head, body = (store / HUB_CARD_NAME).read_text().split("---\n", 2)
    files = {config["config_name"]: config["data_files"] for config in YAML(typ="safe").load(head)["configs"]}
    assert files == {
        "frames": [{"split": "data", "path": "frames/*.parquet"}],
        "replays": [{"split": "data", "path": "replays.parquet"}],
    }
    assert {path.suffix for entry in files.values() for path in store.glob(entry[0]["path"])} == {".parquet"}
    assert "# Frames of 6 Melee games" in body


def test_a_store_without_frames_lists_only_its_replays(store: Path) -> None:
    empty = replace(Manifest.load(store), shards=())
    found = YAML(typ="safe").load(hub_card(empty).split("---\n")[1])["configs"]
    assert [config["config_name"] for config in found] == ["replays"]


def test_a_card_of_ours_is_renewed_and_somebodys_own_is_left_alone(store: Path) -> None:
    grown = replace(Manifest.load(store), replays=7)
    write_hub_card(store, grown)
    assert (store / HUB_CARD_NAME).read_text() == hub_card(grown)
    (store / HUB_CARD_NAME).write_text("# My games\n")
    write_hub_card(store, grown)
    assert (store / HUB_CARD_NAME).read_text() == "# My games\n"
