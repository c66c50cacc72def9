"""The tokenizer of a corpus: byte-level BPE trained on its domains, or the user's own."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from mixopt.errors import InputError

END_OF_DOCUMENT = "<|endoftext|>"
SAMPLE_BYTES = 200_000
"""Text of each domain on which the vocabulary is trained, so that each has an equal say."""


def train_tokenizer(texts: Mapping[str, Sequence[str]], vocab: int) -> Tokenizer:
    """A byte-level BPE tokenizer trained on an equal sample of every domain.

    Args:
        texts: training documents per domain.
        vocab: entries, at least 257: 256 bytes, the end of a document, then merges.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[END_OF_DOCUMENT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_sample(texts), trainer)
    return tokenizer


def _sample(texts: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for _, documents in sorted(texts.items()):
        size = 0
        for document in documents:
            if size >= SAMPLE_BYTES:
                break
            size += len(document)
            yield document


def load_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer from a `tokenizer.json` file.

    Raises:
        InputError: the file is none.
    """
    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # the library raises nothing narrower
        raise InputError(
            f"tokenizer: {str(path)!r} is no tokenizer.json of the `tokenizers` library ({error})"
        ) from error


def end_token(tokenizer: Tokenizer) -> int:
    """The id that ends a document: `<|endoftext|>`, `</s>` or `<eos>`.

    Raises:
        InputError: the vocabulary has none of them.
    """
    for name in (END_OF_DOCUMENT, "</s>", "<eos>", "<|end_of_text|>", "[SEP]"):
        token_id = tokenizer.token_to_id(name)
        if token_id is not None:
            return int(token_id)
    raise InputError(
        f"tokenizer: the vocabulary has no {END_OF_DOCUMENT!r}, '</s>' or '<eos>' to end documents "
        f"with; add {END_OF_DOCUMENT!r} as a special token"
    )


def token_bytes(tokenizer: Tokenizer) -> NDArray[np.int32]:
    """Bytes of text behind each token, shape (V,); 0 for special tokens.

    Byte-level vocabularies write one character per byte; those of sentencepiece kind write a blank
    as U+2581 and single bytes as `<0x0A>`.
    """
    alphabet = set(pre_tokenizers.ByteLevel.alphabet())
    special = set(tokenizer.get_added_tokens_decoder())
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    pieces = {index: piece for piece, index in tokenizer.get_vocab().items()}
    plain = [piece for index, piece in pieces.items() if index not in special]
    byte_level = all(set(piece) <= alphabet for piece in plain)
    lengths = np.zeros(max(size, max(pieces) + 1), dtype=np.int32)
    for index, piece in pieces.items():
        if index in special:
            continue
        if byte_level:
            lengths[index] = len(piece)
        elif len(piece) == 6 and piece.startswith("<0x"):
            lengths[index] = 1
        else:
            lengths[index] = len(piece.replace("\u2581", " ").encode())
    return lengths


def check_size(counted: int, text_bytes: int) -> None:
    """Refuse a tokenizer whose tokens do not account for the bytes of the text.

    Bits per byte would be wrong with it (a lower-casing or lossy one, or word pieces).

    Raises:
        InputError: the two differ by more than 2 %.
    """
    if abs(counted - text_bytes) > 0.02 * text_bytes:
        raise InputError(
            f"tokenizer: its tokens stand for {counted} bytes where the text has {text_bytes}; "
            "bits per byte need a lossless tokenizer (byte-level BPE, or sentencepiece with bytes)"
        )
