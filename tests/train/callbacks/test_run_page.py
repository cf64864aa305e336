import json
import re
from pathlib import Path

from tests.train.builders import tiny_config, tiny_splits, write_store
from train.callbacks import RunPage
from train.fit.train_run import train_run

METRICS = ("nll", "accuracy", "change_accuracy")


def test_a_run_keeps_a_page_that_loads_nothing(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", tiny_splits())
    train_run(tiny_config(), store, "<run>", runs=tmp_path, callbacks=[RunPage()])
    page = (tmp_path / "<run>" / "report.html").read_text()
    assert "<h1>&lt;run&gt;</h1>" in page
    assert not re.search(r"https?:|<script|<link|src=|url\(", page)
    cells = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(<td>.*?)</tr>", page)]
    records = [json.loads(line) for line in (tmp_path / "<run>" / "metrics.jsonl").read_text().splitlines()]
    assert [row[:5] for row in cells] == [
        [f"{number}", *(f"{value:.4f}" for value in (one["train_loss"], *map(one["val"].get, METRICS)))]
        for number, one in enumerate(records, 1)
    ]
    assert len(cells) == 3
    assert 'name="viewport"' in page
    assert page.count("<polyline") == 6
    assert "&quot;hidden_sizes&quot;" in page
