"""A frozen model beside a run: what was learnt by a plain run of its scale, seed and settings."""

import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from mixopt.errors import TrainerError
from mixopt.execution.file_locks import hold
from mixopt.execution.keeping import CHECKPOINTS, DATA, RUN
from mixopt.ports import ignore_report
from mixopt.runs import RunSpec
from mixopt.runs.files import write_atomically
from mixopt.space import Mixture
from proxies.lm.model import PackedModel, Shape
from proxies.lm.setting import Setting
from proxies.lm.train import Pack, opened

_log = logging.getLogger(__name__)


def reference_spec(spec: RunSpec, mixture: Mixture) -> RunSpec:
    """The reference run of a run with a mixer: the same, by one mixture and without the mixer."""
    return replace(spec, mixture=mixture, schedule=None, mixer=None)


def reference_tensors(setting: Setting, spec: RunSpec) -> dict[str, Tensor]:
    """The parameters that a run without a mixer ends with, trained here unless the cache has them.

    They are kept among the checkpoints, by the run's id and the precision.

    Args:
        setting: of the run that it stands beside.
        spec: of the reference run.

    Raises:
        TrainerError: it diverged.
    """
    path = _file(setting, spec)
    with _alone(path.with_name("lock")):
        tensors = _kept(path, setting.recipe.shape)
        if tensors is None:
            tensors = _train(setting, spec)
            facts = {RUN: spec.run_id, DATA: spec.data}
            try:
                write_atomically(path, save(tensors, facts))
            except OSError as error:  # it is then trained again by the next run that needs it
                _log.warning("the reference run %s could not be kept: %s", spec.run_id, error)
    return tensors


def frozen_models(setting: Setting, runs: Sequence[Mapping[str, Tensor]]) -> PackedModel:
    """Runs that learn no more, (K) parameters as `reference_tensors` gives them, as one model."""
    model = PackedModel(setting.recipe.shape, range(len(runs)), setting.device, setting.dtype)
    for k, tensors in enumerate(runs):
        model.set_tensors(k, tensors)
    return model


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process at a time inside, so that runs side by side train their reference once."""
    handle = None
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = hold(lock, math.inf)
    except OSError as error:  # a file system without locks: each then trains its own
        _log.info("no lock on %s: %s", lock, error)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _file(setting: Setting, spec: RunSpec) -> Path:
    name = f"reference-{spec.run_id}-{setting.precision}"
    return setting.cache / CHECKPOINTS / name / "model.safetensors"


def _kept(path: Path, shape: Shape) -> dict[str, Tensor] | None:
    if not path.is_file():
        return None
    try:
        tensors = dict(load_file(path))
        vocab, width = tensors["head"].shape
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        _log.warning("the reference model %s cannot be read (%s): trained again", path, error)
        return None
    if (vocab, width) != (shape.vocab, shape.width):
        _log.warning(
            "the reference model %s has %d tokens of %d numbers, and this run %d of %d (another "
            "tokenizer, or another model): trained again",
            *(path, vocab, width, shape.vocab, shape.width),
        )
        return None
    return tensors


def _train(setting: Setting, spec: RunSpec) -> dict[str, Tensor]:
    run, checkpoint = opened(setting, spec, apart=True)
    pack = Pack(setting, [run], checkpoint.step if checkpoint else 0, ignore_report)
    if checkpoint is not None:
        pack.optimizers.load(0, checkpoint.tensors)
    (seen,) = pack.train()
    if not seen.ok:
        raise TrainerError(
            f"the reference run, by {spec.mixture.to_dict()}, failed: {seen.error}; set a lower "
            "learning_rate, or name a mixer that needs no reference"
        )
    return pack.model.tensors(0)
