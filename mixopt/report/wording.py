"""Numbers and findings in words; nothing here knows HTML."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import scipy

from mixopt.evidence.numbers import MISSING, number, percent, plural, signed
from mixopt.evidence.verdict import NO_RECOMMENDATION, UNASKED, Verdict, judge
from mixopt.evidence.verdict import headline as answer_in_words
from mixopt.report.data import HeldOut, ReportData
from mixopt.runs import UNSTATED, Scale, quantity, short_number
from mixopt.space.simplex import Array

__all__ = [
    "MISSING",
    "Quality",
    "Verdict",
    "count",
    "day",
    "duration",
    "flop",
    "headline",
    "number",
    "percent",
    "plural",
    "qualities",
    "ratio",
    "scale_name",
    "signed",
    "verdict",
]

_Z90 = 1.645


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

    >>> flop(7.98e12), flop(1.54e19)
    ('7.98 TFLOP', '15.4 EFLOP')
    """
    if value >= 1e18:
        size, letter = (1e21, "Z") if value >= 1e21 else (1e18, "E")
        return f"{value / size:.3g} {letter}FLOP"
    text = quantity(value)
    digits = text.rstrip("kMGTP")
    return f"{digits} {text[len(digits) :]}FLOP"


def count(value: float | None) -> str:
    """A count, short: 1.5M."""
    return MISSING if value is None or not np.isfinite(value) else short_number(value)


def duration(seconds: float) -> str:
    """Seconds for people.

    ('42 s', '67 min', '2 h 13 min')
    """
    if not np.isfinite(seconds):
        return MISSING
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.2g} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours < 48 else f"{hours / 24:.1f} days"


def scale_name(scale: Scale) -> str:
    """Parameters and tokens, short; a dash where they are not stated."""
    return MISSING if scale == UNSTATED else f"{count(scale.params)} × {count(scale.tokens)}"


def day(when: datetime | None) -> str:
    """A date and a time of day, to the minute."""
    return MISSING if when is None else when.strftime("%Y-%m-%d %H:%M")


def verdict(data: ReportData) -> Verdict:
    """Whether fresh seeds have shown that the recommendation is better."""
    if data.recommendation is None:
        return Verdict("untested", "No answer yet", data.reason or _progress(data))
    return judge(data.confirmation) if data.dependence is None else UNASKED


def headline(data: ReportData) -> str:
    """The answer in one sentence."""
    if data.recommendation is None:
        return NO_RECOMMENDATION
    if data.dependence is not None:
        return data.dependence.headline
    return answer_in_words(
        data.recommendation, data.confirmation, data.objective, data.objective_unit
    )


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
    rank = float(scipy.stats.spearmanr(y, p).statistic) if varied else nan
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
