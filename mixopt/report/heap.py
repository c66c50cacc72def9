"""The page of domains that were cut from a heap: their sizes, terms and examples."""

from collections.abc import Mapping, Sequence
from typing import Any

from mixopt.report.blocks import Bar, Bullets, Fold, Section, Table, Tiles
from mixopt.report.page import Head, make
from mixopt.report.wording import count, percent

Values = Mapping[str, Any]


def heap_page(title: str, manifest: Values, written: str) -> str:
    """One HTML file.

    Args:
        title: of the page.
        manifest: of the domains, as `mixopt domains` writes it.
        written: when, for people.
    """
    domains, clusters = manifest["domains"], manifest["clusters"]
    sections = [_sizes(manifest), _examples(domains)]
    if clusters["tried"]:
        sections.append(_curve(clusters))
    if manifest["notes"]:
        sections.append(Section("notes", "Notes", [Bullets(manifest["notes"])], tone="warn"))
    return make(Head(title, "mixopt domains", written), sections)


def _sizes(manifest: Values) -> Section:
    domains, duplicates = manifest["domains"], manifest["duplicates"]
    largest = max(domain["share"] for domain in domains)
    rows = [
        (
            d["name"],
            Bar(100 * d["share"] / largest, percent(d["share"])),
            count(d["documents"]),
            count(d["bytes"]),
            count(d["tokens"]),
            count(d["near_duplicates"]),
        )
        for d in domains
    ]
    dropped = "dropped" if duplicates["dropped"] else "kept"
    tiles = [
        (count(manifest["documents"]), "documents"),
        (count(sum(d["bytes"] for d in domains)), "bytes of text written"),
        (count(manifest["empty"]), "empty, left out"),
        (count(duplicates["near"]), f"near-duplicates, {dropped}"),
        (count(duplicates["exact"]), "of them to the letter"),
    ]
    heads = (
        "domain",
        "share of the text",
        "documents",
        "bytes",
        "tokens, about",
        "near-duplicates",
    )
    return Section(
        "sizes",
        "Domains",
        [Tiles(tiles), Table(heads, rows, text=2)],
        caption="Tokens are about a quarter of the bytes, as of the vocabularies of large models "
        "on English text. A near-duplicate is a document of which four fifths of the runs of words "
        "were met in one document before it.",
    )


def _examples(domains: Sequence[Values]) -> Section:
    folds = [
        Fold(
            d["name"] + (f": {', '.join(d['terms'])}" if d["terms"] else ""),
            [Bullets(d["examples"])],
        )
        for d in domains
    ]
    return Section(
        "examples",
        "What they speak of",
        folds,
        caption="The terms that tell a domain from the others, and how the documents begin that "
        "are nearest to its middle.",
    )


def _curve(clusters: Values) -> Section:
    tried = clusters["tried"]
    rows = [(str(c["k"]), f"{c['separation']:.3f}", f"{c['agreement']:.3f}") for c in tried]
    mark = [at for at, c in enumerate(tried) if c["k"] == clusters["chosen"]]
    return Section(
        "clusters",
        "How many clusters",
        [Table(("clusters", "separation", "agreement"), rows, mark=mark)],
        caption="Separation is the mean silhouette; agreement is how far clusters of two halves of "
        "the sample tell the same documents apart (adjusted Rand index). Chosen is the best "
        "separated number on which the halves agree about as well as on any.",
        short="Clusters",
    )
