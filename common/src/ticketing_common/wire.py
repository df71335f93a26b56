"""The shape of everything that travels: camelCase JSON, read strictly, refused in plain words."""

from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError


class Wire(BaseModel):
    """What crosses a process border: camelCase outside, snake_case inside, unknown fields ignored.

    An error names what is wrong and where, never the value: errors are logged, and stored with dead letters.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        frozen=True,
        hide_input_in_errors=True,
    )


@dataclass(frozen=True)
class Says:
    """What a person is told when the annotated field of a Body is missing or wrong in any way."""

    message: str


_NO_OBJECT = PydanticCustomError("invalid", "The body must be a JSON object")


class Body(Wire):
    """A request's body, whose fields may say in their own words what they want (`Says`)."""

    @model_validator(mode="wrap")
    @classmethod
    def _in_plain_words(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as error:
            sayings = {
                field.alias or name: said.message
                for name, field in cls.model_fields.items()
                for said in field.metadata
                if isinstance(said, Says)
            }
            raise ValidationError.from_exception_data(
                cls.__name__,
                [
                    InitErrorDetails(
                        # The message goes in as a value: a brace in it is no template.
                        type=PydanticCustomError(
                            "invalid", "{said}", {"said": sayings.get(str(e["loc"][0]), e["msg"])}
                        ),
                        loc=e["loc"],
                        input=None,
                    )
                    if e["loc"]
                    else InitErrorDetails(
                        type=PydanticCustomError("invalid", "The body must be a JSON object"),
                        input=None,
                    )
                    for e in error.errors(include_url=False, include_input=False)
                ],
                hide_input=True,
            ) from None
