import json
import re
from pathlib import Path
from xml.etree import ElementTree

from tests.train.builders import tiny_config, tiny_splits, write_store
from train.callbacks.run_page import RunPage, chart
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


def test_a_chart_runs_from_the_least_value_below_to_the_most_above() -> None:
    root = ElementTree.fromstring(chart([("a", "red", [1.0, 3.0]), ("b", "blue", [2.0, 2.0])]))
    points = [line.attrib["points"] for line in root.findall("polyline")]
    assert points == ["48.0,192.0 592.0,48.0", "48.0,120.0 592.0,120.0"]
    assert [text.text for text in root.findall("text")] == ["3.000", "1.000", "a", "b", "epoch 2"]


def test_a_chart_of_one_value_is_drawn() -> None:
    assert 'points="48.0,192.0 48.0,192.0"' in chart([("a", "red", [1.0])])
