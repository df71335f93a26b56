"""The base models of everything sent or received as JSON: camelCase, with plain error messages."""

from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError


class WireModel(BaseModel):
    """JSON between processes: camelCase on the wire, snake_case in Python, unknown fields ignored.

    Errors name the field and the problem, never the value: errors are logged, and stored with dead letters.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        frozen=True,
        hide_input_in_errors=True,
    )


@dataclass(frozen=True)
class ErrorMessage:
    """Annotates a field of a RequestBody with the message for every error of that field."""

    text: str


class RequestBody(WireModel):
    """The body of a request, whose fields may have messages of their own (`ErrorMessage`)."""

    @model_validator(mode="wrap")
    @classmethod
    def _replace_messages(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as error:
            messages = {
                field.alias or name: annotation.text
                for name, field in cls.model_fields.items()
                for annotation in field.metadata
                if isinstance(annotation, ErrorMessage)
            }
            raise ValidationError.from_exception_data(
                cls.__name__,
                [
                    _error(messages.get(str(each["loc"][0]), each["msg"]), each["loc"])
                    if each["loc"]
                    else _error("The body must be a JSON object")
                    for each in error.errors(include_url=False, include_input=False)
                ],
                hide_input=True,
            ) from None


def _error(message: str, location: tuple[int | str, ...] = ()) -> InitErrorDetails:
    # The message is a value of the template, because it may contain braces itself.
    problem = PydanticCustomError("invalid", "{message}", {"message": message})
    return InitErrorDetails(type=problem, loc=location, input=None)
