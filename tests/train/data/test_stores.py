from pathlib import Path

import numpy as np
import pytest

from dataset.codecs.registry import get_codec
from dataset.duels.generate import generate_replay
from dataset.errors import SchemaError
from dataset.store.store import Store
from ingest.jobs.pipeline import ingest
from ingest.options import IngestOptions
from tests.train.builders import tiny_splits, write_store
from train.data.stores import encoded_for


def test_a_store_of_the_right_codec_or_at_a_url_is_used_as_it_is(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", tiny_splits())
    assert encoded_for(store, "axis17", "all") == store
    assert encoded_for("s3://bucket/store", "joint", "all") == "s3://bucket/store"


def test_windows_without_a_frame_table_cannot_change_codec(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", tiny_splits())
    with pytest.raises(
        SchemaError,
        match="needs its frame table to be read in codec joint with features all, found window shards in axis17",
    ):
        encoded_for(store, "joint", "all")


def test_the_twin_holds_the_same_replays_in_the_other_codec_and_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPHIL_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "replays"
    source.mkdir()
    generate_replay(source / "0.slp", seed=0, characters=("mewtwo", "fox"), stage="battlefield", frames=2400)
    ingest([source], tmp_path / "store", IngestOptions(workers=1))
    twin = encoded_for(tmp_path / "store", "joint", "all")
    assert encoded_for(tmp_path / "store", "joint", "all") == twin
    (ours,), (theirs,) = Store(tmp_path / "store").samples("all"), Store(twin).samples("all")
    assert (Store(twin).manifest.codec, Store(tmp_path / "store").manifest.codec) == ("joint", "axis17")
    assert (theirs.id, theirs.classes.shape) == (ours.id, (2, 4, ours.num_frames))
    fine, coarse = (
        get_codec(name).decode(one.classes.transpose(0, 2, 1)) for name, one in (("joint", theirs), ("axis17", ours))
    )
    assert np.array_equal(fine[..., 5], coarse[..., 5])
    assert np.abs(fine[..., :2] - coarse[..., :2]).max() < 16
