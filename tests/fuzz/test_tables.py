"""Tables that others wrote: a right answer, a warning, or one clear screen; never a crash.

Random tables of every kind (types, headers, separators, encodings, gaps, copies, extremes), and
tables with a known optimum that harmless and harmful columns are added to. MIXOPT_FUZZ_CASES is
the number of random cases of each kind.
"""

import io
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixopt import InputError, MixtureSpace, RunTable, Study, read_table
from mixopt.app.results import publish
from mixopt.diagnostics.unlike import doubts

CASES = int(os.environ.get("MIXOPT_FUZZ_CASES", "30"))
LIMIT_S = 10.0
FUZZ = settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
BEST = np.array([0.5, 0.3, 0.2])
DOMAINS = ("web", "code", "Wikipedia (en)")


def checked(make: Callable[[], RunTable]) -> RunTable | InputError:
    """A table that keeps its promises, or an error of one screen, within the limit."""
    started = time.process_time()
    try:
        table = make()
    except InputError as error:
        text = str(error)
        assert 10 < len(text) < 1500, text
        assert text.count("\n") < 20
        assert "Traceback" not in text
        return error
    finally:
        assert time.process_time() - started < LIMIT_S
    np.testing.assert_allclose(table.W.sum(axis=1), 1.0)
    assert (table.W >= 0).all()
    assert not np.isinf(table.Y).any()
    assert np.isfinite(table.Y).any()
    assert table.W.shape == (len(table), len(table.domains))
    assert not np.isinf(table.scales).any()
    assert not (table.scales <= 0).any()
    assert all(len(note) < 600 for note in table.notes)
    return table


# -- anything --------------------------------------------------------------------------------------

HEADERS = st.one_of(
    st.sampled_from(
        [
            "w/web",
            "w/code",
            "w/math",
            "m/loss",
            "m/acc",
            "m/_step",
            "w/index",
            "run",
            "run_id",
            "id",
            "name",
            "index",
            "params",
            "tokens",
            "seed",
            "cost",
            "status",
            "state",
            "step",
            "epoch",
            "_timestamp",
            "split",
            "web",
            "code",
            "loss",
            "Params",
            "n_tokens",
            "kind",
            "w_web",
            "W/Web",
            "metric/x",
            "error",
            "seconds",
            "failed",
        ]
    ),
    st.sampled_from(["", " ", "Unnamed: 0", "w/", "m/", "w/Wikipedia (en)", " m/ loss ", "w/a=b"]),
    st.text(max_size=12),
    st.text(max_size=8).map(lambda t: "w/" + t),
    st.text(max_size=8).map(lambda t: "m/" + t),
)
TOKENS = (
    *(
        "seed",
        "run",
        "`w/web`",
        "==",
        "!=",
        "<",
        ">",
        "<=",
        ">=",
        "in",
        "not",
        "and",
        "or",
        "(",
        ")",
    ),
    *("[", "]", ",", "1", "1e6", "'a'", '"b"', "+", "-", "*", "/", "%", "**", ".", "__class__"),
    *("@pd", "lambda", ":", "=", "is", "None", "True", "~", "&", "|", "`"),
)
CELLS = st.one_of(
    st.sampled_from([0, 1, 0.5, 0.25, 1e6, "1M", "1,000,000", "0,5", "3 h", "a", "ok", "failed"]),
    st.sampled_from(["", None, "nan", "inf", "-inf", "1e999", "-1", "True", "2024-01-01", "50%"]),
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(),
    st.text(max_size=8),
)


@st.composite
def wild(draw: Any) -> bytes:
    """Bytes of a file that may be a table."""
    headers = draw(st.lists(HEADERS, min_size=1, max_size=8))
    rows = draw(st.lists(st.lists(CELLS, min_size=0, max_size=9), max_size=6))
    separator = draw(st.sampled_from([",", ";", "\t", "|"]))
    frame = pd.DataFrame([r[: len(headers)] + [None] * (len(headers) - len(r)) for r in rows])
    if rows and draw(st.booleans()):
        frame = frame.reindex(columns=range(len(headers)))
        text = str(frame.to_csv(index=False, header=headers, sep=separator))
    else:
        lines = [headers, *rows]
        text = "\n".join(separator.join("" if c is None else str(c) for c in r) for r in lines)
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"]))
    content = text.encode(encoding, errors="replace")
    cut = draw(st.one_of(st.none(), st.integers(0, max(len(content), 1))))
    return content if cut is None else content[:cut] + draw(st.binary(max_size=3))


@FUZZ
@given(wild(), st.booleans())
def test_any_file_is_a_table_or_one_clear_screen(content: bytes, renormalize: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.csv"
        path.write_bytes(content)
        checked(lambda: read_table(path, renormalize=renormalize))


@st.composite
def frames(draw: Any) -> pd.DataFrame:
    """Frames with weights that may be right and columns of any kind."""
    n = draw(st.integers(1, 8))
    W = np.array(draw(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=n, max_size=n)))
    columns: dict[str, Any] = {"w/web": W, "w/code": 1 - W, "m/loss": np.arange(n) + 1.0}
    for name in draw(st.lists(HEADERS, max_size=5, unique=True)):
        columns[name] = draw(st.lists(CELLS, min_size=n, max_size=n))
    frame = pd.DataFrame({k: list(v) for k, v in columns.items()})
    return frame.sample(frac=1.0, axis=1, random_state=draw(st.integers(0, 9)))


@FUZZ
@given(frames(), st.sampled_from([None, "seed > 0", "`w/web` > 0", "split == 'a'", "run"]))
def test_any_frame_is_told_or_refused_and_what_is_told_is_fitted(
    frame: pd.DataFrame, where: str | None
) -> None:
    table = checked(lambda: RunTable.from_frame(frame, where=where))
    if isinstance(table, InputError):
        return

    def recommended() -> RunTable:
        study = Study(MixtureSpace(table.domains), publish.table_objective(table), law="log-linear")
        study.tell(table)
        assert abs(sum(study.recommend().mixture.weights) - 1) < 1e-9
        return table

    checked(recommended)


@FUZZ
@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(
            st.sampled_from(
                [
                    "seed",
                    "run",
                    "`w/web`",
                    "==",
                    "!=",
                    "<",
                    ">",
                    ">=",
                    "in",
                    "not",
                    "and",
                    "or",
                    "(",
                    ")",
                    "[",
                    "]",
                    ",",
                    "1",
                    "1e6",
                    "'a'",
                    '"b"',
                    "+",
                    "-",
                    "*",
                    "/",
                    "%",
                    "**",
                    ".",
                    "__class__",
                    "@pd",
                    "lambda",
                    ":",
                    "=",
                    "is",
                    "None",
                    "True",
                    "~",
                    "&",
                    "|",
                    "`",
                ]
            ),
            max_size=12,
        ).map(" ".join),
    )
)
def test_any_condition_picks_rows_or_is_refused(condition: str) -> None:
    frame = known_runs(5).assign(seed=[0, 1, 2, 0, 1])
    checked(lambda: RunTable.from_frame(frame, where=condition))


# -- a known optimum -------------------------------------------------------------------------------


def loss(W: np.ndarray) -> np.ndarray:
    return np.asarray(2.0 + 3.0 * ((W - BEST) ** 2).sum(axis=1))


def known_runs(n: int = 30, seed: int = 0) -> pd.DataFrame:
    """Runs whose loss is least at `BEST`, with a name each."""
    rng = np.random.default_rng(seed)
    W = np.round(rng.dirichlet(np.ones(3), size=n), 4)
    W[:, 2] = np.round(1 - W[:, 0] - W[:, 1], 4)
    W = np.clip(W, 0, 1)
    frame = pd.DataFrame(W, columns=[f"w/{d}" for d in DOMAINS])
    frame.insert(0, "run", [f"r{i}" for i in range(n)])
    return frame.assign(**{"m/loss": loss(W) + 0.003 * rng.standard_normal(n)})


@dataclass(frozen=True)
class Answer:
    """What was recommended, and what was said."""

    mixture: np.ndarray
    said: tuple[str, ...]

    @property
    def regret(self) -> float:
        """Of the answer, in shares of the spread of the loss over runs."""
        W = known_runs()[[f"w/{d}" for d in DOMAINS]].to_numpy()
        return float((loss(self.mixture[None])[0] - 2.0) / loss(W).std())


def answer(table: RunTable, **objective: Any) -> Answer:
    study = Study(
        MixtureSpace(table.domains), publish.table_objective(table, **objective), law="gp"
    )
    study.tell(table)
    shares = study.recommend().mixture.to_dict()
    said = (*table.notes, *doubts(study.table, study.surrogate.objective))
    return Answer(np.array([shares.get(d, 0.0) for d in DOMAINS]), said)


Change = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]
HARMLESS: dict[str, Change] = {
    "row numbers": lambda f, r: f.assign(**{"Unnamed: 0": np.arange(len(f))}),
    "index": lambda f, r: f.assign(index=r.permutation(len(f))),
    "timestamps": lambda f, r: f.assign(**{"m/_timestamp": 1.7e9 + r.random(len(f)) * 1e6}),
    "steps": lambda f, r: f.assign(**{"m/_step": r.integers(1, 1000, len(f)), "epoch": 1}),
    "one scale": lambda f, r: f.assign(params="1M", tokens="20,000,000"),
    "seeds": lambda f, r: f.assign(seed=r.integers(0, 5, len(f))),
    "cost": lambda f, r: f.assign(cost=r.random(len(f))),
    "status": lambda f, r: f.assign(status="finished"),
    "text": lambda f, r: f.assign(notes="a, b; c", split="train"),
    "settings": lambda f, r: f.assign(lr=0.001, batch_size=64),
    "numeric names": lambda f, r: f.assign(run=np.arange(len(f))),
    "order": lambda f, r: f.sample(frac=1.0, random_state=int(r.integers(99))),
    "column order": lambda f, r: f[f.columns[::-1]],
    "headers": lambda f, r: f.rename(columns=lambda c: f" {c.upper() if c == 'run' else c} "),
    "copies": lambda f, r: pd.concat([f, f.iloc[:7]]),
    "gaps": lambda f, r: f.assign(**{"m/loss": f["m/loss"].where(np.arange(len(f)) % 7 != 3)}),
    "rounded": lambda f, r: f.assign(**{f"w/{DOMAINS[0]}": f[f"w/{DOMAINS[0]}"].round(3)}),
}
HARMFUL: dict[str, Change] = {
    "failed runs": lambda f, r: _failed(f, status="crashed"),
    "diverged": lambda f, r: f.assign(**{"m/loss": _spike(f, np.inf)}),
    "exploded": lambda f, r: f.assign(**{"m/loss": _spike(f, 1e12)}),
    "overflow": lambda f, r: f.assign(**{"m/loss": _spike(f, 1e200)}),
    "another size": lambda f, r: _sizes(f, params=[1e6, 1e9]),
    "another length": lambda f, r: _sizes(f, tokens=[1e6, 1e9]),
    "a scale in half of the rows": lambda f, r: _sizes(f, params=[1e6, None], tokens=[1e7, 1e7]),
    "steps of runs": lambda f, r: pd.concat(
        [f.assign(step=1), f.assign(step=2, **{"m/loss": f["m/loss"] - 1})]
    ),
    "perplexity": lambda f, r: f.assign(**{"m/ppl": np.exp(5 + 3 * f["w/web"])}),
    "accuracy": lambda f, r: f.assign(**{"m/acc": 0.9 - f["m/loss"] / 9}),
    "a domain that is no share": lambda f, r: f.assign(**{"w/total": 1.0}),
    "percent": lambda f, r: f.assign(**{c: 100 * f[c] for c in f if c.startswith("w/")}),
    "text in a metric": lambda f, r: f.assign(
        **{"m/loss": f["m/loss"].astype(str).replace(f["m/loss"].astype(str).iloc[3], "OOM")}
    ),
    "a negative share": lambda f, r: f.assign(**{"w/web": f["w/web"] - 1}),
}


def _spike(f: pd.DataFrame, value: float) -> pd.Series:
    return f["m/loss"].mask(np.arange(len(f)) == int(np.argmin(f["m/loss"])), value)


def _failed(f: pd.DataFrame, status: str) -> pd.DataFrame:
    bad = np.arange(len(f)) % 3 == 0
    return f.assign(
        status=np.where(bad, status, "finished"), **{"m/loss": f["m/loss"].mask(bad, 0.1)}
    )


def _sizes(f: pd.DataFrame, **sizes: list[float | None]) -> pd.DataFrame:
    """Half of the runs at another size, whose losses are lower by far."""
    half = (f["w/web"] > f["w/web"].median()).to_numpy().astype(int)
    shifted = f.assign(**{"m/loss": f["m/loss"] - 2.0 * half})
    return shifted.assign(**{k: [v[i] for i in half] for k, v in sizes.items()})


@st.composite
def written(draw: Any) -> tuple[list[str], int, dict[str, Any]]:
    names = draw(st.lists(st.sampled_from(sorted(HARMLESS)), max_size=5, unique=True))
    form = {
        "sep": draw(st.sampled_from([",", ";", "\t"])),
        "encoding": draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])),
    }
    if form["sep"] == ";":
        form["decimal"] = draw(st.sampled_from([".", ","]))
    return names, draw(st.integers(0, 3)), form


def read_back(frame: pd.DataFrame, **form: Any) -> RunTable:
    buffer = io.StringIO()
    encoding = form.pop("encoding", "utf-8")
    frame.to_csv(buffer, index=False, **form)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.csv"
        path.write_bytes(buffer.getvalue().encode(encoding))
        return read_table(path)


@FUZZ
@given(written())
def test_harmless_columns_leave_the_answer_where_it_is(case: Any) -> None:
    names, seed, form = case
    frame, rng = known_runs(), np.random.default_rng(seed)
    for name in names:
        if not ({"headers", "copies"} & set(names)) or name not in {"headers", "copies"}:
            frame = HARMLESS[name](frame, rng)
    table = checked(lambda: read_back(frame, **form))
    assert isinstance(table, RunTable), f"{names}: {table}"
    assert table.metrics == ("loss",)
    assert set(table.domains) == set(DOMAINS)
    assert answer(table).regret < 0.05


@pytest.mark.parametrize("name", sorted(HARMLESS))
def test_each_harmless_column_leaves_the_answer_where_it_is(name: str) -> None:
    frame = HARMLESS[name](known_runs(), np.random.default_rng(0))
    for form in ({}, {"sep": ";", "decimal": ","}):
        table = checked(lambda form=form: read_back(frame, **form))
        assert isinstance(table, RunTable), f"{name}: {table}"
        assert (table.metrics, len(table)) == (("loss",), 30)
    assert answer(table).regret < 0.05


@pytest.mark.parametrize("name", sorted(HARMFUL))
def test_what_would_spoil_the_answer_is_refused_or_said(name: str) -> None:
    frame = HARMFUL[name](known_runs(), np.random.default_rng(0))
    table = checked(lambda: RunTable.from_frame(frame))
    if isinstance(table, InputError):
        return
    found = answer(table)
    assert found.said, "a table like this must not pass without a word"
    quiet = {"failed runs": 0.05, "diverged": 0.05, "overflow": 0.05}
    assert found.regret < quiet.get(name, np.inf)


@FUZZ
@given(
    st.lists(st.sampled_from(sorted(HARMLESS)), max_size=3, unique=True),
    st.sampled_from(sorted(HARMFUL)),
)
def test_no_answer_is_far_from_the_optimum_without_a_word(names: list[str], harm: str) -> None:
    rng = np.random.default_rng(1)
    frame = known_runs()
    for name in names:
        if name not in {"headers", "gaps", "copies", "status", "one scale"}:
            frame = HARMLESS[name](frame, rng)
    frame = HARMFUL[harm](frame.reset_index(drop=True), rng)
    table = checked(lambda: RunTable.from_frame(frame))
    if isinstance(table, RunTable):
        found = answer(table)
        assert found.regret < 0.05 or found.said
