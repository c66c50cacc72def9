"""Bits per byte on validation sets, with the standard error over documents.

Notation:
    K runs of a pack; s sequences of T tokens of a validation set
    nll: negative log-likelihood in nats of a target token; bytes: of text behind that token
    bits per byte r = sum nll / (ln 2 * sum bytes), over targets that stand for text

Where bytes are not known (`Corpus.unit`), every target counts as one and r is in nats per token.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from proxies.corpus import Corpus
from proxies.lm.examples import Examples, bears_loss, rows_of
from proxies.lm.functions import token_nats
from proxies.lm.model import PackedModel

TOKENS = 8192  # of all runs of a pack, per forward pass
LOGITS = 2**20  # held at once: 2 MB in bfloat16, about a core's cache
GPU_TOKENS, GPU_LOGITS = 2**18, 2**28


@dataclass(frozen=True)
class ValidationSet:
    """Sequences of one validation set.

    Attributes:
        name: of the set.
        ids: (s, T + 1) tokens.
        bytes: (s, T) bytes of each target; 0 where it bears no loss or stands for no text.
        documents: (s, T) the document that each target belongs to, numbered from 0.
        nats: of the unit that losses are told in: ln 2 for bits, 1 for nats.
    """

    name: str
    ids: Tensor
    bytes: Tensor
    documents: NDArray[np.int64]
    nats: float = math.log(2)


@dataclass(frozen=True)
class Score:
    """Bits per byte of one run on one validation set, and its standard error over documents."""

    value: float
    error: float


def validation_sets(
    corpus: Corpus, context: int, tokens: int, device: torch.device
) -> list[ValidationSet]:
    """About `tokens` tokens of every validation set, taken evenly from all of it.

    The same sequences for every run of a corpus, so that sampling them adds no noise between runs.
    Of a set under an objective they are its examples, scored where their targets are text.
    """
    sets, examples = [], Examples(corpus, context, seed=0)
    for name in corpus.validation_sets:
        stream = corpus.validation_tokens(name)
        starts = scored_starts(len(stream), examples.stride(name), tokens)
        ids, places = rows_of(examples, name, stream, starts.tolist())
        lengths = corpus.token_bytes[ids[:, 1:]].astype(np.int64)
        if name in examples:
            assert corpus.boundary is not None
            lengths *= bears_loss(torch.from_numpy(ids), corpus.boundary).numpy().astype(np.int64)
        ends = np.concatenate(([0], np.cumsum(corpus.token_bytes[np.asarray(stream)] == 0)))
        owners = ends[places[:, 1:]]
        documents = np.unique(owners, return_inverse=True)[1].reshape(owners.shape)
        sets.append(
            ValidationSet(
                name,
                torch.from_numpy(ids).to(device),
                torch.from_numpy(lengths).to(device),
                documents,
                math.log(2) if corpus.unit.startswith("bits") else 1.0,
            )
        )
    return sets


def scored_starts(length: int, context: int, tokens: int) -> NDArray[np.int64]:
    """Where the sequences of a validation set begin that are scored, evenly over all of it.

    Args:
        length: tokens of the set.
        context: T.
        tokens: to be scored, about.
    """
    available = (length - 1) // context
    chosen = min(available, max(1, tokens // context))
    starts: NDArray[np.int64] = np.linspace(0, available - 1, chosen).round().astype(int) * context
    return starts


def logits_at_once(device: torch.device) -> int:
    """How many logits to hold."""
    return LOGITS if device.type == "cpu" else GPU_LOGITS


@torch.no_grad()
def nats(model: PackedModel, ids: Tensor) -> Tensor:
    """Loss of every target token under every run, (K, s, T) float32.

    Args:
        model: K runs.
        ids: (s, T + 1), scored under all of them, or (K, s, T + 1), each run's own.
    """
    length = ids.shape[-1] - 1
    limit = TOKENS if model.device.type == "cpu" else GPU_TOKENS
    head, most = model.head(), logits_at_once(model.device)
    parts = []
    for part in torch.split(ids, max(1, limit // (model.runs * length)), dim=-2):
        copies = part.expand(model.runs, *part.shape[-2:])
        features = model.features(copies[..., :-1], training=False)
        losses = token_nats(features, head, copies[..., 1:].flatten(1), most)
        parts.append(losses.view(model.runs, -1, length))
    return torch.cat(parts, dim=1)


def score(model: PackedModel, sets: Sequence[ValidationSet]) -> list[dict[str, Score]]:
    """Every run of a pack on every validation set, in one go.

    The end of a document stands for no bytes: it is not scored, as in other reports of this unit.
    """
    losses = nats(model, torch.cat([data.ids for data in sets])).cpu().double().numpy()
    scores: list[dict[str, Score]] = [{} for _ in range(model.runs)]
    start = 0
    for data in sets:
        end = start + len(data.ids)
        lengths = data.bytes.cpu().numpy()
        for run, table in zip(losses, scores, strict=True):
            table[data.name] = _ratio(run[start:end] / data.nats, lengths, data.documents)
        start = end
    return scores


def _ratio(
    nll: NDArray[np.float64], lengths: NDArray[np.int64], documents: NDArray[np.int64]
) -> Score:
    """Losses over sizes, and the standard error with documents as the units that were sampled."""
    scored = nll * (lengths > 0)
    bits = np.bincount(documents.ravel(), scored.ravel())
    size = np.bincount(documents.ravel(), lengths.ravel())
    bits, size = bits[size > 0], size[size > 0]
    ratio = bits.sum() / size.sum()
    n = len(size)
    spread = float(np.square(bits - ratio * size).sum())
    error = math.sqrt(spread * n / (n - 1)) / size.sum() if n > 1 else math.nan
    return Score(float(ratio), float(error))
