"""The training loop, the same for every backbone: batches of lanes go in, a run folder comes out.

Every frame of every window is supervised. The state is carried from window to window, detached (truncated back-propagation
through time), as it is in play. After each epoch the policy walks through the whole val split, and its plain NLL there
decides which weights are best. Several processes (``train.distributed``) share the rows of each batch; the first one
validates and writes. ``last.state.pt`` holds everything that decides the next step, so a run that stops, even inside an epoch,
resumes exactly, on any number of processes.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dataset.errors import CheckpointError
from dataset.io.atomic import replacing
from dataset.io.prefetch import prefetch
from dataset.stream.sampler import Batch
from train.callbacks import Callback, Step
from train.config.run_config import RunConfig
from train.data.batches import Tensors, build_sampler, to_tensors
from train.data.load import Data
from train.distributed import Ranks
from train.fit.optim import Ema, build_optimizer, count_steps, learning_rate, non_finite_loss, training_loss
from train.measure.evaluate import evaluate_policy
from train.policy.backbones.base import State, map_state
from train.policy.components import Components, Persistence
from train.policy.policy import Policy
from train.runs.checkpoint import load_state, save_state, save_weights
from train.runs.run_folder import METRICS, load_metrics, reading

REPORT_EVERY = 20
"""Steps between reads of the loss on an accelerator, because each read waits for the device."""

STATE_FILE = "last.state.pt"


@dataclass
class Position:
    """How far a run has come, in plain numbers that are saved and restored together."""

    epoch: int = 0
    step: int = 0
    """Steps done in this epoch."""
    global_step: int = 0
    """Steps done in the run."""
    loss_sum: float = 0.0
    """Sum of this epoch's losses, weighted by frames."""
    frames: int = 0
    """Supervised frames in this epoch."""
    total_frames: int = 0
    """Supervised frames in the run."""
    seconds: float = 0.0
    """Wall-clock time spent training, without validation."""
    cpu_seconds: float = 0.0
    """CPU time of all threads while training, including the loader's."""
    loader_seconds: float = 0.0
    """The part of ``seconds`` spent waiting for batches."""
    best_epoch: int = -1
    best_nll: float = float("inf")

    @property
    def frames_per_second(self) -> float:
        """Supervised frames per second of training."""
        return self.total_frames / max(self.seconds, 1e-9)


class Fit:
    """One training run."""

    def __init__(
        self,
        config: RunConfig,
        data: Data,
        persistence: Persistence,
        run: Path,
        *,
        device: torch.device,
        callbacks: Iterable[Callback] = (),
        is_stopped: Callable[[], bool] = lambda: False,
        ranks: Ranks | None = None,
        is_compiled: bool = False,
        num_workers: int = 1,
    ) -> None:
        """Prepare the run.

        Args:
            config: the run's settings.
            data: the replays.
            persistence: the baseline, fitted on the train split.
            run: the run folder.
            device: where to train.
            callbacks: notified of what happens.
            is_stopped: asked after each step; true ends the run with a checkpoint.
            ranks: the processes that train together; ``None`` means this one alone.
            is_compiled: whether training's windows go through ``torch.compile``.
            num_workers: threads that decode replays ahead of training; with 0, replays are decoded between steps.
        """
        torch.manual_seed(config.seed)
        self.ranks = ranks or Ranks()
        self.config, self.run, self.device, self.callbacks = config, run, device, tuple(callbacks)
        self.persistence, self._is_stopped = persistence, is_stopped
        self._weights = data.weights
        self._is_ahead = num_workers > 0
        self.sampler = build_sampler(data.train, config, ranks=self.ranks, threads=max(num_workers, 1))
        self.val_sampler = build_sampler(data.val, config, is_shuffled=False)
        self.policy = Policy(config.policy)
        self.policy.head.start_from(persistence)
        self.policy.to(device)
        self._forward: Callable[..., tuple[Tensor, State]] = torch.compile(self.policy) if is_compiled else self.policy
        self.ema = Ema(self.policy, config.optim.ema_decay) if config.optim.ema_decay > 0 else None
        self.components = Components.of(self.policy.codec)
        self.optimizer = build_optimizer(self.policy, config.optim)
        self.steps_in_epoch = -(-self.sampler.num_steps(0) // config.optim.grad_accumulation)
        self.total_steps = count_steps(config.optim, self.steps_in_epoch)
        self.position = Position()
        self.state: State = self.policy.initial_state(self.sampler.num_rows)
        self._pending: list[tuple[Tensor, int, list[Tensors]]] = []
        if not self.ranks.is_first:
            torch.manual_seed(config.seed + (self.ranks.rank << 32))  # same weights on every rank, different dropout

    def fit(self) -> dict[str, Any]:
        """Train to the last step, to early stopping, or until stopped; returns the run's summary."""
        started = time.perf_counter()
        try:
            self._run_epochs()
        except BaseException:
            for callback in self.callbacks:
                callback.on_abort()
            raise
        is_complete, is_exhausted = self._is_at_last_step(), self._is_exhausted()
        summary = {
            "run": str(self.run),
            **self._best_epoch(),
            "frames_per_second": self.position.frames_per_second,
            "seconds": time.perf_counter() - started,
            "is_early_stopped": is_exhausted and not is_complete,
            "is_interrupted": not is_exhausted and not is_complete,
        }
        for callback in self.callbacks:
            callback.on_end(summary)
        return summary

    def begin_from(self, policy: Policy) -> None:
        """Start from the weights of a policy with the same architecture."""
        for ours in {self.policy, self.served}:
            ours.load_state_dict(policy.state_dict())

    def resume(self) -> None:
        """Restore the state that ``last.state.pt`` holds."""
        path = self.run / STATE_FILE
        saved = load_state(path)
        try:
            self._restore(saved)
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise CheckpointError(
                f"{path}: must be the training state of this run, found another ({str(error)[:200]}); train again"
            ) from error
        if not self.ranks.is_first:
            return
        kept = self._metric_lines()[: self.position.epoch]  # one per epoch; a kill may have left one more
        with replacing(self.run / METRICS) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def _restore(self, saved: Mapping[str, Any]) -> None:
        self.position = Position(**saved["position"])
        self.policy.load_state_dict(saved["policy"])
        if self.ema is not None:
            self.ema.policy.load_state_dict(saved["ema"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.state = self.ranks.own_rows(saved["lanes"], self.policy.initial_state(self.sampler.num_rows))
        if self.ranks.rank < len(saved["rng"]):  # additional ranks keep the seed they began with
            torch.set_rng_state(saved["rng"][self.ranks.rank])
            if self.device.type == "cuda" and saved["cuda_rng"] is not None:
                torch.cuda.set_rng_state(saved["cuda_rng"][self.ranks.rank], self.device)

    def save(self) -> None:
        """Write the ``last`` files: the weights for play, then everything that decides the next step."""
        lanes = self.ranks.gather_rows(self.state, self.sampler.rows)
        rng = self.ranks.gather(torch.get_rng_state())
        is_cuda = self.device.type == "cuda"
        cuda_rng = self.ranks.gather(torch.cuda.get_rng_state(self.device)) if is_cuda else None
        if not self.ranks.is_first:
            return
        save_weights(self.served, self.run / "last.safetensors")
        saved = {
            "position": asdict(self.position),
            "policy": self.policy.state_dict(),
            "ema": None if self.ema is None else self.ema.policy.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "lanes": lanes,
            "rng": rng,
            "cuda_rng": cuda_rng,
        }
        save_state(saved, self.run / STATE_FILE)

    @property
    def served(self) -> Policy:
        """The policy that is validated and saved for play: the averaged one if there is an average."""
        return self.policy if self.ema is None else self.ema.policy

    def _run_epochs(self) -> None:
        while not self._is_at_last_step() and not self._is_exhausted():
            self._train_epoch()
            if self.position.step < self.steps_in_epoch and not self._is_at_last_step():
                self.save()
                return
            self._finish_epoch()

    def _train_epoch(self) -> None:
        self.policy.train()
        position, began_cpu = self.position, time.process_time()
        every = self.config.optim.grad_accumulation
        source = self._timed(self.sampler.batches(position.epoch, position.step * every))
        while batches := list(islice(source, every)):
            began = time.perf_counter()
            loss, frames = self._step(batches)
            position.step += 1
            position.global_step += 1
            position.frames += frames
            position.total_frames += frames
            self._pending.append((loss, frames, batches))
            if self._is_report_due():
                self._report(float(loss))
            position.seconds += time.perf_counter() - began
            if self.ranks.any(self._is_stopped()) or self._is_at_last_step():
                break
        if self._pending:
            self._report(float(loss))
        position.cpu_seconds += time.process_time() - began_cpu

    def _timed(self, batches: Iterator[Batch]) -> Iterator[Tensors]:
        """Batches on the device; counts the time spent waiting for them."""
        tensors = (to_tensors(batch, self.device, self._weights) for batch in batches)
        source = prefetch(tensors, waiting_for=lambda: self.sampler.waiting_for) if self._is_ahead else tensors
        while True:
            began = time.perf_counter()
            batch = next(source, None)
            waited = time.perf_counter() - began
            self.position.seconds += waited
            self.position.loader_seconds += waited
            if batch is None:
                return
            yield batch

    def _step(self, batches: list[Tensors]) -> tuple[Tensor, int]:
        """Make one optimizer step; returns the loss and the frames it averages over, both over all ranks."""
        rate = learning_rate(self.position.global_step, self.total_steps, self.config.optim)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        frames = self.ranks.total(sum(batch.num_frames for batch in batches))
        self.optimizer.zero_grad(set_to_none=True)
        losses: list[Tensor] = []
        for batch in batches:
            loss = self._loss(batch) * (batch.num_frames / max(frames, 1))
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        whole = self.ranks.add_gradients(self.policy.parameters(), torch.stack(losses).sum())
        if self.config.optim.max_grad_norm > 0:
            torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.config.optim.max_grad_norm)
        self.optimizer.step()
        if self.ema is not None:
            self.ema.update(self.policy, self.position.global_step + 1)
        return whole, frames

    def _loss(self, batch: Tensors) -> Tensor:
        """The loss of one batch, in float32 whatever precision the policy computes in; updates the carried state."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.optim.precision == "bf16"):
            logits, state = self._forward(
                batch.continuous, batch.indices, batch.previous, batch.delay, batch.target, self.state, batch.reset
            )
        self.state = map_state(lambda leaf, before: leaf.detach().to(before.dtype), state, self.state)
        return training_loss(logits, batch.target, batch.mask, self.components, self.config.loss, batch.weight)

    def _is_report_due(self) -> bool:
        is_last = self.position.step == self.steps_in_epoch
        return self.device.type == "cpu" or is_last or self.position.step % REPORT_EVERY == 0

    def _report(self, loss: float) -> None:
        """Check and sum the losses since the last report, and notify the callbacks."""
        position = self.position
        losses = torch.stack([loss for loss, _, _ in self._pending]).double().tolist()
        for number, (one, (_, frames, batches)) in enumerate(zip(losses, self._pending, strict=True)):
            if not math.isfinite(one):
                step = position.global_step - len(losses) + number + 1
                raise non_finite_loss(step, one, batches, self.run, self.ranks.rank)
            position.loss_sum += one * frames
        self._pending.clear()
        rate = learning_rate(position.global_step - 1, self.total_steps, self.config.optim)
        speed = position.frames_per_second
        last = min(self.steps_in_epoch, position.step + self.total_steps - position.global_step)
        step_now = Step(position.epoch, position.step, last, position.global_step, loss, rate, speed)
        for callback in self.callbacks:
            callback.on_step(step_now)

    def _finish_epoch(self) -> None:
        """Validate, keep the best weights, write the epoch's line of metrics, and move on to the next epoch."""
        position = self.position
        val: dict[str, Any] = {"nll": 0.0}
        if self.ranks.is_first:
            val = evaluate_policy(self.served, self.val_sampler, self.persistence, self.device)
        nll = self.ranks.of_first(val["nll"])
        is_best = nll < position.best_nll
        if is_best:
            position.best_epoch, position.best_nll = position.epoch, nll
        if self.ranks.is_first:
            self._record(val, is_best)
        position.epoch, position.step, position.loss_sum, position.frames = position.epoch + 1, 0, 0.0, 0
        self.save()

    def _record(self, val: dict[str, Any], is_best: bool) -> None:
        position = self.position
        if is_best:
            save_weights(self.served, self.run / "best.safetensors")
        record = {
            "epoch": position.epoch,
            "global_step": position.global_step,
            "train_loss": position.loss_sum / max(position.frames, 1),
            "frames": position.frames,
            "frames_per_second": position.frames_per_second,
            "cpu_seconds": position.cpu_seconds,
            "loader_share": position.loader_seconds / max(position.seconds, 1e-9),
            "is_best": is_best,
            "val": val,
        }
        with (self.run / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        for callback in self.callbacks:
            callback.on_epoch(record)

    def _is_at_last_step(self) -> bool:
        return self.position.global_step == self.total_steps

    def _is_exhausted(self) -> bool:
        """Whether early stopping has run out of patience."""
        optim, position = self.config.optim, self.position
        return optim.early_stopping and position.epoch - 1 - position.best_epoch >= optim.patience

    def _metric_lines(self) -> list[str]:
        path = self.run / METRICS
        with reading(path):
            return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []

    def _best_epoch(self) -> dict[str, Any]:
        """The val numbers of the best epoch; ``None`` for each until the first epoch is done."""
        path, best = self.run / METRICS, self.position.best_epoch
        with reading(path):
            records = load_metrics(self.run) if path.is_file() else []
            val: dict[str, Any] = dict(next((record["val"] for record in records if record["epoch"] == best), {}))
            persistence = dict(val.get("persistence", {}))
        names = ("nll", "accuracy", "change_accuracy", "change_nll", "change_exact")
        return {
            "best_epoch": None if best < 0 else best + 1,
            "epochs": self.position.epoch,
            **{f"val_{name}": val.get(name) for name in names},
            "persistence_nll": val.get("persistence_nll"),
            "persistence_accuracy": persistence.get("accuracy"),
            "persistence_change_accuracy": persistence.get("change_accuracy"),
        }
