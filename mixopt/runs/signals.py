"""Signals: what a trainer can measure inside a run, for the method that mixes there."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Signal:
    """Something that a trainer can measure inside a run, for the method that mixes there.

    Attributes:
        axes: of its array: `"m"` training domains, `"n"` targets, `"e"` whatever the trainer has.
        over: whether it is a mean over the segment; else it is taken at the end of the segment, of
            the model that then stands.
        meaning: definition and unit.
        gradients: whether the scope of the gradients (`SCOPES`) must be said.
    """

    axes: tuple[str, ...]
    over: bool
    meaning: str
    gradients: bool = False


SIGNALS: dict[str, Signal] = {
    "train_loss": Signal(
        ("m",), True, "mean nats a token over the domain's tokens of the segment; nan without any"
    ),
    "heldout": Signal(
        ("n",), False, "loss of each target on fixed steering data, which judges nothing later"
    ),
    "excess": Signal(
        ("m",), True, "mean over tokens of max(loss - loss of the frozen reference, 0), nats"
    ),
    "excess_mean": Signal(
        ("m",), True, "mean loss - mean loss of the frozen reference, nats; may be negative"
    ),
    "gram": Signal(("m", "m"), False, "inner products of the domains' mean gradients", True),
    "gram_target": Signal(
        ("m", "n"), False, "inner products of domains' and targets' mean gradients", True
    ),
    "grad_sq": Signal(("m",), False, "squared norm of each domain's mean gradient", True),
    "grad_var": Signal(("m",), False, "trace of the covariance of one sample's gradient", True),
    "gate_load": Signal(
        ("m", "e"), True, "mean router assignment by domain, before capacity, layers in a row"
    ),
}
"""What a mixer may ask for (METHODS-ONLINE, section B); tokens are always reported."""


SCOPES = ("full", "last", "head", "sketch")
"""Gradients of all parameters, the last linear layer, the output head, or a random projection."""
