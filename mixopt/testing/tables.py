"""Tables of runs whose truth is known, easy ones and ones that mislead, to judge verdicts by.

A recipe says how a table comes about: what the mixture does to the metrics, where the runs lie,
what noise is on them, in which order they ran, at which scales. `known_table` follows it. Every
recipe belongs to one half for good: thresholds are chosen on the tables of `"choose"` and what they
achieve is told from those of `"report"`, which differ in truth, size, noise and kind of trouble.

Notation:
    W: (n, m) mixtures; Y: (n, k) metrics; F: (n,) objective, lower is better
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from mixopt.errors import InputError, did_you_mean
from mixopt.proposers.search import minimize
from mixopt.runs import Scale
from mixopt.runs.objective import Guard, Objective
from mixopt.runs.run_table import RunTable
from mixopt.space import MixtureSpace, simplex
from mixopt.space.simplex import Array
from mixopt.testing.table_truths import TRUTHS, Rng, Truth, bump, random_mixtures
from mixopt.testing.worlds import LARGE, SMALL

_HOLE = 0.36  # Hellinger distance from a hidden valley that runs keep


@dataclass(frozen=True)
class Recipe:
    """How a table of runs comes about.

    Attributes:
        half: `"choose"` or `"report"`. easy: whether a verdict ought to be trust.
        truth: a name of `TRUTHS`. domains, runs: m and n.
        noise: sd of one run, in units of a metric's sd over random mixtures.
        tails: of the noise: `"normal"`, `"student"` (t with 2 degrees of freedom), `"outliers"`
            (two runs are off by eight sds of the metric), `"optimum"` (ten times the noise where
            the optimum is).
        design: where the runs lie: `"random"`, `"sparse"` (one to three domains each),
            `"repeated"` (every mixture three times), `"hole"` (none near the hidden valley),
            `"corner"` (the first domain never above a fifth).
        trouble: what goes on beside it: `"drift"` (metrics rise with time, and mixtures ran in
            order), `"batches"` (two of them, a spread apart, each with mixtures of its own),
            `"bystanders"` (two metrics without weight that are noise), `"units"` (metrics in units
            a million apart, the objective standardised), `"guard"` (the first metric is minimised,
            the second may not get worse than at the natural mixture), `"guard-unseen"` (the same,
            but the second gets worse in a narrow part of the space alone), `"guard-loud"` (the same
            as the first, with 1.5 sds of noise on the second).
        rho: rank correlation of the small scale with the large one; None where there is one scale.
        shared: mixtures that ran at both scales.
    """

    half: Literal["choose", "report"]
    truth: str
    domains: int
    runs: int
    noise: float = 0.2
    easy: bool = False
    tails: str = "normal"
    design: str = "random"
    trouble: str = ""
    rho: float | None = None
    shared: int = 0


def _r(*args: object, **kw: object) -> Recipe:
    return Recipe("report", *args, **kw)  # type: ignore[arg-type]


def _c(*args: object, **kw: object) -> Recipe:
    return Recipe("choose", *args, **kw)  # type: ignore[arg-type]


RECIPES: Mapping[str, Recipe] = {
    # easy: the verdict ought to be trust
    "smooth-4": _c("bowl", 4, 32, easy=True),
    "smooth-5": _r("bowl", 5, 48, easy=True),
    "power-law-3": _r("power", 3, 24, easy=True),
    "power-law-5": _c("power", 5, 40, easy=True),
    "sparse-4": _r("power", 4, 40, design="sparse", easy=True),
    "sparse-5": _c("helped", 5, 48, design="sparse", easy=True),
    "bystanders-4": _r("bowl", 4, 36, trouble="bystanders", easy=True),
    "bystanders-3": _c("power", 3, 30, trouble="bystanders", easy=True),
    "units-4": _r("helped", 4, 40, trouble="units", easy=True),
    "repeated-4": _c("helped", 4, 45, design="repeated", easy=True),
    "two-scales-faithful": _r("bowl", 4, 32, rho=0.97, shared=8, easy=True),
    # nothing to be seen
    "pure-noise-4": _c("nothing", 4, 40, 1.0),
    "pure-noise-6": _r("nothing", 6, 60, 1.0),
    "noise-as-signal-4": _r("bowl", 4, 40, 1.0),
    "noise-as-signal-5": _c("helped", 5, 48, 1.0),
    "six-runs-five-domains": _r("bowl", 5, 6),
    "eight-runs-six-domains": _c("helped", 6, 8),
    # what the runs do not show
    "hidden-valley-4": _c("hidden", 4, 40, design="hole"),
    "hidden-valley-3": _r("hidden", 3, 30, design="hole"),
    "corner-4": _r("bowl", 4, 36, design="corner"),
    "corner-5": _c("power", 5, 40, design="corner"),
    "two-valleys-4": _r("two-valleys", 4, 40),
    "two-valleys-3": _c("two-valleys", 3, 30),
    "narrow-4": _r("narrow", 4, 40),
    "interactions-5": _c("interactions", 5, 48),
    "interactions-4": _r("interactions", 4, 40),
    # what is on the numbers
    "loud-optimum-4": _r("bowl", 4, 40, tails="optimum"),
    "loud-optimum-3": _c("power", 3, 30, tails="optimum"),
    "heavy-tails-4": _r("bowl", 4, 40, tails="student"),
    "outliers-4": _c("helped", 4, 40, tails="outliers"),
    "outliers-5": _r("power", 5, 48, tails="outliers"),
    "drift-4": _r("bowl", 4, 40, trouble="drift"),
    "drift-5": _c("power", 5, 48, trouble="drift"),
    "batches-4": _r("bowl", 4, 40, trouble="batches"),
    # what another scale says
    "misleading-none": _r("bowl", 4, 32, rho=0.0, shared=0),
    "misleading-two": _r("helped", 4, 32, rho=0.0, shared=2),
    "misleading-eight": _c("bowl", 4, 32, rho=0.0, shared=8),
    "opposite-none": _c("helped", 4, 32, rho=-0.5, shared=0),
    "opposite-two": _c("bowl", 4, 32, rho=-0.5, shared=2),
    "opposite-eight": _r("bowl", 4, 32, rho=-0.5, shared=8),
    # more of each kind (at the end, since the place of a recipe is part of its seed)
    "two-scales-power": _c("power", 4, 32, rho=0.97, shared=8, easy=True),
    "loud-repeated-3": _c("bowl", 3, 36, tails="optimum", design="repeated"),
    "loud-repeated-4": _r("bowl", 4, 48, tails="optimum", design="repeated"),
    "guarded-4": _c("helped", 4, 40, trouble="guard"),
    "guarded-3": _r("power", 3, 32, trouble="guard"),
    "guard-unseen-4": _c("helped", 4, 40, trouble="guard-unseen"),
    "guard-loud-5": _r("helped", 5, 48, trouble="guard-loud"),
}


@dataclass(frozen=True, eq=False)
class KnownTable:
    """A table of runs, and the truth behind it.

    Attributes:
        name: of the recipe. recipe: how it came about.
        table: the runs, in the order in which they ran.
        space, objective: the question. target: the scale of the answer, where there are several.
        truth: mixtures (n, m) to metrics (n, k) at the target, without noise; bystanders included.
        seed_sd: (k,) of one run around the truth, where it is no louder than elsewhere.
    """

    name: str
    recipe: Recipe
    table: RunTable
    space: MixtureSpace
    objective: Objective
    truth: Truth
    seed_sd: Array
    target: Scale | None = None

    def value(self, W: Array, objective: Objective | None = None) -> Array:
        """(n,) true objective of mixtures, in the units of a standardised objective where given."""
        seen = objective or self.objective
        return np.asarray(seen.value(self.truth(np.atleast_2d(W)), self.table.metrics))

    def noise(self, objective: Objective | None = None) -> float:
        """Sd of the objective of one run."""
        c = (objective or self.objective).coefficients(self.table.metrics)
        return float(np.sqrt((self.seed_sd**2) @ (c**2)))

    def beyond(self, W: Array) -> Array:
        """(n,) by how much the guard that is broken most is broken, in sds of its metric; or 0."""
        worst = np.zeros(len(np.atleast_2d(W)))
        for guard in self.objective.guards:
            j = self.table.metrics.index(guard.metric)
            here, limit = (self.truth(np.atleast_2d(w))[:, j] for w in (W, self.space.prior))
            worst = np.maximum(worst, here - limit)
        return worst

    def optimum(self, objective: Objective | None = None) -> Array:
        """(m,) the best mixture that keeps the guards, of many descents."""
        rng = np.random.default_rng(0)

        def score(W: Array) -> Array:
            return self.value(W, objective) + 1e3 * self.beyond(W)

        starts = np.vstack([random_mixtures(self.space.dim, 4000, rng), np.eye(self.space.dim)])
        starts = starts[np.argsort(score(starts))[:16]]
        at = minimize(score, self.space, rng=rng, starts=starts, candidates=1500)
        return np.asarray(at[0])

    def spread(self, objective: Objective | None = None) -> float:
        """Sd of the true objective over random mixtures; of a flat one the sd of a run."""
        W = random_mixtures(self.space.dim, 512, np.random.default_rng(1))
        sd = float(self.value(W, objective).std())
        return sd if sd > 1e-9 else self.noise(objective)


def known_table(name: str, seed: int = 0) -> KnownTable:
    """A table of a recipe; another seed is another truth, other runs and other noise.

    Raises:
        InputError: no such recipe.
    """
    if name not in RECIPES:
        raise InputError(f"unknown recipe {name!r}; {did_you_mean(name, tuple(RECIPES))}")
    recipe = RECIPES[name]
    rng = np.random.default_rng([seed, list(RECIPES).index(name)])
    m = recipe.domains
    truth, special = TRUTHS[recipe.truth](m, rng)
    mean, sd = _level(truth, m)
    truth = _in_units(truth, mean, sd)
    if recipe.trouble == "guard-unseen":
        truth = _with_a_ridge(truth, m)
    W = _design(recipe, special, rng)
    k = truth(W[:1]).shape[1]
    metrics = tuple(f"loss-{j}" for j in range(k))
    scales, exact = np.full(len(W), 1), truth(W)
    target: Scale | None = None
    if recipe.rho is not None:
        W, exact, scales = _two_scales(recipe, truth, W, rng)
        target = LARGE
    noise = recipe.noise * _noise(recipe, W, special, k, rng)
    Y = exact + noise + _trouble(recipe, len(W), rng)[:, None]
    facts = pd.DataFrame(index=range(len(W)))
    if target is not None:
        facts["params"] = [(SMALL, LARGE)[s].params for s in scales]
        facts["tokens"] = [(SMALL, LARGE)[s].tokens for s in scales]
    units = _units(recipe, k)
    seed_sd = recipe.noise * units
    if recipe.trouble == "guard-loud":
        Y[:, 1] += 1.5 * rng.standard_normal(len(Y))
        seed_sd[1] = np.hypot(seed_sd[1], 1.5)
    full, Y = _in_units(truth, 0.0, 1 / units), Y * units
    if recipe.trouble == "bystanders":
        metrics = (*metrics, "noise-0", "noise-1")
        Y = np.hstack([Y, rng.standard_normal((len(W), 2))])
        full = _with_bystanders(full)
        seed_sd = np.append(seed_sd, [1.0, 1.0])
    space = MixtureSpace({f"d{j}": 1e12 for j in range(m)})
    objective = _objective(recipe, metrics)
    table = RunTable(space.names, metrics, W, Y, facts)
    return KnownTable(name, recipe, table, space, objective, full, seed_sd, target)


# -- where the runs lie, and what is on them -----------------------------------------------------


def _level(truth: Truth, m: int) -> tuple[Array, Array]:
    seen = truth(random_mixtures(m, 512, np.random.default_rng(2)))
    sd = seen.std(axis=0)
    return seen.mean(axis=0), np.where(sd > 1e-9, sd, 1.0)


def _in_units(truth: Truth, mean: Array | float, sd: Array | float) -> Truth:
    return lambda W: np.asarray((truth(np.atleast_2d(W)) - mean) / sd)


def _objective(recipe: Recipe, metrics: tuple[str, ...]) -> Objective:
    if recipe.trouble.startswith("guard"):
        return Objective({metrics[0]: 1.0}, guards=(Guard(metrics[1]),))
    weighed = [name for name in metrics if name.startswith("loss")]
    return Objective(dict.fromkeys(weighed, 1.0), standardize=recipe.trouble == "units")


def _with_a_ridge(truth: Truth, m: int) -> Truth:
    """The second metric is worse by three sds where the first one is best, and nowhere else."""
    W = random_mixtures(m, 2000, np.random.default_rng(4))
    best = W[int(truth(W)[:, 0].argmin())]
    return lambda W: truth(W) + 3.0 * np.outer(bump(W, best, 0.12), np.eye(truth(W).shape[1])[1])


def _with_bystanders(truth: Truth) -> Truth:
    return lambda W: np.hstack([truth(W), np.zeros((len(W), 2))])


def _design(recipe: Recipe, special: Array, rng: Rng) -> Array:
    m, n = recipe.domains, recipe.runs
    if recipe.design == "sparse":
        kept = [rng.permutation(m)[: rng.integers(1, 4)] for _ in range(n)]
        W = np.zeros((n, m))
        for row, domains in zip(W, kept, strict=True):
            row[domains] = rng.dirichlet(np.full(len(domains), 2.0))
        return W
    if recipe.design == "repeated":
        return np.repeat(random_mixtures(m, n // 3, rng), 3, axis=0)[:n]
    W = random_mixtures(m, 60 * n, rng)
    if recipe.design == "hole":
        W = W[simplex.hellinger_distance(W, special[None])[:, 0] > _HOLE]
    if recipe.design == "corner":
        W = W[W[:, int(np.argmax(special))] < 0.2]
    W = W[:n]
    # Mixtures in order: what changes with time then looks like what changes with the mixture.
    return W[np.argsort(W[:, 0])] if recipe.trouble in {"drift", "batches"} else W


def _noise(recipe: Recipe, W: Array, special: Array, k: int, rng: Rng) -> Array:
    """(n, k) noise of sd 1 where nothing is odd."""
    n = len(W)
    if recipe.tails == "student":
        return np.asarray(rng.standard_t(2, size=(n, k)))
    noise = rng.standard_normal((n, k))
    if recipe.tails == "outliers":
        noise[rng.permutation(n)[:2]] += (8.0 / recipe.noise) * rng.choice([-1.0, 1.0], (2, 1)) / 2
    if recipe.tails == "optimum":
        noise *= 1 + 9 * bump(W, special, 0.2)
    return noise


def _trouble(recipe: Recipe, n: int, rng: Rng) -> Array:
    """(n,) what time does to every metric, in its sds."""
    if recipe.trouble == "drift":
        return np.linspace(0.0, 1.5, n)
    if recipe.trouble == "batches":
        return np.asarray(np.where(np.arange(n) < n // 2, 0.0, 1.0) * rng.choice([-1.0, 1.0]))
    return np.zeros(n)


def _units(recipe: Recipe, k: int) -> Array:
    return 10.0 ** np.linspace(-3, 3, k) if recipe.trouble == "units" else np.ones(k)


def _two_scales(recipe: Recipe, truth: Truth, W: Array, rng: Rng) -> tuple[Array, Array, Array]:
    """The runs at the small scale, some of them again at the large one; exact metrics; scale."""
    assert recipe.rho is not None
    other, _ = TRUTHS[recipe.truth](recipe.domains, rng)
    other = _in_units(other, *_level(other, recipe.domains))
    sample = random_mixtures(recipe.domains, 512, np.random.default_rng(3))
    a, b = truth(sample), other(sample)
    # What of the other truth goes with this one is taken out: the two then agree as stated.
    slope = (a * b).mean(axis=0)
    rest = np.maximum((b - slope * a).std(axis=0), 0.1)
    rho = 2 * np.sin(np.pi * recipe.rho / 6)  # Pearson's for this Spearman's, were it normal
    small = rho * truth(W) + np.sqrt(1 - rho**2) * (other(W) - slope * truth(W)) / rest
    again = rng.permutation(len(W))[: recipe.shared]
    exact = np.vstack([1.0 + small, truth(W[again])])
    return np.vstack([W, W[again]]), exact, np.repeat([0, 1], [len(W), len(again)])
