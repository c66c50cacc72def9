"""Domains that are another one's text under an objective: lengths, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from mixopt.errors import InputError
from proxies.corpus import Corpus, CorpusConfig, load_corpus
from proxies.corpus.objectives import DEFAULTS, Derived, Objective


# UL2 (arXiv 2205.05131), in the form of T5: 512 tokens of text; n, s, prefix, targets
@pytest.mark.parametrize(
    ("rate", "span", "hidden", "spans", "lengths"),
    [
        (0.15, 3, 77, 26, (462, 104)),
        (0.15, 8, 77, 10, (446, 88)),
        (0.5, 3, 256, 85, (342, 342)),
        (0.5, 8, 256, 32, (289, 289)),
        (0.15, 64, 77, 1, (437, 79)),
        (0.5, 64, 256, 4, (261, 261)),
        (0.15, 32, 77, 2, (438, 80)),
    ],
)
def test_lengths_are_the_published_ones(rate, span, hidden, spans, lengths):
    objective = Objective("x", span, rate)
    assert objective.most(512) == (hidden, spans)
    assert objective.lengths(hidden, spans, 512) == lengths


@pytest.mark.parametrize("objective", DEFAULTS.values(), ids=lambda o: o.name)
@pytest.mark.parametrize("context", [64, 65, 127, 256])
def test_as_much_text_is_taken_as_fills_a_sequence(objective: Objective, context: int):
    tokens = objective.source_tokens(context)
    filled = sum(objective.lengths(*objective.most(tokens), tokens))
    more = sum(objective.lengths(*objective.most(tokens + 1), tokens + 1))
    assert filled <= context + 1 < more


def test_the_defaults_are_as_published():
    given = {name: (o.span, o.rate) for name, o in DEFAULTS.items() if name in ("r", "x")}
    assert given == {"r": (3, 0.15), "x": (3, 0.5)}
    assert DEFAULTS["s"].most(512) == (128, 1)  # a quarter of the text


def build(text: dict[str, str], cache: Path, **more: Any) -> Corpus:
    domains = {**text, **more.pop("domains", {})}
    return load_corpus(CorpusConfig(domains=domains, vocab=300, **more), cache)


def test_a_derived_domain_has_its_sources_text_and_a_part_of_its_prior(text, cache):
    plain = build(text, cache)
    more = {
        "birds_r": {"source": "birds", "objective": "r"},
        "birds_x": {"source": "birds", "objective": "x", "span": 4, "rate": 0.4},
    }
    scored = {"rocks_s": {"source": "rocks", "objective": "s"}}
    corpus = build(text, cache, domains=more, validation=scored, sentinels=9)
    assert corpus.domains == ("birds", "rocks", "birds_r", "birds_x")
    assert corpus.validation_sets == ("birds", "rocks", "birds_r", "birds_x", "rocks_s")
    assert corpus.vocab == plain.vocab + 2 + 9
    assert corpus.boundary == plain.vocab
    assert corpus.token_bytes[plain.vocab :].tolist() == [0] * 11
    assert (corpus.train_tokens("birds_r") == plain.train_tokens("birds")).all()
    assert (corpus.validation_tokens("rocks_s") == plain.validation_tokens("rocks")).all()
    natural, before = corpus.natural_sizes(), plain.natural_sizes()
    assert natural["birds"] == natural["birds_r"] == natural["birds_x"] == before["birds"] / 3
    assert natural["rocks"] == before["rocks"]
    assert corpus.derived["birds_x"] == Derived("birds", Objective("x", 4, 0.4))
    assert corpus.tags("birds_x") == {"source": "birds", "objective": "x"}
    assert corpus.tags("rocks") == {"source": "rocks", "objective": "causal"}
    assert plain.tags("rocks") == {}
    assert plain.boundary is None
    assert corpus.sha256 != plain.sha256
    corpus.verify()


def test_a_corpus_that_is_built_on_disk_is_the_same(text, cache, tmp_path):
    domains = {**text, "birds_r": {"source": "birds", "objective": "r"}}
    config = CorpusConfig(domains=domains, vocab=300)
    streamed = load_corpus(config, tmp_path, streaming=True, workers=1)
    assert streamed.derived == load_corpus(config, cache).derived
    assert streamed.vocab == load_corpus(config, cache).vocab


def test_a_corpus_without_objectives_knows_nothing_of_them(text, cache):
    corpus = build(text, cache)
    assert not {"objectives", "sentinels"} & corpus.manifest.keys()
    assert "sentinels" not in CorpusConfig(domains=text).fingerprint()


def test_built_in_domains_may_be_scored_under_an_objective():
    scored = {"code_fill": {"source": "cpp", "objective": "infill"}}
    config = CorpusConfig(validation=scored)
    assert config.derived_sets()["code_fill"].source == "cpp"
    assert config.validation_sources() == {}


WRONG = [
    ({"source": "birds", "objective": "rr"}, "no objective 'rr'.*did you mean 'r'"),
    ({"source": "birds"}, "'d' is 'birds' again"),
    ({"objective": "r"}, "'d'.*needs the domain whose text it takes"),
    ({"source": "bird", "objective": "r"}, "no domain 'bird'.*did you mean 'birds'"),
    ({"source": "e", "objective": "r"}, "'d'.*its source 'e' is itself 'birds'.*name 'birds'"),
    ({"source": "birds", "objective": "x", "rate": 0.25}, "'d' has the source.*of 'e'"),
    ({"source": "birds", "objective": "r", "rate": 0}, "rate is 0"),
    ({"source": "birds", "objective": "r", "rate": 1}, "rate is 1; give a share.*below 1"),
    ({"source": "birds", "objective": "r", "rate": "x"}, "rate is the text 'x'"),
    ({"source": "birds", "objective": "r", "span": 0.5}, "span is 0.5"),
    ({"source": "birds", "objective": "s", "span": 3}, "hides one span"),
    ({"source": "birds", "objective": "infill", "rate": 0.5}, "rate is 0.5.*below 0.5"),
    ({"source": "birds", "objective": "r", "path": "x"}, "no setting 'path'"),
]


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_what_is_no_objective_is_refused_by_name(text, given, message):
    other = {"source": "birds", "objective": "x", "rate": 0.25}
    order = {"e": other, "d": given} if "of 'e'" in message else {"d": given, "e": other}
    with pytest.raises(InputError, match=message):
        CorpusConfig(domains={**text, **order})


def test_names_and_sentinels_that_clash_are_refused(text):
    derived = {"source": "birds", "objective": "r"}
    for validation in ({"d": text["rocks"]}, {"rocks": derived}):
        with pytest.raises(InputError, match=r"validation: .*rename the set"):
            CorpusConfig(domains={**text, "d": derived}, validation=validation)
    with pytest.raises(InputError, match="sentinels is 5 and no domain"):
        CorpusConfig(domains=text, sentinels=5)
    with pytest.raises(InputError, match="sentinels is 0"):
        CorpusConfig(domains={**text, "d": derived}, sentinels=0)


def test_a_context_that_makes_another_objective_of_it_is_refused_with_what_to_do():
    with pytest.raises(InputError, match=r"'d'.*less than half a span of 64; set a `context`"):
        Objective("x", 64, 0.15).check("d", 64, 32)
    Objective("x", 64, 0.15).check("d", 256, 32)
    with pytest.raises(InputError, match=r"up to 64 spans.*set `sentinels` to 64") as refused:
        DEFAULTS["x"].check("d", 512, 32)
    assert "context of 512" in str(refused.value)
    DEFAULTS["x"].check("d", 512, 64)
    with pytest.raises(InputError, match="do not lie apart; set a larger `span`"):
        Objective("x", 1, 0.8).check("d", 64, 64)
    for name, objective in DEFAULTS.items():  # at every context that proxies have by themselves
        for context in (64, 128, 256):
            objective.check(name, context, 32)
