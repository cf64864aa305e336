import pytest

from dataset.reporting.charts import Axis


@pytest.mark.parametrize(
    ("epochs", "ticks"),
    [([1.0], [1.0]), ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]), ([1.0, 12.0], [2.0, 4.0, 6.0, 8.0, 10.0, 12.0])],
)
def test_epochs_have_whole_numbers(epochs: list[float], ticks: list[float]) -> None:
    assert Axis.over(epochs, 0, 100, is_whole=True, room=0.02).ticks() == ticks


def test_other_values_have_three_ticks_or_more() -> None:
    assert Axis.over([0.95, 1.17], 0, 100).ticks() == pytest.approx([0.95, 1.0, 1.05, 1.1, 1.15])
