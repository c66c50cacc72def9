"""Checkpoints of single runs: where a run continues after an interruption, or to a higher rung.

A run belongs to a *trunk*: all that decides its training except for the token budget. Up to the
step where the rates begin to fall (`Recipe.branch`), runs of one trunk are the same run, so that a
checkpoint taken there continues any of them. One taken later continues its own budget alone.

    checkpoints/<trunk>/trunk-<step>.safetensors
    checkpoints/<trunk>/<tokens>-<step>.safetensors

A file appears whole or not at all, and an older one is deleted when the newer one is there.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from mixopt.execution.files import write_atomically
from mixopt.runs import RunSpec
from proxies.lm.recipe import Recipe

FOLDER = "checkpoints"
_log = logging.getLogger(__name__)
_NOTES = "notes"
_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """A run at a step.

    Attributes:
        step: steps done.
        tensors: parameters and optimiser state of the run.
        notes: what else is known by then (curve, losses), plain JSON values.
    """

    step: int
    tensors: Mapping[str, Tensor]
    notes: Mapping[str, Any]


def trunk_id(spec: RunSpec, recipe: Recipe, execution: Mapping[str, Any]) -> str:
    """16 hexadecimal digits, the same for runs that differ in their token budget only.

    Args:
        spec: the run.
        recipe: of its scale.
        execution: what else decides its numbers (precision, pools), plain JSON values.
    """
    shares = sorted(spec.mixture.to_dict().items())
    batch = [batch for _, batch in recipe.stages[:1]]
    identity = {
        "mixture": {name: f"{share:.9f}" for name, share in shares if share > 0},
        "model": [repr(recipe.shape), batch, recipe.warmup, recipe.momentum],
        "execution": dict(execution),
        "rates": [recipe.rate_embedding, recipe.rate_head, recipe.rate_matrix],
        "seed": spec.seed,
        "data": spec.data,
        "config": dict(spec.config),
    }
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Checkpoints:
    """The checkpoints of one run on disk.

    Args:
        cache: folder that workers share.
        spec: the run.
        recipe: of its scale.
        execution: what else decides its numbers; see `trunk_id`.
    """

    def __init__(
        self, cache: Path, spec: RunSpec, recipe: Recipe, execution: Mapping[str, Any]
    ) -> None:
        self.folder = cache / FOLDER / trunk_id(spec, recipe, execution)
        self._branch, self._steps = recipe.branch, recipe.steps
        self._own = f"{spec.scale.tokens}-"

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, then delete those that it replaces: earlier ones of its kind."""
        kind = "trunk-" if checkpoint.step <= self._branch else self._own
        notes = {_NOTES: json.dumps({"step": checkpoint.step, **checkpoint.notes})}
        path = self.folder / f"{kind}{checkpoint.step:09d}{_SUFFIX}"
        write_atomically(path, save(dict(checkpoint.tensors), notes))
        self._remove(p for p in self._files(kind) if _step(p) < checkpoint.step)

    def latest(self) -> Checkpoint | None:
        """The furthest checkpoint that this run can continue from; None: there is none.

        A file that cannot be read is passed over, with a warning in the log.
        """
        usable = [p for p in self._files("trunk-") if _step(p) <= self._branch]
        usable += [p for p in self._files(self._own) if _step(p) < self._steps]
        for path in sorted(usable, key=_step, reverse=True):
            try:
                content = path.read_bytes()
                return Checkpoint(_step(path), load(content), _notes(content))
            except (SafetensorError, OSError, ValueError, KeyError) as error:
                _log.warning(
                    "checkpoint %s cannot be read (%s); an earlier one is used", path, error
                )
        return None

    def finish(self, *, keep_trunk: bool) -> None:
        """The run is done: delete what no other run can continue from.

        Args:
            keep_trunk: a longer run of the trunk may follow.
        """
        self._remove(self._files(self._own))
        if not keep_trunk:
            self._remove(self._files("trunk-"))
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _files(self, kind: str) -> list[Path]:
        return list(self.folder.glob(f"{kind}*{_SUFFIX}"))

    @staticmethod
    def _remove(files: Iterable[Path]) -> None:
        for path in files:
            path.unlink(missing_ok=True)


def _step(path: Path) -> int:
    return int(path.stem.rsplit("-", 1)[1])


def _notes(content: bytes) -> dict[str, Any]:
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    notes: dict[str, Any] = json.loads(header["__metadata__"][_NOTES])
    return notes
