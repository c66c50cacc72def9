"""What is known of the data: a manifest, files of paths, and what the command line says."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixopt.app.plans.plan_source import PlanSource
from mixopt.app.spec.value_files import read_values
from mixopt.errors import InputError, did_you_mean, shorten
from mixopt.export import Facts
from mixopt.space.short import read_count


@dataclass(frozen=True)
class Manifest:
    """Sizes and places of the domains, as a data manifest has them.

    Attributes:
        paths: domain to its path, or several.
        unique: domain to its tokens.
        documents: domain to its number of documents (examples, rows).
        size: domain to bytes of its text.
        tokenizer: with which tokens were counted, in words.
        names: its domains.
    """

    paths: Mapping[str, str | list[str]] = field(default_factory=dict, hash=False)
    unique: Mapping[str, float] = field(default_factory=dict, hash=False)
    documents: Mapping[str, float] = field(default_factory=dict, hash=False)
    size: Mapping[str, float] = field(default_factory=dict, hash=False)
    tokenizer: str = ""
    names: tuple[str, ...] = ()

    @property
    def tokens_per_example(self) -> dict[str, float]:
        """Domain to mean tokens of a document."""
        return {
            d: self.unique[d] / n for d, n in self.documents.items() if n and self.unique.get(d)
        }

    @property
    def tokens_per_byte(self) -> dict[str, float]:
        """Domain to tokens per byte of its text."""
        return {d: self.unique[d] / n for d, n in self.size.items() if n and self.unique.get(d)}


_FORM = (
    'give {"domains": {"web": {"tokens": 1e12, "documents": 1e9, "path": "/data/web"}, ...}}, or '
    "the manifest.json of a corpus"
)


def read_manifest(path: Path) -> Manifest:
    """A data manifest: ours of a corpus (its shards are the paths), or one by domain.

    Raises:
        InputError: it cannot be read, or a number of it is none.
    """
    values = read_values(path, _FORM)
    ours = "domains" not in values and isinstance(values.get("train"), Mapping)
    entries = values.get("train" if ours else "domains")
    if not isinstance(entries, Mapping) or not all(
        isinstance(e, Mapping) for e in entries.values()
    ):
        raise InputError(f"{path} names no domains; {_FORM}")
    paths: dict[str, str | list[str]] = {}
    for name, entry in entries.items():
        where = entry.get("paths", entry.get("path"))
        if ours and "file" in entry:
            where = str(path.parent / str(entry["file"]))
        if where is not None:
            paths[str(name)] = _place(where, f"{path}: path of domain {name!r}")
    tokenizer = values.get("tokenizer", "")
    if isinstance(tokenizer, Mapping):
        tokenizer = f"sha256 {str(tokenizer.get('sha256', ''))[:16]}"
    return Manifest(
        paths,
        unique=_numbers(path, entries, "tokens"),
        documents=_numbers(path, entries, "documents"),
        size=_numbers(path, entries, "bytes"),
        tokenizer=str(tokenizer),
        names=tuple(map(str, entries)),
    )


def _numbers(path: Path, entries: Mapping[str, Any], key: str) -> dict[str, float]:
    numbers = {}
    for name, entry in entries.items():
        if entry.get(key) is not None:
            numbers[str(name)] = number(entry[key], f"{path}: {key} of domain {name!r}")
    return numbers


def read_paths(path: Path) -> dict[str, str | list[str]]:
    """Domain to path, or to several, from a JSON or YAML file.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    form = 'give {"web": "/data/web", "code": ["/data/a.jsonl", "/data/b.jsonl"]}'
    values = read_values(path, form)
    return {str(d): _place(p, f"{path}: path of domain {d!r}") for d, p in values.items()}


def _place(value: Any, what: str) -> str | list[str]:
    each = value if isinstance(value, list) else [value]
    if not each or not all(isinstance(p, str) and p for p in each):
        raise InputError(f"{what} is {shorten(repr(value), 60)}; give a path, or a list of them")
    return each if isinstance(value, list) else str(value)


def number(value: Any, what: str) -> float:
    """A count or mean as people write it: 1000, 2.5k, 1T.

    Raises:
        InputError: it is none.
    """
    try:
        read = read_count(value)
    except ValueError as error:
        raise InputError(f"{what}: {error}") from error
    if isinstance(read, bool) or not isinstance(read, int | float) or not read >= 0:
        raise InputError(f"{what} is {shorten(repr(value), 60)}; give a number such as 1000 or 1T")
    return read


def whole(text: str | None, what: str) -> int | None:
    """A whole number above 0 as people write it; None where nothing is given.

    Raises:
        InputError: it is none.
    """
    if text is None:
        return None
    read = number(text, what)
    if not isinstance(read, int) or read <= 0:
        raise InputError(f"{what} is {text!r}; give a whole number above 0, such as 4M")
    return read


def pairs(given: Sequence[str] | None, option: str) -> dict[str, str]:
    """`NAME=VALUE` texts as a mapping.

    Raises:
        InputError: a text of another form, or a name that is given twice.
    """
    named: dict[str, str] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise InputError(f"{option} {text!r}: write it as NAME=VALUE")
        if name in named:
            raise InputError(f"{option}: {name!r} is given twice; give it once")
        named[name] = value
    return named


def settings(given: Sequence[str] | None) -> dict[str, Any]:
    """`--set NAME=VALUE` and `--set NAME.DOMAIN=VALUE` as options of a format."""
    options: dict[str, Any] = {}
    for name, value in pairs(given, "--set").items():
        option, dot, domain = name.partition(".")
        if not dot:
            options[option] = value
        elif isinstance(options.setdefault(option, {}), dict):
            options[option][domain] = value
        else:
            raise InputError(f"--set {option}: give one value, or one by domain, not both")
    return options


@dataclass(frozen=True)
class Told:
    """What the command line says of data and run, as it was given.

    Attributes:
        path: `DOMAIN=PATH`.
        paths: a file of paths.
        manifest: a data manifest.
        tokens_per_example: `DOMAIN=NUMBER`.
        unique: `DOMAIN=TOKENS`.
        tokens: of the target run.
        max_epochs: passes allowed, a number or `DOMAIN=NUMBER`.
        sequence_length: tokens of a sequence.
        batch_tokens: tokens of a step.
        equal_lengths: examples are equally long.
        seed: of what is drawn.
        tokenizer: in words.
    """

    path: Sequence[str] = ()
    paths: Path | None = None
    manifest: Path | None = None
    tokens_per_example: Sequence[str] = ()
    unique: Sequence[str] = ()
    tokens: str | None = None
    max_epochs: Sequence[str] = ()
    sequence_length: str | None = None
    batch_tokens: str | None = None
    equal_lengths: bool = False
    seed: int = 0
    tokenizer: str = ""


def facts_of(source: PlanSource, told: Told) -> Facts:
    """What is known of data and run: the command line over a manifest over the source.

    Raises:
        InputError: something cannot be read, or names a domain that the mixture does not have.
    """
    manifest = Manifest() if told.manifest is None else read_manifest(told.manifest)
    named = pairs(told.path, "--path")
    listed = {} if told.paths is None else read_paths(told.paths)
    lengths = _counts(told.tokens_per_example, "--tokens-per-example")
    unique = _counts(told.unique, "--unique")
    for option, values in (
        ("--path", named),
        ("--tokens-per-example", lengths),
        ("--unique", unique),
    ):
        _check_domains(option, values, source.plan.domains)
    if told.paths is not None:
        _check_names(f"--paths {told.paths}", listed, source.plan.domains)
    if told.manifest is not None:
        _check_names(f"--manifest {told.manifest}", manifest.names, source.plan.domains)
    measured = ""
    if not set(source.plan.domains) <= set(lengths):
        measured = source.measured
        if manifest.tokens_per_example:
            by = f" (tokenizer {manifest.tokenizer})" if manifest.tokenizer else ""
            measured = f"the manifest{by}; see that they were counted with the target's tokenizer"
    return Facts(
        paths={**source.paths, **manifest.paths, **listed, **named},
        shard_tokens=source.shard_tokens,
        tokens_per_example={**source.tokens_per_example, **manifest.tokens_per_example, **lengths},
        measured=measured,
        equal_lengths=told.equal_lengths,
        unique={**source.unique, **manifest.unique, **unique},
        tokens=whole(told.tokens, "--tokens") or source.tokens,
        max_epochs=_passes(told.max_epochs, source),
        sequence_length=whole(told.sequence_length, "--sequence-length"),
        batch_tokens=whole(told.batch_tokens, "--batch-tokens"),
        seed=told.seed,
        tokenizer=told.tokenizer or manifest.tokenizer,
    )


def _counts(given: Sequence[str] | None, option: str) -> dict[str, float]:
    return {d: number(v, f"{option} {d}") for d, v in pairs(given, option).items()}


def _check_domains(option: str, values: Mapping[str, Any], domains: Sequence[str]) -> None:
    for name in values:
        if name not in domains:
            raise InputError(f"{option}: no domain {name!r}; {did_you_mean(name, domains)}")


def _check_names(what: str, names: Collection[str], domains: Sequence[str]) -> None:
    """Refuse a file of other domains; it may have more than the mixture, as a corpus does.

    Raises:
        InputError: it has none of them, or one under another spelling.
    """
    missing = [d for d in domains if d not in names]
    others = [n for n in names if n not in domains]
    spelt = {_letters(n) for n in others}
    misspelt = [d for d in missing if _letters(d) in spelt]
    if misspelt or (missing and len(missing) == len(domains)):
        name = (misspelt or missing)[0]
        raise InputError(
            f"{what} has no domain {name!r} of the mixture, but {shorten(', '.join(others), 80)}; "
            "write its names as the mixture does"
        )


def _letters(name: str) -> str:
    """A name without what people write in several ways: capitals, hyphens, blanks."""
    return "".join(c for c in name.casefold() if c.isalnum())


def _passes(given: Sequence[str], source: PlanSource) -> float | Mapping[str, float] | None:
    """Limits on passes: one number for all, and others by domain."""
    if not given:
        return source.max_epochs
    general = [text for text in given if "=" not in text]
    if len(general) > 1:
        raise InputError(f"--max-epochs is given {len(general)} times; give one number for all")
    limits = _counts([text for text in given if "=" in text], "--max-epochs")
    _check_domains("--max-epochs", limits, source.plan.domains)
    if general:
        limits["*"] = number(general[0], "--max-epochs")
    return limits
