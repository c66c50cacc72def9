"""What is shown of transport costs, and while they are measured."""

from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from mixopt.app.output import console
from mixopt.app.output.live import Live
from mixopt.evidence.numbers import number, signed
from mixopt.laws.transport.costs import TransportCosts


class Measuring(Live[Progress]):
    """A bar on a terminal, nothing elsewhere: it takes seconds."""

    def __init__(self) -> None:
        shown = console.err.is_terminal and not console.err.quiet
        super().__init__(Progress(console=console.err, transient=True) if shown else None)
        self._task = self._live.add_task("Mixtures measured") if self._live else None

    def __call__(self, done: int, whole: int) -> None:
        """Show how far it is."""
        if self._live and self._task is not None:
            self._live.update(self._task, completed=done, total=whole)


def transport_table(costs: TransportCosts) -> Table:
    """A row for each domain, the nearest to the target first."""
    table = Table(
        title="Distance from the target's documents",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
    )
    for head in ("domain", "alone", "more of it, at equal shares"):
        table.add_column(head, justify="left" if head == "domain" else "right")
    for i in sorted(range(len(costs.domains)), key=lambda i: costs.alone[i]):
        nearer = costs.gradient[i] < 0
        table.add_row(
            Text(costs.domains[i]),
            number(costs.alone[i]),
            f"{signed(costs.gradient[i])} ({'nearer' if nearer else 'farther'})",
        )
    return table
