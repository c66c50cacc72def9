"""The registry of promoted mixtures: a small port, and one that lives in memory.

A registered model is a study, its versions are what was promoted; an alias (`candidate`,
`champion`) points to one of them. `mixopt.tracking.mlflow_registry` is the one that lasts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import pandas as pd

from mixopt.errors import StoreError

PREFIX = "mixopt."
CANDIDATE, CHAMPION = "candidate", "champion"


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Attributes:
        name: of the model. number: of the version.
        promotion: id of the promotion that it came from.
    """

    name: str
    number: str
    promotion: str

    @property
    def uri(self) -> str:
        """As MLflow's tools and `mixopt export` take it."""
        return f"models:/{self.name}/{self.number}"


@dataclass(frozen=True, eq=False)
class Entry:
    """What is registered.

    Attributes:
        name: of the model. promotion: id, by which the same entry is known again.
        files: name to text; among them the law, the mixture and the card.
        inputs, outputs: columns of the law as a model.
        description: for people, short.
        runs: ids of the runs that it rests on.
        metrics: figures of the promotion, by name.
        tables: the datasets that it was made from, by name.
        record: predicted and measured gain, plain JSON, for those who come later.
    """

    name: str
    promotion: str
    files: Mapping[str, str] = field(repr=False)
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    description: str = ""
    runs: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict, repr=False)
    record: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Registry(Protocol):
    """Where promoted mixtures are kept. One driver per study writes (the store's lock)."""

    @property
    def where(self) -> str:
        """For people."""
        ...

    def versions(self, name: str) -> tuple[Version, ...]:
        """Of a model, oldest first; none where there is no such model.

        Raises:
            StoreError: the registry cannot be read.
        """
        ...

    def register(self, entry: Entry) -> Version:
        """A new version, or the one that this promotion has already.

        Raises:
            StoreError: the registry cannot be written; no version is left half-written.
        """
        ...

    def alias(self, name: str, alias: str) -> str:
        """Number of the version that an alias points to; empty where it points to none.

        Raises:
            StoreError: the registry cannot be read.
        """
        ...

    def move(self, version: Version, alias: str, *, seen: str) -> None:
        """Point an alias to a version, if it is still where it was seen.

        Args:
            version: to point to.
            alias: its name.
            seen: number that it pointed to when the caller looked; empty for none.

        Raises:
            StoreError: somebody moved it meanwhile, or the registry cannot be written.
        """
        ...

    def text(self, name: str, version: str, file: str) -> str:
        """A file of a version, by its number or by an alias (`@champion`).

        Raises:
            StoreError: there is no such version or file.
        """
        ...

    def note(self, version: Version, record: Mapping[str, Any]) -> None:
        """Keep one more record of what became of a version; the same one is kept once.

        Raises:
            StoreError: the registry cannot be written.
        """
        ...

    def records(self) -> tuple[Mapping[str, Any], ...]:
        """Every record of every model, oldest version first, plain JSON.

        Raises:
            StoreError: the registry cannot be read.
        """
        ...


def check_unmoved(name: str, alias: str, *, seen: str, now: str) -> None:
    """Refuse to move an alias that somebody has moved.

    Raises:
        StoreError: see above.
    """
    if now != seen:
        was = f"at version {seen}" if seen else "nowhere"
        told = f"at version {now}" if now else "nowhere"
        raise StoreError(
            f"the alias {alias!r} of {name} was {was} when this began and is {told} now: somebody "
            "moved it; look at that version, and run the same command again to move it from there"
        )


def no_version(name: str, version: str, where: str, known: tuple[Version, ...]) -> StoreError:
    """That a version, or an alias, is not there."""
    if not known:
        return StoreError(
            f"{where} has no registered model {name!r}; 'mixopt promote' registers one when its "
            "rules are passed"
        )
    numbers = ", ".join(v.number for v in known[-8:])
    return StoreError(f"{name} has no version {version!r} in {where}; versions: {numbers}")


@dataclass
class MemoryRegistry:
    """A registry that ends with its process, for tests and trials."""

    where: str = "memory"
    entries: dict[str, list[Entry]] = field(default_factory=dict)
    aliases: dict[tuple[str, str], str] = field(default_factory=dict)
    notes: list[tuple[Version, dict[str, Any]]] = field(default_factory=list)

    def versions(self, name: str) -> tuple[Version, ...]:
        """See `Registry`."""
        made = self.entries.get(name, [])
        return tuple(Version(name, str(i + 1), e.promotion) for i, e in enumerate(made))

    def register(self, entry: Entry) -> Version:
        """See `Registry`."""
        known = next((v for v in self.versions(entry.name) if v.promotion == entry.promotion), None)
        if known is None:
            self.entries.setdefault(entry.name, []).append(replace(entry))
            known = self.versions(entry.name)[-1]
            self.note(known, entry.record)
        return known

    def alias(self, name: str, alias: str) -> str:
        """See `Registry`."""
        return self.aliases.get((name, alias), "")

    def move(self, version: Version, alias: str, *, seen: str) -> None:
        """See `Registry`."""
        check_unmoved(version.name, alias, seen=seen, now=self.alias(version.name, alias))
        self.aliases[version.name, alias] = version.number

    def text(self, name: str, version: str, file: str) -> str:
        """See `Registry`."""
        number = self.alias(name, version[1:]) if version.startswith("@") else version
        made = self.entries.get(name, [])
        if not number.isdecimal() or not 0 < int(number) <= len(made):
            raise no_version(name, version, self.where, self.versions(name))
        return made[int(number) - 1].files[file]

    def note(self, version: Version, record: Mapping[str, Any]) -> None:
        """See `Registry`."""
        made = (version, {**record, "version": version.number})
        if made not in self.notes:
            self.notes.append(made)

    def records(self) -> tuple[Mapping[str, Any], ...]:
        """See `Registry`."""
        return tuple(record for _, record in self.notes)
