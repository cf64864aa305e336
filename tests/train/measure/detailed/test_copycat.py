import pytest
import torch

from dataset.melee.controller import NEUTRAL
from dataset.stream.bank import Bank
from dataset.stream.sampler import Lanes
from tests.train.builders import CODEC, FALCO, SIZES, sample, tiny_policy_config
from train.measure.detailed.copycat import measure_copycat
from train.measure.walk import measuring, walk
from train.policy.components import fit_persistence
from train.policy.policy import Policy

CPU = torch.device("cpu")


def test_a_copycat_is_lost_without_the_controller_it_copies_and_others_are_not() -> None:
    torch.manual_seed(0)
    bank = Bank([sample("a", 150), sample("b", 90)], FALCO)
    lanes = Lanes(bank, rows=2, window=32, delay=0, is_shuffled=False)
    copycat, blind = Policy(tiny_policy_config()), Policy(tiny_policy_config())
    copycat.head.start_from(fit_persistence(bank, tuple(SIZES), 0))
    with torch.no_grad():
        blind.embed.previous.weight.zero_()
        blind.embed.project.weight.zero_()
    for policy, is_lost in ((copycat, True), (blind, False)):
        with measuring(policy):
            seen = [walked.scored.nll.sum(dim=1) for walked in walk(policy, lanes, CPU)]
        nll = float(torch.cat(seen).mean())
        report = measure_copycat(policy, lanes, CPU, nll)
        assert set(report) == {"neutral", "shuffled"}
        for found in report.values():
            assert set(found) == {"nll", "change_nll", "stick_accuracy", "gap"}
            assert found["gap"] == pytest.approx(found["nll"] - nll)
            assert (found["gap"] > 0.5) == is_lost
        if not is_lost:
            assert report["neutral"]["nll"] == pytest.approx(nll, rel=1e-5)


def test_at_rest_means_the_codecs_neutral_controller_on_every_frame() -> None:
    torch.manual_seed(0)
    policy = Policy(tiny_policy_config())
    still = sample("a", 60, jump_every=1000)
    still.classes[:] = CODEC.encode(NEUTRAL[None])[0][None, :, None]
    lanes = Lanes(Bank([still], FALCO), rows=1, window=16, delay=0, is_shuffled=False)
    assert measure_copycat(policy, lanes, CPU, 0.0)["neutral"] == measure_copycat(policy, lanes, CPU, 0.0)["shuffled"]
