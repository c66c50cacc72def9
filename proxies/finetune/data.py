"""Instruction sets for supervised fine-tuning: read, split by content, tokenised once, drawn.

Notation:
    an example: ids (L,), of which those from `answer` on are learned; the rest is the prompt
    w: shares of a run's training tokens per set (prompts included)
"""

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import InputError
from mixopt.runs.schedule import Phases
from proxies.corpus.reading import read_rows as records_of
from proxies.corpus.userfiles import TextFile

_ROLES = ("prompt", "completion")
_CHUNK = 1000


@dataclass(frozen=True)
class Examples:
    """The examples of one set, end to end.

    Attributes:
        ids: (T,) token ids of all examples.
        ends: (n,) where each example ends in `ids`.
        answers: (n,) position within its example of the first token that is learned.
    """

    ids: NDArray[np.int32]
    ends: NDArray[np.int64]
    answers: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> tuple[NDArray[np.int32], int]:
        """Ids of an example, and where its answer begins."""
        start = int(self.ends[index - 1]) if index else 0
        return self.ids[start : int(self.ends[index])], int(self.answers[index])

    def take(self, count: int) -> "Examples":
        """The first examples."""
        ends = self.ends[:count]
        return Examples(self.ids[: int(ends[-1])], ends, self.answers[:count])

    def after(self, count: int) -> "Examples":
        """The examples that `take` leaves; at least one must be left."""
        start = int(self.ends[count - 1]) if count else 0
        return Examples(self.ids[start:], self.ends[count:] - start, self.answers[count:])


def read_rows(name: str, files: Sequence[TextFile]) -> Iterator[dict[str, Any]]:
    """The rows of a set, each once.

    Args:
        name: of the set, for messages.
        files: of JSON, parquet or Arrow.

    Raises:
        InputError: a file cannot be read, or a row has none of the known forms. Unlike training
            text, a broken row is refused: a set is small, and every row of it is meant.
    """
    seen: set[bytes] = set()
    for file in files:
        for where, values in records_of(name, file):
            row = _row(name, where, values)
            key = hashlib.sha256(json.dumps(row, sort_keys=True).encode()).digest()[:16]
            if key not in seen:
                seen.add(key)
                yield row


def held_out(row: Mapping[str, Any], fraction: float) -> bool:
    """Whether a row is for validation: decided by its content, the same on every machine."""
    digest = hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()
    return int(digest[:13], 16) / 16**13 < fraction


def encode_rows(tokenizer: Any, rows: Sequence[Mapping[str, Any]], max_length: int) -> Examples:
    """Tokenise rows; those whose answer begins beyond `max_length` tokens are left out."""
    pieces: list[list[int]] = []
    answers: list[int] = []
    for start in range(0, len(rows), _CHUNK):
        pairs = [_as_pair(tokenizer, row) for row in rows[start : start + _CHUNK]]
        prompts = _encode(tokenizer, [prompt for prompt, _ in pairs])
        completions = _encode(tokenizer, [completion for _, completion in pairs])
        first = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
        for prompt, completion in zip(prompts, completions, strict=True):
            before = first + prompt
            whole = [*before, *completion, tokenizer.eos_token_id][:max_length]
            # the first token of all has nothing before it to be predicted from
            answer = max(1, len(before))
            if answer < len(whole):
                pieces.append(whole)
                answers.append(answer)
    return Examples(
        np.array([i for piece in pieces for i in piece], dtype=np.int32),
        np.cumsum([len(piece) for piece in pieces], dtype=np.int64),
        np.array(answers, dtype=np.int32),
    )


class Drawing:
    """Which example comes next, by shares of tokens that may change on the way.

    It is of the set that is furthest behind the tokens that are due of it: its shares of the phases
    so far. So shares hold at any time to within an example. A set's order depends on seed and name
    alone and not on the mixture; each epoch is shuffled anew.

    Args:
        sets: the examples by name.
        seed: of their orders.

    Attributes:
        total: tokens drawn so far.
    """

    def __init__(self, sets: Mapping[str, Examples], seed: int) -> None:
        self._sets, self._seed = sets, seed
        self._due: dict[str, float] = {}  # at the beginning of the phase
        self._used: dict[str, int] = {}
        self._orders: dict[str, Iterator[int]] = {}
        self._shares: dict[str, float] = {}
        self._start = self.total = 0

    def turn(self, shares: Mapping[str, float], at: int) -> None:
        """Draw by these shares, above 0, from so many tokens on."""
        for name, share in self._shares.items():
            self._due[name] = self._due.get(name, 0.0) + share * (at - self._start)
        self._shares, self._start = dict(shares), at
        for name in self._shares:
            self._orders.setdefault(name, _order(len(self._sets[name]), self._seed, name))

    def next(self) -> tuple[str, int]:
        """Set and index of the next example."""
        gone, due, used = self.total + 1 - self._start, self._due, self._used
        shares = self._shares
        name = max(shares, key=lambda n: due.get(n, 0.0) + shares[n] * gone - used.get(n, 0))
        index = next(self._orders[name])
        length = len(self._sets[name][index][0])
        used[name], self.total = used.get(name, 0) + length, self.total + length
        return name, index


def draw(sets: Mapping[str, Examples], phases: Phases, seed: int) -> Iterator[tuple[int, str, int]]:
    """Phase, set and index of one example after another, endlessly; the last phase goes on."""
    drawing, start = Drawing(sets, seed), 0
    for number, (end, mixture) in enumerate(phases):
        drawing.turn({name: w for name, w in mixture.to_dict().items() if w > 0}, start)
        while drawing.total < end or number == len(phases) - 1:
            yield number, *drawing.next()
        start = end


def _order(count: int, seed: int, name: str) -> Iterator[int]:
    # crc32 and not hash(): the latter differs between processes
    generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
    while True:
        yield from generator.permutation(count).tolist()


def _row(name: str, where: str, row: Any) -> dict[str, Any]:
    if isinstance(row, dict):
        if all(isinstance(row.get(key), str) for key in _ROLES):
            return {key: row[key] for key in _ROLES}
        if isinstance(row.get("text"), str):
            return {"text": row["text"]}
        if _is_conversation(row.get("messages")):
            return {"messages": row["messages"]}
    raise InputError(
        f"domain {name!r}: {where} is no object with 'prompt' and 'completion', with 'messages' "
        "that end with the assistant's, or with 'text', each of them text; correct or remove it"
    )


def _is_conversation(messages: Any) -> bool:
    return (
        isinstance(messages, list)
        and bool(messages)
        and all(isinstance(m, dict) and isinstance(m.get("content"), str) for m in messages)
        and messages[-1].get("role") == "assistant"
    )


def _as_pair(tokenizer: Any, row: Mapping[str, Any]) -> tuple[str, str]:
    """Prompt and completion of a row; of a conversation, the assistant's last turn is learned."""
    if "messages" not in row:
        return row.get("prompt", ""), row.get("completion", row.get("text", ""))
    if not tokenizer.chat_template:
        raise InputError(
            "the tokenizer has no chat template to write 'messages' with; give 'prompt' and "
            "'completion', or a model that has one"
        )
    messages = row["messages"]
    prompt: str = tokenizer.apply_chat_template(
        messages[:-1], tokenize=False, add_generation_prompt=True
    )
    whole: str = tokenizer.apply_chat_template(messages, tokenize=False)
    if not whole.startswith(prompt):  # a template that writes earlier turns in another way
        return "", whole
    return prompt, whole[len(prompt) :]


def _encode(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return ids
