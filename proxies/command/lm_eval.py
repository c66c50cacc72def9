"""Scores of the lm-evaluation-harness as metrics: its results files are read, the harness is not.

`lm_eval --output_path DIR` writes `DIR/<model>/results_<date>.json`, in which `results` holds, by
task (or group of tasks), `"<metric>,<filter>"` and its error `"<metric>_stderr,<filter>"`.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixopt.errors import TrainerError, did_you_mean
from mixopt.runs import Point

PATTERN = "**/results_*.json"
"""Where the harness leaves its results, below the folder of a run."""

_MOST_BYTES = 200_000_000  # files with samples inside are larger, and another format
_NOT_METRICS = frozenset({"alias", "name", "sample_len", "samples", " "})


class ResultsFiles:
    """The results files of one run; of a task that stands in several, the newest counts.

    Args:
        folder: of the run.
        pattern: of the files in it, as `Path.glob` takes it.
        keys: metric name to `"task/metric"`, or `"task/metric,filter"` where a task has several.
    """

    bad_lines = 0

    def __init__(self, folder: Path, pattern: str, keys: Mapping[str, str]) -> None:
        self._folder, self._pattern, self._keys = folder, pattern, dict(keys)
        self.tokens = 0
        self.info: dict[str, Any] = {}

    def new_points(self) -> list[Point]:
        """None: scores are those of the end."""
        return []

    def curve(self) -> tuple[Point, ...]:
        """None."""
        return ()

    def final(self) -> tuple[dict[str, float], str]:
        """The metrics, and "" or why there are none. To be called after the command."""
        try:
            files = self._files()
            scores = {name: self._score(files, key) for name, key in self._keys.items()}
        except TrainerError as error:
            return {}, str(error)
        errors = {name: error for name, (_, error) in scores.items() if error is not None}
        self.info = {
            "standard_error": errors,
            "lm_eval": {
                file.relative_to(self._folder).as_posix(): _facts(values)
                for file, values in files.items()
            },
        }
        return {name: value for name, (value, _) in scores.items()}, ""

    def _files(self) -> dict[Path, Mapping[str, Any]]:
        """Files to what they hold, the newest first."""
        paths = [path for path in self._folder.glob(self._pattern) if path.is_file()]
        if not paths:
            raise TrainerError(
                f"no file in {self._folder} is called like {self._pattern!r}; end the command "
                "with 'lm_eval ... --output_path {out}/eval', or correct metrics_file"
            )
        paths.sort(key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)
        return {path: _read(path) for path in paths}

    def _score(
        self, files: Mapping[Path, Mapping[str, Any]], key: str
    ) -> tuple[float, float | None]:
        task, _, metric = key.rpartition("/")
        for file, values in files.items():
            if task in values["results"]:
                return _look_up(values["results"][task], metric, f"{file}: task {task!r}")
        tasks = sorted({task for values in files.values() for task in values["results"]})
        raise TrainerError(
            f"{next(iter(files))} has no task {task!r} (asked for by {key!r}); "
            f"{did_you_mean(task, tasks)}"
        )


def check_keys(keys: Mapping[str, str]) -> str:
    """What is wrong with keys that are to be read from results files; empty if nothing is."""
    for key in keys.values():
        task, _, metric = key.rpartition("/")
        if not task or not metric:
            return f"{key!r} names no score; write task/metric, as hellaswag/acc_norm"
    return ""


def _read(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise TrainerError(f"{path} has more than {_MOST_BYTES} bytes; name the results file")
        values: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise TrainerError(
            f"{path} cannot be read as JSON: {error}; let the command write it anew"
        ) from error
    results = values.get("results") if isinstance(values, dict) else None
    if not isinstance(results, dict) or not all(isinstance(v, dict) for v in results.values()):
        raise TrainerError(
            f"{path} is no results file of the lm-evaluation-harness: it has no 'results' by task; "
            "correct metrics_file"
        )
    return dict(values)


def _look_up(scores: Mapping[str, Any], metric: str, where: str) -> tuple[float, float | None]:
    """A score and its standard error, where it has one."""
    names = [name for name in scores if "_stderr" not in name and name not in _NOT_METRICS]
    fitting = [name for name in names if metric in (name, name.partition(",")[0])]
    if not fitting:
        raise TrainerError(f"{where} has no metric {metric!r}; {did_you_mean(metric, names)}")
    if len(fitting) > 1:
        raise TrainerError(
            f"{where} has {metric!r} by several filters: {', '.join(fitting)}; name one of these"
        )
    (name,) = fitting
    value = _number(scores[name])
    if value is None:
        raise TrainerError(f"{where}: {name!r} is {scores[name]!r}, which is no number")
    base, comma, which = name.partition(",")
    return value, _number(scores.get(f"{base}_stderr{comma}{which}"))


def _number(value: Any) -> float | None:
    """A finite or infinite number; None for "N/A", which the harness writes where it has none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return None if math.isnan(value) else float(value)


def _facts(values: Mapping[str, Any]) -> dict[str, Any]:
    """What has to be the same for scores to be compared: versions of tasks, shots, a limit."""
    config = values.get("config")
    limit = config.get("limit") if isinstance(config, Mapping) else None
    return {"versions": values.get("versions"), "shots": values.get("n-shot"), "limit": limit}
