"""A trainer that runs mixers and trains nothing: gradient descent in a world of quadratics.

Notation:
    theta: (m,) the model; domain i has the loss s_i |theta - e_i|^2 / 2, target t |theta - t|^2 / 2

Trained long by a mixture w, the model is N(s w): so the best mixture for targets t_k of weights c_k
is N(sum c_k t_k / s), and every signal is known exactly; s is 1, 1.5, 2 and so on. For tests of
mixers, strategies and stores; a worker imports it by its name, `NAME`.
"""

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixopt.errors import InputError
from mixopt.mixers import Measured, Segment, Session, Setup, mixer_of, record, refused
from mixopt.ports import Capabilities, Mixing, Report, TrainerInfo, ignore_report, refusal
from mixopt.runs import Observation, Point, Realised, RunSpec, Scale
from mixopt.runs.signals import SCOPES, SIGNALS
from mixopt.space import Domain, Mixture
from mixopt.space.simplex import Array

NAME = "mixopt.testing.mixing_trainer:MixingTrainer"
_TARGETS = {"mean": {"web": 0.5, "code": 0.3, "math": 0.2}}


class MixingTrainer:
    """Metrics are `loss/<domain>` and `loss/<target>`; the same run gives the same numbers.

    Args:
        domains: their names.
        targets: name to what it is made of, domain to share.
        steps: of a run, whatever its tokens.
        rate: of gradient descent.
        noise: sd of every metric over seeds.
        look: cost of one measurement, in steps of training.
        signals: that it offers; all but router loads by default.
    """

    def __init__(
        self,
        *,
        domains: Sequence[str] = ("web", "code", "math"),
        targets: Mapping[str, Mapping[str, float]] | None = None,
        steps: int = 200,
        rate: float = 0.1,
        noise: float = 1e-4,
        look: float = 0.5,
        signals: Sequence[str] | None = None,
    ) -> None:
        self.domains, self.steps, self.rate = tuple(domains), steps, rate
        self.noise, self.look = noise, look
        self.curvature = 1.0 + 0.5 * np.arange(len(self.domains))
        offered = frozenset(SIGNALS) - {"gate_load"} if signals is None else frozenset(signals)
        mixing = Mixing(
            offered, frozenset(SCOPES), loss_weights=True, branches=True, references=True
        )
        self.capabilities = Capabilities(schedules=True, mixing=mixing)
        chosen = _TARGETS if targets is None else targets
        self.points = {f"loss/{name}": self._point(shares) for name, shares in chosen.items()}
        own = np.eye(len(self.domains))
        self.points |= {f"loss/{d}": e for d, e in zip(self.domains, own, strict=True)}

    def prepare(self, cache: Path) -> TrainerInfo:
        """There is nothing to prepare; 10^9 tokens per domain are claimed."""
        cache.mkdir(parents=True, exist_ok=True)
        points = {name: point.tolist() for name, point in self.points.items()}
        law = json.dumps([points, self.steps, self.curvature.tolist(), self.rate, self.noise])
        return TrainerInfo(
            domains=tuple(Domain(d, tokens=1e9) for d in self.domains),
            metrics=tuple(self.points),
            unit="nats/token",
            data=hashlib.sha256(law.encode()).hexdigest()[:16],
        )

    def steps_of(self, scale: Scale, cache: Path) -> int:
        """The same at every scale."""
        del scale, cache
        return self.steps

    def train(
        self, specs: Sequence[RunSpec], cache: Path, report: Report = ignore_report
    ) -> list[Observation]:
        """Answer for every run."""
        del cache
        return [self._train(spec, report) for spec in specs]

    def _train(self, spec: RunSpec, report: Report) -> Observation:
        if reason := refusal(self, spec):
            return Observation.failure(spec, reason)
        try:
            if spec.mixer is not None:
                return self._mixed(spec, report)
        except InputError as error:
            return Observation.failure(spec, str(error))
        model, before = _Model(self), 0
        for until, mixture in spec.phases:
            end = round(self.steps * until / spec.scale.tokens)
            model.train(self._point(mixture.to_dict()), end - before)
            before = end
        return self._observed(spec, model, Realised.exact(spec.phases), 1.0, report)

    def _mixed(self, spec: RunSpec, report: Report) -> Observation:
        assert spec.mixer is not None
        method = mixer_of(spec.mixer)
        needs = method.needs()
        reason = refused(needs, self.capabilities.mixing, f"mixer {spec.mixer.name!r}")
        if reason:
            return Observation.failure(spec, reason)
        setup = Setup.of(spec, self.steps, [f"loss/{d}" for d in spec.mixture.domains])
        run = _Run(self, setup, Session.begin(method, setup))
        reference = setup.reference(needs)
        if reference is not None:
            run.train_reference(reference)
        run.finish()
        ratio = run.spent / self.steps
        drawn = zip(setup.space.names, run.session.state.used, strict=True)
        realised = Realised.whole({d: round(t) for d, t in drawn}, len(self.domains))
        info = {"mixer": record(run.session, ratio)}
        return self._observed(spec, run.model, realised, ratio, report, info)

    def _observed(
        self,
        spec: RunSpec,
        model: "_Model",
        realised: Realised,
        ratio: float,
        report: Report,
        info: Mapping[str, Any] | None = None,
    ) -> Observation:
        rng = np.random.default_rng(int(spec.run_id, 16))
        metrics = {
            name: model.loss(point) + self.noise * float(rng.standard_normal())
            for name, point in self.points.items()
        }
        report(spec, Point(spec.scale.tokens, metrics))
        flops = spec.scale.flops * ratio
        return Observation.of(spec, metrics, flops=flops, realised=realised, info=info or {})

    def _point(self, shares: Mapping[str, float]) -> Array:
        unknown = next((d for d, w in shares.items() if w > 0 and d not in self.domains), None)
        if unknown is not None:
            raise InputError(
                f"{unknown!r} is none of the domains {', '.join(self.domains)}; name one of them"
            )
        return np.array([shares.get(d, 0.0) for d in self.domains])

    def optimum(self, weights: Mapping[str, float]) -> Mixture:
        """The best mixture from start to end for targets with weights that sum to 1."""
        best = np.array([w * self.points[name] for name, w in weights.items()]).sum(axis=0)
        w = best / self.curvature
        return Mixture(self.domains, tuple((w / w.sum()).tolist()))


class _Model:
    """theta, and how it is trained."""

    def __init__(self, trainer: MixingTrainer) -> None:
        self.theta, self.rate = np.zeros(len(trainer.domains)), trainer.rate
        self.curvature = trainer.curvature

    def train(self, w: Array, steps: int) -> None:
        pull = w * self.curvature
        for _ in range(steps):
            self.theta = self.theta - self.rate * (pull.sum() * self.theta - pull)

    def gradients(self) -> Array:
        """(m, m) of each domain's loss."""
        return np.asarray(self.curvature[:, None] * (self.theta - np.eye(len(self.theta))))

    def losses(self) -> Array:
        """(m,) of the domains."""
        apart = self.theta - np.eye(len(self.theta))
        return np.asarray(0.5 * self.curvature * (apart**2).sum(axis=1))

    def loss(self, point: Array) -> float:
        return 0.5 * float(((self.theta - point) ** 2).sum())


class _Run:
    """A run with a mixer: the model, what was kept for branches, and what it has cost."""

    def __init__(self, trainer: MixingTrainer, setup: Setup, session: Session) -> None:
        self.trainer, self.setup, self.session = trainer, setup, session
        self.model = _Model(trainer)
        self.reference: _Model | None = None
        self.places = [trainer.domains.index(name) for name in setup.space.names]
        unknown = next((t for t in setup.targets if t not in trainer.points), None)
        if unknown is not None:
            raise InputError(
                f"the mixer steers by {unknown!r}, which is no metric of this trainer; name some of"
                f" {', '.join(trainer.points)}"
            )
        self.targets = np.array([trainer.points[t] for t in setup.targets])
        self.spent = 0.0

    def train_reference(self, mixture: Array) -> None:
        self.reference = _Model(self.trainer)
        self.reference.train(self._all(mixture), self.trainer.steps)
        self.spent += self.trainer.steps

    def finish(self) -> None:
        kept = copy.deepcopy(self.model)
        while (segment := self.session.segment) is not None:
            if self.session.at_period_start:
                kept = copy.deepcopy(self.model)
            model = copy.deepcopy(kept) if segment.branch else self.model
            weights = np.array(segment.sampling) * np.array(segment.loss_weight)
            model.train(self._all(weights), segment.steps)
            self.spent += segment.steps + self._looking(segment)
            tokens = np.array(segment.sampling) * segment.steps
            tokens *= self.setup.tokens / self.setup.steps
            values = {s: self._signal(s, model) for s in segment.measure}
            step = self.session.step + segment.steps
            self.session = self.session.after(Measured(step, tuple(tokens.tolist()), values))

    def _all(self, weights: Array) -> Array:
        """(m,) over the trainer's domains, of which the run may have a part."""
        whole = np.zeros(len(self.trainer.domains))
        whole[self.places] = weights
        return whole

    def _looking(self, segment: Segment) -> float:
        times = [segment.steps if SIGNALS[s].over else 1 for s in segment.measure]
        free = [s == "train_loss" for s in segment.measure]
        paid = [t for t, nothing in zip(times, free, strict=True) if not nothing]
        return self.trainer.look * sum(paid)

    def _signal(self, name: str, model: _Model) -> Array:
        gradients, losses = model.gradients()[self.places], model.losses()[self.places]
        toward = model.theta - self.targets
        if name in {"excess", "excess_mean"}:
            assert self.reference is not None
            over = losses - self.reference.losses()[self.places]
            return np.asarray(np.maximum(over, 0.0) if name == "excess" else over)
        known = {
            "train_loss": losses,
            "heldout": 0.5 * (toward**2).sum(axis=1),
            "gram": gradients @ gradients.T,
            "gram_target": gradients @ toward.T,
            "grad_sq": (gradients**2).sum(axis=1),
            "grad_var": np.ones(len(losses)),
        }
        return np.asarray(known[name])
