"""What a corpus is made of: the part of a trainer's configuration that decides the data."""

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer

from mixopt.errors import InputError, did_you_mean
from proxies.corpus.builtin import BUILTIN
from proxies.corpus.injections import Injection, injections_of, metrics_of
from proxies.corpus.objectives import (
    SENTINELS,
    Derived,
    check_sources,
    derived_of,
    is_derived,
)
from proxies.corpus.scoring import Scorer
from proxies.corpus.sources import PREFIX, Given, Source, sources_of
from proxies.corpus.tokenizer import end_token, load_tokenizer
from proxies.corpus.userfiles import find_files
from proxies.token_shards.source import FORM, TokenSource, is_tokens, token_sources_of
from proxies.token_shards.vocabulary import MIN_VOCAB

FORMAT = 2
"""Version of the corpus folder; part of its key, so that older folders are never misread."""

_TEXT_ONLY = {
    "max_bytes": "give max_tokens",
    "max_validation_bytes": "give max_validation_tokens",
    "text_field": "leave it out, or name the `column` of a source",
    "questions": "leave it out",
    "scores": "leave it out, or give the text",
    "injections": "give the text of the domains, with which they are tokenised, or leave it out",
}
"""Settings of text, and what to do about them where there is none."""


@dataclass(frozen=True)
class CorpusConfig:
    """The data of a trainer.

    Attributes:
        domains: per training domain a file or folder, `"builtin:<name>"`, a mapping with `path` and
            other fields of `proxies.corpus.sources.Source`, or a list of these. `"builtin"` alone
            takes every built-in domain. Of data that are tokenised already a mapping with `shards`
            and other fields of `proxies.token_shards.TokenSource`: all domains, or none.
        validation: per validation set the same. A set named like a domain replaces the part that
            would be held out of it; the others are validation-only. None: none, or, where
            `domains` is `"builtin"`, the built-in `code_target`.
            Of both, one may be the text of another under an objective, as `{source: web,
            objective: r}` (`proxies.corpus.objectives`); then its held-out text is too.
        text_field: field (JSON) or column (tables) that holds the text, where a source names none.
        max_bytes: cap of every domain's training text (bytes of UTF-8).
        max_validation_bytes: cap of every validation set.
        max_tokens: of shards, instead of `max_bytes`: tokens of every domain that are sampled.
        max_validation_tokens: of shards, instead of `max_validation_bytes`.
        validation_fraction: share of a domain's documents held out.
        vocab: size of the byte-level BPE vocabulary that is trained on the domains; of shards the
            ids that a proxy tells apart, the most frequent ones.
        tokenizer: a `tokenizer.json` to use instead of training one; of shards the one they were
            written with, by which losses are per byte of text.
        questions: per set a .jsonl file of questions (see `proxies.corpus.questions`), which are
            scored by the bits per byte of their answers.
        injections: per experiment, texts that are put into runs at places spread over them, and
            those by which it is told (see `proxies.corpus.injections`).
        sentinels: tokens that stand for hidden spans, where there are objectives.
        scores: of the quality of every document (`proxies.corpus.scoring`): name to `high` or
            `low`, whichever is good.
    """

    domains: Mapping[str, Given] | Literal["builtin"] = "builtin"
    validation: Mapping[str, Given] | None = None
    text_field: str = "text"
    max_bytes: int = 1_500_000
    max_validation_bytes: int = 150_000
    max_tokens: int = 500_000
    max_validation_tokens: int = 50_000
    validation_fraction: float = 0.1
    vocab: int = 1024
    tokenizer: str | None = None
    questions: Mapping[str, str] | None = None
    injections: Mapping[str, Any] | None = None
    sentinels: int = SENTINELS
    scores: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_validation_bytes", "max_tokens", "max_validation_tokens"):
            value = getattr(self, name)
            if not (isinstance(value, int) and value > 0):
                unit = name.rpartition("_")[2]
                raise InputError(f"{name} is {value!r}; give a whole number of {unit} above 0")
        if not 0 < self.validation_fraction < 1:
            raise InputError(
                f"validation_fraction is {self.validation_fraction!r}; give a share between 0 and "
                "1 (name separate files under `validation` to hold out nothing)"
            )
        self._check_tables()
        self._check_objectives()
        if self.tokenised:
            self._check_tokens()
            return
        if not (isinstance(self.vocab, int) and self.vocab >= 257):
            raise InputError(
                f"vocab is {self.vocab!r}; a byte-level vocabulary needs at least 257 entries "
                "(256 bytes and the end of a document)"
            )
        for table in (self.training_sources(), self.validation_sources()):
            for name, sources in table.items():
                _check_builtin(name, sources)
        self._check_questions()
        self.scorer()
        self._check_injections()
        if not self.training_sources():
            raise InputError("domains is empty; name at least one domain, or leave it out")

    def _check_tables(self) -> None:
        for field, table in (("domains", self.domains), ("validation", self.validation)):
            if isinstance(table, Mapping) or (field == "domains" and table == "builtin"):
                continue
            if field == "validation" and table is None:
                continue
            also = " or 'builtin'" if field == "domains" else ""
            raise InputError(
                f"{field} is {table!r}; give a mapping from name to paths, like "
                f"{{web: data/web, code: [a.jsonl, b.jsonl]}}{also}"
            )

    def _check_objectives(self) -> None:
        count = self.sentinels
        if not (isinstance(count, int) and not isinstance(count, bool) and count > 0):
            raise InputError(f"sentinels is {count!r}; give a whole number above 0")
        trained, scored = self.derived_domains(), self.derived_sets()
        if not trained and not scored and count != SENTINELS:
            raise InputError(
                f"sentinels is {count} and no domain has an objective that needs them; leave it "
                "out, or give a domain like {source: web, objective: r}"
            )
        clashes = (self.given_sets().keys() & trained) | (scored.keys() & self.given_domains())
        for name in sorted(clashes):
            raise InputError(
                f"validation: {name!r} is a domain as well, and one of the two has an objective; "
                "what has one is scored on the held-out text of its source: rename the set"
            )
        plain = _plain(self.given_domains())
        check_sources(trained, plain, "domain")
        check_sources(scored, {**plain, **_plain(self.given_sets())}, "validation set")

    def _check_questions(self) -> None:
        taken = {
            *self.training_sources(),
            *self.validation_sources(),
            *self.derived_domains(),
            *self.derived_sets(),
        }
        if self.questions is not None and not isinstance(self.questions, Mapping):
            raise InputError(
                f"questions is {self.questions!r}; give a mapping from name to a .jsonl file"
            )
        for name, path in (self.questions or {}).items():
            if not isinstance(path, str):
                raise InputError(f"questions: {name!r} is {path!r}; give the path of a .jsonl file")
            if name in taken:
                raise InputError(
                    f"questions: {name!r} is a domain or validation set as well; their metrics "
                    "would have the same name, rename one"
                )

    def scorer(self) -> Scorer | None:
        """What scores documents; None where nothing does.

        Raises:
            InputError: `scores` has another form, or names no such function.
        """
        return None if self.scores is None else Scorer.of(self.scores)

    def made_injections(self) -> dict[str, Injection]:
        """The injections by name."""
        return injections_of(self.injections)

    def _check_injections(self) -> None:
        sets = {**self.given_domains(), **self.given_sets(), **(self.questions or {})}
        made = self.made_injections()
        for name in made:
            clash = next((n for n in (name, *metrics_of(name)) if n in sets), None)
            if clash is not None:
                raise InputError(
                    f"injections: {name!r} and {clash!r}, a domain, validation set or set of "
                    "questions, would be told apart by nobody; rename one of them"
                )

    @property
    def tokenised(self) -> bool:
        """Whether the data are shards of tokens."""
        tables = (self.domains, self.validation)
        given = [g for t in tables if isinstance(t, Mapping) for g in t.values()]
        return any(map(is_tokens, given))

    def _check_tokens(self) -> None:
        if not (isinstance(self.vocab, int) and self.vocab >= MIN_VOCAB):
            raise InputError(
                f"vocab is {self.vocab!r}; give at least {MIN_VOCAB}, for the end of a document, "
                "one id, and all others"
            )
        for entry in fields(self):
            if entry.name in _TEXT_ONLY and getattr(self, entry.name) != entry.default:
                raise InputError(
                    f"{entry.name} is for text, and the domains are shards of tokens; "
                    f"{_TEXT_ONLY[entry.name]}"
                )
        if not isinstance(self.domains, Mapping):
            raise InputError(
                f"domains is {self.domains!r} and the validation sets are shards of tokens; name "
                f"shards for both, as in {{web: {FORM}}}"
            )
        self.training_tokens()
        self.validation_tokens()

    def training_tokens(self) -> dict[str, tuple[TokenSource, ...]]:
        """Where the shards of each training domain are."""
        assert isinstance(self.domains, Mapping)
        plain = _plain(self.domains).items()
        return {name: token_sources_of(name, given) for name, given in plain}

    def validation_tokens(self) -> dict[str, tuple[TokenSource, ...]]:
        """Where the shards of each separate validation set are."""
        given = _plain(self.validation).items()
        return {name: token_sources_of(name, sources) for name, sources in given}

    def derived_domains(self) -> dict[str, Derived]:
        """Training domains that are another one's text under an objective."""
        return _derived(self.given_domains())

    def derived_sets(self) -> dict[str, Derived]:
        """Validation sets that are the text of another set, or held out of a domain, under one."""
        return _derived(self.given_sets())

    def training_sources(self) -> dict[str, tuple[Source, ...]]:
        """Where the text of each training domain comes from."""
        given = _plain(self.given_domains()).items()
        return {name: sources_of(name, sources, self.text_field) for name, sources in given}

    def validation_sources(self) -> dict[str, tuple[Source, ...]]:
        """Where the text of each separate validation set comes from."""
        given = _plain(self.given_sets()).items()
        return {name: sources_of(name, sources, self.text_field) for name, sources in given}

    def given_domains(self) -> Mapping[str, Given]:
        """The domains one by one, also where they are the built-in ones."""
        if isinstance(self.domains, str):
            return {n: PREFIX + n for n, b in BUILTIN.items() if not b.validation_only}
        return self.domains

    def given_sets(self) -> Mapping[str, Given]:
        """The separate validation sets, one by one."""
        if self.validation is None and isinstance(self.domains, str):
            return {n: PREFIX + n for n, b in BUILTIN.items() if b.validation_only}
        return self.validation or {}

    def fingerprint(self) -> str:
        """JSON text that changes whenever the corpus would: configuration, versions, files.

        Users' files enter by name, size and time of change, so that this stays cheap.

        Raises:
            InputError: a path is missing or holds no text.
        """
        inputs = self._token_inputs() if self.tokenised else self._text_inputs()
        if self.tokenizer is not None:
            inputs["tokenizer"] = _stamp(tokenizer_path(self.tokenizer))
        inputs["tools"] = [platform.python_version(), importlib.metadata.version("tokenizers")]
        config = asdict(self)
        if not self.derived_domains() and not self.derived_sets():
            del config["sentinels"]  # there are none
        if not self.scores:
            del config["scores"]
        if self.injections is None:
            del config["injections"]
        whole = {"format": FORMAT, "config": config, "inputs": inputs}
        return json.dumps(whole, sort_keys=True)

    def _token_inputs(self) -> dict[str, Any]:
        tables = (("train", self.training_tokens()), ("val", self.validation_tokens()))
        return {
            f"{kind}/{name}": [
                [[s.label, s.stamp] for s in source.open(name)] for source in sources
            ]
            for kind, table in tables
            for name, sources in table.items()
        }

    def _text_inputs(self) -> dict[str, Any]:
        inputs: dict[str, Any] = {}
        for kind, table in (("train", self.training_sources()), ("val", self.validation_sources())):
            for name, sources in table.items():
                inputs[f"{kind}/{name}"] = [
                    _builtin_versions(s.builtin) if s.builtin else _stamps(name, s) for s in sources
                ]
        for name, path in (self.questions or {}).items():
            inputs[f"questions/{name}"] = _stamps(name, Source(path))
        for name, of in self.made_injections().items():
            for what, path in of.paths.items():
                where = f"injections: {name!r}: {what}"
                if "://" not in path and not Path(path).expanduser().exists():
                    raise InputError(
                        f"{where}: there is no file {path!r}; correct the path, or give the texts "
                        "themselves, as a list"
                    )
                inputs[f"injections/{name}/{what}"] = _stamps(where, Source(path))
        return inputs


def load_named_tokenizer(config: CorpusConfig, *, sized: bool = True) -> Tokenizer:
    """The tokenizer that a configuration names.

    Args:
        config: which.
        sized: whether `vocab` is its size, as that of text is.

    Raises:
        InputError: it is none, has no token that ends documents, or another size than `vocab`
            says (where `vocab` is not left at its default).
    """
    path = tokenizer_path(str(config.tokenizer))
    tokenizer = load_tokenizer(path)
    end_token(tokenizer)
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    if sized and config.vocab not in (size, CorpusConfig.vocab):
        raise InputError(
            f"vocab is {config.vocab} and the tokenizer {config.tokenizer!r} has {size} entries; "
            "leave `vocab` out, or name the tokenizer that you mean"
        )
    return tokenizer


def tokenizer_path(given: str) -> Path:
    """The tokenizer file that the user named.

    Raises:
        InputError: there is no such file.
    """
    path = Path(given).expanduser()
    if not path.is_file():
        raise InputError(
            f"tokenizer: {given!r} is no file; name a tokenizer.json of the `tokenizers` library, "
            "or leave it out to have one trained on the domains"
        )
    return path


def _plain(table: Mapping[str, Given] | None) -> dict[str, Given]:
    """The domains or sets with text of their own."""
    return {name: given for name, given in (table or {}).items() if not is_derived(given)}


def _derived(table: Mapping[str, Given]) -> dict[str, Derived]:
    return {
        name: derived_of(name, given)
        for name, given in table.items()
        if isinstance(given, Mapping) and is_derived(given)
    }


def _check_builtin(name: str, sources: tuple[Source, ...]) -> None:
    for source in sources:
        if source.builtin and source.builtin not in BUILTIN:
            raise InputError(
                f"domain {name!r}: there is no built-in source {source.builtin!r}; "
                f"{did_you_mean(source.builtin, BUILTIN)}"
            )


def _builtin_versions(name: str) -> list[str]:
    sources = BUILTIN[name].sources
    return [f"{s.module} {s.version() if s.folder() else 'missing'}" for s in sources]


def _stamps(name: str, source: Source) -> list[Any]:
    """What is read of a source, and what is not: that is in the warnings."""
    listing = find_files(name, (source,))
    skipped = {reason: [met.number, met.first] for reason, met in listing.skipped.items()}
    return [[[f.label, f.path, f.size, f.stamp] for f in listing.files], skipped]


def _stamp(path: Path) -> list[Any]:
    stat = path.stat()
    return [str(path.resolve()), stat.st_size, stat.st_mtime_ns]
