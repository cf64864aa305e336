import pytest
import torch
from torch import Tensor

from dataset.codecs.registry import get_codec
from dataset.stream.bank import Bank
from tests.train.builders import CODEC, FALCO, SIZES, random_frames, sample, tiny_policy_config
from train.policy.components import Components, fit_persistence, one_hot
from train.policy.config import BACKBONES, HEADS
from train.policy.policy import Head, Policy, inverse_cdf


def build(**changes: object) -> Policy:
    torch.manual_seed(0)
    return Policy(tiny_policy_config(**changes))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_stepping_frame_by_frame_samples_what_the_window_predicts(backbone: str, head: str) -> None:
    policy = build(backbone=backbone, head=head).eval()
    continuous, indices, previous, _ = random_frames(3, 20)
    delay, noise = torch.tensor([0, 2, 4]), torch.rand(3, 20, 13)
    state, rows = policy.initial_state(3), []
    with torch.no_grad():
        for t in range(20):
            frame = (continuous[:, t], indices[:, t], previous[:, t], delay, noise[:, t])
            classes, state = policy.step(*frame, state)
            rows.append(classes)
        chosen = torch.stack(rows, dim=1)
        keep = torch.zeros(3, dtype=torch.bool)
        window = (continuous, indices, previous, delay, chosen)
        logits, _ = policy(*window, policy.initial_state(3), keep)
    components = Components.of(CODEC)
    for k, column in enumerate(components.columns):
        own = logits[..., column : column + SIZES[k]].flatten(0, 1)
        assert torch.equal(inverse_cdf(own, noise[..., k].flatten()), chosen[..., k].flatten())


def test_a_row_that_is_reset_forgets_and_the_others_carry_on() -> None:
    policy = build().eval()
    window = random_frames(2, 8)
    delay = torch.zeros(2)
    with torch.no_grad():
        _, state = policy(*window[:3], delay, window[3], policy.initial_state(2), torch.tensor([True, True]))
        carried, _ = policy(*window[:3], delay, window[3], state, torch.tensor([False, False]))
        fresh, _ = policy(*window[:3], delay, window[3], state, torch.tensor([True, True]))
        mixed, _ = policy(*window[:3], delay, window[3], state, torch.tensor([True, False]))
    assert not torch.equal(carried, fresh)
    assert torch.equal(mixed, torch.stack([fresh[0], carried[1]]))


def test_prev_dropout_hides_the_previous_controller_in_training_only() -> None:
    policy = build(prev_dropout=0.999999)
    continuous, indices, previous, target = random_frames(4, 5)
    other = random_frames(4, 5, seed=9)[2]
    state, reset = policy.initial_state(4), torch.zeros(4, dtype=torch.bool)

    def logits(seen: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            found, _ = policy(continuous, indices, seen, torch.zeros(4), target, state, reset)
            assert isinstance(found, torch.Tensor)
        return found

    assert torch.equal(logits(previous), logits(other))
    policy.eval()
    assert not torch.equal(logits(previous), logits(other))


def test_every_parameter_gets_a_gradient() -> None:
    policy = build()
    continuous, indices, previous, target = random_frames(4, 30)
    reset = torch.zeros(4, dtype=torch.bool)
    logits, _ = policy(continuous, indices, previous, torch.ones(4), target, policy.initial_state(4), reset)
    logits.square().sum().backward()
    without = [name for name, p in policy.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


COMPONENTS = Components.of(CODEC)


def build_head(name: str) -> Head:
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
    head, y = build_head(name), outputs(400)
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
    head, y = build_head("autoregressive"), outputs(1)
    target = torch.zeros(1, 13, dtype=torch.uint8)
    base = head(y, target)
    for j in range(13):
        changed = target.clone()
        changed[0, j] = 1
        logits = head(y, changed)
        differs = [not torch.equal(of_component(logits, k), of_component(base, k)) for k in range(13)]
        assert differs == [k > j for k in range(13)]


def test_the_independent_head_sees_no_other_component() -> None:
    head, y = build_head("independent"), outputs(4)
    zeros, ones = torch.zeros(4, 13, dtype=torch.uint8), torch.ones(4, 13, dtype=torch.uint8)
    assert torch.equal(head(y, zeros), head(y, ones))


def test_logits_are_not_rounded_where_the_policy_computes_in_bfloat16() -> None:
    head, y = build_head("autoregressive").float(), outputs(4).float()
    target = torch.zeros(4, 13, dtype=torch.uint8)
    with torch.no_grad():
        head.hidden.weight.zero_()  # so that only what is computed in float32 is left
        head.chosen.weight.zero_()
        head.hidden.bias.copy_(head.hidden.bias.bfloat16())
        expected = head(y, target)
        with torch.autocast("cpu", torch.bfloat16):
            found = head(y, target)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_the_inverse_cdf_picks_the_class_whose_share_of_the_unit_interval_holds_the_noise() -> None:
    logits = torch.log(torch.tensor([0.25, 0.0, 0.5, 0.25]))
    noise = torch.tensor([0.01, 0.24, 0.26, 0.74, 0.76, 0.9999999])
    assert inverse_cdf(logits.expand(6, 4), noise).tolist() == [0, 0, 2, 2, 3, 3]


def test_temperature_sharpens_every_component() -> None:
    head, y = build_head("autoregressive"), outputs(1).expand(500, -1)
    noise = torch.rand(500, 13, dtype=torch.float64)
    cold = head.sample(y, noise, 1e-6)
    assert bool((cold == cold[0]).all())


def test_equal_noise_gives_equal_samples() -> None:
    head, y = build_head("autoregressive"), outputs(50)
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
