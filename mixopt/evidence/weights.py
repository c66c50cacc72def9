"""What metrics weigh, and which of those that weigh are mostly noise, in words."""

from mixopt.diagnostics.noise import POOR, Noise
from mixopt.runs.objective import Objective


def weighing(objective: Objective, noise: Noise | None) -> tuple[str, ...]:
    """One line for weights by reliability, one for metrics whose noise is above their signal.

    Args:
        objective: as it was minimised.
        noise: of the metrics; only what was measured on repeated runs counts.
    """
    told = [objective.weighing] if objective.weighing else []
    poor = [] if noise is None else noise.poor(objective.metrics)
    if poor:
        named = ", ".join(f"{name} ({value:.2f})" for name, value in poor)
        line = f"signal below seed noise (reliability below {POOR:g}, on repeated runs): {named}"
        if not objective.reliabilities and len(objective.metrics) > 1:
            line += "; 'reliability: down-weight' lets a metric weigh by its reliability"
        told.append(line)
    return tuple(told)
