"""The site that `make docs` builds: strictly, with every name, and nothing from other hosts."""

import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from docs.site.reference import public_names

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        build, cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_links_lead_to_pages_and_headings(site: Path) -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    lost = []
    for path, text in texts.items():
        if path.name == "404.html":
            continue  # its links begin at the root of a server
        for link in re.findall(r'<a [^>]*?href="([^"]+)"', text):
            target, _, anchor = unescape(link).partition("#")
            if "://" in target or target.startswith("mailto:"):
                continue
            page = (path.parent / target).resolve() if target else path
            if not page.exists() or (anchor and f'id="{anchor}"' not in texts.get(page, "")):
                lost.append(f"{path.relative_to(site)}: {link}")
    assert [link for link in lost if "#__" not in link] == []


def test_lists_are_lists(site: Path) -> None:
    """Forges begin a list without an empty line before it, and indent by two; the site does not."""
    for path in [*site.glob("guide/*.html"), *site.glob("log/*.html"), site / "index.html"]:
        text = path.read_text(encoding="utf-8")
        lost = re.findall(r"<(?:p|li)>(?:(?!</?(?:p|li)>).)*\n\s*[-*] .*", text, re.DOTALL)
        assert lost == [], path.name


def test_every_public_name_is_documented(site: Path) -> None:
    for module, names in public_names().items():
        page = (site / "reference" / "python" / f"{module}.html").read_text(encoding="utf-8")
        assert [name for name in names if f'.{name}"' not in page] == [], module


def test_a_browser_shows_pages_and_formulas_and_asks_no_other_host(site: Path) -> None:
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.on("request", lambda request: asked.append(request.url))
        for name in ("index", "guide/maths", "guide/faq", "reference/spec", "reference/names"):
            page.goto((site / f"{name}.html").as_uri())
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 390, f"{name} has to be scrolled sideways on a phone"
        page.goto((site / "guide/maths.html").as_uri())
        assert page.locator("math").count() > 30
        assert page.locator("math[display=block]").first.bounding_box()["height"] > 20
        assert page.locator(".arithmatex").count() == 0
        browser.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
