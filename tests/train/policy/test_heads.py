import pytest
import torch
from torch import Tensor

from dataset.codecs.registry import get_codec
from dataset.stream.bank import Bank
from tests.train.builders import CODEC, FALCO, SIZES, sample
from train.policy.components import Components, one_hot
from train.policy.config import HEADS
from train.policy.heads import Head, inverse_cdf
from train.policy.persistence import fit_persistence

COMPONENTS = Components.of(CODEC)


def build(name: str) -> Head:
    torch.manual_seed(5)
    head = Head(CODEC, 12, is_autoregressive=HEADS[name]).double()
    for parameter in head.parameters():  # larger than at the start, so that every dependence shows
        torch.nn.init.normal_(parameter, std=0.7)
    return head


def outputs(batch: int) -> Tensor:
    """A backbone's outputs of width 12, then the rows of previous controllers."""
    classes = torch.stack([torch.randint(0, size, (batch,)) for size in SIZES], dim=-1)
    rows = one_hot(classes, torch.tensor(COMPONENTS.columns), COMPONENTS.num_columns)
    return torch.cat([torch.randn(batch, 12), rows], dim=-1).double()


def of_component(logits: Tensor, k: int) -> Tensor:
    column = COMPONENTS.columns[k]
    return logits[..., column : column + SIZES[k]]


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("name", HEADS)
def test_sampling_follows_the_teacher_forced_distribution_of_what_was_chosen(name: str, temperature: float) -> None:
    head, y = build(name), outputs(400)
    noise = torch.rand(400, 13, dtype=torch.float64)
    sampled = head.sample(y, noise, temperature)
    logits = head(y, sampled) / temperature
    expected = [inverse_cdf(of_component(logits, k), noise[:, k]) for k in range(13)]
    assert torch.equal(sampled, torch.stack(expected, dim=-1))
    assert all(sampled[:, k].max() > sampled[:, k].min() for k in range(13))


@pytest.mark.parametrize("name", HEADS)
def test_sampling_from_a_head_of_the_joint_codec_follows_its_distribution(name: str) -> None:
    codec = get_codec("joint")
    components = Components.of(codec)
    torch.manual_seed(6)
    head = Head(codec, 12, is_autoregressive=HEADS[name]).double()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    y, noise = torch.randn(400, 12 + components.num_columns).double(), torch.rand(400, 4, dtype=torch.float64)
    sampled = head.sample(y, noise)
    logits = head(y, sampled)
    for k, (size, column) in enumerate(zip(components.sizes, components.columns, strict=True)):
        assert torch.equal(sampled[:, k], inverse_cdf(logits[:, column : column + size], noise[:, k]))
        assert int(sampled[:, k].max()) > size // 2


def test_each_component_sees_the_earlier_ones_and_no_later_one() -> None:
    head, y = build("autoregressive"), outputs(1)
    target = torch.zeros(1, 13, dtype=torch.uint8)
    base = head(y, target)
    for j in range(13):
        changed = target.clone()
        changed[0, j] = 1
        logits = head(y, changed)
        differs = [not torch.equal(of_component(logits, k), of_component(base, k)) for k in range(13)]
        assert differs == [k > j for k in range(13)]


def test_the_independent_head_sees_no_other_component() -> None:
    head, y = build("independent"), outputs(4)
    zeros, ones = torch.zeros(4, 13, dtype=torch.uint8), torch.ones(4, 13, dtype=torch.uint8)
    assert torch.equal(head(y, zeros), head(y, ones))


def test_the_inverse_cdf_picks_the_class_whose_share_of_the_unit_interval_holds_the_noise() -> None:
    logits = torch.log(torch.tensor([0.25, 0.0, 0.5, 0.25]))
    noise = torch.tensor([0.01, 0.24, 0.26, 0.74, 0.76, 0.9999999])
    assert inverse_cdf(logits.expand(6, 4), noise).tolist() == [0, 0, 2, 2, 3, 3]


def test_temperature_sharpens_every_component() -> None:
    head, y = build("autoregressive"), outputs(1).expand(500, -1)
    noise = torch.rand(500, 13, dtype=torch.float64)
    cold = head.sample(y, noise, 1e-6)
    assert bool((cold == cold[0]).all())


def test_equal_noise_gives_equal_samples() -> None:
    head, y = build("autoregressive"), outputs(50)
    noise = torch.rand(50, 13, dtype=torch.float64)
    assert torch.equal(head.sample(y, noise), head.sample(y, noise))


@pytest.mark.parametrize("name", HEADS)
def test_a_head_that_starts_from_persistence_predicts_as_the_copycat_does(name: str) -> None:
    persistence = fit_persistence(Bank([sample("r", 300)], FALCO), tuple(SIZES), delay=0)
    torch.manual_seed(0)
    head, y = Head(CODEC, 12, is_autoregressive=HEADS[name]), outputs(50).float()
    torch.nn.init.zeros_(head.output.weight)
    head.start_from(persistence)
    logits = head(y, torch.zeros(50, 13, dtype=torch.uint8))
    held = y[:, 12:]
    for k, size in enumerate(SIZES):
        previous = of_component(held, k).argmax(dim=-1)
        expected = -persistence.nll_table()[k, previous, :size]
        assert (of_component(logits, k).log_softmax(dim=-1) - expected).abs().max() < 1e-5
