"""Why a run was asked for: a typed value beside the run, no part of its identity."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mixopt.errors import InputError, did_you_mean

RECOMMENDED = "recommended"
"""The candidate that the search proposes."""
BEST_RANDOM = "best-random"
"""The best run of the design: what a search without laws and proposals would have given."""

TIME_AVERAGE = "time-average"
"""The mixture that a recommended schedule draws in total, from start to end: what its order adds
is what it is better than this."""
BEST_CONSTANT = "best-constant"
"""The best mixture that does not change on the way, by the model that chose a schedule."""


class What(StrEnum):
    """The reasons for which a run is trained."""

    DESIGN = "design"
    """Before anything was known."""
    PROPOSAL = "proposal"
    """What laws and proposer chose, at any scale."""
    CORRECTION = "correction"
    """At a larger scale, to see and correct what the small runs say."""
    REPEAT = "repeat"
    """A mixture once more, with another seed."""
    REFERENCE = "reference"
    """Trained whatever it shows, to measure others against: a baseline, a control."""
    COMPARISON = "comparison"
    """The other side of a method that is tried, e.g. its own time average."""
    BRANCH = "branch"
    """Goes on from where another run stands."""
    CONFIRMATION = "confirmation"
    """A candidate with a seed that the search never saw."""
    PROMOTION = "promotion"
    """A candidate at the next scale, before a large run."""
    REMEDY = "remedy"
    """Would change the verdict on the answer: a named gate asked for it."""
    GIVEN = "given"
    """No strategy asked: made by hand, or read from a table."""


_NAMED = {What.CONFIRMATION, What.PROMOTION, What.REMEDY}
_MAY_BE_NAMED = {*_NAMED, What.REFERENCE, What.COMPARISON, What.BRANCH}


@dataclass(frozen=True)
class Kind:
    """Why a run was asked for.

    Attributes:
        what: the reason.
        candidate: which candidate is confirmed or promoted (`"recommended"`, `"natural"`), which
            baseline a reference or comparison is, what a branch has that others have not, or which
            gate a remedy is for; empty for any other reason.

    Raises:
        InputError: a confirmation, promotion or remedy that names nothing, or a name elsewhere.
    """

    what: What = What.GIVEN
    candidate: str = ""

    def __post_init__(self) -> None:
        if self.what in _NAMED and not self.candidate:
            of = "for a named gate" if self.what is What.REMEDY else "of a named candidate"
            raise InputError(f"a {self.what} is {of}; give its name")
        if self.candidate and self.what not in _MAY_BE_NAMED:
            raise InputError(
                f"a run of kind {str(self.what)!r} is of no candidate, and {self.candidate!r} was "
                "given; leave it out"
            )

    @classmethod
    def confirmation(cls, candidate: str) -> "Kind":
        """One fresh seed of a candidate."""
        return cls(What.CONFIRMATION, candidate)

    @classmethod
    def reference(cls, candidate: str = "") -> "Kind":
        """A baseline by name, or a control without one."""
        return cls(What.REFERENCE, candidate)

    @classmethod
    def remedy(cls, gate: str) -> "Kind":
        """What a gate asked for, by its name."""
        return cls(What.REMEDY, gate)

    @property
    def confirms(self) -> str | None:
        """The candidate that is confirmed; None for any other kind of run."""
        return self.candidate if self.what is What.CONFIRMATION else None

    @property
    def in_search(self) -> bool:
        """Whether laws learn from it: confirmations, promotions and comparisons judge the search.

        Their mixtures were chosen by it, so they would count for it twice.
        """
        return self.what not in {What.CONFIRMATION, What.PROMOTION, What.COMPARISON}

    def to_dict(self) -> dict[str, str]:
        """Plain JSON values; `Kind.from_dict` reads them back."""
        return {"what": str(self.what)} | ({"candidate": self.candidate} if self.candidate else {})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Kind":
        """The kind that `to_dict` wrote.

        Raises:
            InputError: an unknown kind.
        """
        what = str(values.get("what", ""))
        known = [str(w) for w in What]
        if what not in known:
            raise InputError(f"unknown kind of run {what!r}; {did_you_mean(what, known)}")
        return cls(What(what), str(values.get("candidate", "")))

    def __str__(self) -> str:
        """For people, e.g. `"proposal"` or `"confirmation of natural"`."""
        link = {What.REMEDY: " for "}.get(self.what, " of " if self.what in _NAMED else " ")
        return f"{self.what}{link}{self.candidate}" if self.candidate else str(self.what)


DESIGN = Kind(What.DESIGN)
PROPOSAL = Kind(What.PROPOSAL)
CORRECTION = Kind(What.CORRECTION)
REPEAT = Kind(What.REPEAT)
REFERENCE = Kind(What.REFERENCE)
BRANCH = Kind(What.BRANCH)
GIVEN = Kind()
