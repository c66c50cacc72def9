"""Training a run whose mixture changes on the way, by what a mixer is told of it.

The mixer asks for segments (`mixopt.mixers.Session`): so many steps by one mixture, with what is to
be measured; this trains them, measures, and goes on from what it is told next. A branch starts from
where the period began, and is thrown away. A checkpoint holds the session, how far the segment is,
and the sums of it so far: a run that is killed goes on as if it had not been.

Notation:
    m domains, n targets; B sequences of T tokens per step; N: parameters
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from mixopt.errors import InputError, TrainerError
from mixopt.mixers import Measured, Segment, Session, record
from mixopt.ports import SIGNALS, Report
from mixopt.runs import Observation, RunSpec
from mixopt.space.simplex import Array
from proxies.lm.checkpoint import Checkpoint
from proxies.lm.data import Drawing, Ints
from proxies.lm.evaluate import Score, nats
from proxies.lm.gradients import PARTS, Gradients, products, sequences_of_look
from proxies.lm.mixing import Mixed, Tally, mixed_of
from proxies.lm.model import PackedModel
from proxies.lm.packing import sequences_at_once
from proxies.lm.recipe import Recipe
from proxies.lm.reference import reference_model, reference_spec
from proxies.lm.setting import Setting
from proxies.lm.steps import learn
from proxies.lm.train import Pack, Run, continued

_OF_REFERENCE = frozenset({"excess", "excess_mean"})


def train_mixed(setting: Setting, spec: RunSpec, report: Report) -> Observation:
    """Train a run with a mixer, from its seed or its checkpoint.

    Returns:
        A failed observation where it cannot be trained, or where its loss stops being a number.
    """
    try:
        mixed = mixed_of(setting, spec)
        run = Run(spec, mixed.batches, setting.checkpoints(spec))
        checkpoint = continued(setting, run)
        trained = MixedRun(setting, run, mixed, checkpoint, report)
    except (InputError, TrainerError) as error:
        return Observation.failure(spec, str(error))
    (seen,) = trained.train()
    return seen


@dataclass(frozen=True)
class Kept:
    """A point of a run that it comes back to after a branch.

    Attributes:
        step: of the run. tensors: model and optimiser. drawing: place in the data.
    """

    step: int
    tensors: Mapping[str, Tensor]
    drawing: Drawing


class MixedRun(Pack):
    """A run with a mixer, on the way to its end: a pack of one.

    Args:
        setting: of the run.
        run: itself; it reads from `mixed.batches`.
        mixed: its mixer, data and targets.
        checkpoint: where it goes on from; None: from its seed.
        report: of points of its curve.

    Raises:
        InputError: the checkpoint's session is of another version.
        TrainerError: the reference run failed.
    """

    by_sequence: ClassVar[bool] = True

    def __init__(
        self,
        setting: Setting,
        run: Run,
        mixed: Mixed,
        checkpoint: Checkpoint | None,
        report: Report,
    ) -> None:
        super().__init__(setting, [run], checkpoint.step if checkpoint else 0, report)
        self.mixed, self.session, self.batches = mixed, mixed.session, mixed.batches
        self.extra = 0.0
        """FLOPs beyond those of the run's own steps."""
        self._done = 0  # steps of the segment
        self._tally = Tally(len(mixed.setup.start))
        self._weights: Tensor | None = None  # (m,) of the segment's losses
        self._compared = False  # whether the segment is held against the reference
        self._kept: Kept | None = None
        self._moved = False  # whether the run itself has made steps in the period
        self._gradients = Gradients(self.model, mixed.needs.scope)
        self._peak = _peak(setting.recipe)
        if checkpoint is not None:
            self._continue(checkpoint)
        self._reference = self._with_reference(run.spec)

    # -- the run ---------------------------------------------------------------------------------

    def _train(self) -> None:
        while (segment := self.session.segment) is not None:
            if self.session.branches_ahead and self._kept is None:
                self._kept = self._here()
            if segment.branch:
                self._branch(segment)
            elif self._follow(segment):
                break

    def _follow(self, segment: Segment) -> bool:
        """Train a segment; whether the run is over before its end."""
        first = self.step - self._done
        self._begin(segment, first)
        self.batches.skip(self._sequences(first, self._done))
        if not segment.steps:
            self._report(segment, self.session.step)
        end = first + segment.steps
        while self.step < end:
            self._one_step()
            self._done, self._moved = self._done + 1, True
            if self.step == end:
                self._report(segment, self.session.step + segment.steps)
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
        self._report(segment, self.session.state.step + segment.steps)
        self._restore(here)

    def _reserve(self, steps: int) -> None:
        """See that a branch may reach so far, be it beyond the end of the run."""
        bigram = self.model.bigram
        if bigram is not None and bigram.reserve(steps):
            self._learn = self._stepping()  # a recorded step reads the old table

    def _begin(self, segment: Segment, first: int) -> None:
        """Turn to the mixture of a segment, at a step of the run."""
        self.batches.turn(segment.sampling, self._sequences(first, segment.steps))
        self._weights = None
        if any(weight != 1.0 for weight in segment.loss_weight):
            self._weights = torch.tensor(segment.loss_weight, device=self.setting.device)
        self._compared = bool(segment.measure & _OF_REFERENCE)

    def _report(self, segment: Segment, step: int) -> None:
        """Measure what a segment asked for, and tell the mixer."""
        tokens, values = self._tally.signals()
        if "heldout" in segment.measure:
            values["heldout"] = self._heldout()
        if any(SIGNALS[name].gradients for name in segment.measure):
            values |= self._of_gradients(segment.measure, step)
        asked = {name: values[name] for name in sorted(segment.measure)}
        number = min(step, self.setting.recipe.steps) - 1
        lr = self.setting.recipe.rate_factor(max(0, number)) / self._peak
        self.session = self.session.after(Measured(step, tuple(tokens.tolist()), asked, lr))
        self._done = 0
        self._tally = Tally(len(tokens))
        if not segment.branch:
            self.batches.end()
        if self.session.at_period_start:
            self._kept, self._moved = None, False

    # -- a step ----------------------------------------------------------------------------------

    def _one_step(self) -> None:
        self._unread.append(self._learn_from(self.step))
        self.step += 1

    def _learn_from(self, number: int) -> Tensor:
        """A step of the segment: the mean loss before it, (1,)."""
        number = min(number, self.setting.recipe.steps - 1)  # of a branch beyond the end
        count = self._sequences(number, 1)
        which, length = self.batches.which(count), self.setting.recipe.shape.context
        ids = self._read(count).to(self.setting.device)
        if self._weights is None and not self._compared:
            (losses,) = told = self._learn(number, ids)
        else:
            each = self._weighed(number, ids, which)
            losses = told = each.mean(-1)
            if self._compared:
                assert self._reference is not None
                (beside,) = nats(self._reference, ids[0])
                excess = (each - beside).clamp(min=0)
                told = torch.stack([losses, beside.mean(-1), excess.mean(-1)])
                self.extra += 2.0 * self.setting.recipe.shape.params * count * length
        self._tally.add(which, length, told)
        mean: Tensor = losses.mean(0, keepdim=True)
        return mean

    def _weighed(self, number: int, ids: Tensor, which: Ints) -> Tensor:
        """A step with the losses of sequences weighed by domain: those of tokens, (B, T)."""
        each = torch.zeros(1, ids.shape[1], ids.shape[2] - 1, device=self.setting.device)
        weights = None
        if self._weights is not None:
            weights = self._weights[torch.from_numpy(which).to(self.setting.device)][None]
        self.optimizers.set_rates(number)
        shape, device = self.setting.recipe.shape, self.setting.device
        at_once = sequences_at_once(shape, 1, device)
        ranks = self.setting.ranks
        learn(self.model, self.optimizers, ranks, at_once, ids, each=each, weights=weights)
        return each[0]

    def _sequences(self, first: int, steps: int) -> int:
        """Sequences of steps; those beyond the end of the run are like its last."""
        recipe = self.setting.recipe
        within = min(first + steps, recipe.steps)
        beyond = first + steps - max(first, within)
        last = recipe.sequences_before(recipe.steps) - recipe.sequences_before(recipe.steps - 1)
        before = recipe.sequences_before(min(first, recipe.steps))
        return recipe.sequences_before(within) - before + beyond * last

    # -- signals ---------------------------------------------------------------------------------

    def _heldout(self) -> Array:
        """(n,) mean nats a token of the targets, as the model stands."""
        targets = self.mixed.targets
        losses = nats(self.model, torch.cat([of.ids for of in targets]))[0]
        tokens = sum(of.tokens for of in targets)
        self.extra += 2.0 * self.setting.recipe.shape.params * tokens
        parts = torch.split(losses, [len(of.ids) for of in targets])
        return np.array([float(part.double().mean()) for part in parts])

    def _of_gradients(self, wanted: frozenset[str], step: int) -> dict[str, Array]:
        """Signals made of gradients, as the model stands."""
        noise = bool(wanted & {"grad_sq", "grad_var"})
        values: dict[str, Array] = {}
        if noise:
            pairs = [self._gradients.noise(ids, PARTS) for ids in self._looks(PARTS)]
            values["grad_sq"], values["grad_var"] = np.array(pairs).T
        if wanted & {"gram", "gram_target"}:
            clip = self.mixed.needs.clip
            ours = [self._gradients.of(ids) for ids in self._looks(1)]
            theirs = []
            if "gram_target" in wanted:
                theirs = [self._gradients.of(ids) for ids in self._looks_at_targets(step)]
            values["gram"] = products(ours, ours, clip)
            values["gram_target"] = products(ours, theirs, clip)
        return values

    def _looks(self, least: int) -> Iterator[Tensor]:
        """Of each domain what comes next, (b, T + 1)."""
        for domain in range(len(self.mixed.setup.start)):
            ids = self.batches.ahead(domain, max(least, self._size_of_look()))
            yield self._looked(torch.from_numpy(ids).to(self.setting.device))

    def _looks_at_targets(self, step: int) -> Iterator[Tensor]:
        """Of each target some of what it is steered by, (b, T + 1), others at each step."""
        rng = self.mixed.setup.rng("look", step)
        for of in self.mixed.targets:
            size = min(len(of.ids), self._size_of_look())
            some = np.sort(rng.choice(len(of.ids), size, replace=False))
            yield self._looked(of.ids[torch.from_numpy(some).to(self.setting.device)])

    def _size_of_look(self) -> int:
        sets = len(self.mixed.setup.start) + len(self.mixed.targets)
        number = min(self.step, self.setting.recipe.steps - 1)
        return sequences_of_look(self.mixed.needs.every, self._sequences(number, 1), sets)

    def _looked(self, ids: Tensor) -> Tensor:
        tokens = len(ids) * (ids.shape[1] - 1)
        self.extra += 6.0 * self.setting.recipe.shape.params * tokens
        return ids

    # -- points to come back to ------------------------------------------------------------------

    def _here(self) -> Kept:
        tensors = {name: of.clone() for name, of in self.optimizers.state(0).items()}
        return Kept(self.step, tensors, self.batches.drawing)

    def _restore(self, kept: Kept) -> None:
        if self.model.bigram is not None:
            self.model.bigram.clear()
        self.optimizers.load(0, kept.tensors)
        self.batches.go_to(kept.drawing)

    def _save(self) -> None:
        """A branch that is still to come starts from a point that no checkpoint would hold."""
        if not (self._moved and self.session.branches_ahead):
            super()._save()

    def _more_notes(self) -> dict[str, Any]:
        drawing = self.batches.drawing
        return {
            "mixing": {
                "session": self.session.to_dict(),
                "due": drawing.due.tolist(),
                "drawn": drawing.drawn.tolist(),
                "done": self._done,
                "sums": self._tally.sums.tolist(),
            }
        }

    def _continue(self, checkpoint: Checkpoint) -> None:
        self.optimizers.load(0, checkpoint.tensors)
        saved = checkpoint.notes["mixing"]
        setup, mixer = self.mixed.setup, self.mixed.session.mixer
        self.session = Session.resume(mixer, setup, saved["session"])
        self.batches.go_to(self.batches.at(saved["due"], saved["drawn"]))
        self._done = saved["done"]
        self._tally = Tally(len(setup.start), saved["sums"])
        self._moved = self.step > self.session.state.step

    # -- the record ------------------------------------------------------------------------------

    def _with_reference(self, spec: RunSpec) -> PackedModel | None:
        if self.mixed.reference is None:
            return None
        chosen = reference_spec(spec, self.mixed.reference)
        return reference_model(self.setting, chosen)

    def _flops(self, run: Run, step: int) -> float:
        """With branches, looks and the reference run, whoever trained it."""
        plain = super()._flops(run, step)
        reference = self.setting.recipe.flops if self.mixed.reference is not None else 0.0
        return plain + self.extra + (reference if run.flops_before == 0.0 else 0.0)

    def _info(self, run: Run, scores: Mapping[str, Score]) -> dict[str, Any]:
        recipe = self.setting.recipe
        kept = record(self.session, self._flops(run, recipe.steps) / recipe.flops)
        kept["steering"] = {of.name: of.record() for of in self.mixed.targets}
        if self.mixed.reference is not None:
            chosen = reference_spec(run.spec, self.mixed.reference)
            kept["reference"] = {"run": chosen.run_id, "mixture": chosen.mixture.to_dict()}
        if self.mixed.needs.gradients:
            kept["scope"] = self.mixed.needs.scope
        return {**super()._info(run, scores), "mixer": kept}


def _peak(recipe: Recipe) -> float:
    """The largest rate factor of a run: reached where the warm-up ends, or a little later."""
    return max(recipe.rate_factor(step) for step in range(min(recipe.steps, recipe.warmup + 65)))
