"""Exporters: a mixture in the format of a large trainer; one file per format, found by name.

A format is an `Exporter` (`mixopt.export.exporter`): what it can express, declared, and a function
that writes it. Where a trainer has several stories, a tuple of them, told apart by `version`, the
first being what is written unless another is asked for. What the weights count decides how shares
of tokens become weights; what cannot be expressed is refused before anything is written. Zero
shares are never exported, and names and paths are written so that no character of theirs can change
the meaning of the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version as installed
from typing import Any

from mixopt.errors import InputError, did_you_mean, shorten
from mixopt.export.exporter import (
    Draws,
    Exporter,
    Job,
    Option,
    Paths,
    Repeats,
    Schedules,
    Stage,
    Unit,
)
from mixopt.export.facts import Facts
from mixopt.export.preflight import Checked, check
from mixopt.export.realised import PLAN, as_json, realised_plan, summary
from mixopt.lazy import load
from mixopt.runs import Schedule
from mixopt.runs.schedule import digest, plan_identity
from mixopt.space import Mixture

EXPORTERS: dict[str, str] = {
    "json": "mixopt.export.plain:JSON",
    "yaml": "mixopt.export.plain:YAML",
    "csv": "mixopt.export.plain:CSV",
    "quota": "mixopt.export.quota:EXPORTER",
    "megatron": "mixopt.export.megatron:EXPORTER",
    "megatron-bridge": "mixopt.export.megatron_bridge:EXPORTER",
    "nemo": "mixopt.export.nemo:EXPORTER",
    "olmo-core": "mixopt.export.olmo_core:EXPORTERS",
    "torchtitan": "mixopt.export.torchtitan:EXPORTERS",
    "nanotron": "mixopt.export.nanotron:EXPORTER",
    "levanter": "mixopt.export.levanter:EXPORTER",
    "maxtext": "mixopt.export.maxtext:EXPORTER",
    "streaming": "mixopt.export.streaming:EXPORTER",
    "llm-foundry": "mixopt.export.llm_foundry:EXPORTER",
    "litdata": "mixopt.export.litdata:EXPORTERS",
    "hf-datasets": "mixopt.export.hf_datasets:EXPORTER",
    "trl": "mixopt.export.trl:EXPORTER",
    "axolotl": "mixopt.export.axolotl:EXPORTER",
    "llama-factory": "mixopt.export.llama_factory:EXPORTER",
    "ms-swift": "mixopt.export.ms_swift:EXPORTER",
    "mixtera": "mixopt.export.mixtera:EXPORTER",
    "lingua": "mixopt.export.lingua:EXPORTER",
    "premixdb": "mixopt.export.premixdb:EXPORTER",
    "data-juicer": "mixopt.export.data_juicer:EXPORTER",
}
"""Name of a format to its exporter, or to a tuple of them by version, the default first."""


@dataclass(frozen=True)
class Exported:
    """What an export gives; nothing of it is on disk yet.

    Attributes:
        files: name to text; the main file first. A schedule that the format cannot hold is a file
            for each stage, and `<stem>.runs.json`, which lists them with their ends.
        realised: what the weights will really give; the content of `realised_plan.json`.
    """

    files: Mapping[str, str] = field(hash=False)
    realised: Mapping[str, Any] = field(hash=False)

    @property
    def text(self) -> str:
        """The one file.

        Raises:
            InputError: there are several, which have to be written to a folder.
        """
        if len(self.files) > 1:
            raise InputError(
                f"this export is {len(self.files)} files ({', '.join(self.files)}); write them to "
                "a folder (--out FILE names the first)"
            )
        return next(iter(self.files.values()))

    @property
    def all_files(self) -> dict[str, str]:
        """Everything that is to be written, the realised plan with it."""
        return {**self.files, PLAN: as_json(self.realised)}

    def lines(self) -> list[str]:
        """What is to be said of it: epochs, smallest share, expected shares and their sd."""
        return summary(self.realised)


def exporters(target_format: str) -> tuple[Exporter, ...]:
    """All versions of a format, the default first.

    Args:
        target_format: a name of `EXPORTERS`, or `module:attribute` of one of yours.

    Raises:
        InputError: an unknown name, or something else stands there.
    """
    if target_format not in EXPORTERS and ":" not in target_format:
        raise InputError(
            f"unknown export format {shorten(target_format)!r}; "
            f"{did_you_mean(target_format, EXPORTERS)}"
        )
    target = EXPORTERS.get(target_format, target_format)
    thing = load(target)
    versions = thing if isinstance(thing, tuple) else (thing,)
    if not versions or not all(isinstance(one, Exporter) for one in versions):
        raise InputError(
            f"{target!r} is {type(thing).__name__}, no exporter; name a "
            "mixopt.export.Exporter, or a tuple of them"
        )
    return versions


def exporter(target_format: str, version: str | None = None) -> Exporter:
    """The exporter of a format.

    Args:
        target_format: see `exporters`.
        version: whose story to write; the first by default.

    Raises:
        InputError: an unknown format or version.
    """
    known = exporters(target_format)
    if version is None:
        return known[0]
    for one in known:
        if one.version == version:
            return one
    names = [one.version for one in known if one.version]
    remedy = did_you_mean(version, names) if names else "it has one version; leave it out"
    raise InputError(f"export format {target_format!r} has no version {version!r}; {remedy}")


def export(
    plan: Mixture | Schedule,
    target_format: str,
    facts: Facts | None = None,
    *,
    version: str | None = None,
    mean: bool = False,
    about: Mapping[str, Any] | None = None,
    **options: Any,
) -> Exported:
    """The mixture in a trainer's own format, checked; nothing is written to disk.

    Args:
        plan: shares of training tokens; or a schedule of them.
        target_format: a name of `EXPORTERS`, or `module:attribute` of one of yours.
        facts: what is known of the data and of the target run.
        version: of the trainer, where the format has several.
        mean: of a schedule, write the mixture that it draws in total, without its order.
        about: `provenance` and `predictions` (plain JSON values), `name` of the file.
        options: of the format.

    Raises:
        InputError: an unknown format, version or option; what the format cannot express (a share
            below its grain, repetition that it refuses, a path that it would split); or what it
            needs is not known.

    >>> export(Mixture.of({"web": 0.75, "code": 0.25}), "json", indent=False).text[:44]
    '{"schema": "mixopt.mixture", "version": 1, "'
    """
    chosen = exporter(target_format, version)
    what = f"export format {target_format!r}"
    settings = chosen.settings(options, what)
    if isinstance(plan, Schedule) and (mean or len(plan.phases) == 1):
        facts = replace(facts or Facts(), tokens=(facts or Facts()).tokens or plan.tokens)
        plan = plan.mean
    try:
        checked = check(plan, chosen, facts or Facts(), settings)
    except InputError as error:
        raise InputError(f"{what}: {error}") from error
    identity = _identity(plan)
    said = dict(about or {})
    job = replace(
        checked.job,
        note=f"mixopt {_ours()}, mixture {identity}",
        provenance=said.get("provenance") or {},
        predictions=said.get("predictions") or {},
        name=said.get("name") or f"mixture{chosen.suffix}",
    )
    files = _write(job, chosen, what)
    described = {"mixture": identity, "mixopt": _ours(), "files": list(files)}
    realised = realised_plan(replace(checked, job=job), chosen, target_format, described)
    return Exported(files, realised)


@cache
def _ours() -> str:
    """The version of mixopt that writes."""
    return installed("mixopt")


def _identity(plan: Mixture | Schedule) -> str:
    """16 digits that name a mixture or schedule, the same on any machine."""
    phases = plan.phases if isinstance(plan, Schedule) else ((None, plan),)
    return digest(plan_identity(phases))


def _write(job: Job, chosen: Exporter, what: str) -> dict[str, str]:
    """All files of a job, by name."""
    try:
        if len(job.stages) == 1 or chosen.schedules is Schedules.NATIVE:
            return _files(job, chosen)
        return _runs(job, chosen)
    except InputError as error:
        raise InputError(f"{what}: {error}") from error


def _files(job: Job, chosen: Exporter) -> dict[str, str]:
    written = chosen.write(job)
    if isinstance(written, str):
        return {job.name: written}
    return {name or job.name: text for name, text in written.items()}


def _runs(job: Job, chosen: Exporter) -> dict[str, str]:
    """A file for each stage, and the list of runs that draw by them one after another."""
    suffix = job.name[len(job.stem) :]
    files: dict[str, str] = {}
    runs: list[dict[str, Any]] = []
    for number, stage in enumerate(job.stages, start=1):
        name = f"{job.stem}.{number}{suffix}"
        files |= _files(replace(job, stages=(stage,), name=name), chosen)
        run = {"file": name, "start_tokens": stage.start, "until_tokens": stage.until}
        if job.facts.batch_tokens is not None:
            run |= {
                "start_step": job.steps(stage.start),
                "until_step": job.steps(stage.until or 0),
            }
        runs.append(run)
    listing: dict[str, Any] = {
        "schema": "mixopt.runs",
        "version": 1,
        "note": "train these one after another, each from the last checkpoint of the one before",
        "written_by": job.note,
        "runs": runs,
    }
    ends = [run["until_step"] for run in runs[:-1] if "until_step" in run]
    if ends:
        listing["transition_steps"] = ends
    return {f"{job.stem}.runs.json": as_json(listing), **files}


__all__ = [
    "EXPORTERS",
    "Checked",
    "Draws",
    "Exported",
    "Exporter",
    "Facts",
    "Job",
    "Option",
    "Paths",
    "Repeats",
    "Schedules",
    "Stage",
    "Unit",
    "export",
    "exporter",
    "exporters",
]
