"""The worker: reads tasks as JSON lines, answers with JSON lines; started by `pool`.

A program of its own and not a forked or spawned copy of the driver: it runs none of the driver's
`__main__`, holds none of its memory, and ends with it, as its input does.
"""

import json
import os
import sys
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from mixopt.errors import InputError
from proxies.corpus.encoder import Encoder
from proxies.corpus.streaming.duplicates import settle
from proxies.corpus.streaming.encode import encode_bucket, encode_few
from proxies.corpus.streaming.extract import extract
from proxies.corpus.streaming.plan import TOKENIZER_FILE, Plan
from proxies.corpus.tokenizer import load_tokenizer

Task = dict[str, Any]


class Work:
    """What a worker keeps between tasks: the plan, the list of segments, the tokenizer's tables."""

    def __init__(self, folder: Path) -> None:
        self._plan = Plan.load(folder)

    @cached_property
    def _segments(self) -> list[tuple[int, int]]:
        return all_segments(self._plan)

    @cached_property
    def _encoder(self) -> Encoder:
        return Encoder(load_tokenizer(self._plan.folder / TOKENIZER_FILE))

    def do(self, task: Task) -> dict[str, Any]:
        """Carry out one task.

        Raises:
            InputError: the text or the tokenizer cannot be used.
            OSError: a file cannot be read or written.
        """
        match task["stage"]:
            case "extract":
                return extract(self._plan, task["part"])
            case "settle":
                return settle(self._plan, self._segments, task["bucket"])
            case "few":
                return encode_few(self._plan, self._encoder, self._segments, task["rank"])
            case _:
                at = (task["rank"], task["bucket"])
                return encode_bucket(self._plan, self._encoder, self._segments, at, task["wanted"])


def all_segments(plan: Plan) -> list[tuple[int, int]]:
    """(part, number) of every segment, once all parts are done."""
    return [
        (part, number)
        for part in range(len(plan.parts))
        for number in range(extract(plan, part)["segments"])
    ]


def serve(folder: Path, tasks: IO[str], answers: IO[str]) -> None:
    """Carry out tasks until there are no more."""
    work = Work(folder)
    for line in tasks:
        try:
            answer: dict[str, Any] = {"done": work.do(json.loads(line))}
        except InputError as error:
            answer = {"input": str(error)}
        except OSError as error:
            answer = {"errno": error.errno, "message": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # this process's own: one thread each
    # what libraries print must not mix with the answers
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as own:
        os.dup2(2, 1)
        serve(Path(sys.argv[1]), sys.stdin, own)
