"""Training runs whose mixtures change on the way, by what their mixers are told of them.

A mixer asks for segments (`mixopt.mixers.Session`): so many steps by one mixture, with what is to
be measured; this trains them, measures, and goes on from what it is told next. A branch starts from
where the period began, and is thrown away. A checkpoint holds the session, how far the segment is,
and the sums of it so far: a run that is killed goes on as if it had not been.

Runs with the same mixer share a pack: each has its own weights, data and session, while segments
begin, branch and end for all of them at once. Where the mixers of a pack come to ask for segments
of different lengths it is `OutOfStep`, and the pack is tried in halves.

Notation:
    K runs of a pack; m domains, n targets; B sequences of T tokens per run and step; N: parameters
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from mixopt.errors import InputError, TrainerError
from mixopt.mixers import Measured, Segment, record
from mixopt.ports import Report
from mixopt.runs import Observation, RunSpec
from proxies.lm.checkpoint import Checkpoint
from proxies.lm.data import Drawing
from proxies.lm.evaluate import Score, nats
from proxies.lm.examples import Ints, mean_loss
from proxies.lm.looks import Looks
from proxies.lm.mixing import Member, Tally, mixed_of
from proxies.lm.packing import sequences_at_once
from proxies.lm.recipe import Recipe
from proxies.lm.reference import frozen_models, reference_spec, reference_tensors
from proxies.lm.setting import Setting
from proxies.lm.steps import learn, token_weights
from proxies.lm.train import Pack, Run, continued

_OF_REFERENCE = frozenset({"excess", "excess_mean"})


class OutOfStep(RuntimeError):
    """Mixers of one pack ask for different segments: those runs cannot be trained side by side."""


def train_mixed(setting: Setting, specs: Sequence[RunSpec], report: Report) -> list[Observation]:
    """Train runs with the same mixer, each from its seed or its checkpoint.

    Returns:
        One observation per run, in order; failed where it cannot be trained, or where its loss
        stops being a number.

    Raises:
        OutOfStep: see there; never of a run alone.
    """
    answers: dict[int, Observation] = {}
    groups: dict[int, list[tuple[int, Member, Checkpoint | None]]] = defaultdict(list)
    for position, spec in enumerate(specs):
        try:
            mixed = mixed_of(setting, spec)
            run = Run(spec, mixed.batches, setting.checkpoints(spec))
            checkpoint = continued(setting, run)
            member = Member(run, mixed, mixed.session)
            if checkpoint is not None:
                member.put_back(checkpoint)
            if mixed.reference is not None:
                beside = reference_spec(spec, mixed.reference)
                member.reference = reference_tensors(setting, beside)
        except (InputError, TrainerError) as error:
            answers[position] = Observation.failure(spec, str(error))
            continue
        groups[checkpoint.step if checkpoint else 0].append((position, member, checkpoint))
    for step, group in groups.items():
        pack = MixedPack(setting, [member for _, member, _ in group], step, report)
        for k, (_, _, checkpoint) in enumerate(group):
            if checkpoint is not None:
                pack.optimizers.load(k, checkpoint.tensors)
        answers.update(zip((position for position, _, _ in group), pack.train(), strict=True))
    return [answers[position] for position in range(len(specs))]


@dataclass(frozen=True)
class Kept:
    """A point of a pack that it comes back to after a branch.

    Attributes:
        step: of the runs. tensors: (K) model and optimiser. drawings: (K) places in the data.
    """

    step: int
    tensors: tuple[Mapping[str, Tensor], ...]
    drawings: tuple[Drawing, ...]


class MixedPack(Pack):
    """Runs with the same mixer at one step, on the way to their end.

    Args:
        setting: of the runs.
        members: (K) the runs.
        step: where they go on from.
        report: of points of their curves.
    """

    by_sequence: ClassVar[bool] = True

    def __init__(self, setting: Setting, members: list[Member], step: int, report: Report) -> None:
        super().__init__(setting, [member.run for member in members], step, report)
        self.members, self.needs = members, members[0].mixed.needs
        self.extra = 0.0
        """FLOPs of each run in branches and beside a reference; looks count their own."""
        # domains and losses of steps that are not added up yet: reading them waits for the device
        self._waiting: list[tuple[Ints, Tensor]] = []
        self._weights: Tensor | None = None  # (K, m) of the segment's losses
        self._compared = False  # whether the segment is held against the reference
        self._kept: Kept | None = None
        self._looks = Looks(setting, self.model, members)
        self._peak = _peak(setting.recipe)
        references = [member.reference for member in members if member.reference is not None]
        self._reference = frozen_models(setting, references) if references else None
        # whether the runs themselves have made steps in the period
        self._moved = step > members[0].session.state.step

    # -- the run ---------------------------------------------------------------------------------

    def _train(self) -> None:
        while (segment := self._segment()) is not None:
            if self._branches_ahead() and self._kept is None:
                self._kept = self._here()
            if segment.branch:
                self._branch(segment)
            elif self._follow(segment):
                break

    def _segment(self) -> Segment | None:
        """The segment of the first run that trains; those of the others differ in weights alone.

        Raises:
            OutOfStep: they do not.
        """
        segments = [member.session.segment for member in self._alive()]
        first = segments[0]
        if any(_form(segment) != _form(first) for segment in segments):
            raise OutOfStep(f"mixers of a pack of {len(segments)} ask for different segments")
        return first

    def _alive(self) -> list[Member]:
        """Runs that have not diverged; all of them where all have."""
        alive = [member for member in self.members if member.run.diverged is None]
        return alive or self.members

    def _branches_ahead(self) -> bool:
        return self._alive()[0].session.branches_ahead

    def _follow(self, segment: Segment) -> bool:
        """Train a segment; whether the runs are over before their end."""
        done = self._alive()[0].done
        first = self.step - done
        self._begin(segment, first)
        if done:
            behind = self._sequences(first, done)
            for member in self.members:
                member.batches.skip(behind)
        if not segment.steps:
            self._report(segment, self._alive()[0].session.step)
        end = first + segment.steps
        while self.step < end:
            self._one_step()
            self._moved = True
            for member in self.members:
                member.done += 1
            if self.step == end:
                self._report(segment, self._alive()[0].session.step + segment.steps)
            if self._is_over():
                return True
        return False

    def _branch(self, segment: Segment) -> None:
        """Train and measure from where the period began; then everything is as before."""
        assert self._kept is not None
        here, start = self._here() if self._moved else self._kept, self._kept
        if self._moved:
            self._restore(start)
        self._reserve(start.step + segment.steps)
        self._begin(segment, start.step)
        for number in range(start.step, start.step + segment.steps):
            self._learn_from(number)
        tokens = self._sequences(start.step, segment.steps) * self.setting.recipe.shape.context
        self.extra += 6.0 * self.setting.recipe.shape.params * tokens
        self._report(segment, self._alive()[0].session.state.step + segment.steps)
        self._restore(here)

    def _reserve(self, steps: int) -> None:
        """See that a branch may reach so far, be it beyond the end of the run."""
        bigram = self.model.bigram
        if bigram is not None and bigram.reserve(steps):
            self._learn = self._stepping()  # a recorded step reads the old table

    def _begin(self, segment: Segment, first: int) -> None:
        """Turn to the mixtures of a segment, at a step of the runs."""
        alive, rows = self._alive(), []
        length = self._sequences(first, segment.steps)
        for member in self.members:
            # a run that has diverged draws on by what the first of the others does
            asked = member.session.segment if member in alive else segment
            assert asked is not None
            member.batches.turn(asked.sampling, length)
            rows.append(asked.loss_weight)
        self._weights = None
        if any(weight != 1.0 for row in rows for weight in row):
            self._weights = torch.tensor(rows, device=self.setting.device)
        self._compared = bool(segment.measure & _OF_REFERENCE)

    def _report(self, segment: Segment, step: int) -> None:
        """Measure what a segment asked for, and tell the mixers of the runs that train on."""
        self._read_losses(now=True)
        self._add_up()
        number = min(self.step, self.setting.recipe.steps - 1)
        batch = self._sequences(number, 1) if self.needs.gradients else 0
        values = self._looks.values(segment.measure, step, batch)
        number = min(step, self.setting.recipe.steps) - 1
        lr = self.setting.recipe.rate_factor(max(0, number)) / self._peak
        alive = self._alive()
        for member, looks in zip(self.members, values, strict=True):
            if member in alive:
                signals = member.tally.signals(segment.measure) | looks
                asked = {name: signals[name] for name in sorted(segment.measure)}
                told = Measured(step, tuple(member.tally.sums[0].tolist()), asked, lr)
                member.session = member.session.after(told)
            member.done, member.tally = 0, Tally(len(member.setup.start))
            if not segment.branch:
                member.batches.end()
        if self._alive()[0].session.at_period_start:
            self._kept, self._moved = None, False

    # -- a step ----------------------------------------------------------------------------------

    def _one_step(self) -> None:
        self._unread.append(self._learn_from(self.step))
        self.step += 1

    def _learn_from(self, number: int) -> Tensor:
        """A step of the segment: the mean losses before it, (K,)."""
        number = min(number, self.setting.recipe.steps - 1)  # of a branch beyond the end
        count = self._sequences(number, 1)
        which = np.stack([member.batches.which(count) for member in self.members])
        length = self.setting.recipe.shape.context
        ids = self._read(count).to(self.setting.device)
        if self._weights is None and not self._compared:
            losses = told = self._learn(number, ids)
        else:
            each = self._weighed(number, ids, which)
            boundary = self.setting.corpus.boundary
            losses = told = mean_loss(each, ids, boundary)
            if self._compared:
                assert self._reference is not None
                beside = nats(self._reference, ids)
                excess = (each - beside).clamp(min=0)
                means = (mean_loss(of, ids, boundary) for of in (beside, excess))
                told = torch.stack([losses, *means], dim=1)
                self.extra += 2.0 * self.setting.recipe.shape.params * count * length
        self._waiting.append((which, told))
        return losses.mean(-1)

    def _add_up(self) -> None:
        """Add to the tallies what waits, with one reading of the device for all runs of a step."""
        length = self.setting.recipe.shape.context
        for which, told in self._waiting:
            of_runs = told.double().cpu().numpy()
            for member, row, losses in zip(self.members, which, of_runs, strict=True):
                member.tally.add(row, length, losses)
        self._waiting = []

    def _weighed(self, number: int, ids: Tensor, which: Ints) -> Tensor:
        """A step with the losses of sequences weighed by domain: those of tokens, (K, B, T)."""
        runs, sequences, length = ids.shape
        each = torch.zeros(runs, sequences, length - 1, device=self.setting.device)
        weights = None
        if self._weights is not None:
            weights = self._weights.gather(1, torch.from_numpy(which).to(self.setting.device))
        self.optimizers.set_rates(number)
        shape, device = self.setting.recipe.shape, self.setting.device
        at_once = sequences_at_once(shape, runs, device)
        ranks = self.setting.ranks
        by_token = token_weights(ids, self.setting.corpus.boundary, weights)
        learn(self.model, self.optimizers, ranks, at_once, ids, each=each, weights=by_token)
        return each

    def _sequences(self, first: int, steps: int) -> int:
        """Sequences of steps; those beyond the end of the run are like its last."""
        recipe = self.setting.recipe
        within = min(first + steps, recipe.steps)
        beyond = first + steps - max(first, within)
        last = recipe.sequences_before(recipe.steps) - recipe.sequences_before(recipe.steps - 1)
        before = recipe.sequences_before(min(first, recipe.steps))
        return recipe.sequences_before(within) - before + beyond * last

    # -- points to come back to ------------------------------------------------------------------

    def _here(self) -> Kept:
        tensors = tuple(
            {name: of.clone() for name, of in self.optimizers.state(k).items()}
            for k in range(len(self.members))
        )
        return Kept(self.step, tensors, tuple(member.batches.drawing for member in self.members))

    def _restore(self, kept: Kept) -> None:
        if self.model.bigram is not None:
            self.model.bigram.clear()
        for k, member in enumerate(self.members):
            self.optimizers.load(k, kept.tensors[k])
            member.batches.go_to(kept.drawings[k])

    def _save(self) -> None:
        """A branch that is still to come starts from a point that no checkpoint would hold."""
        if not (self._moved and self._branches_ahead()):
            super()._save()

    def _more_notes(self, number: int) -> dict[str, Any]:
        self._add_up()
        return {"mixing": self.members[number].notes()}

    # -- the record ------------------------------------------------------------------------------

    def _flops(self, run: Run, step: int) -> float:
        """With branches, looks and the reference run, whoever trained it."""
        plain = super()._flops(run, step)
        compared = self.members[0].mixed.reference is not None
        reference = self.setting.recipe.flops if compared and run.flops_before == 0.0 else 0.0
        return plain + self.extra + self._looks.flops + reference

    def _info(self, run: Run, scores: Mapping[str, Score]) -> dict[str, Any]:
        recipe = self.setting.recipe
        member = next(member for member in self.members if member.run is run)
        kept = record(member.session, self._flops(run, recipe.steps) / recipe.flops)
        kept["steering"] = {of.name: of.record() for of in member.mixed.targets}
        if member.mixed.reference is not None:
            chosen = reference_spec(run.spec, member.mixed.reference)
            kept["reference"] = {"run": chosen.run_id, "mixture": chosen.mixture.to_dict()}
        if self.needs.gradients:
            kept["scope"] = self.needs.scope
        return {**super()._info(run, scores), "mixer": kept}


def _form(segment: Segment | None) -> tuple[Any, ...] | None:
    """What segments of a pack have in common."""
    return None if segment is None else (segment.steps, segment.measure, segment.branch)


def _peak(recipe: Recipe) -> float:
    """The largest rate factor of a run: reached where the warm-up ends, or a little later."""
    return max(recipe.rate_factor(step) for step in range(min(recipe.steps, recipe.warmup + 65)))
