"""Bits per byte on validation sets.

Notation:
    nll: negative log-likelihood in nats of a target token; bytes: of text behind that token
    bits per byte = sum nll / (ln 2 * sum bytes), over targets that stand for text
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from proxies.corpus import Corpus
from proxies.lm.model import LanguageModel

SEQUENCES = 32  # per forward pass: logits stay in the processor's cache


@dataclass(frozen=True)
class ValidationSet:
    """Sequences of one validation set: ids (n, T + 1), bytes of each target (n, T)."""

    name: str
    ids: Tensor
    bytes: Tensor


def validation_sets(
    corpus: Corpus, context: int, tokens: int, device: torch.device
) -> list[ValidationSet]:
    """About `tokens` tokens of every validation set, taken evenly from all of it.

    The same sequences for every run of a corpus, so that sampling them adds no noise between runs.
    """
    sets = []
    for name in corpus.validation_sets:
        stream = corpus.validation_tokens(name)
        available = (len(stream) - 1) // context
        chosen = min(available, max(1, tokens // context))
        starts = np.linspace(0, available - 1, chosen).round().astype(int) * context
        ids = np.stack([stream[start : start + context + 1] for start in starts]).astype(np.int64)
        lengths = corpus.token_bytes[ids[:, 1:]].astype(np.int64)
        sets.append(
            ValidationSet(
                name, torch.from_numpy(ids).to(device), torch.from_numpy(lengths).to(device)
            )
        )
    return sets


def bits_per_byte(model: LanguageModel, data: ValidationSet, *, low_precision: bool) -> float:
    """Bits per byte of a model on one validation set.

    The end of a document stands for no bytes: it is not scored, as in other reports of this unit.
    """
    nats = 0.0
    with torch.no_grad():
        for ids, lengths in zip(
            torch.split(data.ids, SEQUENCES), torch.split(data.bytes, SEQUENCES), strict=True
        ):
            with torch.autocast(ids.device.type, torch.bfloat16, enabled=low_precision):
                logits = model(ids[:, :-1])
            nll = F.cross_entropy(
                logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
            )
            nats += float(nll.double()[lengths.flatten() > 0].sum())
    return nats / math.log(2) / int(data.bytes.sum())
