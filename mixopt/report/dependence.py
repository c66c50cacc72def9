"""Whether the experiments of a run interfere, and what could have been seen."""

from mixopt import plots
from mixopt.diagnostics import Dependence
from mixopt.diagnostics.dependence import POWER
from mixopt.report.blocks import Block, Cell, Chip, Plot, Section, Table, Words
from mixopt.report.data import ReportData
from mixopt.report.wording import number, percent, signed

_CELLS = 24  # experiments in the picture


def interference(data: ReportData) -> Section | None:
    """The matrix of outcomes and data, as a picture and with its numbers."""
    told = data.dependence
    if told is None:
        return None
    drawing = plots.interference(
        told.names[:_CELLS],
        told.z[:_CELLS, :_CELLS],
        told.effect[:_CELLS, :_CELLS],
        told.flagged[:_CELLS, :_CELLS],
    )
    rest = len(told.names) - _CELLS
    cut = f" The last {rest} are in the tables alone." if rest > 0 else ""
    body: list[Block] = [
        Plot("dependence", ("",), (drawing.to_dict(),), drawing.height),
        _experiments(told),
        _changes(told),
        *(Words(f"{line[:1].upper()}{line[1:]}.") for line in told.lines()),
    ]
    noise = f"with a noise of {number(float(told.sd.max()))} over {told.seeds} seeds of no data"
    return Section(
        "dependence",
        "Do the experiments interfere?",
        body,
        "From one checkpoint, runs with the data of each experiment alone, of none and of all. A "
        "row is an outcome (probes less control facts, above zero is worse), a column whose data "
        f"the run read, {noise}. Marked: beyond chance at {percent(told.level, 0)} for all pairs "
        f"together.{cut}",
        "Experiments",
    )


def _experiments(told: Dependence) -> Table:
    rows: list[list[Cell]] = [
        [
            name,
            number(told.base[i]),
            signed(told.effect[i, i]),
            signed(told.joint[i] - told.base[i]),
            Chip("differs", "no") if told.joint_flagged[i] else Chip("as alone", "yes"),
            number(told.detectable[i]),
        ]
        for i, name in enumerate(told.names)
    ]
    heads = [
        "experiment",
        "without any",
        "by itself",
        "with all",
        "",
        f"seen in {percent(POWER, 0)}",
    ]
    return Table(heads, rows, tall=len(rows) > 16)


def _changes(told: Dependence) -> Table:
    """Every outcome under everybody's data, less what it is without any."""
    rows: list[list[Cell]] = []
    for i, name in enumerate(told.names):
        changes = zip(told.effect[i], told.flagged[i], strict=True)
        rows.append([name, *(f"{signed(v)}{plots.MARK if f else ''}" for v, f in changes)])
    heads = ["change in", *(f"with {name}" for name in told.names)]
    return Table(heads, rows, tall=len(rows) > 16)
