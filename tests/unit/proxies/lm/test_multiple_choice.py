import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import InputError
from mixopt.runs import RunSpec, Scale
from mixopt.space import Mixture
from proxies import LanguageModelTrainer
from proxies.corpus import CorpusConfig, load_corpus
from proxies.lm.multiple_choice import Questions, question_metrics, question_sets, windows

TINY = {"vocab": 300, "validation_fraction": 0.2, "context": 32, "width": 32, "bigrams": 512}


def questions(*rows: tuple[int, bool, int]) -> Questions:
    """Rows of (question, right, bytes); each is one window that scores two targets."""
    n = len(rows)
    return Questions(
        "quiz",
        ids=torch.arange(n)[:, None].expand(n, 5),
        scored=torch.tensor([[False, True, True, False]] * n),
        row=torch.arange(n),
        question=np.array([q for q, _, _ in rows]),
        right=np.array([r for _, r, _ in rows]),
        bytes=np.array([b for _, _, b in rows]),
    )


def of_rows(*bits: float):
    """A model that gives every target of a row so many bits."""
    return lambda ids: (torch.tensor(bits)[ids[:, 0]] * math.log(2))[:, None].expand(-1, 4)


def test_bits_per_byte_are_averaged_over_questions_and_only_answers_count():
    made = questions((0, True, 4), (1, True, 1))
    (found,) = question_metrics(made, of_rows(3.0, 1.0))
    assert found == {"quiz": pytest.approx((2 * 3 / 4 + 2 * 1 / 1) / 2)}
    assert made.metrics == ("quiz",)


def test_accuracy_goes_by_bits_per_byte_and_shares_ties():
    made = questions((0, True, 8), (0, False, 2), (1, True, 4), (1, False, 4), (2, True, 1))
    # question 0: the right answer has more bits, but fewer per byte; question 1: a tie
    (found,) = question_metrics(made, of_rows(4.0, 3.0, 2.0, 2.0, 9.0))
    assert found["quiz/accuracy"] == pytest.approx((1 + 0.5) / 2)
    assert made.metrics == ("quiz", "quiz/accuracy")


def test_a_pack_of_models_is_scored_in_one_go():
    made = questions((0, True, 2), (0, False, 2))
    models = [of_rows(1.0, 2.0), of_rows(2.0, 1.0)]
    pack = question_metrics(made, lambda ids: torch.stack([model(ids) for model in models]))
    assert pack == [question_metrics(made, model)[0] for model in models]
    assert [found["quiz/accuracy"] for found in pack] == [1.0, 0.0]


@given(st.integers(1, 50), st.integers(1, 90), st.integers(1, 20))
def test_windows_score_every_token_of_an_answer_once(prompt: int, answer: int, context: int):
    tokens = np.arange(prompt + answer)
    scored = []
    for window, count in windows(tokens, prompt, context):
        assert count < len(window) <= context + 1
        assert len(window) - 1 - count >= min(prompt - 1, context - max(1, context // 2))
        scored += window[-count:].tolist()
    assert scored == list(range(prompt, prompt + answer))


@pytest.fixture(scope="module")
def quiz(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("quiz") / "birds.jsonl"
    rows = [
        {
            "context": "line 0 robin heron finch ",
            "continuation": f"{bird} raven swift eagle",
            "distractors": [f"{rock} gneiss marble quartz", "zzzz qqqq ÿÿÿÿ"],
        }
        for bird, rock in (("crane", "basalt"), ("stork", "pumice"), ("heron", "flint"))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_questions_become_tokens_that_account_for_their_bytes(text, cache, quiz):
    corpus = load_corpus(CorpusConfig(domains=text, vocab=300, questions={"quiz": quiz}), cache)
    stream, rows = corpus.questions("quiz")
    assert corpus.question_metrics == ("quiz", "quiz/accuracy")
    assert len(rows) == 9
    for row in rows:
        answer = stream[row["start"] + row["prompt"] :][: row["answer"]]
        assert corpus.token_bytes[answer].sum() == row["bytes"]
    first = json.loads(Path(quiz).read_text().splitlines()[0])
    # the blank at the end of the context is part of what is asked for
    assert rows["bytes"][0] == len(" " + first["continuation"])
    (made,) = question_sets(corpus, 8, torch.device("cpu"))
    assert int(made.scored.sum()) == int(rows["answer"].sum())
    with_quiz, without = (
        load_corpus(CorpusConfig(domains=text, vocab=300, questions=q), cache).sha256
        for q in ({"quiz": quiz}, None)
    )
    assert with_quiz != without


def test_training_on_the_subject_makes_its_answers_likelier(text, cache, quiz):
    trainer = LanguageModelTrainer(domains=text, questions={"quiz": quiz}, **TINY)
    assert trainer.prepare(cache).metrics == ("birds", "rocks", "quiz", "quiz/accuracy")
    scale = Scale(20_000, 8_192)
    specs = [RunSpec(Mixture.of({name: 1.0}), scale) for name in ("birds", "rocks")]
    birds, rocks = trainer.train(specs, cache)
    assert birds.metrics["quiz"] < 0.8 * rocks.metrics["quiz"]
    assert birds.metrics["quiz/accuracy"] == 1.0
    assert rocks.metrics["quiz/accuracy"] < 0.5
    assert set(birds.curve[0].metrics) == set(birds.metrics)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no line"),
        ("{oops", "line 1.*no JSON"),
        ("[1]", "line 1"),
        ('{"context": "a"}', "line 1.*no question"),
        ('{"context": "a", "continuation": ""}', "line 1.*not empty"),
        ('{"context": "a", "continuation": "b", "distractors": "c"}', "line 1.*list"),
    ],
)
def test_a_broken_question_is_refused_with_its_line(content, message, text, cache, tmp_path):
    (tmp_path / "quiz.jsonl").write_text(content)
    broken = CorpusConfig(domains=text, vocab=300, questions={"q": str(tmp_path / "quiz.jsonl")})
    with pytest.raises(InputError, match=message):
        load_corpus(broken, cache)


def test_a_set_named_like_a_domain_is_refused(text, quiz):
    with pytest.raises(InputError, match=r"'birds'.*rename"):
        CorpusConfig(domains=text, questions={"birds": quiz})
