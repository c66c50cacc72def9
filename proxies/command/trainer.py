"""`CommandTrainer`: any external trainer, one process per run, behind mixopt's Trainer port."""

import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mixopt.errors import InputError, TrainerError, did_you_mean, nearest
from mixopt.execution.file_locks import locked
from mixopt.export import Facts, export
from mixopt.ports import Capabilities, Report, TrainerInfo, ignore_report, refusal
from mixopt.runs import Observation, RunSpec, Schedule
from mixopt.runs.files import write_atomically
from mixopt.space import Domain, Mixture, MixtureSpace
from mixopt.space.numbers import check_number
from proxies.command import lm_eval
from proxies.command.metrics import MetricsFile
from proxies.command.mixing import MIXER, end_mixing, offered, start_mixing
from proxies.command.process import Command, run_command

DONE = "observation.json"
FORMATS = ("json", "lm-eval")
SCHEDULE = "schedule_json"
PLACEHOLDERS = (
    *("weights_json", SCHEDULE, "tokens", "params", "seed", "out", "run_id"),
    *("mixture_file", "metrics_file", MIXER, "python"),
)
_BRACES = re.compile(r"\{([A-Za-z][A-Za-z_ -]*)\}")
_SCRIPT = re.compile(r"[^-={}\s][^={}\s]*\.(py|sh)")
_TELLING = frozenset({"mixture_file", "weights_json", SCHEDULE, MIXER, "out"})
"""Placeholders that lead to the run's mixture: the file with it lies in {out}."""
_PLACEHOLDER = re.compile(r"\{(w:[^{}]+|[a-z_]+)\}")
_RUNTIME = frozenset({"cwd", "timeout", "grace", "min_free_gb", "resume", "keep_output"})
_SOME_TOKENS = 10**9  # of a run, where a mixture is written to see that it can be
_PYTHONS = ("python", "python3")
_ENV = {"PYTHONUNBUFFERED": "1"}  # or a traceback would stand before what was printed earlier


@dataclass(frozen=True)
class CommandTrainer:
    """Trains by calling a program: Megatron, OLMo-core, torchtitan, Axolotl, a script of yours.

    Named `"proxies.command:CommandTrainer"` in a spec. No shell is involved: every argument
    reaches the program as it is. In arguments and environment stand for

    * `{w:<domain>}` the share of a domain, `{weights_json}` all of them as a JSON object;
    * `{schedule_json}` what is drawn until when, `[{"until": tokens, "mixture": {...}}, ...]`, of
      a run of one mixture with one entry. Where it stands nowhere, runs by a schedule are refused;
      in the other placeholders the mixture of such a run is its mean;
    * `{mixture_file}` a file with the mixture, in `mixture_format`;
    * `{mixer_file}` a file that says how the mixture changes inside a run, for
      `mixopt.mixers.SteeredRun` or `mixopt mixer --run`; empty of a run without a mixer. Where it
      stands nowhere, such runs are refused;
    * `{tokens}`, `{params}`, `{seed}` numbers of the run, `{run_id}` its name;
    * `{out}` a folder of its own, `{metrics_file}` where its metrics are expected;
    * `{python}` the interpreter that mixopt runs in, with all that is installed beside it.

    Other braces stay as they are. What the command really drew is not known here, unless it has a
    mixer to tell: other observations have no tokens per domain, and count as drawn as asked.

    Attributes:
        argv: program and arguments.
        domains: domain to its unique tokens (or to None, or to the fields of `mixopt.Domain`).
        metrics: names of the metrics; or name to key in the file, where a dot enters an object.
        unit: of the metrics.
        metrics_format: `"json"`, or `"lm-eval"`: results files of the lm-evaluation-harness.
        metrics_file: in `{out}`; `.jsonl` grows by an object a line, `.json` holds one object. Of
            `"lm-eval"` a pattern, `**/results_*.json` if it is left out.
        tokens_key: key of the training tokens that metrics belong to; without it in the file,
            metrics count as those of the end, and there is no curve.
        mixture_file: name of the file behind `{mixture_file}`.
        mixture_format: a format of `mixopt.export`, or `"shares"`: a JSON object of shares.
        mixture_options: of that format, and what it has to know (`mixopt.export.Facts`), e.g. the
            paths of the domains.
        mixing: what the command can do for a mixer, beside `{mixer_file}`: `signals` (names of
            `mixopt.runs.signals.SIGNALS`) and `scopes` as lists, `loss_weights`, `branches` and
            `references` as true or false.
        env: additions to the environment.
        cwd: where the command runs; None: the current folder of the worker.
        timeout: seconds for one run.
        grace: seconds that a command has after SIGTERM before it is killed.
        min_free_gb: a run is ended when the disk of the cache has less room than this.
        resume: a second attempt finds `{out}` as the first left it, for programs that continue
            from their own checkpoints; otherwise `{out}` is empty at every start.
        keep_output: keep `{out}` of runs that ended well; otherwise its log and result stay alone.
        data: version of the data behind the command; change it when they change.

    Raises:
        InputError: an unknown placeholder or domain, or a setting that breaks its rule.
    """

    argv: Sequence[str]
    domains: Mapping[str, Any] | Sequence[str]
    metrics: Sequence[str] | Mapping[str, str]
    unit: str = "nats/token"
    metrics_format: str = "json"
    metrics_file: str | None = None
    tokens_key: str = "tokens"
    mixture_file: str = "mixture.json"
    mixture_format: str = "shares"
    mixture_options: Mapping[str, Any] = field(default_factory=dict)
    mixing: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    timeout: float = 86_400.0
    grace: float = 10.0
    min_free_gb: float = 1.0
    resume: bool = False
    keep_output: bool = True
    data: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.argv, str) or not self.argv:
            raise InputError(
                f"argv is {self.argv!r}; give a list, program first (no shell splits it)"
            )
        for text in [*self.argv, *self.env.values()]:
            if not isinstance(text, str):
                raise InputError(f"argv and env hold text, not {text!r}; put it in quotes")
            self._check_placeholders(text)
        if not self._keys():
            raise InputError("metrics is empty; name what the command writes")
        self._check_metrics()
        offered(self.mixing)
        if self.mixing and MIXER not in self._named():
            raise InputError(
                f"mixing: {', '.join(self.mixing)}: the command is given no mixer; put "
                f"{{{MIXER}}} in argv or env, or leave mixing out"
            )
        for name, file in (("metrics_file", self._file), ("mixture_file", self.mixture_file)):
            given = Path(file)
            if given.is_absolute() or ".." in given.parts or not given.name:
                raise InputError(
                    f"{name} is {str(given)!r}; give a name inside the run's folder, without '..'"
                )
        check_number("timeout", self.timeout, least=0.0, open=True)
        check_number("grace", self.grace, least=0.0)
        check_number("min_free_gb", self.min_free_gb, least=0.0)

    @property
    def capabilities(self) -> Capabilities:
        """What is runtime; and schedules and mixers, where the command is given them."""
        named = self._named()
        mixing = offered(self.mixing) if MIXER in named else None
        return Capabilities(runtime=_RUNTIME, schedules=SCHEDULE in named, mixing=mixing)

    def prepare(self, cache: Path) -> TrainerInfo:
        """Check what can be checked before the first run; see `mixopt.ports.Trainer`.

        Raises:
            InputError: program or folder do not exist here, or the format is unknown.
        """
        cache.mkdir(parents=True, exist_ok=True)
        if self.cwd is not None and not Path(self.cwd).is_dir():
            raise InputError(f"cwd: {self.cwd!r} is no folder; create it or correct the path")
        program = self.argv[0]
        if not _PLACEHOLDER.search(program) and not self._find(program):
            raise InputError(
                f"argv: there is no program {program!r} here; install it, or give its full path"
            )
        domains = self._domains()
        even = {d.name: 1 / len(domains) for d in domains}
        self._mixture_text(even, _SOME_TOKENS)
        identity = json.dumps([sorted(even), self._keys(), self.data], sort_keys=True)
        return TrainerInfo(
            domains=domains,
            metrics=tuple(self._keys()),
            unit=self.unit,
            data=hashlib.sha256(identity.encode()).hexdigest(),
            notes={"argv": list(self.argv), "data": self.data},
            warnings=(*_other_python(program), *self._doubts()),
        )

    def train(
        self, specs: Sequence[RunSpec], cache: Path, report: Report = ignore_report
    ) -> list[Observation]:
        """Run the command for every spec, one after another; see `mixopt.ports.Trainer`."""
        return [self._train(spec, cache, report) for spec in specs]

    def _train(self, spec: RunSpec, cache: Path, report: Report) -> Observation:
        started = time.perf_counter()
        folder = cache.resolve() / "commands" / spec.run_id
        try:
            if reason := refusal(self, spec):
                wanted = SCHEDULE if spec.mixer is None else MIXER
                raise InputError(f"{reason}; this one does where {{{wanted}}} is in its argv")
            unknown = [d for d, w in spec.mixture.to_dict().items() if w and d not in self.domains]
            if unknown:
                known = did_you_mean(unknown[0], self.domains)
                raise InputError(f"the command knows no domain {unknown[0]!r}; {known}")
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder / "lock", self.grace + 30.0, f"run {spec.run_id}") as lock:
                done = _read_done(folder, spec)
                if done is not None:
                    return done
                return self._kept(self._run(spec, folder, lock, report), folder)
        except (InputError, TrainerError, OSError) as error:
            # the other runs of the pack may still end well
            seconds = time.perf_counter() - started
            reason = f"{type(error).__name__}: {error}"
            return Observation.failure(spec, reason, seconds=seconds)

    def _kept(self, seen: Observation, folder: Path) -> Observation:
        """Remember a run that ended well; it is not lost where the disk has no room for that."""
        if not seen.ok:
            return seen
        try:
            write_atomically(folder / DONE, json.dumps(seen.to_dict()).encode())
        except OSError as error:
            return replace(seen, info={**seen.info, "not_kept": str(error)})
        if not self.keep_output:
            shutil.rmtree(folder / "out", ignore_errors=True)
        return seen

    def _run(self, spec: RunSpec, folder: Path, lock: int, report: Report) -> Observation:
        out, started = folder / "out", time.perf_counter()
        if not self.resume:
            shutil.rmtree(out, ignore_errors=True)
        out.mkdir(exist_ok=True)
        steered = start_mixing(spec, offered(self.mixing), tuple(self.domains), folder)
        command = self._command(spec, folder, steered)
        path = out / self._file
        metrics: MetricsFile | lm_eval.ResultsFiles
        if self.metrics_format == "lm-eval":
            metrics = lm_eval.ResultsFiles(out, self._file, self._keys())
        else:
            metrics = MetricsFile(path, self._keys(), self.tokens_key, spec.scale.tokens)

        def look() -> None:
            for point in metrics.new_points():
                report(spec, point)

        # The guard holds the lock until all of the command has ended: after a driver was killed,
        # the next attempt waits for what is left of the last one.
        ending = run_command(command, look, keep=(lock,))
        final, missing = metrics.final()
        look()
        facts: dict[str, Any] = {
            "curve": metrics.curve(),
            "seconds": time.perf_counter() - started,
            "info": {
                "exit_code": ending.code,
                "output": str(command.log),
                "bad_lines": metrics.bad_lines,
                **metrics.info,
            },
        }
        done = min(1.0, metrics.tokens / spec.scale.tokens)
        reason = ending.explain() or (missing and f"{missing}; {ending.last_lines()}")
        if reason:
            return Observation.failure(spec, reason, flops=done * spec.scale.flops, **facts)
        flops = spec.scale.flops
        try:
            mixed = end_mixing(steered)
        except InputError as error:
            reason = f"{error}; {ending.last_lines()}"
            return Observation.failure(spec, reason, flops=flops, **facts)
        if mixed is not None:
            flops *= mixed.cost_ratio
            facts["info"]["mixer"] = mixed.record
            facts["realised"] = mixed.realised
        return Observation.of(spec, final, flops=flops, **facts)

    def _named(self) -> set[str]:
        """Placeholders in its arguments and environment."""
        texts = [*self.argv, *self.env.values()]
        return {name for text in texts for name in _PLACEHOLDER.findall(text)}

    def _command(self, spec: RunSpec, folder: Path, steered: Path | None) -> Command:
        shares = {d: 0.0 for d in self.domains} | spec.mixture.to_dict()
        values = {
            "weights_json": json.dumps(shares),
            SCHEDULE: json.dumps(Schedule(spec.phases).to_dict()["phases"]),
            "tokens": str(spec.scale.tokens),
            "params": str(spec.scale.params),
            "seed": str(spec.seed),
            "out": str(folder / "out"),
            "run_id": spec.run_id,
            "mixture_file": str(folder / self.mixture_file),
            "metrics_file": str(folder / "out" / self._file),
            MIXER: "" if steered is None else str(steered),
            "python": sys.executable,
        } | {f"w:{d}": f"{w:.9f}" for d, w in shares.items()}
        (folder / self.mixture_file).write_text(
            self._mixture_text(shares, spec.scale.tokens), encoding="utf-8"
        )

        def fill(text: str) -> str:
            return _PLACEHOLDER.sub(lambda match: values[match[1]], text)

        return Command(
            argv=[fill(argument) for argument in self.argv],
            env=_ENV | os.environ | {name: fill(value) for name, value in self.env.items()},
            cwd=None if self.cwd is None else Path(self.cwd),
            log=folder / "output.log",
            timeout=self.timeout,
            grace=self.grace,
            min_free=self.min_free_gb * 1e9,
        )

    def _mixture_text(self, shares: Mapping[str, float], tokens: int) -> str:
        if self.mixture_format == "shares":
            return json.dumps(shares, indent=2)
        facts, options = Facts.split({"tokens": tokens, **self.mixture_options})
        return export(Mixture.of(shares), self.mixture_format, facts, **options).text

    @property
    def _file(self) -> str:
        default = lm_eval.PATTERN if self.metrics_format == "lm-eval" else "metrics.jsonl"
        return self.metrics_file or default

    def _check_metrics(self) -> None:
        if self.metrics_format not in FORMATS:
            known = did_you_mean(self.metrics_format, FORMATS)
            raise InputError(f"metrics_format: there is no {self.metrics_format!r}; {known}")
        if self.metrics_format != "lm-eval":
            return
        if wrong := lm_eval.check_keys(self._keys()):
            raise InputError(f"metrics: {wrong}")
        if any("{metrics_file}" in text for text in [*self.argv, *self.env.values()]):
            raise InputError(
                "argv or env: {metrics_file} is a pattern with metrics_format 'lm-eval'; "
                "give the harness a folder, as --output_path {out}/eval"
            )

    def _keys(self) -> dict[str, str]:
        if isinstance(self.metrics, Mapping):
            return dict(self.metrics)
        return {name: name for name in self.metrics}

    def _domains(self) -> tuple[Domain, ...]:
        return MixtureSpace(self.domains).domains

    def _find(self, program: str) -> bool:
        paths = [Path(program), Path(self.cwd or ".") / program]
        return shutil.which(program) is not None or any(
            p.is_file() and os.access(p, os.X_OK) for p in paths if "/" in program
        )

    def _doubts(self) -> tuple[str, ...]:
        """What a look at the arguments finds odd; it may be meant, so that nothing is refused."""
        doubts = []
        if not any(name in _TELLING or name.startswith("w:") for name in self._named()):
            doubts.append(
                "argv: the command is not told its mixture, so that all runs are trained alike; "
                "give it {mixture_file}, {weights_json} or {w:<domain>}"
            )
        for name in _BRACES.findall(" ".join([*self.argv, *self.env.values()])):
            close = nearest(name, PLACEHOLDERS, 0.8)
            if close and not _PLACEHOLDER.fullmatch(f"{{{name}}}"):
                doubts.append(f"argv: {{{name}}} is passed as it is; did you mean {{{close}}}?")
        here = Path(self.cwd or ".").resolve()
        doubts += [
            f"argv: there is no file {text!r} in {here}"
            for text in self.argv[1:]
            if _SCRIPT.fullmatch(text) and not (here / text).exists()
        ]
        return tuple(doubts)

    def _check_placeholders(self, text: str) -> None:
        known = [*PLACEHOLDERS, *(f"w:{d}" for d in self.domains)]
        for name in _PLACEHOLDER.findall(text):
            if name not in known:
                raise InputError(
                    f"argv or env: unknown placeholder {{{name}}}; {did_you_mean(name, known)}"
                )


def _read_done(folder: Path, spec: RunSpec) -> Observation | None:
    """What came of the run when it was trained before, if it was."""
    try:
        seen = Observation.from_dict(json.loads((folder / DONE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError):  # never finished, or not readable any more
        return None
    return replace(seen, spec=spec) if seen.run_id == spec.run_id else None


def _other_python(program: str) -> tuple[str, ...]:
    """A doubt about a `python` that is looked up, and is another than mixopt's own."""
    path = shutil.which(program)
    if program not in _PYTHONS or path is None or Path(path).parent == Path(sys.executable).parent:
        return ()
    return (
        f"argv: {program!r} is {path} here, which has not what is installed beside mixopt (in "
        f"{Path(sys.executable).parent}); write '{{python}}' for mixopt's own, or a full path",
    )
