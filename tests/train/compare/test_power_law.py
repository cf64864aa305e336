import numpy as np
import pytest

from train.compare.power_law import fit_law, power_law

AMOUNTS = (8, 16, 32, 64, 128)


def law(a: float, b: float, c: float, amounts: tuple[float, ...] = AMOUNTS) -> list[float]:
    return [a + b * n**-c for n in amounts]


def noisy(losses: list[float], size: float, draws: int = 400) -> np.ndarray:
    return np.array(losses) + np.random.default_rng(1).normal(0, size, (draws, len(losses)))


@pytest.mark.parametrize(("a", "b", "c"), [(0.9, 1.5, 0.5), (0.4, 3.0, 0.25), (0.0, 2.0, 0.3), (1.0, 40.0, 1.7)])
def test_points_of_a_known_law_give_it_back(a: float, b: float, c: float) -> None:
    found = power_law(AMOUNTS, np.array([law(a, b, c)]))
    assert found.c[0] == pytest.approx(c, rel=0.02)
    assert found.a[0] == pytest.approx(a, abs=0.02)
    assert found.at(2000)[0] == pytest.approx(a + b * 2000**-c, abs=0.01)


def test_the_interval_of_noisy_points_holds_the_true_loss_far_beyond_them() -> None:
    true = law(0.9, 1.5, 0.5)
    measured = noisy(true, 0.004)[0].tolist()
    found = fit_law(AMOUNTS, measured, noisy(measured, 0.004))
    assert found.doubt is None
    value, low, high = found.at(2000)
    assert low < 0.9 + 1.5 * 2000**-0.5 < high
    assert low < value < high
    assert found.exponent[1] < 0.5 < found.exponent[2]


@pytest.mark.parametrize(
    ("amounts", "losses", "doubt"),
    [
        ((8, 16, 32), law(0.9, 1.5, 0.5, (8, 16, 32)), "3 amounts of data fit any law of three numbers"),
        (AMOUNTS, [1.0, 1.1, 1.2, 1.3, 1.4], "the loss does not fall with more data"),
        (AMOUNTS, [1.05, 1.02, 1.04, 1.01, 1.03], "the exponent could be anything from"),
    ],
)
def test_points_that_do_not_identify_a_law_are_said_not_to(
    amounts: tuple[float, ...], losses: list[float], doubt: str
) -> None:
    assert doubt in (fit_law(amounts, losses, noisy(losses, 0.02)).doubt or "")
