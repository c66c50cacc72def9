"""Questions with known answers, as extra validation sets: JSON Lines to tokens.

One object per line: `context` (text, may be empty), `continuation` (the right answer, as it would
follow) and, optional, `distractors` (a list of wrong ones). They are scored by the bits per byte of
the right answer given its context (the target of Olmix, arXiv 2602.12237), and by how often the
right answer is the likeliest per byte; see `proxies.lm.multiple_choice`.

Notation:
    row: one possible answer of one question: `question`, `right` (1 or 0), `start` of its tokens in
        the stream, `prompt` and `answer` (numbers of tokens), `bytes` of the answer
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mixopt.errors import InputError
from proxies.corpus.config import CorpusConfig
from proxies.corpus.counts import printable
from proxies.corpus.encoder import Encoder
from proxies.corpus.reading import read_rows
from proxies.corpus.shards import Record, Shards
from proxies.corpus.sources import Source
from proxies.corpus.userfiles import find_files

ROWS = np.dtype(
    [
        ("question", "<u4"),
        ("right", "u1"),
        ("start", "<u8"),
        ("prompt", "<u4"),
        ("answer", "<u4"),
        ("bytes", "<u4"),
    ]
)
_FORM = '{"context": "...", "continuation": " right", "distractors": [" wrong", ...]}'


def write_questions(config: CorpusConfig, shards: Shards, folder: Path) -> None:
    """Tokenise every set of questions into the corpus.

    Raises:
        InputError: a line is no question, or a set has none. Unlike training text, a broken line is
            refused: a score over other questions than were meant is worth nothing.
    """
    for name, path in (config.questions or {}).items():
        lines = list(_questions(name, path))
        if not lines:
            raise InputError(f"questions: {name!r}: {path!r} holds no line; give one {_FORM} each")
        number = len(shards.questions)
        stem = f"questions-{number:03d}"
        shards.questions[name] = write_asked(lines, shards.encoder, folder, stem)


def _questions(name: str, path: str) -> Iterator[tuple[str, list[str]]]:
    """Context and possible answers, the right one first."""
    for file in find_files(name, (Source(path),)).files:
        if file.kind not in ("json", "jsonl"):
            raise InputError(f"questions: {name!r}: {file.path} is no .jsonl file; give {_FORM}")
        for where, row in read_rows(name, file):
            yield _question(f"questions: {name!r}: {where}", row)


def _question(where: str, row: Any) -> tuple[str, list[str]]:
    if not isinstance(row, dict):
        raise InputError(f"{where} is {printable(repr(row))}; give {_FORM}")
    context, wrong = row.get("context"), row.get("distractors", [])
    answers = [row.get("continuation"), *wrong] if isinstance(wrong, list) else []
    texts = [answer for answer in answers if isinstance(answer, str) and answer]
    if not (isinstance(context, str) and texts and len(texts) == len(answers)):
        raise InputError(
            f"{where} is no question: `context` must be a text, `continuation` a text that is not "
            f"empty, `distractors` (if any) a list of such; give {_FORM}"
        )
    # blanks at the end of a context belong to the answer: that is how tokenizers cut words
    stem = context.rstrip(" ")
    return stem, [context[len(stem) :] + text for text in texts]


def write_asked(
    lines: list[tuple[str, list[str]]], encoder: Encoder, folder: Path, stem: str
) -> Record:
    """Write what is asked, context and possible answers; returns its entry in the manifest."""
    rows: list[tuple[int, ...]] = []
    parts: list[bytes] = []
    start = 0
    for question, (context, answers) in enumerate(lines):
        # every document of the training text follows an end of document; so does a question
        prompt = encoder.document("") + encoder.text(context)
        for at, answer in enumerate(answers):
            tokens = encoder.text(answer)
            lengths = [len(data) // encoder.dtype.itemsize for data in (prompt, tokens)]
            rows.append((question, int(at == 0), start, *lengths, len(answer.encode())))
            parts += (prompt, tokens)
            start += sum(lengths)
    stream = np.frombuffer(b"".join(parts), dtype=encoder.dtype)
    table = np.array(rows, dtype=ROWS)
    np.save(folder / f"{stem}.npy", stream, allow_pickle=False)
    np.save(folder / f"{stem}-rows.npy", table, allow_pickle=False)
    return {
        "file": f"{stem}.npy",
        "rows": f"{stem}-rows.npy",
        "questions": len(lines),
        "with_distractors": sum(len(answers) > 1 for _, answers in lines),
        "tokens": len(stream),
        "sha256": question_hash(stream, table),
    }


def question_hash(stream: Any, table: Any) -> str:
    """SHA-256 of a set of questions: its tokens and its rows."""
    return hashlib.sha256(stream.tobytes() + table.tobytes()).hexdigest()
