"""Constants of the law that mean something by themselves."""

from mixopt.report.blocks import Cell, Section, Table
from mixopt.report.data import ReportData
from mixopt.report.wording import number


def constants(data: ReportData) -> Section | None:
    """A row for each constant, a column for each metric."""
    told = data.constants
    if told is None:
        return None
    rows: list[list[Cell]] = [
        [name, *(number(value, 3) for value in values)]
        for name, values in zip(told.names, told.values.T, strict=True)
    ]
    return Section(
        "constants",
        told.title,
        [Table(["", *data.metrics], rows, tall=len(rows) > 16)],
        f"{told.caution[:1].upper()}{told.caution[1:]}." if told.caution else "",
        "Constants",
    )
