"""A model that refuses unknown keys with the nearest known one: for the pipeline file and API requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from backfilld.state.pipeline.airflow_and_dbt_keys import known_synonym
from backfilld.state.spelling_suggestions import did_you_mean, nearest_name


class StrictModel(BaseModel):
    """A frozen model that refuses unknown keys and does not convert types."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", defer_build=True)

    @classmethod
    def known_keys(cls) -> list[str]:
        """The known keys, as they are written in the file."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    @model_validator(mode="wrap")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Refuse unknown keys together with all other mistakes of the table.

        The value of a misspelt key takes the place of the nearest key, which is then not missing too. It is
        not reported as wrong: the file does not have that key.
        """
        known = cls.known_keys()
        unknown = [key for key in data if key not in known] if isinstance(data, dict) else []
        if not unknown:
            return validate(data)
        errors = [
            InitErrorDetails(type=_error("unknown_key", cls._unknown(key), {"key": str(key)}), input=data)
            for key in unknown
        ]
        meant = {near: data[key] for key in unknown if (near := cls._meant(str(key))) and near not in data}
        try:
            validate({**meant, **{key: data[key] for key in data if key in known}})
        except ValidationError as error:
            errors += [
                InitErrorDetails(
                    type=_error(e["type"], e["msg"], e.get("ctx", {})), loc=e["loc"], input=e["input"]
                )
                for e in error.errors(include_url=False)
                if e["loc"][:1] not in [(key,) for key in meant]
            ]
        raise ValidationError.from_exception_data(cls.__name__, errors)

    @classmethod
    def misplaced_keys(cls) -> Mapping[str, str]:
        """Keys of other tables that are easily taken for keys of this one, with what to do instead."""
        return {}

    @classmethod
    def _unknown(cls, key: object) -> str:
        if misplaced := cls.misplaced_keys().get(str(key)):
            return f"unknown key '{key}'; {misplaced}"
        meant = cls._meant(str(key))
        hint = f"did you mean '{meant}'?" if meant else did_you_mean(str(key), cls.known_keys())
        return f"unknown key '{key}'; {hint}"

    @classmethod
    def _meant(cls, key: str) -> str:
        """The known key that is meant by an unknown one; empty where none is near."""
        known = cls.known_keys()
        return known_synonym(key, known) or nearest_name(key, known)


def _error(kind: str, message: str, context: Mapping[str, Any]) -> PydanticCustomError:
    return PydanticCustomError(kind, "{message}", {**context, "message": message})
