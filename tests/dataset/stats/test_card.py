import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

import dataset.cli
from dataset.errors import ConfigError
from dataset.reporting.charts import bars, columns, heat_map
from dataset.stats.card import card_html, write_card
from dataset.store.store import Store
from ingest.jobs.pipeline import ingest
from ingest.options import IngestOptions

VOID = ("meta", "rect", "line", "circle")


class Balance(HTMLParser):
    """Fails on a tag that is not closed where it should be."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        assert tag in VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_bar_is_as_long_as_its_share_of_the_largest_and_labels_are_escaped() -> None:
    text = bars([("a<b", 4), ("c", 1)], "%")
    assert re.findall(r"width:([\d.]+)%", text) == ["100.0", "25.0"]
    assert ">a&lt;b<" in text
    assert ">4%<" in text


def test_columns_stand_as_high_as_their_share_of_the_highest() -> None:
    text = columns([0, 2, 4], {0: "0", 3: "end"}, "what")
    assert re.findall(r'<rect [^>]*height="([\d.]+)"', text) == ["0.0", "48.0", "96.0"]
    assert re.findall(r'text-anchor="(\w+)">(\w+)<', text) == [("start", "0"), ("end", "end")]


def test_a_heat_map_has_up_above_and_right_to_the_right() -> None:
    text = heat_map({(2, 2): 3, (-2, -2): 3, (0, 0): 0}, 2, "what")
    assert re.findall(r'<rect x="(\d+)" y="(\d+)"', text) == [("0", "4"), ("4", "0")]


def test_the_page_shows_the_store_and_needs_no_network(store: Path) -> None:
    page = card_html(Store(store))
    Balance(page)
    assert "<b>14,400</b><span>frames</span>" in page
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == [
        *("Characters", "Stages", "Length", "Quality", "Main stick", "C-stick", "Buttons"),
        *("Slippi versions", "Endings", "Left out"),
    ]
    assert re.search(r"<dt>mewtwo</dt><dd><i[^>]*></i><span>7<", page)  # one duel is a ditto
    assert "prefers-color-scheme: dark" in page
    assert not re.search(r"https?:|<script|<link|url\(", page)


def test_no_name_gets_onto_the_page_even_from_a_store_that_keeps_names(duel: Path, tmp_path: Path) -> None:
    named = shutil.copyfile(duel, tmp_path / "secret-person.slp")
    ingest([named], tmp_path / "kept", IngestOptions(workers=1, min_frames=1, keep_names=True))
    names = Store(tmp_path / "kept").replays().select("name_hash_a", "code_hash_b").collect().row(0)
    page = card_html(Store(tmp_path / "kept"))
    assert not any(name in page for name in ("secret-person", *names))


def test_a_store_of_rejects_alone_shows_why(duel: Path, tmp_path: Path) -> None:
    ingest([duel], tmp_path / "none", IngestOptions(workers=1, min_frames=20_000))
    page = card_html(Store(tmp_path / "none"))
    Balance(page)
    assert "<dt>rejected: too short</dt>" in page
    assert "Main stick" not in page


@pytest.fixture(scope="module")
def duel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from dataset.duels.generate import generate_replay

    path = tmp_path_factory.mktemp("duel") / "duel.slp"
    generate_replay(path, seed=3, frames=600)
    return path


def test_the_sticks_share_at_rest_is_the_frames_own(store: Path) -> None:
    frames = Store(store).frames(["a_c_x", "a_c_y", "b_c_x", "b_c_y"]).collect()
    still = sum(frames.filter((pl.col(f"{s}_c_x") == 0) & (pl.col(f"{s}_c_y") == 0)).height for s in "ab")
    assert f"C-stick</h2><p>{still / frames.height / 2:.0%} of frames in the middle" in card_html(Store(store))


def test_stats_writes_the_page_and_refuses_what_it_cannot_heed(store: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    dataset.cli.register(app)
    asked = ["stats", "--store", str(store), "--html", str(tmp_path / "card.html")]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0
    assert (tmp_path / "card.html").read_text() == card_html(Store(store))
    assert write_card(Store(store), tmp_path / "card.html") == (tmp_path / "card.html").stat().st_size
    assert CliRunner().invoke(app, [*asked[:-1], str(tmp_path)]).exit_code == 2
    for extra in (["--query", "stages"], ["--character", "fox"], ["--csv"], ["--sql", "select 1"]):
        refused = CliRunner().invoke(app, [*asked, *extra])
        assert isinstance(refused.exception, ConfigError)
        assert "--html: shows the whole store" in str(refused.exception)
