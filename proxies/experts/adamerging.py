"""AdaMerging: one merged model, its coefficients learned per expert and parameter tensor.

Notation:
    m experts, l: a parameter tensor; theta_0: the common start, theta_k: expert k
    tau_k = theta_k - theta_0; lambda: (m, l) coefficients
    theta^l = theta_0^l + sum_k clamp(lambda_k^l, 0, 1) tau_k^l   (arXiv 2310.02575)

Coefficients are few, so that a handful of sequences tells them. What is minimised is given as a
function of the merged parameters with its gradient: by the chain rule that of a coefficient is its
inner product with tau. The paper minimises the entropy of the outputs on unlabelled inputs. Of a
language model that falls to sure repetition, so `mixed_entropy` holds it to what the uniform merge
says; where text is there, its loss is what is wanted, and needs no guard.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mixopt.errors import InputError
from mixopt.space.numbers import check_number
from proxies.experts.pool import Parameters

Measure = Callable[[Parameters], tuple[float, Parameters]]
"""Of merged parameters: what is minimised, and its gradient by name; what has none is left out."""


@dataclass(frozen=True)
class AdaMerging:
    """How coefficients are learned; the defaults are the published ones.

    Attributes:
        start: of all coefficients.
        rate: of Adam.
        steps: of it.

    Raises:
        InputError: out of range.
    """

    start: float = 0.3
    rate: float = 1e-3
    steps: int = 500

    def __post_init__(self) -> None:
        check_number("start", self.start, least=0.0, most=1.0)
        check_number("rate", self.rate, least=0.0, open=True)
        if not (isinstance(self.steps, int) and self.steps > 0):
            raise InputError(f"steps is {self.steps!r}; give a whole number above 0")


@dataclass(frozen=True)
class Merged:
    """A merged model.

    Attributes:
        parameters: theta.
        coefficients: parameter tensor to (m,), in [0, 1].
        values: (steps + 1,) what was minimised, before each step and at the end.
    """

    parameters: Parameters
    coefficients: dict[str, list[float]]
    values: tuple[float, ...]


def adamerge(
    start: Parameters,
    experts: Sequence[Parameters],
    measure: Measure,
    settings: AdaMerging | None = None,
) -> Merged:
    """Learn the coefficients of a merge.

    Args:
        start: theta_0.
        experts: (m) theta_k, with the tensors of the start.
        measure: what is minimised.
        settings: how.

    Raises:
        InputError: no experts, or one whose tensors are not those of the start.
    """
    chosen = settings or AdaMerging()
    names = list(start)
    if not experts:
        raise InputError("there are no experts to merge; give at least one")
    for number, expert in enumerate(experts):
        odd = [n for n in names if n not in expert or expert[n].shape != start[n].shape]
        if odd or len(expert) != len(names):
            raise InputError(
                f"expert {number} has other tensors than the start ({', '.join(odd[:3])}); merge "
                "experts that were trained from one start"
            )
    tau = {n: torch.stack([e[n].double() - start[n].double() for e in experts]) for n in names}
    raw = torch.full((len(experts), len(names)), chosen.start, dtype=torch.float64)
    adam = torch.optim.Adam([raw], lr=chosen.rate)
    values = []
    for _ in range(chosen.steps):
        value, gradients = measure(_merged(start, tau, raw))
        values.append(value)
        raw.grad = _by_coefficient(gradients, tau, names) * ((raw >= 0) & (raw <= 1))
        adam.step()
    parameters = _merged(start, tau, raw)
    values.append(measure(parameters)[0])
    coefficients = dict(zip(names, raw.clamp(0, 1).T.tolist(), strict=True))
    return Merged(parameters, coefficients, tuple(values))


def _merged(start: Parameters, tau: Parameters, raw: Tensor) -> Parameters:
    held = raw.clamp(0, 1)
    return {
        name: (of + torch.tensordot(held[:, i], tau[name], dims=1)).to(of.dtype)
        for i, (name, of) in enumerate(start.items())
    }


def _by_coefficient(gradients: Parameters, tau: Parameters, names: Sequence[str]) -> Tensor:
    """(m, l): inner products of the gradient with what each expert adds."""
    columns = [
        tau[name].flatten(1) @ gradients[name].double().flatten()
        if name in gradients
        else tau[name].new_zeros(len(tau[name]))
        for name in names
    ]
    return torch.stack(columns, dim=1)


def mixed_entropy(logits: Tensor, before: Tensor, guard: float) -> Tensor:
    """Mean entropy of next-token distributions, and how far they are from others, in nats.

    Args:
        logits: (n, V) of the merged model.
        before: (n, V) of the uniform merge.
        guard: weight of KL(uniform merge || merged model); 0 is the paper's.

    Returns:
        The mean of H(p) + guard KL(q || p), with p of `logits` and q of `before`.
    """
    log_p, log_q = logits.log_softmax(-1), before.log_softmax(-1)
    entropy = -(log_p.exp() * log_p).sum(-1)
    away = (log_q.exp() * (log_q - log_p)).sum(-1)
    return (entropy + guard * away).mean()
