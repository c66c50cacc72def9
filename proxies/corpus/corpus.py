"""A corpus on disk: memory-mapped token shards and the manifest that vouches for them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import InputError, TrainerError

MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
TOKEN_BYTES = "token_bytes.npy"


@dataclass(frozen=True)
class Corpus:
    """Token shards per domain, opened by path.

    Attributes:
        path: the corpus folder.
        manifest: what is in it: `sources`, `train` and `validation` (per name: tokens, bytes,
            sha256, file), `vocab`, `warnings`, and the settings it was built with.
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
            found = (path / file).stat().st_size if (path / file).exists() else -1
            if found != size:
                raise TrainerError(
                    f"{path / file} has {found} bytes where its manifest says {size}; "
                    "delete the corpus folder to rebuild it"
                )
        return corpus

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
        """Entries of the vocabulary."""
        return int(self.manifest["vocab"])

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was left out when the corpus was built, in words for the user."""
        return tuple(self.manifest["warnings"])

    @cached_property
    def sha256(self) -> str:
        """Hash of the manifest, hence of every token: the `data` of a run spec."""
        return hashlib.sha256((self.path / MANIFEST).read_bytes()).hexdigest()

    @cached_property
    def token_bytes(self) -> NDArray[np.int32]:
        """Bytes of text behind each token, shape (V,); 0 for special tokens."""
        lengths: NDArray[np.int32] = np.load(self.path / TOKEN_BYTES, allow_pickle=False)
        return lengths

    def unique_tokens(self) -> dict[str, int]:
        """Training tokens available per domain."""
        return {name: int(entry["tokens"]) for name, entry in self.manifest["train"].items()}

    def train_tokens(self, domain: str) -> NDArray[Any]:
        """The training stream of a domain, memory-mapped; shape (tokens,)."""
        return self._load("train", domain)

    def validation_tokens(self, name: str) -> NDArray[Any]:
        """The stream of a validation set, memory-mapped; shape (tokens,)."""
        return self._load("validation", name)

    def _load(self, split: str, name: str) -> NDArray[Any]:
        file = self.path / self.manifest[split][name]["file"]
        tokens: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
        return tokens

    def require_context(self, context: int) -> None:
        """Check that every domain and validation set fills at least one sequence.

        Raises:
            InputError: one is shorter than `context` + 1 tokens.
        """
        for split in ("train", "validation"):
            for name, entry in self.manifest[split].items():
                if entry["tokens"] < context + 1:
                    what = "training text" if split == "train" else "validation text"
                    raise InputError(
                        f"domain {name!r}: its {what} has {entry['tokens']} tokens, fewer than one "
                        f"sequence of {context} + 1; add text, drop the domain, or set a smaller "
                        "`context`"
                    )

    def verify(self) -> None:
        """Compare every shard with its recorded SHA-256.

        Raises:
            TrainerError: one differs.
        """
        for split in ("train", "validation"):
            for name, entry in self.manifest[split].items():
                if token_hash(self._load(split, name)) != entry["sha256"]:
                    raise TrainerError(
                        f"{split} tokens of {name!r} in {self.path} differ from their manifest; "
                        "delete the corpus folder to rebuild it"
                    )


def token_hash(tokens: NDArray[Any]) -> str:
    """SHA-256 of a token stream (little-endian, in its own width)."""
    little = np.ascontiguousarray(tokens).astype(tokens.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(little.tobytes()).hexdigest()
