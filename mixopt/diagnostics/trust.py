"""One line: is this answer to be trusted, and why (not)?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixopt.diagnostics.distance import EpochMismatch, Extrapolation
from mixopt.diagnostics.noise import Noise
from mixopt.diagnostics.transfer import Transfer
from mixopt.diagnostics.validation import CrossValidation

_GOOD, _POOR = 0.8, 0.5


@dataclass(frozen=True)
class Trust:
    """A verdict with its reasons.

    Attributes:
        level: `"yes"`, `"with care"` or `"no"`.
        reasons: what speaks against it; empty where nothing does.
        checked: what was looked at.
        missing: what was not measured and would tell more.
    """

    level: str
    reasons: tuple[str, ...]
    checked: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def line(self) -> str:
        """The verdict in one line."""
        if not self.checked:
            return "Do not trust this answer yet: nothing was checked"
        if self.level == "yes":
            return f"Trust this answer: {', '.join(self.checked)} hold"
        head = (
            "Use this answer with care" if self.level == "with care" else "Do not trust this answer"
        )
        return f"{head}: {'; '.join(self.reasons)}"

    def doubted(self, reason: str, *, grave: bool) -> "Trust":
        """The same with a reason against it that counts before all others."""
        level = "no" if grave or self.level == "no" else "with care"
        return replace(self, level=level, reasons=(reason, *self.reasons))

    def holding(self, what: str) -> "Trust":
        """The same with one more thing that was looked at and holds."""
        return replace(self, checked=(*self.checked, what))

    def without(self, what: str) -> "Trust":
        """The same with one more thing that was not measured."""
        return replace(self, missing=(*self.missing, what))

    def lines(self) -> list[str]:
        """The verdict, and what was not measured."""
        out = [self.line]
        if self.missing:
            out.append(f"not measured: {', '.join(self.missing)}")
        return out


def trust(
    validation: CrossValidation | None = None,
    *,
    extrapolation: Extrapolation | None = None,
    noise: Noise | None = None,
    transfer: Transfer | None = None,
    epochs: EpochMismatch | None = None,
    doubts: Sequence[str] = (),
) -> Trust:
    """Weigh the diagnostics that there are; `doubts` are reasons for care that are in words."""
    grave: list[str] = []
    slight: list[str] = list(doubts)
    if validation is not None:
        _validation(validation, grave, slight)
    if extrapolation is not None and extrapolation.far[0]:
        slight.append("the mixture is far from every run")
    if noise is not None and np.isfinite(noise.reliability).any():
        typical = float(np.nanmedian(noise.reliability))
        if typical < _POOR:
            grave.append(f"the metrics are mostly seed noise (reliability {typical:.2f})")
        elif typical < _GOOD:
            slight.append(f"the metrics are noisy (reliability {typical:.2f})")
    if transfer is not None and not transfer.ok:
        worst = transfer.objective_rho < _POOR
        (grave if worst else slight).append(
            f"small runs rank like larger ones with rho {transfer.objective_rho:.2f} only "
            f"(at least {transfer.objective_low:.2f})"
        )
    if epochs is not None and epochs.mismatched:
        slight.append(f"epochs of {', '.join(epochs.mismatched[:3])} differ from the target's")
    given = {
        "held-out ranking and intervals": validation,
        "distance to the runs": extrapolation,
        "seed noise": noise,
        "transfer between scales": transfer,
        "epochs": epochs,
    }
    checked = tuple(name for name, value in given.items() if value is not None)
    if validation is None and checked:
        grave.append("no run was held out, so nothing shows that the law predicts")
    missing = tuple(name for name, value in given.items() if value is None)
    level = "no" if grave or not checked else "with care" if slight else "yes"
    return Trust(level, tuple(grave + slight), checked, missing)


def _validation(found: CrossValidation, grave: list[str], slight: list[str]) -> None:
    rho, coverage = found.objective_rho, found.objective_coverage
    if not rho >= _POOR:
        grave.append(f"the law ranks held-out runs with rho {rho:.2f} only")
    elif rho < _GOOD:
        slight.append(f"the law ranks held-out runs with rho {rho:.2f}")
    if coverage < 0.75:
        slight.append(f"90 % intervals hold only {100 * coverage:.0f} % of held-out runs")
