"""From a finished sweep to a decision: what is to be trained, what it can show, what it showed.

The store is the journal of a promotion as of a search: rules, plans and seeds are written there
before the first run, so that one that was killed goes on to the same runs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixopt.app.results.publish import conclude
from mixopt.app.running.driving import drive, is_finished
from mixopt.app.running.launch import Sweep
from mixopt.app.running.posts import RULES, check_posts, given_rules
from mixopt.app.running.trunks import BRANCH_AT
from mixopt.diagnostics.gates import Gate
from mixopt.diagnostics.gates import epochs as epochs_gate
from mixopt.errors import InputError, StoreError
from mixopt.evidence.candidates import plans_of
from mixopt.evidence.decision import ANNOTATION, Decision
from mixopt.evidence.outcome import Outcome
from mixopt.evidence.passes import epochs_at
from mixopt.evidence.past import realised
from mixopt.evidence.power import Power, chance_of, seeds_needed
from mixopt.evidence.promotion import Question, decide, results_of
from mixopt.evidence.reached import unlevelled
from mixopt.evidence.rules import Given, Rules, Yardstick
from mixopt.evidence.stored import plain, restored
from mixopt.execution.heartbeat import HEARTBEAT
from mixopt.execution.limits import Limits
from mixopt.execution.part import Part
from mixopt.execution.sweep import BATCH, Settings, SweepStatus
from mixopt.runs import Observation, RunSpec, Scale, What, quantity
from mixopt.runs.kinds import RECOMMENDED
from mixopt.runs.objective import judged
from mixopt.strategies import Strategy
from mixopt.strategies.promoting import Plan, Promoting

PLANS = "promotion plans"
"""The annotation that holds what is trained, and with which seeds."""

PART = "promotion"
"""The part of the store that its runs are."""


@dataclass(frozen=True, eq=False)
class Promotion:
    """A promotion that can be trained and decided.

    Attributes:
        sweep: finished. outcome: of it.
        question: study, rules, and when they were given.
        recipe: what is trained, and with which seeds.
        power: what that can show and costs.
    """

    sweep: Sweep
    outcome: Outcome
    question: Question
    recipe: Promoting
    power: Power

    @property
    def specs(self) -> dict[str, tuple[RunSpec, ...]]:
        """Name of a plan to its runs."""
        return self.recipe.specs(self.sweep.problem)

    def summary(self) -> dict[str, Any]:
        """What it can show and costs, as plain JSON values."""
        plans = [{"name": p.name, "rival": p.rival} for p in self.recipe.plans]
        values: dict[str, Any] = plain(self.power)
        return {
            **values,
            "plan_names": plans,
            "seed_numbers": list(self.recipe.seeds),
            "refused_beforehand": self.refused_beforehand,
        }

    @property
    def refused_beforehand(self) -> str | None:
        """Why the rules will refuse whatever is trained, where that is known: epochs are."""
        if any("repetition" in o.info for o in self.sweep.store.observations()):
            return None  # this trainer says it of every run, also of those to come
        gate = _repetition(self, ())
        return gate.told if isinstance(gate, Gate) and gate.state == "no" else None

    @property
    def missing(self) -> list[RunSpec]:
        """Runs that are still to be trained."""
        done = {o.run_id for o in self.sweep.store.observations()}
        return [s for specs in self.specs.values() for s in specs if s.run_id not in done]


def promotion_of(sweep: Sweep, searching: Strategy, given: Given | None = None) -> Promotion:
    """What is to be trained to promote the answer of a sweep, and what that can show.

    Args:
        sweep: finished; its spec has the rules.
        searching: its strategy.
        given: when the rules were given; as the store says, where left out.

    Raises:
        InputError: the sweep is not finished, nothing succeeded, the data has no manifest, an
            unknown baseline or metric, or it costs more than the budget.
        StoreError: there are no rules, or not those that were given.
    """
    spec, kept = sweep.spec, sweep.store.annotations()
    if given is None or kept.get(RULES) is not None:
        given = given_rules(kept, spec.name)
    check_posts(kept, spec.promotion, spec.name)
    if spec.promotion is None:
        raise given_rules_missing(spec.name)
    rules = spec.promotion.make(spec.make_objective().guards)
    _check_finished(sweep, searching)
    outcome = conclude(sweep)
    _check(sweep, rules)
    yardstick = Yardstick(outcome.objective, rules.metric)
    unit, order = yardstick.unit(sweep.info.unit), unlevelled(outcome.recommendation, rules.scale)
    question = Question(spec.name, rules, given, yardstick, unit, order)
    recipe = _recipe(sweep, outcome, rules, given)
    return Promotion(sweep, outcome, question, recipe, _power(sweep, outcome, question, recipe))


def train(
    promotion: Promotion, on_change: Callable[[SweepStatus], None] | None = None
) -> SweepStatus:
    """Train what is missing, by the loop and the executor of the sweep.

    Limits of the sweep (`execution.stop_after`) are not those of its promotion, which has a budget
    of its own; failures in a row pause both.

    Raises:
        InputError: it costs more than the budget.
        SweepError: the first runs all failed.
    """
    sweep, recipe, missing = promotion.sweep, promotion.recipe, promotion.missing
    if not missing:
        return SweepStatus()
    budget, cost = promotion.question.rules.budget, promotion.power.flops
    if cost > budget:
        raise InputError(
            f"promotion costs {quantity(cost, 'FLOP')} and promotion.budget allows "
            f"{quantity(budget, 'FLOP')}; raise the budget (it may change at any time)"
        )
    note = {
        "rules": promotion.question.given.digest,
        "plans": plain(recipe.plans),
        "seeds": list(recipe.seeds),
        "values": dict(recipe.values),
    }
    sweep.store.annotate({PLANS: note})
    ids = {s.run_id for specs in promotion.specs.values() for s in specs}
    # Runs of a promotion are trained from their start: nothing is kept to go on from.
    runtime = {k: v for k, v in sweep.runtime.items() if k not in {"continue_to", BRANCH_AT}}
    pause = Limits(pause_after=sweep.spec.execution.limits.pause_after)
    part = Part(sweep.store, ids, PART, (BATCH, HEARTBEAT))
    return drive(sweep, recipe, part, Settings(runtime, pause), on_change)


def conclude_promotion(promotion: Promotion) -> Decision:
    """Apply the rules to what was trained, and keep the decision in the store.

    Raises:
        InputError: runs are missing, or none of the recommended plan succeeded.
    """
    sweep, missing = promotion.sweep, promotion.missing
    if missing:
        raise InputError(
            f"{len(missing)} runs of the promotion are missing; 'mixopt promote' trains them"
        )
    by_id = {o.run_id: judged(o, sweep.problem.objective) for o in sweep.store.observations()}
    seen = {name: [by_id[s.run_id] for s in specs] for name, specs in promotion.specs.items()}
    results = results_of(promotion.recipe.plans, seen, promotion.question.yardstick)
    repetition = _repetition(promotion, seen[RECOMMENDED])
    runs = [o.run_id for part in seen.values() for o in part]
    decision = decide(promotion.question, results, repetition, runs)
    sweep.store.annotate({ANNOTATION: decision.to_dict()})
    return decision


def decision_in(sweep: Sweep) -> Decision | None:
    """The last decision that a sweep's store holds.

    Raises:
        StoreError: it is of another format.
    """
    kept = sweep.store.annotations().get(ANNOTATION)
    return None if kept is None else Decision.from_dict(kept)


def begun(sweep: Sweep, kept: Mapping[str, Any]) -> Promoting | None:
    """What a promotion trains that has begun by the rules of the spec; None where none has.

    Args:
        sweep: opened.
        kept: the annotations of its store.
    """
    spec, plans = sweep.spec, kept.get(PLANS)
    if plans is None or spec.promotion is None or plans["rules"] != spec.promotion.digest:
        return None
    return _restored(plans, spec.promotion.make().scale)


def given_rules_missing(name: str) -> StoreError:
    """That rules are in the store and not in the spec that was read."""
    return StoreError(
        f"the rules of promotion of {name!r} are in its store and not in its spec; restore the "
        "section 'promotion' of spec.yaml, and name that file in place of the folder"
    )


def _check_finished(sweep: Sweep, searching: Strategy) -> None:
    if not any(o.ok for o in sweep.store.observations()):
        return  # `conclude` says why
    promoted = {s.run_id for s in sweep.store.pending() if s.kind.what is What.PROMOTION}
    open_runs = [s for s in sweep.store.pending() if s.run_id not in promoted]
    if open_runs or (not promoted and not is_finished(sweep, searching)):
        raise InputError(
            f"the sweep {sweep.spec.name!r} is not finished, and more runs may change its answer; "
            "'mixopt run' finishes it, then promote"
        )


def _check(sweep: Sweep, rules: Rules) -> None:
    """What the rules name must be there before anything is trained."""
    if not sweep.info.data:
        raise InputError(
            f"trainer {sweep.spec.trainer.use} states no data manifest, so that nobody could say "
            "what a promoted mixture was measured on; let its prepare() give TrainerInfo.data, a "
            "hash of the data"
        )
    needed = [rules.metric] if rules.metric else []
    for metric in [*needed, *(g.metric for g in rules.guards)]:
        if metric not in sweep.info.metrics:
            known = ", ".join(sweep.info.metrics[:12])
            raise InputError(
                f"promotion judges the metric {metric!r}, which the trainer does not give; it "
                f"gives: {known}"
            )


def _recipe(sweep: Sweep, outcome: Outcome, rules: Rules, given: Given) -> Promoting:
    """Plans and seeds: those that a promotion has begun with, else new ones.

    Seeds follow that of the search, as those of confirmation do: where that was made at this scale
    by rules that were there before, its runs are the same runs, and count. Rules that were given
    later get seeds that nothing has been seen of.
    """
    kept = sweep.store.annotations().get(PLANS)
    if kept is not None and kept["rules"] == given.digest:
        return _restored(kept, rules.scale)
    observations = sweep.store.observations()
    plans = plans_of(outcome, sweep.problem.space, observations, rules)
    first = sweep.problem.seed + 1
    if given.after:
        specs = [*(o.spec for o in observations), *sweep.store.pending()]
        first = max([first, *(s.seed + 1 for s in specs)])
    seeds = tuple(range(first, first + rules.seeds))
    return Promoting(plans, rules.scale, seeds, dict(outcome.settings))


def _restored(kept: Mapping[str, Any], scale: Scale) -> Promoting:
    plans: tuple[Plan, ...] = restored(tuple[Plan, ...], kept["plans"])
    return Promoting(plans, scale, tuple(kept["seeds"]), kept["values"])


def _power(sweep: Sweep, outcome: Outcome, question: Question, recipe: Promoting) -> Power:
    rules = question.rules
    baseline, expected = _expected(outcome, question, recipe, realised(sweep.past))
    sd, whence = _noise(outcome, question)
    plans, least = len(recipe.plans), rules.gain
    tests = sum(not p.rival for p in recipe.plans)
    known = np.isfinite(expected) and np.isfinite(sd)
    chance, needed = float("nan"), None
    if known:
        beyond = expected - least
        chance = chance_of(beyond, sd, seeds=len(recipe.seeds), plans=plans, tests=tests)
        needed = seeds_needed(beyond, sd, plans=plans, tests=tests)
    observations = sweep.store.observations()
    done = {o.run_id for o in observations}
    specs = [s for part in recipe.specs(sweep.problem).values() for s in part]
    each = rules.scale.flops * _dearer(observations)
    missing = sum(s.run_id not in done for s in specs)
    return Power(
        baseline, expected, least, sd, whence, rules.scale, plans, len(recipe.seeds),
        chance, needed, missing, missing * each, each, question.ranking_only,
    )  # fmt: skip


def _expected(
    outcome: Outcome, question: Question, recipe: Promoting, share: float
) -> tuple[str, float]:
    """The baseline that is beaten by least, and by how much, luck allowed for.

    What earlier promotions realised of their predicted gains is expected of this one too. NaN where
    the model predicts an order alone.
    """
    first, least = recipe.plans[0], ("", float("nan"))
    at = question.rules.scale.sizes
    for plan in recipe.plans:
        if question.ranking_only or not plan.rival or not np.isfinite(plan.predicted):
            continue
        raw = plan.predicted - first.predicted
        told = outcome.recommendation.gains.get(plan.name)
        if question.rules.metric or outcome.recommendation.scale not in (None, at):
            told = None
        if told is not None:
            gain = told.shrunk
        else:
            gain = max(0.0, raw - (plan.sd**2 + first.sd**2) / raw) if raw > 0 else raw
        if not np.isfinite(least[1]) or gain < least[1]:
            least = plan.name, float(gain)
    name, gain = least
    return name, gain * min(max(share, 0.0), 1.0) if np.isfinite(share) and gain > 0 else gain


def _noise(outcome: Outcome, question: Question) -> tuple[float, str]:
    """Sd of one run, and where it is known from."""
    shown = outcome.confirmation
    if not question.rules.metric and shown is not None and np.isfinite(shown.seed_sd):
        return shown.sds.get(RECOMMENDED, shown.seed_sd), "measured by confirmation"
    w = outcome.recommendation.mixture.array
    return question.yardstick.noise(outcome.surrogate, w), "as the law infers it"


def _dearer(observations: Sequence[Observation]) -> float:
    """FLOPs that a run really takes, by the rule 6 N D; 1 where no trainer counts them."""
    known = [o for o in observations if o.ok and o.flops > 0]
    if not known:
        return 1.0
    largest = max(o.spec.scale for o in known)
    ratios = [o.flops / o.spec.scale.flops for o in known if o.spec.scale == largest]
    return float(np.mean(ratios))


def _repetition(promotion: Promotion, seen: Sequence[Observation]) -> Gate | str:
    """Do these runs repeat their data as often as the target run will?"""
    name, sweep = "repetition", promotion.sweep
    if not promotion.question.rules.repetition:
        return f"{name} (the rules do not)"
    told = [o.info["repetition"] for o in seen if "repetition" in o.info]
    lines = [str(line) for one in told for line in one.get("warnings", ())]
    if lines:
        return Gate(name, "no", lines[0])
    if any(one.get("matched") for one in told):
        return Gate(name, "yes", "the trainer repeats every domain as often as the target will")
    unique = {d.name: d.tokens for d in sweep.info.domains if d.tokens}
    mixture = promotion.outcome.recommendation.mixture
    tokens = promotion.question.rules.scale.tokens
    mismatch = epochs_at(sweep.problem.space, mixture, unique, tokens)
    if mismatch is None:
        return f"{name} (space.budget, or the tokens of the domains, are not known)"
    gate = epochs_gate(mismatch)
    return Gate(name, gate.state, gate.told, gate.value, threshold=gate.threshold)
