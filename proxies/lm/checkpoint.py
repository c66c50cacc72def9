"""Checkpoints of single runs: where a run continues after an interruption, or to a higher rung.

A run belongs to a *trunk*: all that decides its training except for the token budget. Up to the
step where the rates begin to fall (`Recipe.branch`), runs of one trunk are the same run, so that a
checkpoint taken there continues any of them. One taken later continues its own budget alone.
A run by a schedule belongs to a trunk per phase, each with all that was drawn before: it shares
those of its phases that another run begins with as well. Runs that have their start in common
(`proxies.lm.injecting.SharedStart`) have a trunk for that as well, whatever they inject later.

    checkpoints/<trunk>/trunk-<step>.safetensors
    checkpoints/<trunk>/<tokens>-<step>.safetensors

A file appears whole or not at all, and an older one is deleted when the newer one is there.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from mixopt.execution.keeping import CHECKPOINTS as FOLDER
from mixopt.execution.keeping import DATA, RUN
from mixopt.runs import RunSpec
from mixopt.runs.files import write_atomically
from mixopt.runs.schedule import digest, plan_identity
from proxies.lm.data import sequence_ends
from proxies.lm.injecting import INJECT, SHARED_START, SharedStart
from proxies.lm.recipe import Recipe

_log = logging.getLogger(__name__)
_NOTES = "notes"
_TRUNK = "trunk-"
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


def trunk_ids(spec: RunSpec, recipe: Recipe, execution: Mapping[str, Any]) -> list[str]:
    """The trunk of each phase of a run, (P) times 16 hexadecimal digits.

    Runs have the trunk of a phase in common if they differ only in when it ends, in what follows,
    and in their token budget.

    Args:
        spec: the run.
        recipe: of its scale.
        execution: what else decides its numbers (precision, pools), plain JSON values.
    """
    identity = {
        "model": [repr(recipe.shape), [recipe.batch], recipe.warmup, recipe.momentum],
        "execution": dict(execution),
        "rates": [recipe.rate_embedding, recipe.rate_head, recipe.rate_matrix],
        "seed": spec.seed,
        "data": spec.data,
        "config": dict(spec.config),
    }
    phases = spec.phases
    plans = [(*phases[:p], (None, phases[p][1])) for p in range(len(phases))]
    return [digest(identity | plan_identity(plan, spec.mixer)) for plan in plans]


def start_id(
    spec: RunSpec, recipe: Recipe, execution: Mapping[str, Any], start: SharedStart
) -> str:
    """The trunk of the start that a run shares with others; arguments as of `trunk_ids`."""
    apart = (INJECT, SHARED_START)
    config = {k: v for k, v in spec.config.items() if k not in apart}
    beginning = replace(spec, seed=start.seed, config=config)
    how = {k: v for k, v in execution.items() if k != "tokens"}
    return trunk_ids(beginning, recipe, {**how, SHARED_START: True})[0]


class Checkpoints:
    """The checkpoints of one run on disk.

    Args:
        cache: folder that workers share.
        spec: the run.
        recipe: of its scale.
        execution: what else decides its numbers; see `trunk_ids`.
        branch_at: tokens at which other runs part from this one; 0: nowhere.
        start: that it shares with runs which inject other texts later, if any.

    Attributes:
        parting: the step after which they do, at the latest where the rates begin to fall; 0 where
            none do.
    """

    def __init__(
        self,
        cache: Path,
        spec: RunSpec,
        recipe: Recipe,
        execution: Mapping[str, Any],
        *,
        branch_at: int = 0,
        start: SharedStart | None = None,
    ) -> None:
        trunks = trunk_ids(spec, recipe, execution)
        ends = sequence_ends(spec.phases, recipe.shape.context, recipe.sequences)
        # the last step of each phase: later ones have drawn by the next
        last = [recipe.steps_within(end) for end in ends]
        self._trunks = [
            (cache / FOLDER / name, min(step, recipe.branch))
            for name, step in zip(trunks, last, strict=True)
        ]
        if start is not None:
            name = start_id(spec, recipe, execution, start)
            until = recipe.steps_within(round(start.tokens / recipe.shape.context))
            self._trunks.insert(0, (cache / FOLDER / name, min(until, self._trunks[0][1])))
        # what a phase that ends there has had in whole steps
        at = recipe.steps_within(round(branch_at / recipe.shape.context))
        self.parting = min(at, recipe.branch) if branch_at < spec.scale.tokens else 0
        self._spec, self._steps = spec, recipe.steps
        self._own = f"{spec.scale.tokens}-"

    @property
    def folder(self) -> Path:
        """That of the whole run, where what it shares with no other is kept."""
        return self._trunks[-1][0]

    @property
    def shared(self) -> frozenset[int]:
        """Steps at which other runs branch off: the end of the trunk of each phase."""
        return frozenset(step for _, step in self._trunks if step)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, then delete those that it replaces: earlier ones of its kind."""
        folder, kind = self._place(checkpoint.step)
        notes = {
            _NOTES: json.dumps({"step": checkpoint.step, **checkpoint.notes}),
            **{RUN: self._spec.run_id, DATA: self._spec.data},
        }
        path = folder / f"{kind}{checkpoint.step:09d}{_SUFFIX}"
        write_atomically(path, save(dict(checkpoint.tensors), notes))
        self._remove(p for p in _files(folder, kind) if _step(p) < checkpoint.step)

    def latest(self) -> Checkpoint | None:
        """The furthest checkpoint that this run can continue from; None: there is none.

        A file that cannot be read is passed over, with a warning in the log.
        """
        usable = [
            path
            for folder, last in self._trunks
            for path in _files(folder, _TRUNK)
            if _step(path) <= last
        ]
        usable += [p for p in _files(self.folder, self._own) if _step(p) < self._steps]
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
        self._remove(_files(self.folder, self._own))
        for folder, _ in self._trunks:
            if not keep_trunk:
                self._remove(_files(folder, _TRUNK))
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def _place(self, step: int) -> tuple[Path, str]:
        """Folder and kind of a checkpoint: of the first phase that holds the step, or its own."""
        holding = (folder for folder, last in self._trunks if step <= last)
        folder = next(holding, None)
        return (self.folder, self._own) if folder is None else (folder, _TRUNK)

    @staticmethod
    def _remove(files: Iterable[Path]) -> None:
        for path in files:
            path.unlink(missing_ok=True)


def _files(folder: Path, kind: str) -> list[Path]:
    return list(folder.glob(f"{kind}*{_SUFFIX}"))


def _step(path: Path) -> int:
    return int(path.stem.rsplit("-", 1)[1])


def _notes(content: bytes) -> dict[str, Any]:
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    notes: dict[str, Any] = json.loads(header["__metadata__"][_NOTES])
    return notes
