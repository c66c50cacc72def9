"""What the formats of `mixopt export` can express, for people."""

from collections.abc import Iterator

from rich.text import Text

from mixopt.app.output import console
from mixopt.export import EXPORTERS, Exporter, Repeats, Schedules, exporters


def show_formats() -> None:
    """The table of formats: unit, schedules, repetition, versions and options."""
    rows = [("format", "weights count", "schedule", "repeats", "versions", "options")]
    for name in EXPORTERS:
        known = exporters(name)
        units = dict.fromkeys(unit.name.lower() for one in known for unit in one.units)
        options = dict.fromkeys(option.name for one in known for option in one.all_options)
        rows.append(
            (
                name,
                ", ".join(units),
                known[0].schedules.name.lower(),
                known[0].repeats.name.lower(),
                ", ".join(one.version for one in known if one.version),
                ", ".join(options),
            )
        )
    # As wide as it is, also where the output is no terminal: nobody searches for half a name.
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        console.out.print("  ".join(cells).rstrip(), markup=False)
    console.out.print()
    for what, named in (("schedule", Schedules), ("repeats", Repeats)):
        meanings = "; ".join(f"{one.name.lower()}: {one.value}" for one in named)
        console.out.print(f"{what}: {meanings}", markup=False)
    console.out.print("mixopt export --describe -f FORMAT says more of one.", markup=False)


def show_format(name: str, version: str | None = None) -> None:
    """All that is declared of a format.

    Args:
        name: of the format.
        version: of it; all by default.

    Raises:
        InputError: there is no such format or version.
    """
    for one in exporters(name):
        if version in (None, one.version):
            console.out.print(Text(one.title, style="bold"))
            for line in _lines(one):
                console.out.print(f"  {line}", markup=False)
            console.out.print()


def _lines(one: Exporter) -> Iterator[str]:
    options = {option.name: option.default for option in one.all_options}
    if one.version:
        yield f"version        {one.version}"
    yield f"weights count  {', or '.join(unit.value for unit in one.units)}"
    grain = one.grain_of(options)
    yield f"grain          {grain:g}" + (" (by its options)" if callable(one.grain) else "")
    yield f"draws          {one.draws.value}"
    yield f"repeats data   {one.repeats.value}" + _REPEATS[one.repeats]
    yield f"a schedule     {one.schedules.value}" + _SCHEDULES[one.schedules]
    yield f"paths          {one.paths.value}" + ("" if one.spaces else ", without whitespace")
    for option in one.all_options:
        default = "" if option.default is None else f" (default: {option.default})"
        choices = f" [{' | '.join(option.choices)}]" if option.choices else ""
        key = f"{option.name}.DOMAIN" if option.kind is dict else option.name
        yield f"--set {key}=...  {option.help}{choices}{default}"


_REPEATS = {
    Repeats.ALWAYS: "",
    Repeats.OPTION: "",
    Repeats.NEVER: ": more than one epoch is refused",
}
_SCHEDULES = {
    Schedules.NATIVE: "",
    Schedules.RUNS: ", each started from the last checkpoint of the one before",
}
