"""Where a store is, and whether it can be used: found out before any training."""

import base64
import os
import re
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixopt.errors import InputError, StoreError, shorten
from mixopt.lazy import require
from mixopt.space.redaction import MASK, password_of, redact, resolve

_SQLITE = "sqlite:///"
_SQLITE_MAGIC = b"SQLite format 3\0"
_SIGN_IN = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
_MIN_FREE_BYTES = 50_000_000
_SERVERS = ("http", "https")
_DATABASES = ("postgresql", "mysql", "mssql")
_PACKAGES = {"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
_LIMITED = ("psycopg", "psycopg2", "mysqldb", "pymysql")  # drivers with a limit on connecting
_KINDS = "sqlite:///<file>, http(s)://<server>, or a database (postgresql, mysql, mssql)"


@dataclass(frozen=True)
class Location:
    """A tracking URI, taken apart.

    Attributes:
        uri: for MLflow; of a server, without user and password.
        shown: for people: no password.
        user, password: of a server; None without.
        database: the file of a SQLite store.
    """

    uri: str = field(repr=False)
    shown: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: Path | None = None

    @property
    def is_server(self) -> bool:
        """Whether it is the address of an MLflow server."""
        return self.uri.startswith(("http://", "https://"))


def locate(uri: str) -> Location:
    """Take a tracking URI apart, `$NAME` in it replaced by the environment's variables.

    Raises:
        StoreError: a kind of store that MLflow refuses or that keeps nothing, a driver that is not
            installed, a password that was not kept, a variable that is not set.
    """
    shown = shorten(redact(uri), 200)
    try:
        full = resolve(uri)
    except InputError as error:
        raise StoreError(f"store.uri {shown!r}: {error}") from error
    if any(not c.isprintable() for c in full):
        raise StoreError(f"store.uri {shown!r} has a control character; correct it")
    if password_of(full) == MASK:
        raise StoreError(
            f"the password of {shown} was not kept with the sweep; name the spec.yaml in place of "
            "the folder, or write it there as $NAME and export the variable"
        )
    scheme, colon, _ = full.partition(":")
    kind = scheme.partition("+")[0]
    if full.startswith("sqlite:") or kind == "sqlite":
        return Location(full, shown, database=_sqlite_file(full, shown))
    if not colon or "://" not in full or kind == "file":
        raise StoreError(
            f"{shown!r} is a folder store, which MLflow no longer takes; write sqlite:///<file>, "
            "or the address of a server"
        )
    if scheme in _SERVERS:
        return _server(full, shown)
    if kind not in _DATABASES:
        raise StoreError(f"store.uri {shown!r}: no store of kind {kind!r}; give {_KINDS}")
    _check_driver(full, shown)
    return Location(full, shown)


def check(location: Location, *, read_only: bool = False) -> None:
    """See that a store can be reached, and written unless it is to be read only.

    Raises:
        StoreError: it cannot.
    """
    if location.database is not None:
        check_folder(location.database, read_only=read_only)
    elif location.is_server:
        check_server(location)
    else:
        check_database(location)


def check_folder(database: Path, *, read_only: bool) -> None:
    """See that a database file can be read, or made and written.

    Raises:
        StoreError: it is not there, is something else, cannot be written, or the disk is full.
    """
    folder = database.parent
    if database.is_dir():
        raise StoreError(f"{database} is a folder, no SQLite file; give a file in it")
    if read_only:
        if not database.is_file():
            raise StoreError(f"{database}: no store here; 'mixopt run' makes it")
        try:  # MLflow itself tries for minutes to open what it may not read
            database.open("rb").close()
        except OSError as error:
            raise StoreError(
                f"cannot read {database}: {error.strerror}; ask its owner for the right to read it"
            ) from error
        return
    probe = folder / f".mixopt-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"0" * 4096)
        probe.unlink()
        free = shutil.disk_usage(folder).free
        if database.exists():
            _check_sqlite(database)
    except OSError as error:
        raise StoreError(
            f"cannot write to {folder}: {error.strerror}; free some space, or choose a folder "
            "that can be written"
        ) from error
    if free < _MIN_FREE_BYTES:
        raise StoreError(
            f"only {free / 1e6:.0f} MB are free at {folder}, and a sweep needs "
            f"{_MIN_FREE_BYTES / 1e6:.0f} MB; free some space, or choose another folder"
        )


def check_database(location: Location) -> None:
    """Find a wrong address or password at once: MLflow itself tries for minutes.

    Raises:
        StoreError: nobody answers, or not to this user.
    """
    database: Any = require("sqlalchemy")
    url = require("sqlalchemy.engine").make_url(location.uri)
    limit = {"connect_timeout": 10} if url.get_driver_name() in _LIMITED else {}
    engine = database.create_engine(url, connect_args=limit)
    try:
        engine.connect().close()
    except database.exc.SQLAlchemyError as error:
        known = frozenset({url.password} if url.password else ())
        reason = shorten(redact(str(error).partition("(Background")[0], known=known), 300)
        raise StoreError(
            f"no database can be used at {location.shown}: {reason}; correct the address or the "
            "password, or start it"
        ) from None
    finally:
        engine.dispose()


def check_server(location: Location) -> None:
    """Find a wrong address or password at once: MLflow itself tries for minutes.

    Raises:
        StoreError: nobody answers, or not to this user.
    """
    request = urllib.request.Request(location.uri.rstrip("/") + "/health")
    if location.user is not None:
        pair = f"{location.user}:{location.password or ''}".encode()
        request.add_header("Authorization", f"Basic {base64.b64encode(pair).decode()}")
    try:
        urllib.request.urlopen(request, timeout=10).close()
    except urllib.error.HTTPError as error:
        if error.code in {401, 403} and location.user is not None:
            raise StoreError(
                f"the MLflow server at {location.shown} refuses this user and password "
                f"({error.code}); correct them"
            ) from None
        if error.code == 401 and "MLFLOW_TRACKING_USERNAME" not in os.environ:
            raise StoreError(
                f"the MLflow server at {location.shown} asks for a password; write "
                "http://user:$NAME@host and export the variable, or set MLFLOW_TRACKING_USERNAME "
                "and MLFLOW_TRACKING_PASSWORD"
            ) from None
        return  # somebody answers; whether we may write shows later
    except (OSError, ValueError) as error:
        reason = shorten(redact(str(error)), 200)
        raise StoreError(
            f"no MLflow server answers at {location.shown}: {reason}; start it ('mlflow server') "
            "or correct the address"
        ) from None


@contextmanager
def signed_in(location: Location) -> Iterator[None]:
    """MLflow takes user and password of a server from the environment alone."""
    before = {name: os.environ.get(name) for name in _SIGN_IN}
    if location.user is not None:
        os.environ |= dict(zip(_SIGN_IN, (location.user, location.password or ""), strict=True))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _sqlite_file(uri: str, shown: str) -> Path:
    name = uri.removeprefix(_SQLITE)
    if not uri.startswith(_SQLITE) or not name or ":memory:" in uri or "mode=memory" in uri:
        raise StoreError(
            f"store.uri {shown!r} keeps nothing or names no file; write sqlite:///<file>"
        )
    if "?" in name or name.startswith("file:"):
        raise StoreError(f"store.uri {shown!r}: options are not taken; write sqlite:///<file>")
    if name.endswith("/"):
        raise StoreError(f"store.uri {shown!r} names a folder; give a file in it")
    return Path(name).resolve()


def _check_sqlite(database: Path) -> None:
    with database.open("r+b") as stream:
        start = stream.read(len(_SQLITE_MAGIC))
    if start and start != _SQLITE_MAGIC:
        raise StoreError(f"{database} is another kind of file, no SQLite database; give another")


def _server(uri: str, shown: str) -> Location:
    try:
        parts = urllib.parse.urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise StoreError(
            f"store.uri {shown!r} is no address; write http://<host>:<port>, and in a password "
            "%2F for '/', %3F for '?', %23 for '#', %40 for '@'"
        ) from None
    if not host or re.search(r"\s", uri):
        raise StoreError(f"store.uri {shown!r} names no host; write http://<host>:<port>")
    bare = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    user, password = (
        None if v is None else urllib.parse.unquote(v) for v in (parts.username, parts.password)
    )
    return Location(bare, shown, user=user, password=password)


def _check_driver(uri: str, shown: str) -> None:
    """SQLAlchemy finds out late, and in ninety lines, that a driver is not installed."""
    try:
        url: Any = require("sqlalchemy.engine").make_url(uri)
        url.get_dialect().import_dbapi()
    except ModuleNotFoundError as error:
        raise StoreError(
            f"store.uri {shown!r} needs the driver {error.name!r}, which is not installed; run: "
            f"pip install {_PACKAGES.get(str(error.name), error.name)}, or name another driver as "
            "<database>+<driver>://"
        ) from None
    except (ValueError, require("sqlalchemy.exc").ArgumentError) as error:
        raise StoreError(
            f"store.uri {shown!r}: {shorten(redact(str(error)), 200)}; write "
            "<database>+<driver>://<user>:$NAME@<host>/<name>"
        ) from None
