"""The formula of the distance: near to what was measured, in the order of the domains, on file."""

from pathlib import Path

import numpy as np
import pytest

from mixopt.errors import InputError
from mixopt.laws.transport.costs import TransportCosts, read_costs
from mixopt.laws.transport.divergence import Clouds

EPSILON = 0.1  # quick to settle


@pytest.fixture(scope="module")
def clouds() -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(0)
    at = {"web": (0, 0, 0), "code": (3, 0, 0), "math": (3, 2, 0)}
    points = {name: rng.normal(middle, 1.0, (12, 3)) for name, middle in at.items()}
    return points, rng.normal((2.5, 1, 0), 1.0, (15, 3))


@pytest.fixture(scope="module")
def costs(clouds: tuple[dict[str, np.ndarray], np.ndarray]) -> TransportCosts:
    return TransportCosts.measure(*clouds, epsilon=EPSILON)


def test_the_formula_is_as_near_as_it_says(clouds, costs) -> None:
    P = np.random.default_rng(5).dirichlet(np.ones(3), 12)
    measured = np.array([Clouds.of(*clouds, EPSILON).at(p).value for p in P])
    rms = float(np.sqrt(((costs(P) - measured) ** 2).mean()))
    assert rms < 2 * costs.error < 0.1 * costs.spread
    assert costs.alone[0] > max(costs.alone[1:])
    assert costs.gradient[0] > 0 > min(costs.gradient)


def test_another_order_of_domains_is_the_same_distance(costs) -> None:
    P = np.random.default_rng(6).dirichlet(np.ones(3), 5)
    turned = costs.ordered(("math", "web", "code"))
    assert turned(P[:, [2, 0, 1]]) == pytest.approx(costs(P))
    assert turned.gradient == (costs.gradient[2], costs.gradient[0], costs.gradient[1])
    assert turned.alone == (costs.alone[2], costs.alone[0], costs.alone[1])


@pytest.mark.parametrize(
    ("domains", "message"),
    [
        (("web", "code", "maths"), "'maths' has no transport costs.*did you mean 'math'"),
        (("web", "code"), "measured with 'math', which is none"),
    ],
)
def test_costs_of_other_domains_are_refused(costs, domains, message) -> None:
    with pytest.raises(InputError, match=message):
        costs.ordered(domains)


def test_a_file_gives_what_was_written_and_says_what_it_is_not(costs, tmp_path: Path) -> None:
    from json import dumps  # noqa: PLC0415

    file = tmp_path / "transport.json"
    with pytest.raises(InputError, match="there is no file of transport costs"):
        read_costs(file)
    file.write_text(dumps(costs.to_dict()))
    P = np.eye(3)
    assert read_costs(file)(P) == pytest.approx(costs(P), abs=1e-12)
    assert read_costs(file).to_dict() == costs.to_dict()
    documents = {"web": 12, "code": 12, "math": 12}
    assert read_costs(file).notes == {"epsilon": EPSILON, "documents": documents}
    file.write_text(dumps({**costs.to_dict(), "version": 9}))
    with pytest.raises(InputError, match="version 9"):
        read_costs(file)
    for other in ("[1]", "{}", "not json"):
        file.write_text(other)
        with pytest.raises(InputError, match="is no file of transport costs"):
            read_costs(file)
