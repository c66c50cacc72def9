"""The random sample, and what is proven to be no fault.

A mutant's number in the draw is the hash of the seed with what it is: module, function, operator,
the line before and after. The sample are the smallest numbers. So it is uniform, and when other
code changes, the rest of the sample stays: two runs months apart can be compared.
"""

import ast
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analysis.mutants.operators import Change, Source, changes


@dataclass(frozen=True)
class Mutant:
    """A module with one fault.

    Attributes:
        module: path from the root of the repository.
        inside: dotted name of the function or class around it; empty at module level.
        operator: its family.
        line: of the change, from 1.
        before, after: the changed lines, without their indentation.
        occurrence: number among faults that read the same, from 0.
        text: the whole module with the fault.
    """

    module: str
    inside: str
    operator: str
    line: int
    before: str
    after: str
    occurrence: int
    text: str

    @property
    def name(self) -> str:
        """What it is, whatever line it stands in: the key of a result."""
        words = (self.module, self.inside, self.operator, self.before, self.after, self.occurrence)
        return json.dumps(words)

    @property
    def where(self) -> str:
        """One line for the screen."""
        change = f"{_short(self.before)} -> {_short(self.after)}"
        return f"{self.module}:{self.line} {self.operator}: {change}"

    def to_dict(self) -> dict[str, Any]:
        """All but the text, as JSON."""
        return {name: value for name, value in asdict(self).items() if name != "text"}


@dataclass(frozen=True)
class Equivalent:
    """A fault that provably changes nothing that anyone can see.

    Attributes:
        module, inside, before, after: as of a `Mutant`.
        proof: one sentence.
    """

    module: str
    inside: str
    before: str
    after: str
    proof: str

    def is_proof_of(self, mutant: Mutant) -> bool:
        """Whether it speaks of this mutant."""
        mine = (self.module, self.inside, self.before, self.after)
        return mine == (mutant.module, mutant.inside, mutant.before, mutant.after)


def read_equivalents(path: Path) -> list[Equivalent]:
    """The committed list of proven equivalents."""
    return [Equivalent(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]


def _short(text: str, length: int = 70) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[:length]}..."


def _lines(source: Source, change: Change) -> tuple[int, str, str]:
    """Line number of a change; the lines it touches, before and after."""
    start = source.raw.rfind(b"\n", 0, change.start) + 1
    end = source.raw.find(b"\n", change.end)
    end = end if end >= 0 else len(source.raw)
    before = source.text(start, end)
    after = source.text(start, change.start) + change.text + source.text(change.end, end)
    number = source.raw.count(b"\n", 0, change.start) + 1
    return number, before.strip(), after.strip()


def mutants(module: str, text: str) -> list[Mutant]:
    """All mutants of one module, in the order of its text."""
    source = Source(text)
    seen: Counter[tuple[str, ...]] = Counter()
    made = []
    for change in changes(source):
        line, before, after = _lines(source, change)
        same = (change.inside, change.operator, before, after)
        occurrence, seen[same] = seen[same], seen[same] + 1
        whole = source.apply(change)
        made.append(
            Mutant(module, change.inside, change.operator, line, before, after, occurrence, whole)
        )
    return made


def draw(texts: Mapping[str, str], count: int, seed: int) -> list[Mutant]:
    """A uniform random sample of the mutants of several modules.

    Args:
        texts: source by module.
        count: how many; all, in random order, where there are fewer.
        seed: of the draw.
    """

    def number(mutant: Mutant) -> str:
        return hashlib.sha256(f"{seed} {mutant.name}".encode()).hexdigest()

    everyone: Iterable[Mutant] = (m for module in texts for m in mutants(module, texts[module]))
    drawn: list[Mutant] = []
    for mutant in sorted(everyone, key=number):
        if len(drawn) == count:
            break
        if _is_python(mutant.text):
            drawn.append(mutant)
    return drawn


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True
