from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from proxies.corpus import encoder as encoder_module
from proxies.corpus.encoder import Encoder
from proxies.corpus.tokenizer import END_OF_DOCUMENT, train_tokenizer

TRAINING = [
    "The cat's whiskers weren't 12 cm long; they'll grow, I'd say.\n\n  def f(x):\n\treturn x**2\n",
    "Où est l'été? À Paris, ça coûte 3,50\u00a0€ l'après-midi … naïve façade œuvre\n",
] * 20


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer({"a": TRAINING}, 500)


def asked(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def looked_up(encoder: Encoder, text: str) -> list[int]:
    return np.frombuffer(encoder.text(text), encoder.dtype).tolist()


# characters on which cutting could go wrong: white space of all kinds, controls, letters and
# numbers of other scripts, combining marks, apostrophes before contractions
TRICKY = "'’ \t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u1680\u2003\u2028\u200b\u3000"
TRICKY += "sdmtlvre12²½Ⅷaéſßªμ中あ\u0301—_!<|>"
texts = st.lists(st.one_of(st.sampled_from(TRICKY), st.characters(codec="utf-8")), max_size=60).map(
    "".join
)


@settings(deadline=None, max_examples=200)
@given(texts)
@example("they'll 're's  'LL 'd\u00a0 'm")
@example(f"an {END_OF_DOCUMENT} inside")
@example("tabs\t\tand  \n\n  blanks \n")
def test_looking_words_up_gives_the_tokenizers_own_tokens(tokenizer, text: str):
    encoder = Encoder(tokenizer)
    assert looked_up(encoder, text) == asked(tokenizer, text)
    assert looked_up(encoder, text) == asked(tokenizer, text)  # now from the tables


def test_a_full_table_starts_anew_and_the_tokens_stay_the_same(tokenizer, monkeypatch):
    monkeypatch.setattr(encoder_module, "_KEPT", 3)
    encoder = Encoder(tokenizer)
    for text in TRAINING[:2] * 2:
        assert looked_up(encoder, text) == asked(tokenizer, text)
    assert len(encoder._runs) <= 3


def test_other_tokenizers_are_called_as_they_are():
    lower = Tokenizer(models.BPE())
    lower.normalizer = normalizers.Lowercase()
    lower.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    lower.train_from_iterator(
        TRAINING, trainers.BpeTrainer(vocab_size=300, special_tokens=[END_OF_DOCUMENT])
    )
    prefixed = train_tokenizer({"a": TRAINING}, 300)
    prefixed.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    for tokenizer in (lower, prefixed):
        for text in ("The CAT sat", "x"):
            assert looked_up(Encoder(tokenizer), text) == asked(tokenizer, text)


def test_documents_are_ended(tokenizer):
    encoder = Encoder(tokenizer)
    tokens = encoder.tokens(["one", "two"])
    end = tokenizer.token_to_id(END_OF_DOCUMENT)
    assert tokens[-1] == end
    assert (tokens == end).sum() == 2
    assert all(
        a <= b for a, b in pairwise([len(encoder.text("one")), len(encoder.document("one"))])
    )
