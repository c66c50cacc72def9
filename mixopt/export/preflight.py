"""What is checked before any format is written, and what the written weights will really give.

Notation:
    w: (m,) shares of training tokens; a: mean tokens per example; R: tokens of the target run;
    N: unique tokens; e = w R / N: epochs; n: draws of a run
    sd of the share of domain i over n independent draws with probabilities p:
    sqrt(sum_j p_j (a_j ([i = j] - w_i))^2 / n) / sum_j p_j a_j, which is sqrt(w (1 - w) / n) where
    all draws are equally long
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mixopt.errors import InputError, did_you_mean
from mixopt.export.exporter import FINEST, Draws, Exporter, Job, Paths, Repeats, Stage, Unit
from mixopt.export.facts import Facts
from mixopt.export.shares import (
    apportion,
    exact,
    example_counts,
    on_grid,
    shares_of_examples,
    shares_of_tokens,
    token_quotas,
)
from mixopt.runs import Schedule
from mixopt.space import Mixture

_SLACK = 1 + 1e-6  # of an epoch limit: shares are rounded to nine digits


@dataclass(frozen=True)
class Checked:
    """A job that may be written, and what is to be said of it.

    Attributes:
        job: what the exporter gets.
        asked: domain to the share of the whole run's tokens that was asked for.
        removed: domains without a share that are left out, with the reason.
        notes: for people, in order.
    """

    job: Job
    asked: Mapping[str, float] = field(hash=False)
    removed: Mapping[str, str] = field(hash=False)
    notes: tuple[str, ...] = ()


def check(
    plan: Mixture | Schedule, exporter: Exporter, facts: Facts, options: Mapping[str, Any]
) -> Checked:
    """Convert, round and check a mixture or schedule for a format; see the guide's preflight.

    Args:
        plan: shares of training tokens.
        exporter: of the format.
        facts: of data and run.
        options: of the format, complete.

    Raises:
        InputError: the format cannot express it, or something is missing; with the remedy.
    """
    unit = exporter.unit_of(options)
    phases = _phases(plan, facts)
    asked = _mean(phases)
    removed = {d: "its share is 0" for d in plan.domains if asked.get(d, 0.0) == 0.0}
    phases = [(start, until, _visible(shares, removed)) for start, until, shares in phases]
    kept = _mean(phases)
    for domain in kept:
        removed.pop(domain, None)
    facts = _with_lengths(facts, unit, list(kept))
    _check_paths(exporter, facts, list(kept))
    caps = _caps(kept, facts, phases[-1][1])
    grain = exporter.grain_of(options)
    stages = tuple(
        _stage(phase, exporter, options, facts, caps if len(phases) == 1 else {})
        for phase in phases
    )
    for stage, (_, _, shares) in zip(stages, phases, strict=True):
        _check_grain(stage, shares, exporter, unit, grain)
    epochs = epochs_of(stages, facts)
    job = Job(stages, facts, options, unit, epochs)
    notes = [*_check_epochs(job, exporter), *exporter.check(job)]
    if facts.measured and unit.of_examples:
        notes.insert(0, f"tokens per example are those of {facts.measured}")
    if facts.equal_lengths and unit.of_examples:
        notes.insert(0, "the examples of all domains are taken to be equally long, as you said")
    return Checked(job, asked, removed, tuple(notes))


def _phases(
    plan: Mixture | Schedule, facts: Facts
) -> list[tuple[int, int | None, dict[str, float]]]:
    """(start, end, shares of tokens) of every phase, in tokens of the target run."""
    if isinstance(plan, Mixture):
        return [(0, facts.tokens, plan.to_dict())]
    target = plan if facts.tokens is None else plan.stretched(facts.tokens)
    starts = [0, *(until for until, _ in target.phases)]
    pairs = zip(starts, target.phases, strict=False)
    return [(start, until, mixture.to_dict()) for start, (until, mixture) in pairs]


def _mean(phases: list[tuple[int, int | None, dict[str, float]]]) -> dict[str, float]:
    """Domain to share of the whole run."""
    end = phases[-1][1]
    if end is None:
        return dict(phases[0][2])
    total: dict[str, float] = {}
    for start, until, shares in phases:
        for domain, share in shares.items():
            total[domain] = total.get(domain, 0.0) + share * ((until or 0) - start) / end
    return total


def _visible(shares: dict[str, float], removed: dict[str, str]) -> dict[str, float]:
    """The shares on the finest grid; what vanishes there is noted."""
    kept = on_grid(shares, FINEST)
    for domain, share in shares.items():
        if share > 0 and domain not in kept:
            removed[domain] = f"its share, {share:.3g}, rounds to 0 at {FINEST:g}"
    return kept


def _with_lengths(facts: Facts, unit: Unit, domains: list[str]) -> Facts:
    """The facts, with a length for every domain where the unit needs one.

    Raises:
        InputError: lengths, tokens or unique tokens that the unit needs are not known.
    """
    if unit in {Unit.COUNTS, Unit.PASSES, Unit.QUOTA} and facts.tokens is None:
        raise InputError(
            f"this format writes the {unit.value}, which depends on the length of the run; give "
            "its tokens (--tokens 1T)"
        )
    if unit is Unit.PASSES:
        _check_known(facts.unique, domains, "unique tokens", "--unique DOMAIN=TOKENS")
    if not unit.of_examples or facts.equal_lengths:
        return facts
    _check_known(
        facts.tokens_per_example, domains, "tokens per example", "--tokens-per-example DOMAIN=N"
    )
    return facts


def _check_known(known: Mapping[str, float], domains: list[str], what: str, how: str) -> None:
    missing = [d for d in domains if not known.get(d)]
    if missing:
        also = (
            ", or say --equal-lengths where examples are packed to one length"
            if "example" in what
            else ""
        )
        raise InputError(
            f"the weights of this format depend on the {what}, and none are known of "
            f"{', '.join(map(repr, missing))} ({did_you_mean(missing[0], known)}); give {how} or "
            f"a data manifest that has them (--manifest FILE){also}"
        )


def lengths_of(facts: Facts, domains: Mapping[str, Any]) -> dict[str, float]:
    """Domain to mean tokens per example; 1 where all are equally long."""
    known = {} if facts.equal_lengths else facts.tokens_per_example
    return {d: float(known.get(d, 1.0)) for d in domains}


def _caps(shares: Mapping[str, float], facts: Facts, end: int | None) -> dict[str, float]:
    """Domain to the largest share that its epochs allow; those without a limit are left out.

    Raises:
        InputError: a share is above it.
    """
    if end is None:
        return {}
    caps = {
        d: facts.allowed(d) * facts.unique[d] / end
        for d in shares
        if d in facts.unique and math.isfinite(facts.allowed(d))
    }
    over = [d for d, cap in caps.items() if shares[d] > cap * _SLACK]
    if over:
        d = max(over, key=lambda name: shares[name] / max(caps[name], 1e-300))
        most = min(int(facts.allowed(n) * facts.unique[n] / shares[n]) for n in over)
        remedy = f"give {most} tokens at most" if most else "leave the domain out of the mixture"
        raise InputError(
            f"{end} tokens pass over domain {d!r} {shares[d] * end / facts.unique[d]:.4g} times, "
            f"and {facts.allowed(d):g} passes are allowed; {remedy} (--tokens), or allow more "
            "passes (--max-epochs)"
            if facts.unique[d]
            else f"domain {d!r} has no unique tokens and a share of {shares[d]:.4g}; leave it out"
        )
    return caps


def _stage(
    phase: tuple[int, int | None, dict[str, float]],
    exporter: Exporter,
    options: Mapping[str, Any],
    facts: Facts,
    caps: Mapping[str, float],
) -> Stage:
    start, until, shares = phase
    unit, grain = exporter.unit_of(options), exporter.grain_of(options)
    tokens = None if until is None else until - start
    lengths = lengths_of(facts, shares)
    if unit.relative:
        drawn = shares_of_examples(shares, lengths) if unit is Unit.EXAMPLES else shares
        if unit is Unit.EXAMPLES:  # a cap of tokens as a cap of examples
            scale = sum(w / lengths[d] for d, w in shares.items())
            caps = {d: cap / lengths[d] / scale for d, cap in caps.items()}
        weights: Mapping[str, Any]
        weights, used = exporter.settle(on_grid(drawn, grain, caps), options)
        given = shares_of_tokens(used, lengths) if unit is Unit.EXAMPLES else used
        return Stage(start, until, given, weights)
    assert tokens is not None
    if unit is Unit.QUOTA:
        weights = {d: n for d, n in token_quotas(shares, tokens).items() if n}
        return Stage(start, until, {d: n / tokens for d, n in weights.items()}, weights)
    if unit is Unit.PASSES:
        weights = {d: float(exact(w) * tokens / int(facts.unique[d])) for d, w in shares.items()}
        return Stage(start, until, dict(shares), weights)
    if facts.equal_lengths:
        length = facts.sequence_length
        if length is None:
            raise InputError(
                "examples are equally long, and their number depends on how long; give the tokens "
                "of one (--sequence-length)"
            )
        lengths = dict.fromkeys(shares, float(length))
    counts = {d: n for d, n in example_counts(shares, lengths, tokens).items() if n}
    return Stage(start, until, shares_of_tokens(counts, lengths), counts)


def _check_grain(
    stage: Stage, shares: Mapping[str, float], exporter: Exporter, unit: Unit, grain: float
) -> None:
    """Refuse a domain that the format would leave out by its rounding.

    Raises:
        InputError: a domain with a share gets no weight.
    """
    lost = [d for d in shares if not stage.weights.get(d)]
    if not lost:
        return
    smallest = f"{grain:.3g}" if unit.relative else "1"
    remedy = exporter.grain_remedy or "export it in a finer format"
    raise InputError(
        f"{', '.join(repr(d) for d in lost)} would get no weight: the smallest that this format "
        f"holds is {smallest} ({unit.value}), and a share of {shares[lost[0]]:.3g} of the tokens "
        f"is less; {remedy}, or leave the domain out of the mixture"
    )


def epochs_of(stages: tuple[Stage, ...], facts: Facts) -> dict[str, float]:
    """Domain to passes over it in the whole run, of those whose unique tokens are known."""
    if stages[-1].until is None:
        return {}
    drawn: dict[str, float] = {}
    for stage in stages:
        for domain, share in stage.shares.items():
            drawn[domain] = drawn.get(domain, 0.0) + share * (stage.tokens or 0)
    return {
        d: n / facts.unique[d] if facts.unique[d] else math.inf
        for d, n in drawn.items()
        if d in facts.unique
    }


def _check_epochs(job: Job, exporter: Exporter) -> list[str]:
    """What is to be said of repetition.

    Raises:
        InputError: a domain is repeated, and the trainer repeats none; or after rounding a domain
            is repeated more often than is allowed.
    """
    facts, notes = job.facts, []
    for d, e in job.epochs.items():
        if e > facts.allowed(d) * _SLACK:
            raise InputError(
                f"rounded for this format, domain {d!r} is passed over {e:.4g} times and "
                f"{facts.allowed(d):g} are allowed; allow more passes (--max-epochs), give fewer "
                "tokens (--tokens), or export in a finer format"
            )
    repeated = {d: e for d, e in job.epochs.items() if e > _SLACK}
    if repeated and exporter.repeats is Repeats.NEVER:
        d, e = max(repeated.items(), key=lambda item: item[1])
        end = job.stages[-1].until or 0
        raise InputError(
            f"this format repeats no data, and {end} tokens pass over domain {d!r} {e:.4g} times; "
            f"give {int(end / e)} tokens at most (--tokens), or use a format that repeats"
        )
    unknown = [d for d in job.domains if d not in job.epochs]
    if unknown:
        what = "tokens of the run" if job.stages[-1].until is None else "unique tokens"
        how = "--tokens 1T" if what == "tokens of the run" else "--unique or --manifest"
        named = "" if len(unknown) == len(job.domains) else f" of {', '.join(unknown)}"
        notes.append(
            f"epochs{named} are not known, since the {what} are not ({how}); nothing is said of "
            "repetition"
        )
    return notes


def _check_paths(exporter: Exporter, facts: Facts, domains: list[str]) -> None:
    """Paths for every domain where they are needed, without whitespace where that is a rule.

    Raises:
        InputError: a path is missing, empty or holds whitespace.
    """
    if exporter.paths is Paths.UNUSED:
        return
    given = {d: facts.paths.get(d) for d in domains}
    missing = [d for d, path in given.items() if not path]
    needed = exporter.paths is Paths.NEEDED or len(missing) < len(domains)
    if missing and needed:
        raise InputError(
            f"no path is given for {', '.join(map(repr, missing))}; give paths={{domain: path}} "
            "for every domain with a share above zero (--path DOMAIN=PATH, --paths FILE)"
        )
    for domain, paths in given.items():
        for path in [paths] if isinstance(paths, str) else paths or ():
            broken = not path.isprintable() if exporter.spaces else any(map(str.isspace, path))
            if broken:
                raise InputError(
                    f"path of domain {domain!r}: {path!r} holds "
                    + ("a line break or control character" if exporter.spaces else "whitespace")
                    + ", at which this trainer would split or misread it; rename the file or folder"
                )


def draws_of(job: Job, stage: Stage) -> float | None:
    """How many draws a stage makes: examples, or sequences; None where that is not known."""
    if stage.tokens is None:
        return None
    if job.unit.of_examples and not job.facts.equal_lengths:
        lengths = lengths_of(job.facts, stage.weights)
        return sum(stage.shares[d] * stage.tokens / lengths[d] for d in stage.shares)
    length = job.options.get("sequence_length") or job.facts.sequence_length
    return None if length is None else stage.tokens / length


def share_sd(job: Job, draws: Draws, stage: Stage) -> dict[str, float | None]:
    """Domain to the sd of its realised share of a stage's tokens; None where it is not known.

    Lengths of examples within a domain are taken to be their mean.
    """
    n = draws_of(job, stage)
    if draws is Draws.EXACT or not job.unit.relative:
        return dict.fromkeys(stage.shares, 0.0)
    if n is None:
        return dict.fromkeys(stage.shares)
    if draws is Draws.BLOCKS:  # never further than one draw from its share
        return {d: 1 / n for d in stage.shares}
    lengths = lengths_of(job.facts, stage.weights)
    if job.unit is not Unit.EXAMPLES:
        lengths = dict.fromkeys(lengths, 1.0)
    p = {d: float(w) for d, w in stage.weights.items()}
    mean = sum(p[d] * lengths[d] for d in p)
    sds: dict[str, float | None] = {}
    for i, w in stage.shares.items():
        variance = sum(p[j] * (lengths[j] * ((i == j) - w)) ** 2 for j in p)
        sds[i] = math.sqrt(variance / n) / mean
    return sds


def run_tokens(job: Job) -> dict[str, int] | None:
    """Domain to whole tokens of the run, by largest remainder; None without a budget."""
    end = job.stages[-1].until
    if end is None:
        return None
    if job.unit is Unit.QUOTA:
        return {d: sum(s.weights.get(d, 0) for s in job.stages) for d in job.domains}
    quotas = {
        d: sum(
            (exact(s.shares[d]) * (s.tokens or 0) for s in job.stages if d in s.shares),
            start=exact(0),
        )
        for d in job.domains
    }
    total = sum(quotas.values())
    return apportion({d: q * end / total for d, q in quotas.items()}, end)
