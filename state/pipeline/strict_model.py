"""A model that refuses unknown keys with the nearest known one: for the pipeline file and API requests."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from backfilld.state.suggestions import did_you_mean


class StrictModel(BaseModel):
    """A frozen model that refuses unknown keys and does not convert types."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", defer_build=True)

    @classmethod
    def known_keys(cls) -> list[str]:
        """The known keys, as they are written in the file."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            known = cls.known_keys()
            unknown = [key for key in data if key not in known]
            if unknown:
                raise PydanticCustomError(
                    "unknown_key", "{message}", {"key": str(unknown[0]), "message": cls._unknown(unknown[0])}
                )
        return data

    @classmethod
    def _unknown(cls, key: object) -> str:
        return f"unknown key '{key}'; {did_you_mean(str(key), cls.known_keys())}"
