"""Where a sweep's results stay when it runs as a job of a Ray cluster.

Ray unpacks the working folder of a job into a folder of its own, deletes that with the job, and
makes another one when a file has changed. What a sweep wrote there would be lost, and the next job
would begin anew. So results are refused there; they belong on a disk that the head keeps.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from mixopt.app.spec.values import Spec
from mixopt.errors import SpecError, StoreError
from mixopt.tracking import location

CODE = "code"
"""In a sweep's folder, the working folder of its newest job, from which it can be resumed."""

_PACKAGE = "_ray_pkg_"  # Ray's name for a folder into which it unpacks


def package_folder() -> Path | None:
    """The unpacked working folder of the job that this process is; None where it is none."""
    here = Path.cwd().resolve()
    return next((p for p in (here, *here.parents) if p.name.startswith(_PACKAGE)), None)


def is_temporary(path: Path) -> bool:
    """Whether a path is inside a folder into which Ray unpacks packages."""
    return any(part.startswith(_PACKAGE) for part in path.resolve().parts)


def check_durable(spec: Spec, folder: Path, cache: Path) -> None:
    """Refuse places that Ray deletes with the job.

    Args:
        spec: of the sweep.
        folder: of the sweep. It may be lost where the store is a server, which has the runs and the
            report.
        cache: of prepared data, which workers on other machines look for.

    Raises:
        StoreError: folder or database are in such a place.
        SpecError: the cache is.
    """
    uri = str(spec.store.settings.get("uri") or "") if spec.store.use == "mlflow" else ""
    database = location.locate(uri).database if uri else None
    if is_temporary(folder) and (not uri or database is not None):
        raise StoreError(
            f"the sweep's folder {folder} is inside of the job's package, which Ray deletes with "
            "the job; give a folder on a disk that the head keeps, with --out /shared/runs/"
            f"{spec.name} ('mixopt submit' asks for it), or a store on a server"
        )
    if database is not None and is_temporary(database):
        raise StoreError(
            f"the store {database} is inside of the job's package, which Ray deletes with the job; "
            "write sqlite:////absolute/path, leave store.uri out, or name a server"
        )
    if is_temporary(cache):
        raise SpecError(
            f"the cache {cache} is inside of the job's package, which no other machine sees; give "
            "a folder that all machines share",
            "execution.cache",
        )


def runs_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where sweeps are by default: `$MIXOPT_RUNS`, or `runs` below the current folder."""
    return Path(environment.get("MIXOPT_RUNS") or "runs")


RUNS = runs_folder()
"""Where the folders of sweeps are, in this process."""


def keep_code(folder: Path) -> None:
    """Keep the working folder of this job beside its results; nothing where this is no job.

    Args:
        folder: of the sweep.

    Raises:
        StoreError: it cannot be written.
    """
    package = package_folder()
    if package is None or is_temporary(folder):
        return
    kept, new, old = (folder / f"{CODE}{suffix}" for suffix in ("", ".new", ".old"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in (new, old):
            shutil.rmtree(left, ignore_errors=True)
        shutil.copytree(package, new, symlinks=True)
        if kept.exists():
            kept.rename(old)
        new.rename(kept)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise StoreError(
            f"cannot write to {folder}: {error.strerror}; free some space or give another folder "
            "with --out"
        ) from error
