"""Settings that readers of layouts share, checked."""

from typing import Any

import numpy as np

from mixopt.errors import InputError

DTYPES = ("uint8", "uint16", "int16", "uint32", "int32", "uint64", "int64")


def dtype_of(path: str, given: Any) -> np.dtype[Any]:
    """The integers of a file.

    Raises:
        InputError: it is none of `DTYPES`.
    """
    if given not in DTYPES:
        raise InputError(
            f"{path}: dtype is {given!r}; give the integers that the tokens were written as, one "
            f"of {', '.join(DTYPES)}"
        )
    return np.dtype(str(given)).newbyteorder("<")


def end_of(path: str, given: Any) -> int:
    """The token that ends documents.

    Raises:
        InputError: it is no token id.
    """
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise InputError(
            f"{path}: end is {given!r}; give the id of the token that ends documents, like 0"
        )
    return given
