"""Reports as a browser shows them: pictures drawn, dark and light, on a phone and on paper."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sandbox import mixopt, write

from mixopt import MixtureSpace, Objective
from mixopt.report import ReportData, render

pytestmark = [pytest.mark.services, pytest.mark.mlflow]
CHROMIUM = Path("/usr/bin/chromium")
NASTY = "<script>\"q'ü"
FOUR = {"web": 1.0, "code": 2.0, "math": 1.5, NASTY: 0.8}
SIXTY = [f"source-{i // 10}/kind-{i % 10}" for i in range(60)]
PATHS = """Object.fromEntries([...document.querySelectorAll(".plot")].map((p) => [p.id,
  [...p.querySelectorAll("svg path")].filter((x) => x.getAttribute("d")?.length > 4).length]))"""
WIDER = """[...document.querySelectorAll("section")]
  .filter((s) => s.scrollWidth > s.clientWidth + 1).map((s) => s.id)"""
LOOKS = """[getComputedStyle(document.querySelector("section")).backgroundColor,
  document.querySelector("#plot-gain svg").style.background,
  document.querySelector("#plot-gain .xtick text").style.fill]"""
ROWS = """[...document.querySelectorAll("#runs-table tbody tr")]
  .map((line) => [...line.children].map((cell) => cell.textContent))"""


@dataclass
class Browser:
    """One Chromium for all tests of the module."""

    driver: Any
    complaints: list[str] = field(default_factory=list)

    def open(self, file: Path, *, width: int = 1200, scheme: str = "light") -> Any:
        """A page of the file, every picture of it drawn."""
        viewport = {"width": width, "height": 900}
        page = self.driver.new_context(viewport=viewport, color_scheme=scheme).new_page()
        self.complaints.clear()
        page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._asked(request.url))
        page.goto(file.as_uri())
        page.wait_for_function("document.querySelector('.plot') === null || window.Plotly")
        for place in page.query_selector_all(".plot"):
            place.scroll_into_view_if_needed()
            page.wait_for_function("(p) => p.querySelector('svg') !== null", arg=place)
        return page

    def _asked(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            self.complaints.append(f"the page asked the network for {url}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.is_file():
        pytest.skip(f"no Chromium at {CHROMIUM}; install the Debian package chromium")
    with playwright.sync_playwright() as p:
        driver = p.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield Browser(driver)
        driver.close()


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a small sweep that has run."""
    folder = tmp_path_factory.mktemp("four")
    config = {"values": FOUR, "rate": 4.0, "noise": 0.005}
    recipe = {"use": "auto", "design": 14, "proposals": 2, "law": "log-linear", "confirm_seeds": 2}
    write(
        folder,
        question=f"Is more code better? {NASTY}",
        owner="ada@lab",
        trainer={"use": "mixopt.testing.trainers:FakeTrainer", "config": config},
        scales=[{"params": 1000, "tokens": "10k"}, {"params": 2000, "tokens": "20k"}],
        objective={"minimize": [f"loss/{name}" for name in FOUR]},
        strategy=recipe,
        execution={"use": "local"},
    )
    mixopt("run", "spec.yaml", cwd=folder)
    return folder / "runs/tiny/report.html"


@pytest.fixture(scope="module")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a table: 60 domains, three metrics."""
    folder, rng = tmp_path_factory.mktemp("sixty"), np.random.default_rng(0)
    W = rng.dirichlet(np.full(60, 0.6), size=80)
    table = pd.DataFrame(W, columns=[f"w/{name}" for name in SIXTY])
    for k in range(3):
        worth = rng.uniform(0.2, 1.0, size=60)
        table[f"m/loss-{k}"] = 1.0 + np.exp(-4.0 * W @ worth) + 0.002 * rng.normal(size=80)
    table.to_csv(folder / "runs.csv", index=False)
    mixopt("fit", "runs.csv", "--law", "log-linear", "--report", "report.html", cwd=folder)
    return folder / "report.html"


def is_whole(page: Any) -> None:
    """Nothing sticks out to the side, and no picture is wider than its card."""
    wide, inner = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= inner
    assert page.evaluate(WIDER) == []


@pytest.mark.parametrize("which", ["four", "sixty"])
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark")])
def test_every_picture_is_drawn_and_nothing_is_cut(
    browser: Browser, request: pytest.FixtureRequest, which: str, width: int, scheme: str
) -> None:
    page = browser.open(request.getfixturevalue(which), width=width, scheme=scheme)
    drawn = page.evaluate(PATHS)
    wanted = {"mixture-figure", "gain", "responses", "held-out", "calibration", "best"}
    wanted |= {"confirmed", "learning", "interactions"} if which == "four" else set()
    assert {f"plot-{key}" for key in wanted} <= set(drawn)
    assert all(count > 0 for count in drawn.values()), drawn
    assert browser.complaints == []
    is_whole(page)


def test_a_lead_reads_question_answer_owner_and_names_as_they_are(
    browser: Browser, four: Path
) -> None:
    page = browser.open(four)
    card = page.inner_text("#answer")
    for text in (f"Is more code better? {NASTY}", "ada@lab", "fresh seeds", "runs, all good"):
        assert text in card
    assert NASTY in page.inner_text("#mixture")
    axis = "document.querySelector('#plot-mixture-figure .yaxislayer-above').textContent"
    assert NASTY in page.evaluate(axis)
    assert page.query_selector("main script:not([type])") is None


def test_dark_differs_from_light_and_paper_is_white(browser: Browser, four: Path) -> None:
    light = browser.open(four).evaluate(LOOKS)
    page = browser.open(four, scheme="dark")
    dark = page.evaluate(LOOKS)
    assert all(day != night for day, night in zip(light, dark, strict=True))
    page.emulate_media(media="print", color_scheme="dark")
    page.wait_for_function(f"(day) => JSON.stringify({LOOKS}) === JSON.stringify(day)", arg=light)
    assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    heights = "[...document.querySelectorAll('.scroll')].map((s) => getComputedStyle(s).maxHeight)"
    assert set(page.evaluate(heights)) == {"none"}
    assert len(page.pdf()) > 50_000


def test_runs_are_sorted_within_their_scale_and_filtered(browser: Browser, four: Path) -> None:
    page = browser.open(four)
    page.click("#runs-table th button:has-text('mean of')")
    rows = page.evaluate(ROWS)
    heads = [i for i, row in enumerate(rows) if len(row) == 1]
    assert [rows[i][0].partition(":")[0] for i in heads] == ["2k × 20k", "1k × 10k"]
    for part in (rows[heads[0] + 1 : heads[1]], rows[heads[1] + 1 :]):
        values = [float(row[5]) for row in part]
        assert values == sorted(values)
        assert len(values) > 3
    page.select_option("#runs-scale", "2k × 20k")
    assert {row[3] for row in page.evaluate(ROWS)} == {"2k × 20k"}
    page.fill("#runs-filter", "confirmation seed=1")
    assert {row[4] for row in page.evaluate(ROWS)} == {"1"}


def test_a_choice_draws_another_picture(browser: Browser, four: Path) -> None:
    page = browser.open(four)
    panels = "document.querySelector('#plot-responses .cartesianlayer').innerHTML"
    before = page.evaluate(panels)
    page.select_option("select[data-for=responses]", index=1)
    page.wait_for_function(f"(old) => {panels} !== old", arg=before)
    assert browser.complaints == []


FRONT = [(0.0, 1.0), (0.1, 0.5), (0.3, 0.2), (0.6, 0.05), (1.0, 0.0)]
CHOSEN = """[...document.querySelectorAll("#preferences-table tbody tr")]
  .map((row) => [row.cells[0].textContent, Number(row.dataset.at)])"""


@pytest.fixture
def trade_offs(tmp_path: Path) -> Path:
    """The page of a stored front of five mixtures, in units that differ a hundredfold."""
    space = MixtureSpace(["web", NASTY])
    front = tuple(
        (space.mixture([1 - a, a]), {"prose": 2 + a, NASTY: 300 + 100 * b}) for a, b in FRONT
    )
    file = tmp_path / "report.html"
    data = ReportData("front", space, Objective.of(["prose", NASTY]), front=front)
    file.write_text(render(data), encoding="utf-8")
    return file


def slide(page: Any, *weights: int) -> None:
    for k, weight in enumerate(weights):
        page.evaluate(
            "([k, w]) => { const s = document.getElementById(`weight-${k}`); s.value = w;"
            " s.dispatchEvent(new Event('input', {bubbles: true})); }",
            [k, weight],
        )


def test_sliders_read_the_stored_front_in_units_of_what_it_spans(
    browser: Browser, trade_offs: Path
) -> None:
    page = browser.open(trade_offs, width=390)
    for weights, best in (((100, 0), 0), ((0, 100), 4), ((50, 50), 2), ((0, 0), 2), ((20, 80), 3)):
        slide(page, *weights)
        costs = [(weights[0] or 1) * a + (weights[1] or 1) * b for a, b in FRONT]
        if min(weights) > 0:
            assert costs.index(min(costs)) == best
        assert page.evaluate(CHOSEN) == [["now", best]]
    page.focus("#weight-0")
    page.keyboard.press("End")  # works by the keyboard
    assert page.inner_text("output[for=weight-0]") == "56 %"
    assert NASTY in page.inner_text("#preferences")
    assert browser.complaints == []
    is_whole(page)


def test_the_weights_of_several_people_stand_side_by_side_with_what_is_fair_to_all(
    browser: Browser, trade_offs: Path
) -> None:
    page = browser.open(trade_offs)
    for name, weights in (("ada", (100, 0)), (NASTY, (0, 100))):
        slide(page, *weights)
        page.fill("#preferences-who", name)
        page.click("#preferences-keep")
    # Ada loses .3 of what the front spans at the third mixture, the other .2: any other is worse.
    rows = [["now", 4], ["ada", 0], [NASTY, 4], ["fair to all kept", 2]]
    assert page.evaluate(CHOSEN) == rows
    page.click("#preferences-table button:has-text('Remove') >> nth=0")
    assert page.evaluate(CHOSEN) == [["now", 4], [NASTY, 4]]
    assert browser.complaints == []


def test_without_a_script_the_front_is_its_table(browser: Browser, trade_offs: Path) -> None:
    context = browser.driver.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(trade_offs.as_uri())
    assert not page.is_visible("#preferences")
    assert page.locator("#front table >> visible=true").count() == 1
    context.close()


def test_a_sweep_without_an_answer_has_a_page_that_says_why(
    browser: Browser, tmp_path: Path
) -> None:
    broken = {"use": "mixopt.testing.trainers:FakeTrainer", "config": {"faults": {"0": "raise"}}}
    write(tmp_path, trainer=broken, execution={"use": "local"})
    mixopt("run", "spec.yaml", cwd=tmp_path, ok=False)
    page = browser.open(tmp_path / "runs/tiny/report.html", width=390)
    assert "No answer yet" in page.inner_text("#answer")
    assert "was told to raise" in page.inner_text("#failures")
    assert browser.complaints == []
    is_whole(page)


def test_pages_are_small(four: Path, sixty: Path) -> None:
    assert four.stat().st_size < 1_200_000
    assert sixty.stat().st_size < 2_000_000
