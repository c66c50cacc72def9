"""Numbers and findings in words; nothing here knows HTML."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from mixopt.evidence.confirmation import NOISE_FACTOR
from mixopt.report.data import HeldOut, ReportData
from mixopt.runs import short_number
from mixopt.runs.kinds import BEST_RANDOM
from mixopt.space import simplex
from mixopt.space.simplex import Array

MISSING = "–"
_NAMED_SHARES = 3  # domains named in the headline
_Z90 = 1.645


def number(value: float | None, digits: int = 4) -> str:
    """A number for people, a dash where there is none.

    >>> number(2.50714), number(float("nan")), number(123456.0)
    ('2.5071', '–', '1.23e+05')
    """
    if value is None or not np.isfinite(value):
        return MISSING
    if value == 0 or 5e-4 <= abs(value) < 1e4:
        return f"{value:.{digits}f}".replace("-", "−")
    return f"{value:.3g}".replace("-", "−")


def signed(value: float | None) -> str:
    """A difference with its sign."""
    text = number(value)
    return text if value is None or not np.isfinite(value) or value <= 0 else f"+{text}"


def percent(share: float | None, digits: int = 1) -> str:
    """A share in per cent; what is there but rounds to nothing is shown as such.

    >>> percent(0.123), percent(0.0), percent(0.0002)
    ('12.3 %', '0 %', '< 0.1 %')
    """
    if share is None or not np.isfinite(share):
        return MISSING
    if share == 0:
        return "0 %"
    least = 10.0**-digits
    return (
        f"< {least:.{digits}f} %"
        if 0 < share * 100 < least / 2
        else f"{share:.{digits}%}"[:-1] + " %"
    )


def ratio(value: float | None) -> str:
    """A ratio with two decimals.

    >>> ratio(1.5), ratio(0.0), ratio(0.0007)
    ('1.50', '0', '< 0.01')
    """
    if value is None or not np.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    return "< 0.01" if value < 0.005 else f"{value:.2f}"


def flop(value: float) -> str:
    """Training FLOPs for people.

    >>> flop(7.98e12)
    '7.98 TFLOP'
    """
    text = count(value)
    digits = text.rstrip("kMGTP")
    return f"{digits} {text[len(digits) :]}FLOP"


def count(value: float | None) -> str:
    """A count, short: 1.5M."""
    return MISSING if value is None or not np.isfinite(value) else short_number(value)


def plural(n: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(42), duration(4000), duration(8000)
    ('42 s', '67 min', '2 h 13 min')
    """
    if not np.isfinite(seconds):
        return MISSING
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


@dataclass(frozen=True)
class Verdict:
    """What may be believed: a badge and one sentence."""

    state: Literal["shown", "not-shown", "untested"]
    badge: str
    sentence: str


def verdict(data: ReportData) -> Verdict:
    """Whether fresh seeds have shown that the recommendation is better."""
    if data.recommendation is None:
        return Verdict("untested", "No answer yet", _progress(data))
    shown = data.confirmation
    if shown is None:
        return Verdict(
            "untested",
            "Not tested",
            "The recommended mixture has not been trained with fresh seeds against baselines; "
            "all that follows are predictions of the fitted law.",
        )
    rival = next((c for c in shown.comparisons if c.baseline == BEST_RANDOM), None)
    if rival is not None and rival.difference < -NOISE_FACTOR * shown.seed_sd:
        return Verdict("not-shown", "Beaten", shown.verdict.replace("NOT SHOWN: ", "Not shown: "))
    if shown.passed:
        return Verdict("shown", "Shown", shown.verdict)
    tested = bool(shown.baselines) and bool(np.isfinite(shown.seed_sd))
    sentence = shown.verdict.removeprefix("NOT SHOWN: ")
    sentence = sentence[:1].upper() + sentence[1:]
    if tested:
        return Verdict("not-shown", "Not shown", sentence)
    return Verdict("untested", "Not tested", sentence)


def headline(data: ReportData) -> str:
    """The answer in one sentence."""
    found = data.recommendation
    if found is None:
        return "There is no recommendation yet."
    if found.schedule is None:
        return f"Train on {_shares(found.mixture.to_dict())}: {_promise(data)}."
    *before, (_, last) = found.schedule.phases
    ends = found.schedule.tokens
    parts = [f"{_shares(m.to_dict())} until {percent(t / ends, 0)} of the run" for t, m in before]
    plan = ", then on ".join([*parts, f"{_shares(last.to_dict())} to its end"])
    return f"Train on {plan}: {_promise(data)}."


def _promise(data: ReportData) -> str:
    found, shown = data.recommendation, data.confirmation
    assert found is not None
    unit = f" {data.objective_unit}" if data.objective_unit else ""
    name, known = data.objective.describe(), data.space.prior_name
    if shown is not None and shown.recommended.values:
        best = shown.recommended
        seeds = plural(best.seeds, "fresh seed")
        text = f"measured {number(best.mean, 3)}{unit} on {name} over {seeds}"
        rival = next((c for c in shown.comparisons if c.baseline == known), None)
        return text if rival is None else f"{text}, {_against(rival.difference, known)}"
    text = f"predicted {number(found.value, 3)}{unit} on {name}"
    gain = found.gains.get(known)
    return text if gain is None else f"{text}, {_against(gain.shrunk, known)}"


def _against(difference: float, name: str) -> str:
    if not np.isfinite(difference):
        return f"unknown against the {name} mixture"
    side = "lower (better)" if difference >= 0 else "higher (worse)"
    return f"{number(abs(difference), 3)} {side} than the {name} mixture"


def _shares(mixture: Mapping[str, float]) -> str:
    """`"62 % python, 30 % apidocs and 8 % in 3 others"`; the whole per cents sum to 100."""
    ranked = sorted(((w, d) for d, w in mixture.items() if w > 0), key=lambda pair: -pair[0])
    many = len(ranked) > _NAMED_SHARES + 1
    named, rest = (ranked[:_NAMED_SHARES], ranked[_NAMED_SHARES:]) if many else (ranked, [])
    names = [d for _, d in named] + ([f"in {len(rest)} others"] if rest else [])
    weights = [w for w, _ in named] + ([sum(w for w, _ in rest)] if rest else [])
    rounded = simplex.round_to_grid(weights, 0.01)
    parts = [
        f"{whole:.0%}"[:-1] + f" % {name}" if whole else f"under 1 % {name}"
        for whole, name in zip(rounded, names, strict=True)
    ]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _progress(data: ReportData) -> str:
    done, failed = len(data.observations), len(data.failed)
    if not done:
        return "No run has finished yet."
    if failed == done:
        return (
            f"No run has succeeded: {plural(failed, 'run')} failed, for the reasons listed below."
        )
    return f"{done - failed} of {done} finished runs succeeded; no law has been fitted to them yet."


@dataclass(frozen=True)
class Quality:
    """How well the law predicts one metric on runs that it has not seen."""

    metric: str
    runs: int
    rank: float
    error: float
    spread: float
    coverage: float
    words: str


def qualities(held_out: HeldOut) -> list[Quality]:
    """Rank correlation, typical error and coverage per metric, and the same in words."""
    columns = zip(
        held_out.metrics, held_out.observed.T, held_out.mean.T, held_out.sd.T, strict=True
    )
    return [_quality(name, y, mean, sd) for name, y, mean, sd in columns]


def _quality(name: str, observed: Array, mean: Array, sd: Array) -> Quality:
    keep = np.isfinite(observed) & np.isfinite(mean)
    y, p, s = observed[keep], mean[keep], sd[keep]
    nan = float("nan")
    if len(y) < 3:
        return Quality(name, len(y), nan, nan, nan, nan, "too few runs to judge")
    varied = np.ptp(y) > 0 and np.ptp(p) > 0
    rank = float(stats.spearmanr(y, p).statistic) if varied else nan
    error = float(np.sqrt(np.mean((y - p) ** 2)))
    sure = np.isfinite(s)
    coverage = float(np.mean(np.abs(y - p)[sure] <= _Z90 * s[sure])) if sure.any() else nan
    return Quality(name, len(y), rank, error, float(np.std(y)), coverage, _in_words(rank, coverage))


def _in_words(rank: float, coverage: float) -> str:
    if not np.isfinite(rank):
        return "the runs do not differ, so there is nothing to rank"
    ranks = (
        (0.9, "ranks mixtures reliably"),
        (0.7, "ranks mixtures well, with errors among the close ones"),
        (0.4, "tells good from bad mixtures, not good from better"),
        (-1.1, "hardly ranks mixtures: do not rely on it"),
    )
    text = next(words for least, words in ranks if rank >= least)
    if np.isfinite(coverage) and coverage < 0.75:
        return f"{text}; its intervals are too narrow"
    if np.isfinite(coverage) and coverage > 0.98:
        return f"{text}; its intervals are cautious"
    return text
