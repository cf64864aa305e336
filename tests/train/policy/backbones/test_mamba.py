"""Mamba-2's chunked form against the plain recurrence, with gradients, and where naive forms break."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from train.policy.backbones.mamba import CHUNK, STATE_SIZE, Mamba, ssd
from train.policy.config import Shape

B, H, P, N = 2, 4, 8, 6


def naive(x: Tensor, dt: Tensor, A: Tensor, B_: Tensor, C_: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """The recurrence as it is written in the paper, one frame after the other."""
    rows = []
    for t in range(x.shape[1]):
        h = (
            h * torch.exp(dt[:, t] * A)[..., None, None]
            + (x[:, t] * dt[:, t, :, None])[..., None] * B_[:, t, None, None]
        )
        rows.append((h @ C_[:, t, None, :, None]).squeeze(-1))
    return torch.stack(rows, dim=1), h


def arguments(dtype: torch.dtype, frames: int, boost: float) -> list[Tensor]:
    """x, dt, A, B, C, h; ``boost`` enlarges the step size far beyond what initialisation gives."""
    torch.manual_seed(0)
    x, B_, C_ = torch.randn(B, frames, H, P), torch.randn(B, frames, N) / 3, torch.randn(B, frames, N) / 3
    dt, A = F.softplus(torch.randn(B, frames, H) - 4 + boost), -torch.empty(H).uniform_(1, 16)
    return [value.to(dtype).requires_grad_() for value in (x, dt, A, B_, C_, torch.randn(B, H, P, N))]


def worst(found: Tensor, expected: Tensor) -> float:
    found, expected = found.detach().double(), expected.detach()
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("frames", [1, CHUNK - 1, CHUNK, 2 * CHUNK + 3])
@pytest.mark.parametrize("boost", [0.0, 3.0, 6.0])
def test_ssd_equals_the_naive_recurrence_with_gradients(frames: int, boost: float) -> None:
    given, reference = arguments(torch.float64, frames, boost), arguments(torch.float64, frames, boost)
    weights = torch.randn(B, frames, H, P, dtype=torch.float64)
    y, h = ssd(*given)
    y_naive, h_naive = naive(*reference)
    ((y * weights).sum() + h.sum()).backward()
    ((y_naive * weights).sum() + h_naive.sum()).backward()
    assert worst(y, y_naive) <= 1e-12
    assert worst(h, h_naive) <= 1e-12
    for mine, theirs in zip(given, reference, strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        assert worst(mine.grad, theirs.grad) <= 1e-10


@pytest.mark.parametrize("boost", [0.0, 3.0, 6.0])
def test_ssd_in_float32_stays_within_rounding_of_float64(boost: float) -> None:
    y, h = ssd(*arguments(torch.float32, 200, boost))
    y_naive, h_naive = naive(*[value.double() for value in arguments(torch.float32, 200, boost)])
    assert worst(y, y_naive) <= 5e-6
    assert worst(h, h_naive) <= 5e-6


def whole_and_stepped(backbone: Mamba, frames: int, width: int) -> tuple[Tensor, Tensor]:
    x = torch.randn(1, frames, width, dtype=torch.float64)
    with torch.no_grad():
        whole, _ = backbone(x, backbone.initial_state(1))
        state, rows = backbone.initial_state(1), []
        for t in range(frames):
            y, state = backbone.step(x[:, t], state)
            rows.append(y)
    return whole, torch.stack(rows, dim=1)


def test_the_decay_rate_follows_the_optimizer() -> None:
    """A cached exp(log_rate) would go stale after a step."""
    backbone = Mamba(Shape(hidden_sizes=(16,))).double()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.1)
    whole, stepped = whole_and_stepped(backbone, 30, 16)
    assert worst(stepped, whole) <= 1e-12


@pytest.mark.parametrize(("width", "heads", "channels"), [(16, 1, 32), (64, 2, 64), (48, 2, 48), (100, 4, 50)])
def test_any_width_is_cut_into_equal_heads(width: int, heads: int, channels: int) -> None:
    backbone = Mamba(Shape(hidden_sizes=(width,))).double()
    state = backbone.initial_state(1)[0]
    assert isinstance(state, tuple)
    assert state[1].shape == (1, heads, channels, STATE_SIZE)  # type: ignore[union-attr]
    whole, stepped = whole_and_stepped(backbone, 70, width)
    assert worst(stepped, whole) <= 1e-12
