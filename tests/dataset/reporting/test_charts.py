import re

import pytest

from dataset.reporting.charts import Axis, Dot, Heap, histograms, intervals


@pytest.mark.parametrize(
    ("epochs", "ticks"),
    [([1.0], [1.0]), ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]), ([1.0, 12.0], [2.0, 4.0, 6.0, 8.0, 10.0, 12.0])],
)
def test_epochs_have_whole_numbers(epochs: list[float], ticks: list[float]) -> None:
    assert Axis.over(epochs, 0, 100, is_whole=True, room=0.02).ticks() == ticks


def test_other_values_have_three_ticks_or_more() -> None:
    assert Axis.over([0.95, 1.17], 0, 100).ticks() == pytest.approx([0.95, 1.0, 1.05, 1.1, 1.15])


def test_names_beside_intervals_have_the_room_they_need_and_long_ones_are_cut() -> None:
    def end_of(name: str) -> float:
        """Where the name ends, counted from the left edge."""
        found = re.search(r'<text x="([\d.]+)"[^>]*class="name">', intervals([Dot(name=name, colour=0, value=1.0)], ""))
        assert found is not None
        return float(found[1])

    assert end_of("gru") == 94
    assert end_of("gru-s0 – mamba-s0") > 7 * len("gru-s0 – mamba-s0")
    assert end_of("n" * 60) == end_of("n" * 24)
    assert f">{'n' * 23}…<title>{'n' * 60}</title>" in intervals([Dot(name="n" * 60, colour=0, value=1.0)], "points")


def test_the_origin_is_on_the_scale_and_marked() -> None:
    dots = [Dot(name="far", colour=0, value=5.0, interval=(4.0, 6.0))]
    plain, marked = intervals(dots, "points"), intervals(dots, "points", origin=0.0)
    assert ">0</text>" in marked
    assert ">0</text>" not in plain
    assert marked.count("var(--soft)") == 1


def test_histograms_lie_on_top_of_each_other_on_one_scale_with_their_figures_below() -> None:
    heaps = [
        Heap(name="people", colour=8, values=[0.0, 0.0, 1.0, 2.0], figure=0.75, interval=(0.5, 1.0)),
        Heap(name="bot", colour=1, values=[10.0] * 7),
    ]
    drawn = histograms(heaps, "rolls", num_bins=10)
    outlines = re.findall(r'<path d="(M4[^"]*)"', drawn)
    assert len(outlines) == 2, "each counts as shares of its own values"
    assert outlines[0].startswith("M4 96V48.0H"), "half of people's values are in the first column"
    assert outlines[1].endswith("V0.0H356.0V96Z"), "all of the bot's are in the last"
    assert drawn.count("<circle") == 1
    assert histograms([Heap(name="nobody", colour=0, values=[])], "rolls") == '<p class="none">none</p>'


def test_a_histogram_counts_its_outermost_values_in_the_columns_at_the_ends() -> None:
    values = [*(float(n % 10) for n in range(500)), 1e6]
    assert _tick_texts(histograms([Heap(name="people", colour=8, values=values)], "rolls"))[-1] == "8"


def _tick_texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)
