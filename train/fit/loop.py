"""The one training loop: lanes in, a run folder out, for every backbone.

Every frame of every window is supervised and the state is carried from window to window, detached (truncated
back-propagation through time), as the policy will carry it in play. After each epoch the val replays are walked whole and
their plain NLL decides which weights are best. Several ranks (``train.distributed``) train on their rows of the same batches;
the first validates and writes. The surprise: everything that decides the next step lies in ``last.state.pt``, so a run that
is stopped, even inside an epoch, goes on as if it had not been, on any number of ranks.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dataset.io.atomic import replacing
from dataset.io.prefetch import prefetch
from dataset.stream.sampler import Batch
from train.callbacks.base import Callback, Step
from train.config.run_config import RunConfig
from train.data.batches import Tensors, to_tensors
from train.data.load import Data
from train.data.sampling import build_sampler
from train.distributed import Ranks
from train.fit.ema import Ema
from train.fit.losses import training_loss
from train.fit.nonfinite import stop_at
from train.fit.optim import build_optimizer, check_warmup, count_steps, learning_rate
from train.fit.trainer_state import Position
from train.measure.evaluate import evaluate_policy
from train.policy.backbones.base import State, map_state
from train.policy.components import Components
from train.policy.persistence import Persistence
from train.policy.policy import Policy
from train.runs.checkpoint import load_state, save_state, save_weights

REPORT_EVERY = 20
"""Steps between looks at the loss on an accelerator, where each look waits for it."""

STATE_FILE, METRICS_FILE = "last.state.pt", "metrics.jsonl"


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
        """Prepare; the run folder exists and holds ``config.json``.

        Args:
            config: the run's settings.
            data: the replays.
            persistence: the baseline, fitted on the train split.
            run: the run folder.
            device: where to train.
            callbacks: told of what happens.
            is_stopped: asked after each step; true ends the run with a checkpoint.
            ranks: the processes that train it together; ``None``: this one alone.
            is_compiled: whether training's windows go through ``torch.compile``.
            num_workers: threads that decode replays ahead of training; 0 decodes between its steps.
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
        check_warmup(config.optim, self.total_steps)
        self.position = Position()
        self.state: State = self.policy.initial_state(self.sampler.num_rows)
        self._pending: list[tuple[Tensor, int, list[Tensors]]] = []
        if not self.ranks.is_first:
            torch.manual_seed(config.seed + (self.ranks.rank << 32))  # alike weights, other units dropped

    def fit(self) -> dict[str, Any]:
        """Train to the end, to early stopping, or until stopped; returns the summary of the run."""
        started = time.perf_counter()
        try:
            self._train_to_the_end()
        except BaseException:
            for callback in self.callbacks:
                callback.on_abort()
            raise
        records = [json.loads(line) for line in self._metric_lines()]
        is_whole = self._is_at_last_step()
        summary = {
            "run": str(self.run),
            **self.position.summary(records),
            "seconds": time.perf_counter() - started,
            "is_early_stopped": self._is_exhausted() and not is_whole,
            "is_interrupted": not self._is_exhausted() and not is_whole,
        }
        for callback in self.callbacks:
            callback.on_end(summary)
        return summary

    def begin_from(self, policy: Policy) -> None:
        """Begin with the weights of a policy that is built alike."""
        for ours in {self.policy, self.served}:
            ours.load_state_dict(policy.state_dict())

    def resume(self) -> None:
        """Go back to where ``last.state.pt`` was written."""
        saved = load_state(self.run / STATE_FILE)
        self.position = Position(**saved["position"])
        self.policy.load_state_dict(saved["policy"])
        if self.ema is not None:
            self.ema.policy.load_state_dict(saved["ema"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.state = self.ranks.own_rows(saved["lanes"], self.policy.initial_state(self.sampler.num_rows))
        if self.ranks.rank < len(saved["rng"]):  # a rank that was not there begins with its own
            torch.set_rng_state(saved["rng"][self.ranks.rank])
            if self.device.type == "cuda" and saved["cuda_rng"] is not None:
                torch.cuda.set_rng_state(saved["cuda_rng"][self.ranks.rank], self.device)
        if not self.ranks.is_first:
            return
        kept = self._metric_lines()[: self.position.epoch]  # one an epoch; what a kill cut off is beyond
        with replacing(self.run / METRICS_FILE) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def save(self) -> None:
        """Write ``last``: the weights for play, then all that decides the next step."""
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
        """The weights that are validated and saved for play: the average where one is kept."""
        return self.policy if self.ema is None else self.ema.policy

    def _train_to_the_end(self) -> None:
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
        """Batches on the device, with the time spent waiting for them counted."""
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
        """One optimizer step; the loss and how many frames it averages over, those of all ranks."""
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
        """The loss of one batch, in float32 whatever the policy computes in; carries the state on."""
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
        """Settle the losses since the last report and tell the callbacks."""
        position = self.position
        losses = torch.stack([loss for loss, _, _ in self._pending]).double().tolist()
        for number, (one, (_, frames, batches)) in enumerate(zip(losses, self._pending, strict=True)):
            if not math.isfinite(one):
                step = position.global_step - len(losses) + number + 1
                raise stop_at(step, one, batches, self.run, self.ranks.rank)
            position.loss_sum += one * frames
        self._pending.clear()
        rate = learning_rate(position.global_step - 1, self.total_steps, self.config.optim)
        speed = position.frames_per_second
        last = min(self.steps_in_epoch, position.step + self.total_steps - position.global_step)
        step_now = Step(position.epoch, position.step, last, position.global_step, loss, rate, speed)
        for callback in self.callbacks:
            callback.on_step(step_now)

    def _finish_epoch(self) -> None:
        """Validate, keep the best weights, write the epoch's line, and move the position to the next epoch."""
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
        with (self.run / METRICS_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        for callback in self.callbacks:
            callback.on_epoch(record)

    def _is_at_last_step(self) -> bool:
        return self.position.global_step == self.total_steps

    def _is_exhausted(self) -> bool:
        optim, position = self.config.optim, self.position
        return optim.early_stopping and position.epoch - 1 - position.best_epoch >= optim.patience

    def _metric_lines(self) -> list[str]:
        path = self.run / METRICS_FILE
        return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
