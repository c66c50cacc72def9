"""Which plans a promotion trains: the top candidates, what lies between them, and the baselines.

Notation:
    W: (n, m) mixtures of the runs; w: (m,) a candidate
"""

from collections.abc import Mapping, Sequence

import numpy as np

from mixopt import designs
from mixopt.errors import InputError, did_you_mean
from mixopt.evidence.outcome import Outcome
from mixopt.evidence.reached import asked_at
from mixopt.evidence.rules import Rules, Yardstick
from mixopt.runs import Observation
from mixopt.runs.kinds import RECOMMENDED, TIME_AVERAGE
from mixopt.space import Mixture, MixtureSpace
from mixopt.space.simplex import Array
from mixopt.strategies.promoting import Plan

APART = 0.05
"""Share of the tokens by which two candidates differ at least: closer ones differ by noise."""
_SAME = 1e-6


def rivals(space: MixtureSpace, names: Sequence[str] = ()) -> dict[str, Mixture]:
    """Baselines by name: those named, or all that one would train without any search.

    Raises:
        InputError: a name that this space has no baseline for.
    """
    standard = designs.baselines(space)
    if not names:
        return standard
    known = standard | {f"only-{name}": m for name, m in designs.singles(space).items()}
    for name in names:
        if name not in known:
            raise InputError(
                f"the baseline {name!r} is not there: it equals another in this space, or needs "
                f"space.budget and the tokens of every domain; {did_you_mean(name, known)}"
            )
    return {name: known[name] for name in names}


def plans_of(
    outcome: Outcome, space: MixtureSpace, observations: Sequence[Observation], rules: Rules
) -> tuple[Plan, ...]:
    """The recommended plan, other candidates, what lies between, and the baselines.

    Other candidates are the best of the mixtures that were run, and of the sparse and the dense
    variant, by the model that chose; each at least 5 % of the tokens from those before it, and from
    the baselines. What is between is halfway from the recommended one. Beside a schedule there are
    none: its rival is its own time average. A baseline that is the recommended mixture itself is
    left out: there is nothing to beat.

    Args:
        outcome: of the study.
        space: which mixtures are allowed.
        observations: runs of the study.
        rules: how many, and against which baselines.

    Raises:
        InputError: see `rivals`.
    """
    yardstick = Yardstick(outcome.objective, rules.metric)
    answer = outcome.recommendation
    named = rivals(space, rules.against)
    if answer.schedule is not None:
        named = {TIME_AVERAGE: answer.mixture, **named}
        value, sd = _of_schedule(outcome, yardstick)
        plan = Plan(RECOMMENDED, answer.mixture, answer.schedule, predicted=value, sd=sd)
        return (plan, *(_constant(outcome, n, m, value, rules) for n, m in named.items()))
    first = answer.mixture.array
    named = {n: m for n, m in named.items() if _distance(m.array, first) >= _SAME}
    others = _others(outcome, space, _ranked(outcome, space, observations), named, rules)
    model = asked_at(outcome.surrogate, answer, rules.scale)
    plans: list[Plan] = []
    for name, mixture in {RECOMMENDED: answer.mixture, **others, **named}.items():
        mean, sds = yardstick.predict(model, mixture.array[None])
        plans.append(
            Plan(
                name,
                mixture,
                rival=name in named,
                predicted=float(mean[0]),
                sd=float(sds[0]),
            )
        )
    return tuple(plans)


def _others(
    outcome: Outcome,
    space: MixtureSpace,
    ranked: Sequence[Array],
    named: Mapping[str, Mixture],
    rules: Rules,
) -> dict[str, Mixture]:
    """Candidates beside the recommended one, each followed by what lies halfway to it."""
    first = outcome.recommendation.mixture.array
    kept, others = [first], dict[str, Mixture]()
    taken = [m.array for m in named.values()]
    for w in ranked:
        if len(kept) >= rules.candidates:
            break
        if min(_distance(w, other) for other in (*kept, *taken)) < APART:
            continue
        kept.append(w)
        others[f"candidate-{len(kept)}"] = space.mixture(w)
        half = space.round((first + w) / 2)
        near = min(_distance(half, other) for other in taken) if taken else 1.0
        if rules.between and near >= _SAME and bool(space.contains(half[None], 1e-6)[0]):
            others[f"between-{len(kept)}"] = space.mixture(half)
    return others


def _ranked(
    outcome: Outcome, space: MixtureSpace, observations: Sequence[Observation]
) -> list[Array]:
    """Allowed mixtures that were run, with the answer's variants, best first by the model."""
    runs = [o.spec for o in observations if o.ok and o.spec.kind.in_search and o.spec.is_static]
    tried = [s.mixture.array for s in runs if s.mixture.domains == space.names]
    variants = (outcome.recommendation.sparse, outcome.recommendation.dense)
    tried += [m.array for m in variants if m is not None]
    if not tried:
        return []
    W = np.unique(np.round(np.array(tried), 9), axis=0)
    W = W / W.sum(axis=1, keepdims=True)
    W = W[space.contains(W, 1e-6)]
    return [W[i] for i in np.argsort(outcome.surrogate.value(W), kind="stable")] if len(W) else []


def _distance(one: Array, other: Array) -> float:
    """Share of the tokens that two mixtures spend differently."""
    return float(np.abs(one - other).sum() / 2)


def _of_schedule(outcome: Outcome, yardstick: Yardstick) -> tuple[float, float]:
    answer = outcome.recommendation
    if not yardstick.metric:
        return answer.value, answer.sd
    mean, sd = answer.metrics.get(yardstick.metric, (float("nan"), float("nan")))
    return yardstick.sign * mean, sd


def _constant(outcome: Outcome, name: str, mixture: Mixture, value: float, rules: Rules) -> Plan:
    """A baseline of a schedule: the model over schedules says of it what it said of its gain."""
    gain = None if rules.metric else outcome.recommendation.gains.get(name)
    if gain is None:
        return Plan(name, mixture, rival=True)
    return Plan(name, mixture, rival=True, predicted=value + gain.raw, sd=gain.sd)
