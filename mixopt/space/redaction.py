"""What is secret in a spec, and how it is shown: by this module alone.

A value is secret by the name of its key (`password`, `api_key`), by its form (`hf_...`, a URI with
`user:password@`), or because it is a variable of an environment. It is masked wherever a spec is
shown or kept; references to the environment (`$NAME`) are no secrets and stay.
"""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mixopt.errors import InputError, shorten

MASK = "***"
_ENVIRONMENT = "env_vars"  # of Ray's runtime_env
_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])")
_ALWAYS = frozenset(
    {"password", "passwd", "passphrase", "pwd", "secret", "secrets", "credential", "credentials"}
    | {"apikey", "bearer", "authorization"}
)
_KEYS = frozenset({"api", "access", "private", "secret", "signing", "encryption", "account"})
_REFERENCE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
_USER = re.compile(  # a password that holds what it may not, such as '/', is masked as well
    r"(?P<scheme>[A-Za-z][\w+.-]*://)(?P<user>[^\s/?#:@]*):(?P<password>[^\s\"'<>]*)@"
)
_QUERY = re.compile(
    r"(?i)((?:password|passwd|pwd|secret|token|sig|signature|api[-_]?key|access[-_]?key)=)"
    r"([^\s&;\"']+)"
)
_TOKENS = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|sk-[A-Za-z0-9_-]{16,}"
    r"|xox[abprs]-[A-Za-z0-9-]{10,}|AKIA[A-Z0-9]{12,}|glpat-[\w-]{16,}"
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*)"
)
_LONG = re.compile(r"[A-Za-z0-9_\-./+=]{16,}$")


def redact(value: Any, *, known: frozenset[str] = frozenset()) -> Any:
    """A copy of plain JSON values, or of a text, with every secret masked.

    Args:
        value: mappings, lists, texts, numbers.
        known: secrets that are masked wherever they stand.

    >>> redact({"uri": "postgresql://me:hush@host/db", "env_vars": {"HOME": "/root"}, "lr": 0.1})
    {'uri': 'postgresql://me:***@host/db', 'env_vars': {'HOME': '***'}, 'lr': 0.1}
    """
    if isinstance(value, str):
        return _redact_text(value, known)
    if isinstance(value, Mapping):
        return {k: _redact_item(str(k), v, known) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item, known=known) for item in value]
    return value


def shown(value: Any, width: int = 60) -> str:
    """A value for a message: masked first, then shortened, so that no secret is cut in two.

    >>> shown("http://me:hush@host")
    "'http://me:***@host'"
    """
    if isinstance(value, int) and value.bit_length() > 200:
        return "a number of so many digits"
    return shorten(repr(redact(value)), width)


def secrets_in(value: Any, path: str = "") -> Iterator[str]:
    """Paths of values that are secret, as `redact` sees them."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            inner = f"{path}.{key}" if path else str(key)
            if _is_secret(str(key), item):
                yield inner
            else:
                yield from secrets_in(item, inner)
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield from secrets_in(item, f"{path}.{place}")
    elif isinstance(value, str) and _redact_text(value, frozenset()) != value:
        yield path


def resolve(text: str) -> str:
    """A text with `$NAME` and `${NAME}` replaced by variables of the environment.

    Raises:
        InputError: a variable that is not set.
    """

    def value(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(2)
        if name not in os.environ:
            raise InputError(
                f"the environment variable {name} is not set; export it first (%24 "
                "stands for a literal '$')"
            )
        return os.environ[name]

    return _REFERENCE.sub(value, text)


def password_of(uri: str) -> str | None:
    """The password in a URI as it is written there, percent signs and all; None without one."""
    match = _USER.search(uri)
    return match["password"] if match and match["password"] else None


def known_secrets(values: Mapping[str, Any] | None) -> frozenset[str]:
    """The variables of a runtime environment that are long enough to be masked in any text."""
    given = (values or {}).get(_ENVIRONMENT)
    variables = given if isinstance(given, Mapping) else {}
    ends = ("TOKEN", "KEY", "AUTH")
    return frozenset(
        str(v)
        for k, v in variables.items()
        if len(str(v)) >= 6 and (_named_secret(k, str(v)) or k.upper().endswith(ends))
    )


def _redact_item(key: str, value: Any, known: frozenset[str]) -> Any:
    if key == _ENVIRONMENT and isinstance(value, Mapping):
        return {k: v if _is_reference(v) else MASK for k, v in value.items()}
    return MASK if _is_secret(key, value) else redact(value, known=known)


def _redact_text(text: str, known: frozenset[str]) -> str:
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, MASK)
    text = _USER.sub(_hide_password, text)
    text = _QUERY.sub(lambda m: m[0] if m[2].startswith("$") else m[1] + MASK, text)
    return _TOKENS.sub(MASK, text)


def _hide_password(match: re.Match[str]) -> str:
    secret = match["password"] and not _is_reference(match["password"])
    return f"{match['scheme']}{match['user']}:{MASK}@" if secret else match[0]


def _is_secret(key: str, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        return False
    return not _is_reference(value) and value != MASK and _named_secret(key, str(value))


def _named_secret(key: str, value: str) -> bool:
    words = [w.lower() for w in _WORDS.findall(key)]
    if _ALWAYS.intersection(words):
        return True
    if words and words[-1] == "key" and _KEYS.intersection(words[:-1]):
        return True
    # `pad_token: <pad>` and `token: 5` are no secrets; a long random text is.
    return bool(words) and words[-1] in {"token", "auth"} and bool(_LONG.match(value))


def _is_reference(value: Any) -> bool:
    return isinstance(value, str) and bool(_REFERENCE.fullmatch(value))
