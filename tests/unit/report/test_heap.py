"""The page of a heap's domains."""

import re

from mixopt.report.heap import heap_page

MANIFEST = {
    "domains": [
        {
            "name": "ship-sail",
            "documents": 30,
            "bytes": 900,
            "tokens": 225,
            "share": 0.75,
            "near_duplicates": 2,
            "terms": ["ship", "sail"],
            "examples": ["<b>the</b> ship"],
        },
        {
            "name": "judge",
            "documents": 10,
            "bytes": 300,
            "tokens": 75,
            "share": 0.25,
            "near_duplicates": 0,
            "terms": [],
            "examples": [],
        },
    ],
    "documents": 41,
    "empty": 1,
    "duplicates": {"exact": 1, "near": 2, "dropped": False},
    "clusters": {
        "chosen": 2,
        "tried": [
            {"k": 2, "separation": 0.5, "agreement": 0.9},
            {"k": 3, "separation": 0.6, "agreement": 0.3},
        ],
    },
    "notes": ["one line is broken"],
}


def test_the_page_shows_sizes_terms_examples_the_curve_and_notes_as_text() -> None:
    page = heap_page("crawl", MANIFEST, "today")
    for shown in ("ship-sail", "75.0 %", "25.0 %", "ship, sail", "near-duplicates, kept", "0.900"):
        assert shown in page
    assert "&lt;b&gt;the&lt;/b&gt; ship" in page
    assert "<b>the</b>" not in page
    assert "width:33.3%" in page, "bars are relative to the largest domain"
    assert re.search(r'class="mark">\s*<td class="text">2</td>', page), "the chosen number"
    assert "one line is broken" in page


def test_without_a_curve_and_notes_there_are_no_such_parts() -> None:
    plain = {**MANIFEST, "clusters": {"chosen": None, "tried": []}, "notes": []}
    page = heap_page("crawl", plain, "today")
    assert "How many clusters" not in page
    assert 'id="notes"' not in page
