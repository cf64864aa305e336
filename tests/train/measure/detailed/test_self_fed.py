import pytest
import torch

from dataset.stream.bank import Bank
from tests.train.builders import CODEC, FALCO, sample, tiny_policy_config
from train.measure.detailed.self_fed import STRETCH, Drift, PlayedOut, play_out
from train.measure.walk import measuring
from train.policy.components import Components, component_nll
from train.policy.policy import Policy

CPU = torch.device("cpu")
LONG, SHORT = STRETCH + 30, 45


@pytest.fixture(scope="module")
def policy() -> Policy:
    torch.manual_seed(0)
    return Policy(tiny_policy_config())


@pytest.fixture(scope="module")
def bank() -> Bank:
    return Bank([sample("a", LONG), sample("b", SHORT)], FALCO)


@pytest.fixture(scope="module")
def played(policy: Policy, bank: Bank) -> list[PlayedOut]:
    with measuring(policy):
        return list(play_out(policy, bank, 0, CPU))


def of(played: list[PlayedOut], track: int, first: int, last: int) -> dict[str, torch.Tensor]:
    """Frames of a track in order."""
    rows: dict[int, dict[str, torch.Tensor]] = {}
    for part in played:
        for n, (one, row) in enumerate(zip(part.track.tolist(), part.row.tolist(), strict=True)):
            if one == track and first <= row < last:
                rows[row] = {
                    "held": part.scored.previous[n],
                    "chosen": part.scored.sampled[n],
                    "nll": part.scored.nll[n],
                    "given": part.given_nll[n],
                    "age": part.age[n],
                }
    return {name: torch.stack([rows[row][name] for row in range(first, last)]) for name in rows[first]}


def test_every_frame_is_played_out_once_and_ages_within_its_stretch(played: list[PlayedOut]) -> None:
    for track, num_frames in ((0, LONG), (1, SHORT)):
        frames = of(played, track, 0, num_frames - 1)
        assert frames["age"].tolist() == [row % STRETCH for row in range(num_frames - 1)]
    assert sum(len(part.age) for part in played) == LONG + SHORT - 2


def test_a_policy_holds_what_it_chose_and_first_what_the_player_held(
    policy: Policy, bank: Bank, played: list[PlayedOut]
) -> None:
    real = torch.from_numpy(bank.open(bank.tracks[0], 0).previous).long()
    first = of(played, 0, 0, 100)
    assert torch.equal(first["held"][0], real[0])
    assert torch.equal(first["held"][1:], first["chosen"][:-1])
    assert not torch.equal(first["held"], real[:100])
    assert not torch.equal(first["chosen"], real[:100])
    later = of(played, 0, STRETCH, LONG - 1)
    assert torch.equal(later["held"][0], real[STRETCH])


def test_likelihoods_are_those_of_the_policy_stepped_with_what_it_held(
    policy: Policy, bank: Bank, played: list[PlayedOut]
) -> None:
    components = Components.of(CODEC)
    for track, first, last in ((1, 0, SHORT - 1), (0, STRETCH, LONG - 1)):
        rows = bank.open(bank.tracks[track], 0)
        continuous, previous, target = (
            torch.from_numpy(part)[None] for part in (rows.continuous, rows.previous, rows.target)
        )
        indices = torch.from_numpy(rows.indices.astype("int16"))[None]
        frames = of(played, track, first, last)
        with measuring(policy):
            delay, reset, state = torch.zeros(1), torch.ones(1, dtype=torch.bool), policy.initial_state(1)
            held = previous.clone().long()
            given, _ = policy(continuous, indices, held, delay, target, state, reset)
            held[0, first:last] = frames["held"]
            own, _ = policy(continuous, indices, held, delay, target, state, reset)
        wanted = slice(first, last)
        for name, logits in (("given", given), ("nll", own)):
            nll = component_nll(logits[0, wanted], target[0, wanted], components)
            found = frames[name] if name == "nll" else frames[name][:, None]
            assert torch.allclose(found.sum(dim=1), nll.sum(dim=1), atol=1e-3)


def test_drift_is_told_by_bands_of_age(played: list[PlayedOut]) -> None:
    drift = Drift()
    for part in played:
        drift.add(part)
    report = drift.report()
    assert [(row["from"], row["to"], row["frames"]) for row in report] == [
        (0, 0, 3),
        (1, 1, 3),
        (2, 9, 24),
        (10, 59, 50 + 34 + 19),
        (60, 599, 540),
    ]
    assert report[0]["nll"] == pytest.approx(report[0]["given_nll"], rel=1e-4)
    assert report[0]["same"] == 1.0
    assert report[-1]["same"] < 1.0
