"""The code in docs/streaming.md does what the page says."""

import gc
import re
import warnings
from pathlib import Path

import pytest

from dataset.store.store import Store

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "streaming.md").read_text(encoding="utf-8")
TAR_LOOP, WEBDATASET, NOTEBOOK = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def samples(generated_store: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the pages' loops print of the first train shard: ids."""
    monkeypatch.chdir(generated_store)
    store = Store(generated_store)
    return [sample.id for sample in store.samples("train")][: store.manifest.of_kind("windows", "train")[0].samples]


def test_the_tar_loop_is_at_most_ten_lines_and_reads_a_shard(
    samples: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert len([line for line in TAR_LOOP.splitlines() if line]) <= 10
    exec(TAR_LOOP, {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == samples
    assert all(line.endswith("(2, 13, 2400)") for line in lines)


def test_the_tar_loops_classes_are_the_shards(samples: list[str], generated_store: Path) -> None:
    found: dict[str, object] = {}
    exec(TAR_LOOP, found)
    last = next(sample for sample in Store(generated_store).samples("train") if sample.id == samples[-1])
    shape = (2, 13, last.num_frames)
    assert (found["classes"].reshape(shape) == last.classes).all()  # type: ignore[attr-defined]


def test_webdataset_reads_a_shard(samples: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("webdataset")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # webdataset leaves its file open
        exec(WEBDATASET, {})
        gc.collect()
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == samples


def test_a_notebook_reads_a_store(generated_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(NOTEBOOK, {"url": str(generated_store)})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[-4:]] == [sample.id for sample in Store(generated_store).samples("train")]
