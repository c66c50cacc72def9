"""Training a pack: a function from (setting, run specs) to observations.

Notation:
    K runs of a pack, all at the same step; B sequences of T tokens per run and step
"""

import logging
import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mixopt.ports import Report
from mixopt.runs import Observation, Point, Realised, RunSpec
from proxies.corpus.drawing import Drawn
from proxies.corpus.repetition import record
from proxies.lm.checkpoint import Checkpoint, Checkpoints
from proxies.lm.evaluate import Score, nats, score
from proxies.lm.model import PackedModel
from proxies.lm.multiple_choice import question_metrics
from proxies.lm.optimizer import Optimizers
from proxies.lm.resident import Place
from proxies.lm.setting import Setting
from proxies.lm.steps import TrainingStep

_log = logging.getLogger(__name__)
_GPU_CHECK_STEPS = 16  # reading a loss waits for the GPU


class Source(Protocol):
    """Where a run reads its sequences."""

    def places(self, count: int) -> list[Place]:
        """Domain and start of the next `count` sequences, which are then behind."""
        ...

    def take(self, count: int) -> NDArray[np.int64]:
        """The next `count` sequences, (count, T + 1)."""
        ...

    def realised(self, batch: int) -> Realised:
        """What the whole run draws; `batch`: sequences of the largest step."""
        ...

    def bearing(self) -> dict[str, int]:
        """Tokens of each domain that bear loss."""
        ...


@dataclass
class Run:
    """One run of a pack: what it reads, and what is known of it so far."""

    spec: RunSpec
    batches: Source
    files: Checkpoints
    continued_from: int = 0
    flops_before: float = 0.0
    drawn: Mapping[str, Drawn] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    curve: list[Point] = field(default_factory=list)
    errors: dict[str, dict[str, float]] = field(default_factory=dict)
    diverged: int | None = None
    """The step at which the loss stopped being a number."""


def train_pack(setting: Setting, specs: Sequence[RunSpec], report: Report) -> list[Observation]:
    """Train runs of one scale, stacked into one model, each from its seed or its checkpoint.

    Returns:
        One observation per run, in order; failed, with the step, if its loss stops being a number.
    """
    groups: dict[int, list[tuple[int, Run, Checkpoint | None]]] = defaultdict(list)
    for position, spec in enumerate(specs):
        run, checkpoint = opened(setting, spec)
        groups[checkpoint.step if checkpoint else 0].append((position, run, checkpoint))
    setting.ranks.wait()  # nobody writes a checkpoint before everybody has read theirs
    answers: dict[int, Observation] = {}
    for step, members in groups.items():
        runs = [run for _, run, _ in members]
        pack = Pack(setting, runs, step, report)
        for k, (_, _, checkpoint) in enumerate(members):
            if checkpoint is not None:
                pack.optimizers.load(k, checkpoint.tensors)
        observations = pack.train()
        answers.update(zip((position for position, _, _ in members), observations, strict=True))
    return [answers[position] for position in range(len(specs))]


def opened(
    setting: Setting, spec: RunSpec, *, apart: bool = False
) -> tuple[Run, Checkpoint | None]:
    """A run without a mixer, and the checkpoint that it continues from, if there is one.

    Args:
        setting: of its scale.
        spec: the run.
        apart: see `Setting.checkpoints`.
    """
    recipe, drawn = setting.recipe, setting.drawn(spec)
    batches = setting.batches(spec, drawn)
    run = Run(spec, batches, setting.checkpoints(spec, apart=apart), drawn=drawn)
    checkpoint = continued(setting, run)
    if checkpoint is not None:
        batches.skip(recipe.sequences_before(checkpoint.step))
    return run, checkpoint


def continued(setting: Setting, run: Run) -> Checkpoint | None:
    """The checkpoint that a run goes on from, if any; what it knew by then is put back."""
    recipe = setting.recipe
    checkpoint = run.files.latest()
    if checkpoint is not None:
        notes = checkpoint.notes
        run.losses = list(notes["losses"])
        points = (Point(**point) for point in notes["curve"])
        ours = {recipe.sequences_before(s) * recipe.shape.context for s in setting.curve}
        run.curve = [point for point in points if point.tokens in ours]
        run.errors = {k: v for k, v in notes["errors"].items() if int(k) in ours}
        if notes["run_id"] == run.spec.run_id:
            run.flops_before = notes["flops"]
        run.continued_from = recipe.sequences_before(checkpoint.step) * recipe.shape.context
    return checkpoint


class Pack:
    """Runs at one step, on the way to their end.

    Class attributes:
        by_sequence: whether the losses of a step are those of sequences; see `TrainingStep`.
    """

    by_sequence: ClassVar[bool] = False

    def __init__(self, setting: Setting, runs: list[Run], step: int, report: Report) -> None:
        self.setting, self.runs, self.step, self.report = setting, runs, step, report
        self.first = step
        self.model = PackedModel(
            setting.recipe.shape,
            [setting.injecting.seed(run.spec) for run in runs],
            device=setting.device,
            dtype=setting.dtype,
        )
        self.optimizers = Optimizers(self.model, setting.recipe)
        self._learn = self._stepping()
        self._unread: list[Tensor] = []
        self._started = self._saved = time.perf_counter()

    def _stepping(self) -> TrainingStep:
        return TrainingStep(
            self.model,
            self.optimizers,
            self.setting.ranks,
            by_sequence=self.by_sequence,
            boundary=self.setting.corpus.boundary,
        )

    def train(self) -> list[Observation]:
        """Train to the end, or until every run has diverged."""
        self._train()
        self._read_losses(now=True)
        alive = self.setting.ranks.first and any(run.diverged is None for run in self.runs)
        scores = self._score() if alive else [{} for _ in self.runs]
        seconds = (time.perf_counter() - self._started) / len(self.runs)
        return [
            self._observation(run, run_scores, seconds)
            for run, run_scores in zip(self.runs, scores, strict=True)
        ]

    def _train(self) -> None:
        while self.step < self.setting.recipe.steps:
            self._one_step()
            if self._is_over():
                break

    def _is_over(self) -> bool:
        """Whether all runs have diverged; if not, score and save them where it is time."""
        self._read_losses()
        if all(run.diverged is not None for run in self.runs):
            return True
        if self.step in self.setting.curve and self.setting.ranks.first:
            self._note_point()
        self._save()
        return False

    def _one_step(self) -> None:
        recipe = self.setting.recipe
        count = recipe.sequences_before(self.step + 1) - recipe.sequences_before(self.step)
        self._unread.append(self._learn(self.step, self._read(count)))
        self.step += 1

    def _read(self, count: int) -> Tensor:
        """The next sequences of every run, (K, B, T + 1)."""
        resident = self.setting.resident
        if resident is not None:
            places = [run.batches.places(count) for run in self.runs]
            return resident.sequences(places, self.setting.recipe.shape.context)
        return torch.from_numpy(np.stack([run.batches.take(count) for run in self.runs]))

    def _read_losses(self, *, now: bool = False) -> None:
        """Take the losses off the device; a run whose loss is no number has diverged."""
        waits = 1 if self.setting.device.type == "cpu" else _GPU_CHECK_STEPS
        if not self._unread or (len(self._unread) < waits and not now):
            return
        table = torch.stack(self._unread).cpu().numpy()
        self._unread = []
        for run, losses in zip(self.runs, table.T, strict=True):
            broken = np.flatnonzero(~np.isfinite(losses))
            if len(broken) and run.diverged is None:
                run.diverged = self.step - len(losses) + int(broken[0])
            run.losses.extend(losses.tolist())

    def _score(self) -> list[dict[str, Score]]:
        """All metrics of every run."""
        per_run = score(self.model, self.setting.validation)
        for questions in self.setting.questions:
            answers = question_metrics(questions, lambda ids: nats(self.model, ids))
            for scores, values in zip(per_run, answers, strict=True):
                scores.update({name: Score(v, math.nan) for name, v in values.items()})
        for probes in self.setting.probes:
            told = probes.measured(lambda ids: nats(self.model, ids))
            for scores, both in zip(per_run, told, strict=True):
                scores.update({name: Score(*value) for name, value in both.items()})
        return per_run

    def _note_point(self) -> None:
        tokens = self._tokens(self.step)
        for run, scores in zip(self.runs, self._score(), strict=True):
            values = {name: s.value for name, s in scores.items()}
            if run.diverged is None and all(np.isfinite(list(values.values()))):
                run.curve.append(Point(tokens, values))
                run.errors[str(tokens)] = errors_of(scores)
                self.report(run.spec, run.curve[-1])

    def _save(self) -> None:
        """Save the runs where others branch off from them, and all of them now and then."""
        if not self.setting.ranks.first or self.step == self.setting.recipe.steps:
            return
        now = time.perf_counter()
        due = now - self._saved >= self.setting.checkpoint_seconds
        wanted = [due or self._is_branched_from(run) for run in self.runs]
        if not any(wanted):
            return
        self._read_losses(now=True)
        for k, run in enumerate(self.runs):
            if wanted[k] and run.diverged is None:
                notes = {
                    "run_id": run.spec.run_id,
                    "flops": self._flops(run, self.step),
                    "losses": run.losses[-self._tail :],
                    "curve": [{"tokens": p.tokens, "metrics": dict(p.metrics)} for p in run.curve],
                    "errors": run.errors,
                    **self._more_notes(k),
                }
                self._write(run, Checkpoint(self.step, self.optimizers.state(k), notes))
        if all(wanted):
            self._saved = time.perf_counter()

    def _more_notes(self, number: int) -> dict[str, Any]:
        """What else the checkpoint of a run of the pack has to say, plain JSON values."""
        del number
        return {}

    def _write(self, run: Run, checkpoint: Checkpoint) -> None:
        try:
            run.files.save(checkpoint)
        except OSError as error:  # a full disk costs the checkpoint, not the run
            _log.warning(
                "no checkpoint of run %s at step %d: %s", run.spec.run_id, self.step, error
            )

    def _observation(self, run: Run, scores: Mapping[str, Score], seconds: float) -> Observation:
        recipe = self.setting.recipe
        if self.setting.ranks.first:
            done = run.diverged is None
            run.files.finish(keep_trunk=done and self._leaves_trunk(run))
        if run.diverged is not None:
            return Observation.failure(
                run.spec,
                f"the loss is no number at step {run.diverged + 1} of {recipe.steps}: the run "
                "diverged",
                curve=tuple(run.curve),
                flops=self._flops(run, run.diverged),
                seconds=seconds,
                info={"tokens_done": self._tokens(run.diverged)},
            )
        return Observation.of(
            run.spec,
            {name: measured.value for name, measured in scores.items()},
            curve=tuple(run.curve),
            flops=self._flops(run, recipe.steps),
            seconds=seconds,
            realised=run.batches.realised(recipe.largest_batch),
            info=self._info(run, scores),
        )

    def _info(self, run: Run, scores: Mapping[str, Score]) -> dict[str, Any]:
        recipe, shape = self.setting.recipe, self.setting.recipe.shape
        pools = self.setting.pools(run.spec.scale.tokens)
        texts = {**pools, **{name: len(of.stream) for name, of in run.drawn.items()}}
        sampling = {name: of.record for name, of in run.drawn.items()}
        seen = run.batches.realised(recipe.largest_batch).tokens
        objectives = self.setting.corpus.derived
        return {
            "params": shape.params,
            "width": shape.width,
            "depth": shape.depth,
            "context": shape.context,
            "batch": recipe.batch,
            "steps": recipe.steps,
            "precision": self.setting.precision,
            "pack": len(self.runs),
            "compiled": self.model.compiled,
            "ranks": self.setting.ranks.world,
            "continued_from": run.continued_from,
            "train_loss_nats": float(np.mean(run.losses[-self._tail :])),
            "epochs": {
                name: round(n * self.setting.text_share(name) / texts[name], 4)
                for name, n in seen.items()
            },
            "standard_error": errors_of(scores),
            "curve_standard_error": run.errors,
            "repetition": record(
                self.setting.repetition,
                pools,
                proxy_tokens=run.spec.scale.tokens,
                weights=run.spec.mixture.to_dict(),
            ),
            **({"loss_tokens": run.batches.bearing()} if objectives else {}),
            **({"sampling": sampling} if sampling else {}),
        }

    @property
    def _tail(self) -> int:
        """Steps whose mean loss is reported."""
        return max(1, self.setting.recipe.steps // 16)

    def _tokens(self, step: int) -> int:
        recipe = self.setting.recipe
        return recipe.sequences_before(step) * recipe.shape.context

    def _flops(self, run: Run, step: int) -> float:
        """Spent on this run by now: a run that continues a shorter one has not paid for that."""
        tokens = self._tokens(step) - self._tokens(self.first)
        return run.flops_before + 6.0 * self.setting.recipe.shape.params * tokens

    def _is_branched_from(self, run: Run) -> bool:
        if run.spec.mixer is None and self.step == run.files.parting:
            return True
        return self._may_continue(run) and self.step in run.files.shared

    def _may_continue(self, run: Run) -> bool:
        # a mixer knows how long its run is, and injections may be spread over it
        spread = run.spec.mixer is not None or self.setting.injecting.spread
        return not spread and run.spec.scale.tokens < self.setting.continue_to

    def _leaves_trunk(self, run: Run) -> bool:
        """Whether another run may go on from where this one stood."""
        return self._may_continue(run) or (run.spec.mixer is None and run.files.parting > 0)


def errors_of(scores: Mapping[str, Score]) -> dict[str, float]:
    """Standard errors over documents, of the metrics that have one."""
    return {
        name: measured.error for name, measured in scores.items() if math.isfinite(measured.error)
    }
