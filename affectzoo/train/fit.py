"""Epochs of one run: accumulate, step, validate, keep the best, write checkpoints, go on from one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from safetensors import SafetensorError
from torch.optim.lr_scheduler import LambdaLR

from affectzoo.config import ExperimentConfig, StreamInput
from affectzoo.data.windows import WindowDataset
from affectzoo.errors import ConfigError, DataError
from affectzoo.files import write_json
from affectzoo.model.affect_model import AffectModel
from affectzoo.model.faults import find_fault
from affectzoo.train.augment import augment
from affectzoo.train.average import averaged
from affectzoo.train.batches import Batches, StreamedBatches, evaluation_loader
from affectzoo.train.distil import Teachers
from affectzoo.train.evaluate import predict_split, scores
from affectzoo.train.features import OnFeatures
from affectzoo.train.learner import Learner, Total
from affectzoo.train.sharding import load_run_state, model_state, run_state
from affectzoo.train.start import parameter_groups
from affectzoo.train.state import Checkpoints, Progress, StoppedError, agree, set_generators, stop_requests
from affectzoo.train.watch.watch import Watch

#: Steps in a row that fp16 may leave out before they count as failed.
_MOST_SKIPPED = 50
#: A batch and its steps that count, `[B, L]` bool.
Counted = tuple[dict[str, Any], torch.Tensor]


class Fit:
    """Trains a learner; the weights that were best on validation end up in `folder/model`.

    Args:
        experiment: settings; everything that must be the same when a run goes on.
        learner: the model with its objective.
        batches: of the training split.
        validation: the split that decides on the best epoch.
        inputs: modality -> what its tensor is, for `augment`; empty where all are features.
        folder: of the run.
        accelerator: of this process.
        identity: of the data, for `Checkpoints`.
        teachers: of a learner with a distance from them.
    """

    def __init__(
        self,
        experiment: ExperimentConfig,
        learner: Learner,
        batches: Batches | StreamedBatches,
        validation: WindowDataset,
        inputs: Mapping[str, StreamInput],
        folder: Path,
        accelerator: Accelerator,
        identity: Mapping[str, Any],
        say: Callable[[str], None],
        teachers: Teachers | None = None,
    ) -> None:
        self.teachers = teachers
        self.experiment, self.settings, self.accelerator = experiment, experiment.train, accelerator
        self.model, self.batches, self.inputs, self.folder = learner.model, batches, inputs, folder
        settings = self.settings
        optimizer = torch.optim.AdamW(parameter_groups(learner, settings.weight_decay), lr=settings.lr)  # pyright: ignore[reportArgumentType]
        self.learner, self.optimizer, self.validation = accelerator.prepare(
            learner, optimizer, evaluation_loader(validation, settings)
        )
        self.total = Total(accelerator)
        self.steps = math.ceil(len(batches) / settings.accumulate)
        self.schedule = LambdaLR(
            # Not prepared: accelerate would step it once for each process.
            self.optimizer,
            lambda step: warmup_cosine(step, settings.epochs * self.steps, settings.warmup),
        )
        if accelerator.scaler is not None and accelerator.scaler.is_enabled():
            # An accelerator that has trained a stream alone brings that stream's scale along.
            accelerator.scaler.load_state_dict(torch.amp.GradScaler(accelerator.device.type).state_dict())
        self.skipped = 0
        self.on_features = learner.on_features
        self.draws = torch.Generator().manual_seed(experiment.seed + accelerator.process_index)
        self.average = None
        if settings.ema is not None:
            if accelerator.is_fsdp2:
                raise ConfigError("train.ema averages whole weights, and FSDP2 shards them: leave train.ema out")
            self.average = averaged(self.model, settings.ema)
        self.progress = Progress()
        self.checkpoints = Checkpoints(
            folder, keep=settings.keep_checkpoints, identity=identity, accelerator=accelerator, say=say
        )

    def run(self, *, resume: bool, begin: Callable[[], None]) -> int:
        """Train to the end, from the last checkpoint where `resume` is true; returns the number of the best epoch.

        `begin` is called once it is sure that this run may write into its folder.

        Raises:
            DataError: a loss or gradient that is not a number, or a validation score that never is one.
            CheckpointError: a checkpoint that cannot be written.
            StoppedError: SIGTERM came.
        """
        latest = self.checkpoints.latest() if resume else None
        if latest is None:
            self.checkpoints.clear()
        else:
            self._restore(latest)
        begin()
        progress, started = self.progress, time.perf_counter() - self.progress.seconds
        watch = Watch(
            self.folder,
            self.experiment,
            self.accelerator,
            steps=self.settings.epochs * self.steps,
            epochs=self.settings.epochs,
            done=progress.step,
            done_epochs=progress.epoch,
        )
        try:
            with stop_requests() as asked:
                while progress.epoch < self.settings.epochs and not self._out_of_patience():
                    self._epoch(watch, asked, started)
                    progress.seconds = time.perf_counter() - started
                    self._validate(watch)
                    self._save()
        finally:
            watch.close()
        self.accelerator.wait_for_everyone()
        self.accelerator.free_memory()
        if progress.best_epoch < 0:
            raise DataError(
                f"{self.experiment.name}: the validation score was never a number; look at {self.folder / 'metrics.jsonl'}"
            )
        return progress.best_epoch

    def _epoch(self, watch: Watch, asked: Callable[[], bool], started: float) -> None:
        """What is left of the current epoch."""
        progress, settings = self.progress, self.settings
        self.learner.train()
        batches = self.batches.epoch(progress.epoch, progress.batch)
        since = time.perf_counter()
        while window := [self._prepare(batch) for batch in islice(batches, settings.accumulate)]:
            waited = time.perf_counter() - since
            counts, examples, stop = self._agree(window, asked())
            if counts.sum() > 0:  # else there is nothing to learn from, on any process
                loss = self._step(window, counts / counts.sum())
                progress.loss_sum, progress.loss_count = progress.loss_sum + loss, progress.loss_count + 1
                watch.step(loss, float(self.schedule.get_last_lr()[0]), examples, waited)
            self.schedule.step()
            progress.batch, progress.step = progress.batch + len(window), progress.step + 1
            progress.seconds = time.perf_counter() - started
            at_end = progress.batch >= len(self.batches)  # where the whole epoch is saved, validated
            if stop or (settings.checkpoint_steps and progress.step % settings.checkpoint_steps == 0 and not at_end):
                self._save()
            if stop:
                raise StoppedError
            since = time.perf_counter()

    def _prepare(self, batch: dict[str, Any]) -> Counted:
        batch = augment(batch, self.inputs, self.settings, self.draws)
        return batch, counted(batch, self.model)

    def _agree(self, window: list[Counted], stop: bool) -> tuple[torch.Tensor, int, bool]:
        """Over all processes: the steps that count in each batch, sub-sequences that are read, whether to stop."""
        own = [mask.sum() for _, mask in window]
        sizes = torch.tensor([sum(mask.numel() for _, mask in window), stop], device=own[0].device)
        *counts, examples, stops = self.total(torch.cat([torch.stack(own).float(), sizes.float()])).tolist()
        return torch.tensor(counts, dtype=torch.float64), int(examples), stops > 0

    def _step(self, window: list[Counted], shares: torch.Tensor) -> float:
        """One optimiser step on a window of batches, each weighted by its share of the steps that count."""
        loss = 0.0
        for position, ((batch, mask), share) in enumerate(zip(window, shares.tolist(), strict=True)):
            last = position == len(window) - 1
            with nullcontext() if last else self.accelerator.no_sync(self.learner):
                taught = None if self.teachers is None else self.teachers(batch["inputs"], batch["masks"])
                part = self.learner(
                    batch["inputs"], batch["masks"], labels=batch["targets"], counted=mask, taught=taught, total=self.total
                )
                self.accelerator.backward(part * share)
            loss += float(part.detach()) * share
        norm = math.nan
        if math.isfinite(loss):
            limit = math.inf if self.settings.clip_norm is None else self.settings.clip_norm
            found: Any = self.accelerator.clip_grad_norm_(self.learner.parameters(), limit)
            norm = float(found.full_tensor() if hasattr(found, "full_tensor") else found)  # sharded under FSDP2
        # In fp16 a step whose scaled gradients overflow is left out, and the scale is lowered: now and then, not for ever.
        self.skipped = 0 if math.isfinite(norm) else self.skipped + 1
        if not math.isfinite(loss) or self.skipped > (_MOST_SKIPPED if self.experiment.precision == "fp16" else 0):
            self._blame(window, "loss" if not math.isfinite(loss) else "gradient")
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average is not None:
            self.average.update_parameters(self.model)
        return loss

    def _blame(self, window: list[Counted], what: str) -> None:
        """Write down what the failed step had read, and stop; weights and checkpoints stay as they were."""
        own = [
            {"clip": self.batches.name_of(int(row)), "step": int(step)}
            for batch, mask in window
            for row, step, seen in zip(batch["row"], batch["step"][:, 0], mask.any(dim=1), strict=True)
            if bool(seen) or self.settings.mixup  # its part in another window may count where its own does not
        ]
        clips = gather_object(own)
        path = self.folder / "failed-step.json"
        if self.accelerator.is_main_process:
            write_json(path, {"step": self.progress.step, "what": what, "windows": clips})
        raise DataError(
            f"{self.experiment.name}: the {what} is not a number at step {self.progress.step}; its clips are listed in {path}. "
            f"{self._fault(window) or 'Look at their inputs and labels, or lower train.lr'}"
        )

    def _fault(self, window: list[Counted]) -> str:
        """Which component gave what is no number; empty where none did, and where weights are in shards."""
        if self.accelerator.is_fsdp2:
            return ""
        found = (find_fault(self.model, b["inputs"], b["masks"], on_features=self.on_features) for b, _ in window)
        return next((f"{fault[0].upper()}{fault[1:]}" for fault in found if fault), "")

    def _validate(self, watch: Watch) -> None:
        """Score the split, log the epoch, save the model where it is the best so far; the next epoch is then due."""
        progress = self.progress
        # An average is a plain model on every process; without one the wrapper runs, which knows where the weights are.
        network: Any = self.learner
        if self.average is not None:
            best: AffectModel = self.average.module  # pyright: ignore[reportAssignmentType]
            network = OnFeatures(best) if self.on_features else best
            if self.accelerator.num_processes > 1:  # what is saved is the first process's, statistics of batch norms among it
                for buffer in best.buffers():
                    torch.distributed.broadcast(buffer, 0)
        line = {
            "epoch": progress.epoch,
            "loss": progress.loss_sum / max(1, progress.loss_count),
            "lr": float(self.schedule.get_last_lr()[0]),
            "steps": progress.step,
            "seconds": progress.seconds,
        }
        line |= scores(
            predict_split(self.accelerator, network, self.validation), self.model.config.targets, self.model.head.pool
        )
        if line["score"] > progress.best:
            progress.best, progress.best_epoch = line["score"], progress.epoch
            self._keep_best()
        progress.epoch, progress.batch, progress.loss_sum, progress.loss_count = progress.epoch + 1, 0, 0.0, 0
        watch.epoch(line)

    def _keep_best(self) -> None:
        """Write the model; on the first process, but all must come here."""
        best: Any = self.model if self.average is None else self.average.module
        state = model_state(self.accelerator, self.learner) if self.accelerator.is_fsdp2 else None
        failure = None
        if self.accelerator.is_main_process:
            if state is not None:
                best = AffectModel(self.model.config)
                best.load_state_dict(state)
            try:
                best.save_pretrained(self.folder / "model")
            except (OSError, RuntimeError, SafetensorError) as error:
                failure = error
        agree(self.accelerator, failure, "the best model", self.folder / "model")

    def _out_of_patience(self) -> bool:
        patience, progress = self.settings.patience, self.progress
        return patience is not None and progress.epoch - 1 - progress.best_epoch >= patience

    def _save(self) -> None:
        shared = {
            **run_state(self.accelerator, self.learner, self.optimizer),
            "schedule": self.schedule.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
            "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler is not None else None,
        }
        self.checkpoints.save(shared, {"draws": self.draws.get_state()}, self.progress)

    def _restore(self, path: Path) -> None:
        shared, own, self.progress = self.checkpoints.load(path)
        load_run_state(self.accelerator, self.learner, self.optimizer, shared)
        self.schedule.load_state_dict(shared["schedule"])
        if self.average is not None:
            self.average.load_state_dict(shared["average"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(shared["scaler"])
        self.draws.set_state(own["draws"])
        self.checkpoints.say(f"goes on from {path.name}, epoch {self.progress.epoch}")
        set_generators(own["generators"])


def counted(batch: dict[str, Any], model: AffectModel) -> torch.Tensor:
    """`[B, L]` steps whose loss counts: those with a valid label.

    Of a model that scores recordings only those with some input: a blank step has no say in a score either.
    """
    if model.head.pool is None:
        return batch["valid"]
    return batch["valid"] & torch.stack(list(batch["masks"].values())).any(dim=0)


def warmup_cosine(step: int, total: int, warmup: float) -> float:
    """Factor of the learning rate: linear rise over `warmup * total` steps, then a half cosine to zero."""
    rise = max(1, round(warmup * total))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, total - rise))))
