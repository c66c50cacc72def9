"""Injections: small texts that are put into a run at places spread over it, each an experiment.

An injection is told by its *probes*, texts that a model should find likelier for having read it,
against its *controls*, texts of the same kind whose facts nobody injected (after 2509.23383).
Both are held out; both are scored in bits per byte, a text as a whole or what follows a context.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from mixopt.errors import InputError, did_you_mean, shorten
from mixopt.space.numbers import Within, check_value

INJECTION, CONTROL, DIFFERENCE = "injection", "control", "difference"
"""How the metrics of an injection begin; `difference` is the first less the second."""

FORM = "{documents: facts.jsonl, repetitions: 5, probes: asked.jsonl, controls: others.jsonl}"
_KEYS = ("documents", "repetitions", "probes", "controls")
_TEXTS = ("documents", "probes", "controls")
_MOST = 100_000

Pair = tuple[str, str]
"""A context, which may be empty, and what is scored behind it."""


@dataclass(frozen=True)
class Injection:
    """What is injected, and by what it is told.

    Attributes:
        name: of the experiment.
        documents: texts, or the path of a file or folder of documents.
        repetitions: how often a run reads each document.
        probes: held-out texts of what was injected, or the path of a .jsonl file of them.
        controls: the same of facts that were not.
    """

    name: str
    documents: str | tuple[str, ...]
    repetitions: int
    probes: str | tuple[Pair, ...]
    controls: str | tuple[Pair, ...]

    @property
    def paths(self) -> dict[str, str]:
        """The fields that are paths."""
        return {k: v for k, v in vars(self).items() if k in _TEXTS and isinstance(v, str)}


def injections_of(given: Any) -> dict[str, Injection]:
    """What a user wrote under `injections`: a mapping from name to `FORM`.

    Raises:
        InputError: another form, an unknown setting, no text, or the same text twice.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not given:
        raise InputError(
            f"injections is {shorten(repr(given), 60)}; give a mapping from name to {FORM}, or "
            "leave it out"
        )
    made = {str(name): _injection(str(name), values) for name, values in given.items()}
    lists = {name: of.documents for name, of in made.items() if isinstance(of.documents, tuple)}
    check_documents(lists)
    return made


def _injection(name: str, given: Any) -> Injection:
    where = f"injections: {name!r}"
    if not isinstance(given, Mapping):
        raise InputError(f"{where} is {shorten(repr(given), 60)}; give {FORM}")
    odd = next((str(key) for key in given if key not in _KEYS), None)
    if odd is not None:
        raise InputError(f"{where} has no setting {odd!r}; {did_you_mean(odd, _KEYS)}")
    missing = next((key for key in _KEYS if key != "repetitions" and key not in given), None)
    if missing is not None:
        why = {
            "documents": "what is injected",
            "probes": "held-out texts that show what was learnt of it",
            "controls": "texts of the same kind that were not injected, to compare with",
        }[missing]
        raise InputError(f"{where} has no {missing}; give {why}, as in {FORM}")
    repetitions = given.get("repetitions", 1)
    check_value(f"{where}: repetitions", repetitions, Annotated[int, Within(1, _MOST)])
    return Injection(
        name,
        _texts(f"{where}: documents", given["documents"]),
        repetitions,
        _asked(f"{where}: probes", given["probes"]),
        _asked(f"{where}: controls", given["controls"]),
    )


def _texts(where: str, given: Any) -> str | tuple[str, ...]:
    if isinstance(given, str) and given:
        return given
    texts = tuple(given) if isinstance(given, list | tuple) else ()
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise InputError(
            f"{where} is {shorten(repr(given), 60)}; give a list of texts that are not empty, or "
            "the path of a file"
        )
    return texts


def _asked(where: str, given: Any) -> str | tuple[Pair, ...]:
    if isinstance(given, str) and given:
        return given
    rows = given if isinstance(given, list | tuple) else ()
    if not rows:
        raise InputError(
            f"{where} is {shorten(repr(given), 60)}; give a list of texts, or the path of a .jsonl "
            "file"
        )
    return tuple(pair_of(f"{where}[{number}]", row) for number, row in enumerate(rows))


def pair_of(where: str, row: Any) -> Pair:
    """Context and scored text of a probe: a text, `{text}`, or `{context, continuation}`.

    Blanks at the end of a context belong to what follows: that is how tokenizers cut words.

    Raises:
        InputError: it is none of these, or has nothing to score.
    """
    if isinstance(row, str):
        row = {"text": row}
    keys = set(row) if isinstance(row, Mapping) else set()
    context, scored = "", ""
    if keys == {"text"}:
        scored = row["text"]
    elif keys == {"context", "continuation"}:
        context, scored = row["context"], row["continuation"]
    if not (isinstance(context, str) and isinstance(scored, str) and scored.strip()):
        raise InputError(
            f'{where} is {shorten(repr(row), 60)}; give a text that is not empty, {{"text": '
            '"..."}, or {"context": "...", "continuation": " ..."}'
        )
    stem = context.rstrip(" ")
    return stem, context[len(stem) :] + scored


def same(text: str) -> str:
    """What is the same for texts that differ in blanks and capitals alone."""
    return " ".join(text.split()).casefold()


def check_documents(documents: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse injections that overlap: what a probe then tells, nobody knows.

    Args:
        documents: by injection.

    Raises:
        InputError: a document is there twice, in two injections or in one.
    """
    for name, text, other in _twice(documents):
        shown = shorten(repr(text), 60)
        if name == other:
            raise InputError(
                f"injections: {name!r} holds the document {shown} twice; leave one out, and give "
                "more repetitions to have all of them read more often"
            )
        raise InputError(
            f"injections: {other!r} and {name!r} overlap: both hold the document {shown}; leave it "
            "out of one, or make one injection of the two"
        )


def _twice(documents: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str, str]]:
    seen: dict[str, str] = {}
    for name, texts in documents.items():
        for text in texts:
            if same(text) in seen:
                yield name, text, seen[same(text)]
            seen[same(text)] = name


def check_controls(
    name: str, controls: tuple[Pair, ...], documents: Mapping[str, tuple[str, ...]]
) -> None:
    """Refuse control facts that are injected.

    Raises:
        InputError: one is.
    """
    injected = {same(text): other for other, texts in documents.items() for text in texts}
    for context, scored in controls:
        text = context + scored
        if same(text) in injected:
            raise InputError(
                f"injections: {name!r}: the control {shorten(repr(text), 60)} is a document of "
                f"{injected[same(text)]!r}; controls are facts that no run reads: give another"
            )


def memorised(
    name: str, probes: tuple[Pair, ...], documents: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """A warning where probes are documents of the injection itself."""
    own = {same(text) for text in documents[name]}
    count = sum(same(context + scored) in own for context, scored in probes)
    if not count:
        return ()
    return (
        f"injection {name!r}: {count} of {len(probes)} probes are documents that it injects, so "
        "that its metric is of texts learnt by heart; paraphrases show what was learnt of them",
    )


def metrics_of(name: str) -> tuple[str, str, str]:
    """The metrics of an injection, in the order in which they are reported."""
    return f"{INJECTION}/{name}", f"{CONTROL}/{name}", f"{DIFFERENCE}/{name}"
