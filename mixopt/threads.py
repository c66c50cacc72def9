"""One BLAS thread for small matrices.

Laws and proposers work on matrices of tens to hundreds of rows. There, BLAS threads wait for each
other more than they compute: on two busy cores a fit of 21 runs took 31 CPU seconds with two
threads and 5 with one.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

P = ParamSpec("P")
R = TypeVar("R")


def one_blas_thread(function: Callable[P, R]) -> Callable[P, R]:
    """The same function, run with one BLAS thread; the caller's setting returns afterwards."""

    @wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        with threadpool_limits(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return limited
