"""Evaluation beyond loss: bits per byte of right answers, and how often they are the likeliest.

Notation:
    row: a possible answer of a question, after its context; T: context of the model
    nll: -log2 p of an answer given its question (bits); bits per byte = nll / bytes of the answer

The bits per byte of a set is the mean over its questions, as in Olmix (arXiv 2602.12237): it moves
long before accuracy does, which stays at chance for proxies of this size. No harness is needed.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from proxies.corpus import Corpus

ACCURACY = "accuracy"

NegativeLogLikelihood = Callable[[Tensor], Tensor]
"""From ids (n, T + 1) to nats of the targets ids[:, 1:], shape (..., n, T); the leading dimensions,
if any, are those of a pack of models."""


@dataclass(frozen=True)
class Questions:
    """A set of questions, cut into windows that a model can read.

    Attributes:
        name: of the set.
        ids: (n, T + 1) tokens of the windows, padded at the end.
        scored: (n, T) which targets belong to an answer and are scored in this window.
        row: (n,) the answer that a window belongs to.
        question: (rows,) the question that an answer belongs to.
        right: (rows,) whether it is the right one.
        bytes: (rows,) of the answer.
    """

    name: str
    ids: Tensor
    scored: Tensor
    row: Tensor
    question: NDArray[np.int64]
    right: NDArray[np.bool_]
    bytes: NDArray[np.int64]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of its metrics: its own, and `<name>/accuracy` where there are wrong answers."""
        return (self.name, f"{self.name}/{ACCURACY}") if not self.right.all() else (self.name,)


def question_sets(corpus: Corpus, context: int, device: torch.device) -> list[Questions]:
    """All sets of questions of a corpus, for a model that reads `context` tokens.

    Of a long question the end is read. An answer longer than half the context is scored in several
    windows, each with at least half a context before what it scores.
    """
    return [
        questions_of(name, *corpus.questions(name), context, device)
        for name in corpus.question_sets
    ]


def question_metrics(
    questions: Questions, nll: NegativeLogLikelihood, *, batch: int = 32
) -> list[dict[str, float]]:
    """The metrics of a set, per model of a pack (one for a single model).

    Args:
        questions: the set.
        nll: the model or pack.
        batch: windows per call.

    Returns:
        Per model: `<name>`, bits per byte of the right answers, averaged over questions; and
        `<name>/accuracy`, the share of questions with wrong answers whose right answer has the
        fewest bits per byte (ties count in part).
    """
    return [_metrics(questions, own) for own in answer_nats(questions, nll, batch=batch)]


def answer_nats(
    questions: Questions, nll: NegativeLogLikelihood, *, batch: int = 32
) -> NDArray[np.float64]:
    """Nats of every answer given its question, (K, rows), of K models of a pack.

    Args:
        questions: the set.
        nll: the model or pack.
        batch: windows per call.
    """
    scores = []
    with torch.no_grad():
        for ids, scored in zip(
            torch.split(questions.ids, batch), torch.split(questions.scored, batch), strict=True
        ):
            scores.append((nll(ids).double() * scored).sum(-1))
    nats = torch.cat(scores, dim=-1).reshape(-1, len(questions.row)).cpu().numpy()
    rows = questions.row.cpu().numpy()
    totals = np.zeros((len(nats), len(questions.bytes)))
    for own, total in zip(nats, totals, strict=True):
        np.add.at(total, rows, own)
    return totals


def _metrics(questions: Questions, nats: NDArray[np.float64]) -> dict[str, float]:
    bits = nats / math.log(2) / questions.bytes
    metrics = {questions.name: float(bits[questions.right].mean())}
    answers = np.bincount(questions.question)
    if answers.max() > 1:
        best = np.full(len(answers), np.inf)
        np.minimum.at(best, questions.question, bits)
        is_best = bits <= best[questions.question] + 1e-12
        tied = np.bincount(questions.question, weights=is_best)
        hit = (is_best / tied[questions.question])[questions.right]
        metrics[f"{questions.name}/{ACCURACY}"] = float(hit[answers > 1].mean())
    return metrics


def questions_of(
    name: str, stream: NDArray[Any], rows: NDArray[Any], context: int, device: torch.device
) -> Questions:
    """A set of questions out of its tokens.

    Args:
        name: of the set.
        stream: its tokens.
        rows: see `proxies.corpus.questions`.
        context: T.
        device: where it is scored.
    """
    ids: list[NDArray[np.int64]] = []
    scored: list[NDArray[np.bool_]] = []
    owner: list[int] = []
    for number, row in enumerate(rows):
        start, prompt = int(row["start"]), int(row["prompt"])
        tokens = stream[start : start + prompt + int(row["answer"])].astype(np.int64)
        for window, count in windows(tokens, prompt, context):
            padded = np.zeros(context + 1, dtype=np.int64)
            padded[: len(window)] = window
            mask = np.zeros(context, dtype=bool)
            mask[len(window) - 1 - count : len(window) - 1] = True
            ids.append(padded)
            scored.append(mask)
            owner.append(number)
    return Questions(
        name,
        torch.from_numpy(np.stack(ids)).to(device),
        torch.from_numpy(np.stack(scored)).to(device),
        torch.tensor(owner, device=device),
        rows["question"].astype(np.int64),
        rows["right"].astype(bool),
        rows["bytes"].astype(np.int64),
    )


def windows(
    tokens: NDArray[np.int64], prompt: int, context: int
) -> list[tuple[NDArray[np.int64], int]]:
    """Cut a question with an answer into windows of at most `context` + 1 tokens.

    Args:
        tokens: of both; the first is an end of document, so that every answer has a token before.
        prompt: how many of them are the question's.
        context: T.

    Returns:
        (window, how many of its last tokens are scored): every token of the answer once.
    """
    cuts = []
    step = max(1, context // 2)
    for start in range(prompt, len(tokens), step):
        end = min(start + step, len(tokens))
        cuts.append((tokens[max(0, end - context - 1) : end], end - start))
    return cuts
