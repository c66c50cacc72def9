"""Where runs are trained and recorded: a name, and settings that belong to what is named."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from mixopt.app.spec.fields import Strict, named_in, plain_values
from mixopt.errors import did_you_mean, shorten
from mixopt.execution import EXECUTORS
from mixopt.execution.limits import PAUSE_AFTER, Limits
from mixopt.space.numbers import MANY
from mixopt.tracking import STORES

# What editors show of settings; their types are checked by the annotations of what is named.
_RAY = {
    "address": "Of a running Ray cluster, e.g. 'auto'; none starts one here.",
    "cpus_per_pack": "CPU cores of a pack, on each of its nodes.",
    "gpus_per_pack": "GPUs of a pack, on each of its nodes; below 1 a fraction.",
    "memory_per_pack": "Bytes of memory reserved for a pack on each of its nodes, e.g. 8G.",
    "nodes_per_pack": "Machines over which the ranks of a pack are spread.",
    "resources": "Other resources of a pack by name, as the nodes declare them, e.g. {TPU: 4}.",
    "labels": "Labels of the nodes to train on, e.g. {ray.io/market-type: spot}.",
    "timeout": "Seconds that a run may take; one that hangs is ended, retried once, and recorded "
    "as failed. By default no limit.",
    "timeout_per_pflop": "Seconds more per 10^15 nominal FLOPs (6 N D) of a run.",
    "per_scale": "What differs from some number of parameters on, e.g. [{params: 100M, "
    "gpus_per_pack: 1, timeout: 7200}].",
    "silence": "Seconds without news of a pack after which a warning is logged.",
    "retries": "Restarts of a pack whose worker died; or by cause: {crash: 2, memory: 2, lost: 20, "
    "timeout: 1}.",
    "max_slots": "Packs under way at once; by default what the cluster has room for now. Name it "
    "on an autoscaling cluster, which is asked for what they need.",
    "runtime_env": "Ray's runtime_env of the workers, e.g. {pip: [...]}; the values of env_vars "
    "are shown and kept nowhere.",
}
_MLFLOW = {
    "uri": "MLflow tracking URI; by default what MLFLOW_TRACKING_URI says, else SQLite in the "
    "sweep's folder. $NAME stands for a variable of the environment, for passwords.",
    "namespace": "Before the experiment's name, e.g. a team: <namespace>/<name of the sweep>.",
    "owner": "Of the experiment on a store that people share; by default the spec's owner, the "
    "server's user, or this machine's. Another's experiment is refused.",
    "patience": "Seconds that the store may be away at a stretch while the sweep goes on.",
}


def _describe(settings: Mapping[str, str]) -> Callable[[dict[str, Any]], None]:
    def extend(schema: dict[str, Any]) -> None:
        schema["properties"] |= {k: {"description": v} for k, v in settings.items()}

    return extend


class _Named(BaseModel):
    """A name and its settings."""

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of what is named, as keyword arguments."""
        return dict(self.__pydantic_extra__ or {})

    @model_validator(mode="after")
    def _plain(self) -> "_Named":
        plain_values(self.settings)
        return self


class StopAfterSpec(Strict):
    """What a sweep may take over all its resumes; it stops there, and goes on once that is more."""

    runs: int | None = Field(None, ge=1, le=MANY, description="Runs, failed ones included.")
    flops: float | None = Field(None, gt=0, description="Training FLOPs, e.g. 1e18.")
    gpu_hours: float | None = Field(None, gt=0, description="Hours of GPUs that packs reserve.")
    money: float | None = Field(
        None, gt=0, description="In the unit of execution.price_per_hour, which it needs."
    )
    deadline: str | None = Field(
        None,
        description="Date and time, e.g. 2026-11-30T08:00 (of the driver's clock) or with +01:00.",
    )

    @field_validator("deadline")
    @classmethod
    def _a_time(cls, value: str | None) -> str | None:
        if value is not None:
            seconds_at(value)
        return value


def seconds_at(when: str) -> float:
    """A date and time as seconds since 1970; of this machine's zone where it names none.

    Raises:
        ValueError: it is none.
    """
    try:
        return datetime.fromisoformat(when).timestamp()
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f"{shorten(when, 40)!r} is no date and time; write it as 2026-11-30T08:00, or with its "
            "zone as 2026-11-30T08:00+01:00"
        ) from None


class ExecutionSpec(_Named):
    """Where runs are trained; every other key is a setting of the executor. No part of any run."""

    model_config = ConfigDict(
        extra="allow", frozen=True, strict=True, json_schema_extra=_describe(_RAY)
    )

    use: Annotated[str, WithJsonSchema(named_in(EXECUTORS))] = Field(
        "ray", description="The executor: ray, slurm, local, or 'module:attribute'."
    )
    pack_size: int | None = Field(
        None,
        ge=1,
        le=MANY,
        description="At most so many runs trained together; by default as many as the "
        "trainer prefers.",
    )
    cache: str | None = Field(
        None, description="Folder for prepared data; a shared one on a cluster."
    )

    stop_after: StopAfterSpec = Field(
        default_factory=StopAfterSpec,
        description="Limits of the whole sweep: runs, flops, gpu_hours, money, deadline.",
    )
    price_per_hour: float | None = Field(
        None,
        gt=0,
        description="Of one GPU, in any currency; of one slot where packs reserve no GPU.",
    )
    keep_checkpoints: Literal["until-end", "always"] | Annotated[float, Field(ge=0, le=MANY)] = (
        Field(
            "until-end",
            description="What it takes to continue runs: until the sweep ends, always, or so many "
            "days ('mixopt clean' deletes older ones).",
        )
    )
    pause_after: int = Field(
        PAUSE_AFTER,
        ge=0,
        le=MANY,
        description="So many failures in a row (or more of twice as many runs) pause the sweep; "
        "0: never. Losses that diverge do not count.",
    )

    @field_validator("use")
    @classmethod
    def _known(cls, value: str) -> str:
        return _named(value, EXECUTORS, "executor")

    @model_validator(mode="after")
    def _priced(self) -> "ExecutionSpec":
        if self.stop_after.money is not None and self.price_per_hour is None:
            raise ValueError(
                "stop_after.money needs a price; give price_per_hour as well, or a limit in "
                "gpu_hours or flops"
            )
        return self

    @property
    def limits(self) -> Limits:
        """What the sweep may take, and when failures pause it."""
        given = self.stop_after
        return Limits(
            runs=given.runs,
            flops=given.flops,
            gpu_hours=given.gpu_hours,
            money=given.money,
            price_per_hour=self.price_per_hour,
            deadline=None if given.deadline is None else seconds_at(given.deadline),
            pause_after=self.pause_after,
        )


class StoreSpec(_Named):
    """Where the sweep is recorded; every other key is a setting of the store."""

    model_config = ConfigDict(
        extra="allow", frozen=True, strict=True, json_schema_extra=_describe(_MLFLOW)
    )

    use: Annotated[str, WithJsonSchema(named_in(STORES))] = Field(
        "mlflow", description="The store: mlflow, memory, or 'module:attribute'."
    )

    @field_validator("use")
    @classmethod
    def _known(cls, value: str) -> str:
        return _named(value, STORES, "store")


def _named(name: str, table: Mapping[str, str], kind: str) -> str:
    if ":" not in name and name not in table:
        raise ValueError(
            f"unknown {kind} {name!r}; {did_you_mean(name, table)}, or write one of yours as "
            "'module:attribute'"
        )
    return name
