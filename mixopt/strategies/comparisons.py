"""An online method against its own time average, in words.

Notation:
    d: (s,) objective of the average minus that of the run, seed by seed; above 0 the run wins
"""

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import stats

from mixopt.mixers import Recorded
from mixopt.runs import Observation
from mixopt.runs.objective import Objective, judged, objective_of


def compared(
    method: str,
    names: tuple[str, str],
    record: Recorded,
    factor: float,
    observations: Sequence[Observation],
    objective: Objective,
) -> str:
    """One line: what the method costs, and whether its run beats its time average.

    Args:
        method: its name.
        names: of the candidates that are its run and its average.
        record: of its first run.
        factor: tokens of the average's runs over those of the method's.
        observations: of the sweep, confirmations among them.
        objective: what is minimised.
    """
    cost = f"{method} costs {record.cost_ratio:.3g} times plain training"
    if record.cost_ratio < 1.005:
        cost = f"{method} costs no more than plain training"
    if factor != 1.0:
        cost += f", and what it is held against trains on {factor:.3g} times the tokens"
    online, average = (_by_seed(observations, name, objective) for name in names)
    seeds = sorted(set(online) & set(average))
    if not seeds:
        return f"{cost}; its run and its time average are not compared yet"
    differences = [average[seed] - online[seed] for seed in seeds]
    mean, half = float(np.mean(differences)), half_width(differences)
    ours, theirs = (float(np.mean([of[s] for s in seeds])) for of in (online, average))
    told = f"objective {ours:.4g} against {theirs:.4g}"
    if not np.isfinite(half):
        return f"{cost}; {told} of its time average with one seed, which shows nothing"
    verdict = "is not told apart from"
    if mean > half:
        verdict = "beats"
    elif mean < -half:
        verdict = "loses to"
    return (
        f"{cost}; its run {verdict} its time average: {told}, difference {mean:.2g} +- {half:.2g} "
        f"(90 %, {len(seeds)} seeds)"
    )


def half_width(differences: Iterable[float]) -> float:
    """Half the 90 % interval of a mean of paired differences; NaN for fewer than two."""
    d = np.array(list(differences))
    if len(d) < 2:
        return float("nan")
    return float(stats.t.ppf(0.95, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d)))


def _by_seed(
    observations: Sequence[Observation], name: str, objective: Objective
) -> dict[int, float]:
    runs = (judged(o, objective) for o in observations if o.spec.kind.confirms == name)
    return {o.spec.seed: objective_of(o.metrics, objective) for o in runs if o.ok}
