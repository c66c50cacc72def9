"""What a corpus is made of: the part of a trainer's configuration that decides the data."""

import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer

from mixopt.errors import InputError, did_you_mean
from proxies.corpus.builtin import BUILTIN
from proxies.corpus.tokenizer import end_token, load_tokenizer
from proxies.corpus.userfiles import find_files

FORMAT = 1
"""Version of the corpus folder; part of its key, so that older folders are never misread."""

PREFIX = "builtin:"

Paths = str | Sequence[str]


@dataclass(frozen=True)
class CorpusConfig:
    """The data of a trainer.

    Attributes:
        domains: per training domain a file or folder of .txt, .jsonl, .parquet, a list of them,
            or `"builtin:<name>"`. `"builtin"` alone takes every built-in domain.
        validation: per validation set the same. A set named like a domain replaces the part that
            would be held out of it; the others are validation-only. None: none, or, where
            `domains` is `"builtin"`, the built-in `code_target`.
        text_field: field (.jsonl) or column (.parquet) that holds the text.
        max_bytes: cap of every domain's training text (bytes of UTF-8).
        max_validation_bytes: cap of every validation set.
        validation_fraction: share of a domain's documents held out.
        vocab: size of the byte-level BPE vocabulary that is trained on the domains.
        tokenizer: a `tokenizer.json` to use instead of training one.
        questions: per set a .jsonl file of questions (see `proxies.corpus.questions`), which are
            scored by the bits per byte of their answers.
    """

    domains: Mapping[str, Paths] | Literal["builtin"] = "builtin"
    validation: Mapping[str, Paths] | None = None
    text_field: str = "text"
    max_bytes: int = 1_500_000
    max_validation_bytes: int = 150_000
    validation_fraction: float = 0.1
    vocab: int = 1024
    tokenizer: str | None = None
    questions: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_validation_bytes"):
            value = getattr(self, name)
            if not (isinstance(value, int) and value > 0):
                raise InputError(f"{name} is {value!r}; give a whole number of bytes above 0")
        if not 0 < self.validation_fraction < 1:
            raise InputError(
                f"validation_fraction is {self.validation_fraction!r}; give a share between 0 and "
                "1 (name separate files under `validation` to hold out nothing)"
            )
        if not (isinstance(self.vocab, int) and self.vocab >= 257):
            raise InputError(
                f"vocab is {self.vocab!r}; a byte-level vocabulary needs at least 257 entries "
                "(256 bytes and the end of a document)"
            )
        self._check_tables()
        for table in (self.training_paths(), self.validation_paths()):
            for name, paths in table.items():
                _check_builtin(name, paths)
        self._check_questions()
        if not self.training_paths():
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

    def _check_questions(self) -> None:
        taken = {*self.training_paths(), *self.validation_paths()}
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

    def training_paths(self) -> dict[str, tuple[str, ...]]:
        """Where the text of each training domain comes from."""
        if isinstance(self.domains, str):
            return {n: (PREFIX + n,) for n, b in BUILTIN.items() if not b.validation_only}
        return {name: _as_tuple(name, paths) for name, paths in self.domains.items()}

    def validation_paths(self) -> dict[str, tuple[str, ...]]:
        """Where the text of each separate validation set comes from."""
        if self.validation is None and isinstance(self.domains, str):
            return {n: (PREFIX + n,) for n, b in BUILTIN.items() if b.validation_only}
        return {name: _as_tuple(name, paths) for name, paths in (self.validation or {}).items()}

    def fingerprint(self) -> str:
        """JSON text that changes whenever the corpus would: configuration, versions, files.

        Users' files enter by name, size and time of change, so that this stays cheap.

        Raises:
            InputError: a path is missing or holds no text.
        """
        inputs: dict[str, Any] = {}
        for kind, table in (("train", self.training_paths()), ("val", self.validation_paths())):
            for name, paths in table.items():
                inputs[f"{kind}/{name}"] = [
                    _builtin_versions(path) if path.startswith(PREFIX) else _stamps(name, path)
                    for path in paths
                ]
        for name, path in (self.questions or {}).items():
            inputs[f"questions/{name}"] = _stamps(name, path)
        if self.tokenizer is not None:
            inputs["tokenizer"] = _stamp(tokenizer_path(self.tokenizer))
        inputs["tools"] = [platform.python_version(), importlib.metadata.version("tokenizers")]
        whole = {"format": FORMAT, "config": asdict(self), "inputs": inputs}
        return json.dumps(whole, sort_keys=True)


def load_named_tokenizer(config: CorpusConfig) -> Tokenizer:
    """The tokenizer that a configuration names.

    Raises:
        InputError: it is none, has no token that ends documents, or another size than `vocab`
            says (where `vocab` is not left at its default).
    """
    path = tokenizer_path(str(config.tokenizer))
    tokenizer = load_tokenizer(path)
    end_token(tokenizer)
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    if config.vocab not in (size, CorpusConfig.vocab):
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


def _as_tuple(name: str, paths: Paths) -> tuple[str, ...]:
    given = (paths,) if isinstance(paths, str) else tuple(paths)
    if not given or not all(isinstance(path, str) and path for path in given):
        raise InputError(
            f"domain {name!r}: {paths!r} names no text; give a path, a list of paths or "
            f"'{PREFIX}<name>'"
        )
    return given


def _check_builtin(name: str, paths: Sequence[str]) -> None:
    for path in paths:
        if path.startswith(PREFIX) and path.removeprefix(PREFIX) not in BUILTIN:
            raise InputError(
                f"domain {name!r}: there is no built-in source {path.removeprefix(PREFIX)!r}; "
                f"{did_you_mean(path.removeprefix(PREFIX), BUILTIN)}"
            )


def _builtin_versions(path: str) -> list[str]:
    sources = BUILTIN[path.removeprefix(PREFIX)].sources
    return [f"{s.module} {s.version() if s.folder() else 'missing'}" for s in sources]


def _stamps(name: str, path: str) -> list[Any]:
    return [[f.label, f.path, f.size, f.stamp] for f in find_files(name, (path,))]


def _stamp(path: Path) -> list[Any]:
    stat = path.stat()
    return [str(path.resolve()), stat.st_size, stat.st_mtime_ns]
