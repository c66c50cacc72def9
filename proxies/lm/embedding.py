"""A large embedding table with Adam that touches only the rows of a step.

Notation:
    K runs, R rows each; K * R rows of width d in one table; n rows of a step
    p, m, v: value, first and second moment of a row; s: the step when it was last touched
    b1, b2: decay rates; r = b1 / sqrt(b2)

A row without a gradient still moves under Adam, on its decaying momentum. What it has missed is
known in closed form, so that it is made up for when the row is next read: the same numbers as Adam
over the whole table, at the cost of the rows of a step (the hashed bigram table has 32 768 rows, of
which a step of the smallest model reads 1024).
"""

import math

import torch
from torch import Tensor

_WINDOW = 256  # r^256 = 1e-11: later steps add nothing to a row's drift
_TINY = 1e-30
_EPSILON = 1e-10


class SparseTable:
    """The rows of K runs with their Adam state.

    A step keeps to tensors of fixed sizes and places, so that a GPU can record it once and replay.

    Attributes:
        values: (K * R, 3 d): p, m and v side by side, so that a row is read at once.
        touched: (K * R,) step of the last update of each row, 0 before the first.
        now: the steps made so far.
        drift: (steps + 1,) by step s: how far a row last touched then has moved by now, in units of
            m / sqrt(v).
    """

    def __init__(self, runs: int, rows: int, width: int, device: torch.device) -> None:
        self.rows, self.width = rows, width
        self.values = torch.zeros(runs * rows, 3 * width, device=device)
        self.touched = torch.zeros(runs * rows, dtype=torch.int64, device=device)
        self.now = torch.zeros((), dtype=torch.int64, device=device)
        self.drift = torch.zeros(1, device=device)
        self._ages = torch.arange(1, _WINDOW + 1, device=device)
        self._sum = torch.zeros(runs * rows, width, device=device)
        self._read: tuple[Tensor, Tensor, Tensor, Tensor] | None = None

    def lookup(self, index: Tensor) -> Tensor:
        """Current values of rows, (n, d)."""
        return self._current(self.values.index_select(0, index), self.touched[index])

    def read(self, index: Tensor) -> Tensor:
        """The same, as a leaf whose gradient `step` will use."""
        state, touched = self.values.index_select(0, index), self.touched[index]
        rows = self._current(state, touched).requires_grad_()
        self._read = (index, rows, state, touched)
        return rows

    def _current(self, state: Tensor, touched: Tensor) -> Tensor:
        p, m, v = state.chunk(3, dim=1)
        now: Tensor = p - self.drift[touched][:, None] * m / v.sqrt().add_(_TINY)
        return now

    def reserve(self, steps: int) -> bool:
        """Make room for so many steps in all; whether there was too little, so that it moved."""
        missing = steps + 1 - len(self.drift)
        if missing > 0:
            self.drift = torch.cat((self.drift, self.drift.new_zeros(missing)))
        return missing > 0

    def step(self, rate: Tensor, betas: tuple[float, float]) -> None:
        """One step of Adam, at a rate (), on the rows that were read since the last one."""
        self.now += 1
        b1, b2 = betas
        corrected = rate * torch.sqrt(1 - b2**self.now) / (1 - b1**self.now)
        if self._read is not None:
            self._update(corrected, betas)
            self._read = None
        before = self.now - self._ages
        moved = corrected * (b1 / math.sqrt(b2)) ** self._ages * (before >= 0)
        self.drift.index_add_(0, before.clamp(min=0), moved)

    def _update(self, corrected: Tensor, betas: tuple[float, float]) -> None:
        assert self._read is not None
        index, rows, state, touched = self._read
        if rows.grad is None:
            return
        # Rows read twice get the sum of their gradients; both copies are then written alike.
        self._sum.index_add_(0, index, rows.grad)
        gradient = self._sum.index_select(0, index)
        self._sum.index_fill_(0, index, 0.0)
        age = (self.now - touched).float()[:, None]
        b1, b2 = betas
        _, m, v = state.chunk(3, dim=1)
        m = (m * b1**age).add_(gradient, alpha=1 - b1)
        v = (v * b2**age).addcmul_(gradient, gradient, value=1 - b2)
        p = torch.addcdiv(rows.detach(), m * corrected, v.sqrt().add_(_EPSILON), value=-1)
        self.values.index_copy_(0, index, torch.cat((p, m, v), dim=1))
        self.touched.index_copy_(0, index, self.now.expand(len(index)))

    def gradient(self) -> tuple[Tensor, Tensor]:
        """The rows that were last read, (u,), each once, and their gradients, (u, d).

        After a backward pass, and before the next step.
        """
        if self._read is None:
            return self.touched.new_zeros(0), self.values.new_zeros(0, self.width)
        return _each_once(self._read[0], self._read[1])

    def clear(self) -> None:
        """As before the first step, room for steps aside; what is to be read is forgotten."""
        for tensor in (self.values, self.touched, self.now, self.drift):
            tensor.zero_()
        self._read = None

    def put(self, run: int, values: Tensor) -> None:
        """Set all rows of a run, (R, d), as if they had never been trained."""
        part = slice(run * self.rows, (run + 1) * self.rows)
        self.values[part] = 0.0
        self.values[part, : self.width] = values.to(self.values)
        self.touched[part] = 0

    def state(self, run: int) -> dict[str, Tensor]:
        """The touched rows of a run, for a checkpoint."""
        part = slice(run * self.rows, (run + 1) * self.rows)
        index = self.touched[part].nonzero()[:, 0]
        return {
            "index": index,
            "values": self.values[part][index],
            "touched": self.touched[part][index],
            "drift": self.drift[: int(self.now) + 1].clone(),
        }

    def load(self, run: int, state: dict[str, Tensor]) -> None:
        """Put the rows of a run back; all runs of a table are at the same step."""
        index = state["index"].to(self.touched.device) + run * self.rows
        self.values[index] = state["values"].to(self.values)
        self.touched[index] = state["touched"].to(self.touched)
        self.now.fill_(len(state["drift"]) - 1)
        self.drift[: len(state["drift"])] = state["drift"].to(self.drift)


class SharedRows:
    """The rows of a table for copies of its runs, which read them and never step.

    Args:
        table: of K runs; a row of run c K + k here is one of its run k.
    """

    def __init__(self, table: SparseTable) -> None:
        self._table, self.rows = table, table.rows
        self._read: tuple[Tensor, Tensor] | None = None

    def lookup(self, index: Tensor) -> Tensor:
        """Current values of rows, (n, d)."""
        return self._table.lookup(index % len(self._table.touched))

    def read(self, index: Tensor) -> Tensor:
        """The same, as a leaf whose gradient `gradient` gives."""
        self._read = (index, self.lookup(index).requires_grad_())
        return self._read[1]

    def gradient(self) -> tuple[Tensor, Tensor]:
        """See `SparseTable.gradient`."""
        assert self._read is not None
        return _each_once(*self._read)


def _each_once(index: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows that were read, (u,), each once, and the sums of their gradients, (u, d)."""
    if rows.grad is None:
        return index.new_zeros(0), rows.detach().new_zeros(0, rows.shape[1])
    once, places = torch.unique(index, return_inverse=True)
    sums = rows.grad.new_zeros(len(once), rows.shape[1])
    return once, sums.index_add_(0, places, rows.grad)
