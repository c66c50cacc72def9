"""A corpus on disk: memory-mapped token shards and the manifest that vouches for them."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import InputError, TrainerError
from proxies.corpus.objectives import BOUNDARY, CAUSAL, SPECIAL, Derived
from proxies.corpus.scored import Scored
from proxies.corpus.tokenizer import load_tokenizer, token_bytes

MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
TOKEN_BYTES = "token_bytes.npy"
VOCABULARY = "vocabulary.npy"
UNIT = "bits/byte"
_HASHED = 2**22  # tokens at a time


@dataclass(frozen=True)
class Corpus:
    """Token shards per domain, opened by path.

    Attributes:
        path: the corpus folder.
        manifest: what is in it: `sources`, `train` and `validation` (per name: tokens, bytes,
            sha256, file), `questions` and `injections` if any, `vocab`, `warnings`; `objectives`
            and `sentinels` where there are some (`proxies.corpus.objective_entries`); `scores`
            where documents are scored: name to which of them are good.
    """

    path: Path
    manifest: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path) -> "Corpus":
        """Open a corpus folder; file sizes are checked, contents are not (see `verify`).

        Raises:
            TrainerError: the folder is incomplete.
        """
        try:
            manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise TrainerError(f"{path} is no corpus ({error}); delete it to rebuild it") from error
        corpus = cls(path, manifest)
        for file, size in manifest["file_sizes"].items():
            on_disk = (path / file).stat().st_size if (path / file).exists() else -1
            if on_disk != size:
                problem = f"has {on_disk} bytes" if on_disk >= 0 else "is missing"
                raise corpus.damaged(f"{file} {problem} where {size} bytes were written")
        return corpus

    def damaged(self, what: str) -> TrainerError:
        """The error that says what is wrong with the corpus and how to get it back."""
        return TrainerError(
            f"the prepared data in {self.path} is damaged: {what}. Delete that folder "
            f"(rm -r '{self.path}') and run again to rebuild it; the same text gives the same "
            "data, and runs made with it stay valid"
        )

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the training domains."""
        return tuple(self.manifest["train"])

    @property
    def validation_sets(self) -> tuple[str, ...]:
        """Names of the validation sets: one per domain, then the validation-only ones."""
        return tuple(self.manifest["validation"])

    @property
    def vocab(self) -> int:
        """Entries of the vocabulary: the tokenizer's, then those of objectives if there are any."""
        return int(self.manifest["vocab"])

    @cached_property
    def derived(self) -> Mapping[str, Derived]:
        """Domains and validation sets that are the text of another one under an objective."""
        records = self.manifest.get("objectives", {})
        return {name: Derived.of(record) for name, record in records.items()}

    @property
    def sentinels(self) -> int:
        """Tokens that stand for hidden spans."""
        return int(self.manifest.get("sentinels", 0))

    @property
    def boundary(self) -> int | None:
        """The token between prefix and targets; None where all text is read from left to right."""
        return self.vocab - self.sentinels - SPECIAL + BOUNDARY if self.sentinels else None

    @property
    def unit(self) -> str:
        """Of the losses: `bits/byte`, or `nats/token` of shards whose tokenizer nobody named."""
        return str(self.manifest.get("unit", UNIT))

    @property
    def shards(self) -> Mapping[str, Mapping[str, int]]:
        """Domain to the shards that it was sampled from, with their tokens; empty for text."""
        shards: Mapping[str, Mapping[str, int]] = self.manifest.get("shards", {})
        return shards

    def natural_sizes(self) -> dict[str, float]:
        """What the natural mixture is in proportion to: tokens of shards, bytes of text.

        Text that is trained on with several objectives counts once, in equal parts.
        """
        key = "available_tokens" if self.shards else "available_bytes"
        uses = Counter(self.source_of(name) for name in self.domains)
        return {
            name: float(entry[key]) / uses[self.source_of(name)]
            for name, entry in self.manifest["train"].items()
        }

    def source_of(self, name: str) -> str:
        """The domain or set whose text one has: itself, where it is not derived."""
        return self.derived[name].source if name in self.derived else name

    def tags(self, name: str) -> dict[str, str]:
        """What to constrain a domain by: source and objective, where there are objectives."""
        if not self.derived:
            return {}
        of = self.derived.get(name)
        return {"source": self.source_of(name), "objective": of.objective.name if of else CAUSAL}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was left out when the corpus was built, in words for the user."""
        return tuple(self.manifest["warnings"])

    @cached_property
    def sha256(self) -> str:
        """Hash of the manifest, hence of every token: the `data` of a run spec; see `data_hash`."""
        return data_hash(self.manifest)

    @cached_property
    def token_bytes(self) -> NDArray[np.int32]:
        """Bytes of text behind each token, shape (V,); 0 for special tokens."""
        lengths: NDArray[np.int32] = np.load(self.path / TOKEN_BYTES, allow_pickle=False)
        return np.pad(lengths, (0, self.vocab - len(lengths)))

    def unique_tokens(self) -> dict[str, int]:
        """Training tokens available per domain."""
        return {name: int(entry["tokens"]) for name, entry in self.manifest["train"].items()}

    def train_tokens(self, domain: str) -> NDArray[Any]:
        """The training stream of a domain, memory-mapped; shape (tokens,)."""
        return self._load("train", domain)

    @property
    def scores(self) -> tuple[str, ...]:
        """Names of the scores that every document of every training domain has."""
        return tuple(self.manifest.get("scores", ()))

    def scored(self, domain: str) -> Scored:
        """The documents of a domain, in the order of its stream, with their scores."""
        return Scored.read(self.path, self.manifest["train"][domain]["quality"])

    def validation_tokens(self, name: str) -> NDArray[Any]:
        """The stream of a validation set, memory-mapped; shape (tokens,)."""
        return self._load("validation", name)

    @property
    def question_sets(self) -> tuple[str, ...]:
        """Names of the sets of questions."""
        return tuple(self.manifest.get("questions", ()))

    @property
    def question_metrics(self) -> tuple[str, ...]:
        """Metrics of the sets of questions: of each its name, and `<name>/accuracy`."""
        metrics: list[str] = []
        for name, entry in self.manifest.get("questions", {}).items():
            metrics += [name, f"{name}/accuracy"] if entry["with_distractors"] else [name]
        return tuple(metrics)

    def questions(self, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """A set of questions: the token stream and its rows; see `proxies.corpus.questions`."""
        return self.written(self.manifest["questions"][name])

    @property
    def injections(self) -> Mapping[str, Mapping[str, Any]]:
        """What is injected, by name: documents, probes and controls, as the manifest has them."""
        entries: Mapping[str, Mapping[str, Any]] = self.manifest.get("injections", {})
        return entries

    def written(self, entry: Mapping[str, Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """A token stream and its rows, of questions or of an injection.

        Args:
            entry: of the manifest.
        """
        stream: NDArray[Any] = np.load(self.path / entry["file"], allow_pickle=False)
        rows: NDArray[Any] = np.load(self.path / entry["rows"], allow_pickle=False)
        return stream, rows

    def available_tokens(self) -> dict[str, int]:
        """Tokens of each domain, before the cap and the held-out part.

        Of text an estimate from the part that was tokenised, of shards what their indexes say.
        """
        if self.shards:
            return {n: int(e["available_tokens"]) for n, e in self.manifest["train"].items()}
        return {
            name: max(
                int(entry["tokens"]),
                round(entry["tokens"] * entry["available_bytes"] / max(1, entry["bytes"])),
            )
            for name, entry in self.manifest["train"].items()
        }

    def _load(self, split: str, name: str) -> NDArray[Any]:
        file = self.path / self.manifest[split][name]["file"]
        tokens: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
        return tokens

    def require_context(self, context: int) -> None:
        """Check that every domain and validation set fills at least one sequence.

        Raises:
            InputError: one is shorter than `context` + 1 tokens, or an objective does not fit.
        """
        self.require_objectives(context)
        for split in ("train", "validation"):
            for name, entry in self.manifest[split].items():
                if entry["tokens"] < context + 1:
                    what = "training text" if split == "train" else "validation text"
                    raise InputError(
                        f"domain {name!r}: its {what} has {entry['tokens']} tokens, fewer than one "
                        f"sequence of {context} + 1; add text, drop the domain, or set a smaller "
                        "`context`"
                    )

    def require_objectives(self, context: int) -> None:
        """Check that objectives are what they say in sequences of `context` tokens.

        Raises:
            InputError: see `proxies.corpus.objectives.Objective.check`.
        """
        for name, of in self.derived.items():
            of.objective.check(name, context, self.sentinels)

    def small_domains(self, batch_tokens: int) -> tuple[str, ...]:
        """Warnings for domains that do not fill one training batch."""
        return tuple(
            f"domain {name!r} has {tokens} tokens, fewer than one batch of {batch_tokens}: a batch "
            "may hold the same sequence twice; add text"
            for name, tokens in self.unique_tokens().items()
            if tokens < batch_tokens
        )

    def verify(self) -> None:
        """Compare everything with its recorded SHA-256; once per process, unless files change.

        Raises:
            TrainerError: something differs.
        """
        files = [self.path / MANIFEST, *(self.path / f for f in self.manifest["file_sizes"])]
        stamps = tuple((file.stat().st_size, file.stat().st_mtime_ns) for file in files)
        if _VERIFIED.get(self.path) != stamps:
            self._verify()
            _VERIFIED[self.path] = stamps

    def _verify(self) -> None:
        for split in ("train", "validation"):
            for name, entry in self.manifest[split].items():
                if name in self.derived:  # the files of its source
                    continue
                if token_hash(self._load(split, name)) != entry["sha256"]:
                    raise self.damaged(
                        f"the {split} tokens of {name!r} ({entry['file']}) are not those that were "
                        "written"
                    )
                if "quality" in entry and self.scored(name).sha256 != entry["quality"]["sha256"]:
                    raise self.damaged(f"the scores of {name!r} are not those that were written")
        questions = self.manifest.get("questions", {}).items()
        asked = {f"the questions {name!r}": entry for name, entry in questions}
        for name, entry in self.injections.items():
            parts = (entry, entry["probes"], entry["controls"])
            asked |= {f"part {i} of injection {name!r}": part for i, part in enumerate(parts)}
        for what, entry in asked.items():
            digest = hashlib.sha256()
            for array in self.written(entry):
                digest.update(array.tobytes())
            if digest.hexdigest() != entry["sha256"]:
                raise self.damaged(f"{what} are not those that were written")
        self._verify_vocabulary()

    def _verify_vocabulary(self) -> None:
        if self.shards:
            ids = np.load(self.path / VOCABULARY, allow_pickle=False)
            if token_hash(ids) != self.manifest["vocabulary"]["sha256"]:
                raise self.damaged(f"{VOCABULARY} does not hold the ids that were written")
            return
        text = (self.path / TOKENIZER).read_bytes()
        if hashlib.sha256(text).hexdigest() != self.manifest["tokenizer"]["sha256"]:
            raise self.damaged(f"{TOKENIZER} is not the tokenizer whose tokens the shards hold")
        lengths = token_bytes(load_tokenizer(self.path / TOKENIZER))
        if not np.array_equal(lengths, self.token_bytes[: len(lengths)]):
            raise self.damaged(f"{TOKEN_BYTES} does not fit {TOKENIZER}")


_VERIFIED: dict[Path, tuple[tuple[int, int], ...]] = {}
"""Corpora that were verified in this process: sizes and times of change of their files."""


def data_hash(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of what a manifest says of the data.

    Warnings and files that were not opened are no part of it: a hidden file that appears beside the
    text is counted there, and leaves runs valid. Nor is it where shards lie.
    """
    data = {key: value for key, value in manifest.items() if key not in ("warnings", "shards")}
    data["sources"] = {
        name: [{k: v for k, v in record.items() if k != "skipped"} for record in records]
        for name, records in manifest["sources"].items()
    }
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def token_hash(tokens: NDArray[Any]) -> str:
    """SHA-256 of a token stream (little-endian, in its own width)."""
    little = tokens.dtype.newbyteorder("<")
    digest = hashlib.sha256()
    for start in range(0, len(tokens), _HASHED):
        piece = np.ascontiguousarray(tokens[start : start + _HASHED]).astype(little, copy=False)
        digest.update(piece.tobytes())
    return digest.hexdigest()
