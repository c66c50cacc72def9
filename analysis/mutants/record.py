"""What a run has found so far, kept in one JSON file after every mutant."""

import difflib
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from analysis.mutants.sample import Equivalent, Mutant

KILLED, SURVIVED, TIMEOUT, EQUIVALENT = "killed", "survived", "timeout", "equivalent"


@dataclass(frozen=True)
class Result:
    """What became of a mutant.

    Attributes:
        outcome: killed, survived, or timeout (no test had failed when the time was over).
        seconds: that its tests took.
        digest: of its text and its tests; the result holds while this is the same.
    """

    outcome: str
    seconds: float
    digest: str


@dataclass
class Record:
    """Results of a run.

    Attributes:
        path: the JSON file.
        equivalents: faults that are proven to be none; they alone leave the denominator.
        results: by name of the mutant, of earlier samples as well.
        sound: digest of each test file that passes without a fault.
    """

    path: Path
    equivalents: Sequence[Equivalent] = ()
    results: dict[str, Result] = field(default_factory=dict)
    sound: dict[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, equivalents: Sequence[Equivalent]) -> "Record":
        """The record in a file; an empty one where there is no file."""
        if not path.exists():
            return cls(path, equivalents)
        stored = json.loads(path.read_text(encoding="utf-8"))
        results = {name: Result(**result) for name, result in stored["results"].items()}
        return cls(path, equivalents, results, stored["sound"])

    def is_equivalent(self, mutant: Mutant) -> bool:
        """Whether a mutant is proven to change nothing."""
        return any(equivalent.is_proof_of(mutant) for equivalent in self.equivalents)

    def add(self, mutant: Mutant, result: Result) -> None:
        """Keeps a result, on disk too."""
        self.results[mutant.name] = result
        self.write({})

    def add_sound(self, file: str, digest: str) -> None:
        """Keeps that a test file passes without a fault, on disk too."""
        self.sound[file] = digest
        self.write({})

    def outcome(self, mutant: Mutant) -> str:
        """Of a mutant that was run or is proven equivalent."""
        return EQUIVALENT if self.is_equivalent(mutant) else self.results[mutant.name].outcome

    def summary(self, drawn: Sequence[Mutant], texts: dict[str, str]) -> dict[str, Any]:
        """Counts, rates and survivors of a sample that was run.

        Returns:
            `total` and `rooms` (counts by outcome, and `percent`: killed of all that are not
            equivalent, timeouts counted as not killed), `sample` (every mutant with its outcome),
            `survivors` (those and the timeouts, with their diff).
        """
        outcomes = {mutant: self.outcome(mutant) for mutant in drawn}
        rooms: dict[str, list[str]] = {}
        for mutant, outcome in outcomes.items():
            rooms.setdefault(room(mutant.module), []).append(outcome)
        alive = [m for m, outcome in outcomes.items() if outcome in {SURVIVED, TIMEOUT}]
        return {
            "total": rate(outcomes.values()),
            "rooms": {name: rate(rooms[name]) for name in sorted(rooms)},
            "sample": [m.to_dict() | {"outcome": outcomes[m]} for m in drawn],
            "survivors": [
                {"outcome": outcomes[m], "diff": diff(m, texts[m.module])}
                for m in sorted(alive, key=lambda m: (m.module, m.line))
            ],
        }

    def write(self, summary: dict[str, Any]) -> None:
        """Replaces the file at once, so that a stop in the middle leaves the one before."""
        results = {name: asdict(result) for name, result in self.results.items()}
        text = json.dumps(summary | {"results": results, "sound": self.sound}, indent=1)
        draft = self.path.with_name(f"{self.path.name}.part")
        draft.write_text(text + "\n", encoding="utf-8")
        os.replace(draft, self.path)


def room(module: str) -> str:
    """`space` of `mixopt/space/rules.py`."""
    return module.split("/")[1]


def rate(outcomes: Iterable[str]) -> dict[str, float]:
    """Counts by outcome, and the share of those that are killed, in percent."""
    counts = Counter(outcomes)
    asked = counts.total() - counts[EQUIVALENT]
    return {
        **{name: counts[name] for name in (KILLED, SURVIVED, TIMEOUT, EQUIVALENT)},
        "percent": round(100.0 * counts[KILLED] / asked, 1) if asked else 100.0,
    }


def diff(mutant: Mutant, text: str) -> str:
    """A fault as a unified diff with one line of context."""
    lines = difflib.unified_diff(
        text.splitlines(), mutant.text.splitlines(), mutant.module, mutant.module, n=1, lineterm=""
    )
    return "\n".join(lines)
