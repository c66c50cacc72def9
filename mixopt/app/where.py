"""Where runs are trained and recorded: a name, and settings that belong to what is named."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mixopt.errors import did_you_mean
from mixopt.execution import EXECUTORS
from mixopt.tracking import STORES


class ExecutionSpec(BaseModel):
    """Where runs are trained; every other key is a setting of the executor. No part of any run."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    use: str = Field("ray", description="The executor: ray, local, or 'module:attribute'.")
    pack_size: int | None = Field(
        None,
        ge=1,
        description="At most so many runs trained together; by default as many as the "
        "trainer prefers.",
    )
    cache: str | None = Field(
        None, description="Folder for prepared data; a shared one on a cluster."
    )

    @field_validator("use")
    @classmethod
    def _known(cls, value: str) -> str:
        return _named(value, EXECUTORS, "executor")

    @property
    def settings(self) -> dict[str, Any]:
        """The executor's own settings, as keyword arguments."""
        return dict(self.__pydantic_extra__ or {})


class StoreSpec(BaseModel):
    """Where the sweep is recorded; every other key is a setting of the store."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    use: str = Field("mlflow", description="The store: mlflow, memory, or 'module:attribute'.")

    @field_validator("use")
    @classmethod
    def _known(cls, value: str) -> str:
        return _named(value, STORES, "store")

    @property
    def settings(self) -> dict[str, Any]:
        """The store's own settings, as keyword arguments."""
        return dict(self.__pydantic_extra__ or {})


def _named(name: str, table: Mapping[str, str], kind: str) -> str:
    if ":" not in name and name not in table:
        raise ValueError(
            f"unknown {kind} {name!r}; {did_you_mean(name, table)}, or write one of yours as "
            "'module:attribute'"
        )
    return name
