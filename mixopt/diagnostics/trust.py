"""One line: is this answer to be trusted, how far, and what would change that?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixopt.diagnostics.gates import Gate, Level, Remedy
from mixopt.space import html

_LEVELS: tuple[Level, ...] = ("do not trust", "ranking only", "trust")
_HEADS = {
    "trust": "Trust this answer",
    "ranking only": "Trust the ranking only",
    "do not trust": "Do not trust this answer",
}
CONFIRM = Remedy("2 runs each of the recommended mixture and the baselines, with fresh seeds", 4)
"""What could still change a verdict of trust."""


@dataclass(frozen=True)
class Trust:
    """A verdict with its reasons; screen, report, JSON and promotion all show this one.

    Attributes:
        level: `"trust"`; `"ranking only"`: better mixtures are told from worse ones among those
            that were run, but optimum or value are not to be relied upon; `"do not trust"`.
        gates: what the answer was asked.
        unasked: what does not arise for this answer, and why.
        changed: what was run to change it and what it would be without that, in words.
    """

    level: Level
    gates: tuple[Gate, ...]
    unasked: tuple[str, ...] = ()
    changed: str = ""

    @property
    def reasons(self) -> tuple[str, ...]:
        """What speaks against it, the gravest first; empty where nothing does."""
        return tuple(
            f"{g.name} not measured: {g.told}" if g.state == "not measured" else g.told
            for g in self._against
        )

    @property
    def holding(self) -> tuple[tuple[Gate, Remedy], ...]:
        """The gates that hold the answer at its level, with what would change them, cheapest first.

        Of gates that ask for the same the first one.
        """
        unique: dict[str, tuple[Gate, Remedy]] = {}
        for g in self._against:
            if g.allows == self.level and g.remedy is not None:
                unique.setdefault(g.remedy.what, (g, g.remedy))
        costs = {what: np.nan_to_num(r.cost, nan=np.inf) for what, (_, r) in unique.items()}
        return tuple(sorted(unique.values(), key=lambda x: (costs[x[1].what], x[1].runs)))

    @property
    def next(self) -> tuple[Remedy, ...]:
        """The runs that would change the verdict, cheapest first; of trust, to confirm it."""
        if self.level == "trust":
            return (CONFIRM,)
        return tuple(remedy for _, remedy in self.holding)

    @property
    def line(self) -> str:
        """The verdict in one line."""
        if not self.gates:
            return "Do not trust this answer yet: nothing was checked"
        aside = [g.told for g in self.gates if g.allows == "trust" and g.state == "no"]
        asked = len(self.gates)
        if aside and not self.reasons:
            held = f"{asked - len(aside)} of {asked} gates do not speak against"
            return f"{_HEADS[self.level]}: {held}; no reason for doubt alone: {'; '.join(aside)}"
        told = list(self.reasons) or [f"{asked} gates were asked and none speaks against"]
        return f"{_HEADS[self.level]}: {'; '.join([*told, *aside])}"

    def __repr__(self) -> str:
        return f"<{self.line}>"

    def __str__(self) -> str:
        return "\n- ".join(self.lines())

    def _repr_html_(self) -> str:
        rows = [[g.name, g.state, g.told, g.remedy.what if g.remedy else None] for g in self.gates]
        header = ["gate", "holds", "what was measured", "what would change it"]
        return html.paragraph(self.line, strong=True) + html.table(header, rows)

    def asked(self, gate: Gate) -> "Trust":
        """The same with one more gate, which counts before all others."""
        return replace(trust([gate, *self.gates], self.unasked), changed=self.changed)

    def also(self, gate: Gate) -> "Trust":
        """The same with one more gate, which counts after all others."""
        return replace(trust([*self.gates, gate], self.unasked), changed=self.changed)

    def after(self, before: "Trust", runs: Mapping[str, int]) -> "Trust":
        """The same, with the verdict that there would be without the runs that gates asked for."""
        asked = ", ".join(f"{n} for {name}" for name, n in runs.items())
        same = "the same level" if before.level == self.level else "another level"
        return replace(
            self,
            changed=f"runs were made to change the verdict ({asked}); without them it would be "
            f"{same}: {before.line}",
        )

    def without(self, what: str) -> "Trust":
        """The same with one more thing that was not asked."""
        return replace(self, unasked=(*self.unasked, what))

    def lines(self) -> list[str]:
        """The verdict, what holds, what would change it, and what does not arise."""
        out = [self.line]
        held = [g.name for g in self.gates if g.state == "yes"]
        if held:
            out.append(f"what holds: {', '.join(held)}")
        out += [
            f"not measured, and no reason for doubt alone: {g.name} ({g.told})"
            for g in self.gates
            if g.state == "not measured" and g.allows == "trust"
        ]
        if self.next:
            what = " or " if self.level == "trust" else "; "
            out.append(f"to change that: {what.join(r.what for r in self.next)}")
        if self.changed:
            out.append(self.changed)
        if self.unasked:
            out.append(f"not asked: {', '.join(self.unasked)}")
        return out

    @property
    def _against(self) -> list[Gate]:
        low = [g for g in self.gates if g.allows != "trust"]
        return sorted(low, key=lambda g: _LEVELS.index(g.allows))


def trust(gates: Sequence[Gate], unasked: Sequence[str] = ()) -> Trust:
    """The verdict: the highest level that every gate allows.

    Args:
        gates: what was asked; one that could not be measured allows less than trust.
        unasked: what does not arise, and why.
    """
    lowest = min((_LEVELS.index(g.allows) for g in gates), default=0)
    return Trust(_LEVELS[lowest], tuple(gates), tuple(unasked))
