"""The answer as a still picture: what it says, what it leaves out, and that it is small."""

import re
from dataclasses import replace

import numpy as np
import pytest

from mixopt import InputError, MixtureSpace, Objective, Observation, RunSpec, Scale, report
from mixopt.designs import baselines
from mixopt.diagnostics import dependence
from mixopt.evidence.confirmation import confirm
from mixopt.proposers import Gain, Recommendation
from mixopt.report import ReportData
from mixopt.runs.kinds import RECOMMENDED, Kind

pytest.importorskip("matplotlib")


def study(names=("web", "code", "math")):
    """A study whose recommendation beats every baseline with three fresh seeds."""
    space, objective = MixtureSpace(names), Objective.of("loss")
    chosen = space.mixture(np.random.default_rng(0).dirichlet(np.ones(len(names))))
    seen = []
    for name, mixture in ({RECOMMENDED: chosen} | baselines(space)).items():
        loss = 2.5 + float(np.abs(mixture.array - chosen.array).sum())
        for seed in (101, 102, 103):
            spec = RunSpec(mixture, Scale(1, 1), seed=seed, kind=Kind.confirmation(name))
            seen.append(Observation.of(spec, {"loss": loss + seed * 1e-4}))
    answer = Recommendation(
        chosen,
        value=2.5,
        sd=0.01,
        metrics={"loss": (2.5, 0.01)},
        intervals=dict.fromkeys(names, (0.01, 0.4)),
        gains={"uniform": Gain(0.2, 0.05, 0.15)},
        active=(),
    )
    shown = confirm(seen, objective)
    return ReportData("x", space, objective, tuple(seen), answer, shown, unit="bits/byte")


def said(drawn):
    """Letters are outlines; matplotlib keeps each text beside them as a comment."""
    return [text.strip() for text in re.findall(r"<!-- (.*?) -->", drawn.decode(), re.DOTALL)]


def test_the_picture_says_what_the_first_card_says_and_names_every_candidate():
    data = study(("web", r"a$\frac$b", "<math>"))
    drawn = report.picture(data)
    words = said(drawn)
    assert "Shown" in words
    assert any(word.startswith("Train on ") for word in words)
    assert {"recommended", "uniform", r"a$\frac$b", "&lt;math&gt;"} <= set(words)
    assert drawn == report.picture(data)
    assert len(drawn) < 150_000


def test_of_sixty_domains_the_largest_are_drawn_and_the_rest_is_counted():
    drawn = report.picture(study(tuple(f"domain-{i}" for i in range(60))))
    assert "48 others" in said(drawn)
    assert len(drawn) < 150_000


def test_without_fresh_seeds_predictions_are_drawn_and_called_so():
    words = said(report.picture(replace(study(), confirmation=None)))
    assert "Not tested" in words
    assert any("predicted gain" in word for word in words)


def test_formats_and_what_cannot_be_drawn():
    assert report.picture(study(), "png").startswith(b"\x89PNG")
    assert report.picture(study(), "pdf").startswith(b"%PDF")
    with pytest.raises(InputError, match=r"cannot draw a picture as 'gif'.*\.svg, \.png, \.pdf"):
        report.picture(study(), "gif")
    with pytest.raises(InputError, match=r"no answer to draw yet"):
        report.picture(replace(study(), recommendation=None))


def test_experiments_that_were_tested_are_drawn_in_place_of_a_mixture():
    told = dependence(
        ["rivers", "lakes"],
        base=np.array([[0.0, 0.1], [0.2, 0.0], [0.1, 0.2]]),
        alone=np.array([[-2.0, -1.5], [0.1, -2.0]]),
        joint=np.array([-2.0, -2.1]),
    )
    words = said(report.picture(replace(study(), dependence=told)))
    assert "They interfere: lakes in rivers. Run these apart." in words
    assert {"No search", "rivers", "lakes", "−1.6000 *", "−2.1000"} <= set(words)
    assert "recommended" not in words
