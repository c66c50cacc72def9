import base64
import gzip
import hashlib
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from mixopt import (
    Domain,
    Guard,
    MixtureSpace,
    Objective,
    Observation,
    Point,
    RunSpec,
    RunTable,
    Scale,
    plots,
    report,
)
from mixopt.designs import baselines
from mixopt.diagnostics import dependence, domain_values
from mixopt.evidence.confirmation import confirm
from mixopt.laws import Prediction
from mixopt.proposers import Active, Gain, Recommendation
from mixopt.report import HeldOut, ReportData, library, table_observations
from mixopt.report.wording import headline, qualities, verdict
from mixopt.runs.kinds import DESIGN, PROPOSAL, Kind

SMALL, LARGE = Scale(1000, 64_000), Scale(1000, 256_000)


class Page(HTMLParser):
    """What a reader and a browser get of the page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.attributes, self.words, self.blocks, self.tables = [], [], {}, []
        self.tags, self.scripts = set(), []
        self._inside, self._id, self._cell = [], None, None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, *pair) for pair in attrs]
        self.tags.add(tag)
        if tag in {"script", "style"}:
            self._inside.append(tag)
            self._id = dict(attrs).get("id")
        if tag == "table":
            self.tables.append([])
        if tag == "tr" and self.tables:
            self.tables[-1].append([])
        if tag in {"td", "th"} and self.tables[-1]:
            self._cell = []

    def handle_endtag(self, tag):
        if tag in {"script", "style"}:
            self._inside.pop()
        if tag in {"td", "th"} and self._cell is not None:
            self.tables[-1][-1].append("".join(self._cell))
            self._cell = None

    def handle_data(self, data):
        if self._inside:
            if self._inside[-1] == "script" and not self._id:
                self.scripts.append(data)
            if self._id:
                self.blocks[self._id] = self.blocks.get(self._id, "") + data
            return
        self.words.append(data)
        if self._cell is not None:
            self._cell.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def row(self, first):
        """The first row of any table that begins with this text, by heading."""
        for table in self.tables:
            for row in table[1:]:
                if row and row[0] == first:
                    return dict(zip(table[0], row, strict=True))
        raise AssertionError(f"no row {first!r}")

    def block(self, key):
        return json.loads(self.blocks[key])


def observe(mixture, kind, seed=0, scale=SMALL, shift=0.0):
    w = mixture.array
    loss = 2.5 + float(np.sum((w - 0.4) ** 2)) + shift
    spec = RunSpec(mixture, scale, seed=seed, trainer="lab:Trainer", data="ab12", kind=kind)
    curve = (Point(scale.tokens // 2, {"loss": loss + 0.5, "other": 4.0}),)
    metrics = {"loss": loss, "other": 3.0 + float(w[0])}
    return Observation.of(spec, metrics, curve=curve, flops=scale.flops, seconds=2.0)


def predict(W):
    loss = 2.5 + ((W - 0.4) ** 2).sum(axis=1)
    mean = np.column_stack([loss, 3.0 + W[:, 0]])
    return Prediction(mean, np.full_like(mean, 0.02), np.full(2, 0.01))


def study(names=("web", "code", "math"), *, tokens=1e9, runs=12, budget=4e9):
    """A finished study of these domains: search runs, a failure, recommendation, confirmation."""
    rng = np.random.default_rng(0)
    space = MixtureSpace([Domain(n, tokens=tokens) for n in names], budget=budget)
    W = rng.dirichlet(np.ones(len(names)), size=runs)
    seen = [observe(space.mixture(w), DESIGN if i % 2 else PROPOSAL) for i, w in enumerate(W)]
    broken = RunSpec(space.mixture(W[0]), SMALL, seed=9, kind=DESIGN)
    seen.append(Observation.failure(broken, "worker died <3 times>"))
    chosen = space.mixture(W[0])
    for name, mixture in ({"recommended": chosen} | baselines(space)).items():
        shift = -0.3 if name == "recommended" else 0.0
        for seed in (101, 102, 103):
            seen.append(observe(mixture, Kind.confirmation(name), seed, LARGE, shift + seed * 1e-3))
    objective = Objective.of("loss")
    Y = np.array([[o.metrics["loss"], o.metrics["other"]] for o in seen[:runs]])
    return ReportData(
        title="First light",
        space=space,
        objective=objective,
        observations=tuple(seen),
        recommendation=Recommendation(
            chosen,
            value=2.51234,
            sd=0.01,
            metrics={"loss": (2.51234, 0.01), "other": (3.2, 0.02)},
            intervals={n: (0.0123, 0.9456) for n in names},
            gains={"natural": Gain(0.2, 0.05, 0.15)},
            active=(Active("web <= 0.7", 0.4),),
        ),
        confirmation=confirm(seen, objective),
        held_out=HeldOut(("loss", "other"), Y, Y + 0.01, np.full_like(Y, 0.02)),
        predict=predict,
        metrics=("loss", "other"),
        unit="bits/byte",
        laws={"loss": {"gp": 0.6, "log-linear": 0.4}},
        facts={"Version": "0.1.0", "spec": {"seed": 0, "limit": float("nan")}, "sd": float("nan")},
        warnings=("wiki is seen 9 times & more",),
    )


@pytest.fixture(scope="module")
def full():
    data = study()
    return data, Page(report.render(data))


def test_the_mixture_table_shows_the_numbers_that_went_in(full):
    data, page = full
    for name, share in data.recommendation.mixture.to_dict().items():
        row = page.row(name)
        assert float(row["recommended"].removesuffix(" %")) == pytest.approx(share * 100, abs=0.05)
        assert row["natural"] == "33.3 %"
        assert row["interval"] == "1.2 % – 94.6 %"
        assert row["tokens available"] == "1B"
        assert float(row["epochs in the target run"]) == pytest.approx(share * 4, abs=0.005)
    widths = [float(v[6:-1]) for tag, key, v in page.attributes if (tag, key) == ("i", "style")]
    shares = np.sort(data.recommendation.mixture.array)[::-1]
    assert widths == pytest.approx(100 * shares / shares[0], abs=0.06)  # bars are in proportion
    assert "web <= 0.7" in page.text


def test_the_comparison_shows_means_differences_and_what_is_beyond_noise(full):
    data, page = full
    for candidate in data.confirmation.candidates:
        row = page.row(candidate.name)
        assert row["mean (bits/byte)"] == f"{candidate.mean:.4f}"
        assert (row["sd"], row["seeds"]) == (f"{candidate.sd:.4f}", "3")
    for c in data.confirmation.comparisons:
        row = page.row(c.baseline)
        assert row["worse by"] == f"+{c.difference:.4f}"
        assert row["90 % interval"] == f"+{c.low:.4f} to +{c.high:.4f}"
        assert row["beyond noise?"] == ("yes" if c.beyond_noise else "no")


def test_the_answer_says_shares_result_and_verdict(full):
    data, page = full
    best = data.confirmation.recommended.mean
    assert f"measured {best:.4f} bits/byte on loss over 3 fresh seeds" in page.text
    assert data.confirmation.verdict in page.text
    assert "Reasons for doubt" in page.text
    assert "wiki is seen 9 times & more" in page.text
    named = re.search(r"Train on (.*?): measured", headline(data)).group(1)
    for part in re.split(r", | and ", named):
        share, name = part.rsplit(" ", 1)
        assert page.row(name)["recommended"] == share  # one rounding


def test_runs_failures_and_origin_are_on_the_page(full):
    data, page = full
    runs = page.block("runs-data")
    assert len(runs["rows"]) == len(data.observations)
    keys = [c["key"] for c in runs["columns"]]
    first = dict(zip(keys, runs["rows"][0], strict=True))
    seen = data.observations[0]
    assert first["run"] == seen.run_id
    assert first["loss"] == pytest.approx(seen.metrics["loss"], rel=1e-5)
    assert first["w/web"] == pytest.approx(seen.spec.mixture["web"], rel=1e-5)
    failed = next(o for o in data.observations if not o.ok)
    assert page.row(failed.run_id)["reason"] == "worker died <3 times>"
    for fact in ("lab:Trainer", "ab12", "0, 9, 101, 102, 103", "0.1.0", "60 %", "4B tokens"):
        assert fact in page.text


def test_every_figure_is_there_and_offers_its_metrics(full):
    data, page = full
    wanted = ["mixture-figure", "gain", "confirmed", "responses", "held-out", "calibration"]
    wanted += ["learning", "best"]
    drawings = {key: page.block(f"plot-{key}-data") for key in wanted}
    assert {k: len(v) for k, v in drawings.items() if len(v) > 1} == {
        "responses": 2,
        "held-out": 2,
        "learning": 2,
    }
    bars = drawings["mixture-figure"][0]["data"][0]
    assert dict(zip(bars["y"], bars["x"], strict=True)) == pytest.approx(
        data.recommendation.mixture.to_dict(), rel=1e-5
    )


def test_curves_say_how_early_they_foretell_their_end(full):
    _, page = full
    assert "Learning curves have 2 points at most, and 5 are needed to say" in page.text


def test_what_domains_are_worth_is_a_table_with_its_noise(full):
    data, _ = full
    told = domain_values(
        ["web", "code"],
        ["loss", "other"],
        data.objective,
        controls=np.array([[2.0, 3.0], [2.02, 3.1]]),
        tails=np.array([[[1.9, 3.3], [1.93, 3.4]], [[2.2, 2.9], [2.24, 3.0]]]),
        tail=0.2,
    )
    page = Page(report.render(replace(data, domain_values=told)))
    assert "What each domain is worth at the end of a run" in page.text
    assert "whose last 20 % has the domain alone" in page.text
    (table,) = [t for t in page.tables if t and "as measured" in t[0]]
    web, code = (dict(zip(table[0], row, strict=True)) for row in table[1:])
    assert web["domain"] == "web"
    assert web["as measured"] == "+0.0950"
    assert web["gain in other"].startswith("−")
    assert code[""] == "worse"
    (picture,) = page.block("plot-domain-values-data")
    assert picture["layout"]["yaxis"]["ticktext"] == ["code", "web"]  # from the bottom up


def test_the_page_needs_no_network(full):
    _, page = full
    for _, name, value in page.attributes:
        assert name not in {"src", "srcset", "action", "background"}
        assert not (name == "href" and not value.startswith("#"))
        assert "url(" not in (value or "")
    assert not any(tag in {"link", "img", "iframe", "object"} for tag, *_ in page.attributes)


def test_the_library_is_the_published_one_packed_once():
    assert hashlib.sha256(library.source()).hexdigest() == library.SHA256
    assert f"v{library.VERSION}".encode() in library.source()[:200]
    text = report.render(study())
    assert text.count(library.packed()) == 1
    assert gzip.decompress(base64.b64decode(library.packed())) == library.source()
    assert len(text.encode()) < 1_200_000
    assert len(report.render(bare(study())).encode()) < 1_000_000


def test_pictures_are_of_kinds_that_the_library_can_draw(full):
    _, page = full
    drawn = {
        trace["type"]
        for key in page.blocks
        if key.startswith("plot-")
        for drawing in page.block(key)
        for trace in drawing["data"]
    }
    assert drawn
    assert drawn <= library.TRACES
    for kind in library.TRACES:
        assert f'moduleType:"trace",name:"{kind}"'.encode() in library.source()


NASTY = ("<b>bold</b>", "a&amp", "</script><script>alert(1)</script>", "q\"uo'te")


def test_names_are_escaped_wherever_they_stand():
    data = replace(study(NASTY), title="<i>T</i> & </title>", warnings=("<img src=x>",))
    page = Page(report.render(data))
    assert page.tags.isdisjoint({"img"})
    assert "alert(1)" not in "".join(page.scripts)
    for name in NASTY:
        assert page.row(name)["natural"] == "25.0 %"
    columns = {c["name"] for c in page.block("runs-data")["columns"]}
    assert set(NASTY) <= columns
    assert "<i>T</i> & </title>" in page.text
    assert "<img src=x>" in page.text


def bare(data, **changes):
    empty = {
        "recommendation": None,
        "confirmation": None,
        "held_out": None,
        "predict": None,
        "laws": {},
        "facts": {},
        "warnings": (),
    }
    return replace(data, **{**empty, **changes})


def of_table():
    rng = np.random.default_rng(1)
    W = rng.dirichlet(np.ones(3), size=9)
    frame = pd.DataFrame(W, columns=["w/web", "w/code", "w/math"])
    frame["m/loss"], frame["m/other"] = W[:, 0] + 2.0, np.where(W[:, 1] > 0.3, np.nan, 1.0)
    return RunTable.from_frame(frame)


def one_domain():
    space = MixtureSpace({"web": None})
    runs = tuple(observe(space.natural, DESIGN, seed) for seed in range(3))
    found = Recommendation(
        space.natural, value=2.8, sd=float("nan"), metrics={}, intervals={"web": (1.0, 1.0)}
    )
    return ReportData(
        "one", space, Objective.of("loss"), runs, found, predict=predict, metrics=("loss", "other")
    )


def unsure():
    """Every number of the recommendation is missing; confirmed with one seed each."""
    data = study()
    nan = float("nan")
    found = replace(
        data.recommendation,
        value=nan,
        sd=nan,
        intervals={"web": (nan, nan)},
        gains={"natural": Gain(nan, nan, nan)},
    )
    seen = [o for o in data.observations if o.spec.seed in {0, 101}]
    held = replace(data.held_out, observed=np.full_like(data.held_out.observed, nan))
    return replace(
        data, recommendation=found, confirmation=confirm(seen, data.objective), held_out=held
    )


def only_failures():
    data = study()
    return bare(data, observations=tuple(o for o in data.observations if not o.ok))


DEGRADED = {
    "nothing at all": lambda: bare(study(), observations=()),
    "only failed runs": only_failures,
    "runs without a law": lambda: bare(study()),
    "not confirmed": lambda: replace(study(), confirmation=None),
    "numbers missing": unsure,
    "one domain": one_domain,
    "sixty domains": lambda: study(tuple(f"domain_{i}" for i in range(60)), runs=20),
    "unknown tokens": lambda: study(tokens=None, budget=None),
    "table alone": lambda: bare(study(), observations=table_observations(of_table())),
    "maximised": lambda: replace(
        bare(study()), objective=Objective.of({"other": 1, "loss": 1}, maximize=("other",))
    ),
    "metric of nobody": lambda: replace(
        study(), confirmation=None, objective=Objective.of({"loss": 1, "absent": 1})
    ),
    "guard of nobody": lambda: replace(
        study(), objective=Objective({"loss": 1.0}, guards=(Guard("absent", 0.01),))
    ),
}


@pytest.mark.parametrize("case", DEGRADED)
def test_what_is_missing_is_left_out_and_never_shown_as_a_number(case):
    page = Page(report.render(DEGRADED[case]()))
    assert not re.search(r"\b(nan|inf|none|null)\b", page.text, flags=re.IGNORECASE)
    assert "How it was made" in page.text
    for key in page.blocks.keys() - {"library"}:
        page.block(key)  # strict JSON: NaN would not be valid in a browser


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("nothing at all", "No run has finished yet."),
        ("only failed runs", "No run has succeeded: 1 run failed"),
        ("runs without a law", "no law has been fitted to them yet"),
        ("not confirmed", "all that follows are predictions of the fitted law"),
        ("numbers missing", "the noise is unknown and nothing is shown"),
    ],
)
def test_the_page_says_how_far_the_study_has_come(case, sentence):
    assert sentence in Page(report.render(DEGRADED[case]())).text


def test_a_recommendation_that_lost_is_said_to_be_not_shown():
    data = study()
    seen = [
        replace(o, metrics={"loss": o.metrics["loss"] + 5.0})
        if o.spec.kind.confirms == "recommended"
        else o
        for o in data.observations
    ]
    found = verdict(replace(data, confirmation=confirm(seen, data.objective)))
    assert (found.state, found.badge) == ("not-shown", "Not shown")
    assert "loses to" in found.sentence
    lost = replace(data, confirmation=confirm(seen, data.objective))
    assert "higher (worse) than the natural mixture, beyond noise" in headline(lost)
    assert "Train on" not in headline(lost)


def test_a_random_run_that_beats_the_recommendation_is_no_green_light():
    data = study()
    mixture = data.space.natural
    rivals = [
        observe(mixture, Kind.confirmation("best-random"), s, LARGE, -2.0) for s in (101, 102, 103)
    ]
    confirmation = confirm([*data.observations, *rivals], data.objective)
    assert confirmation.passed
    found = verdict(replace(data, confirmation=confirmation))
    assert (found.state, found.badge) == ("not-shown", "Beaten")
    assert "train that one" in found.sentence


def test_quality_is_measured_and_put_in_words():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(200, 1))
    noisy = HeldOut(("m",), y, y + 0.1 * rng.normal(size=y.shape), np.full_like(y, 0.1))
    (good,) = qualities(noisy)
    assert good.rank > 0.97
    assert good.error == pytest.approx(0.1, rel=0.15)
    assert good.coverage == pytest.approx(0.9, abs=0.06)
    assert good.words == "ranks mixtures reliably"
    (blind,) = qualities(replace(noisy, mean=rng.normal(size=y.shape)))
    assert blind.words.startswith("hardly ranks mixtures")
    assert blind.words.endswith("its intervals are too narrow")


def test_a_table_becomes_observations_with_the_same_numbers():
    table = of_table()
    seen = table_observations(table, domains=("math", "web", "code"))
    assert len(seen) == len(table)
    assert seen[0].spec.mixture.domains == ("math", "web", "code")
    assert seen[0].spec.mixture["web"] == pytest.approx(table.W[0, 0])
    assert seen[0].metrics["loss"] == pytest.approx(table.metric("loss")[0])
    assert any("other" not in o.metrics for o in seen)


def test_pages_need_no_plotly_for_python(monkeypatch):
    for name in ("plotly", "plotly.graph_objects", "plotly.offline"):
        monkeypatch.setitem(sys.modules, name, None)
    page = Page(report.render(study()))
    assert page.row("web")["natural"] == "33.3 %"
    assert page.block("plot-gain-data")


def test_experiments_that_were_tested_stand_in_place_of_a_mixture(full):
    data, _ = full
    told = dependence(
        ["rivers & co", "lakes", "kings"],
        base=np.array([[0.0, 0.1, 0.2], [0.2, 0.0, 0.1], [0.1, 0.2, 0.0]]),
        alone=np.array([[-2.0, -1.5, 0.1], [0.1, -2.0, 0.2], [0.1, 0.1, np.nan]]),
        joint=np.array([-2.0, -2.1, -2.0]),
    )
    page = Page(report.render(replace(data, dependence=told)))
    assert "They interfere: lakes in rivers & co. Run these apart." in page.text
    assert "No mixture was searched" in page.text
    assert "The mixture" not in page.text
    (picture,) = page.block("plot-dependence-data")
    (cells,) = picture["data"]
    assert cells["x"] == ["rivers &amp; co", "lakes", "kings"]
    assert cells["z"][0][0] is None  # what an experiment does to itself would hide the others
    assert [[bool(mark) for mark in row] for row in cells["text"]] == told.flagged.tolist()
    assert told.flagged.sum() == 1
    table = next(t for t in page.tables if t and t[0][0] == "change in")
    assert table[1][1:3] == [f"{'−'}2.1000", f"−1.6000{plots.MARK}"]
    assert "three experiments do together stays unseen" in page.text
