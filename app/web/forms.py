"""The ground of every form: messages in the reader's language, and what a service refused shown at its field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from flask_babel import gettext, lazy_gettext
from flask_wtf import FlaskForm
from wtforms import PasswordField, StringField
from wtforms.validators import DataRequired, Length, Optional

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wtforms import SelectField

    from app.services.fields import FieldError


WORDS_OF_WTFORMS = (
    lazy_gettext("Not a valid choice."),
    lazy_gettext("Not a valid date value."),
    lazy_gettext("Not a valid integer value."),
    lazy_gettext("Invalid Choice: could not coerce."),
)
"""What the library's own fields say, so that translators find it."""


class Words:
    """Lets WTForms look its sentences up in our catalogue."""

    def gettext(self, sentence: str) -> str:
        return str(gettext(sentence))

    def ngettext(self, singular: str, plural: str, n: int) -> str:
        return str(gettext(singular if n == 1 else plural))


class Form(FlaskForm):
    """A form of ours; every sentence a reader sees is in our catalogue."""

    class Meta(FlaskForm.Meta):
        """WTForms reads its options here."""

        def get_translations(self, form: object) -> Words:
            return Words()

    def refuse(self, error: FieldError) -> None:
        """Show a service's refusal at the field it names, or above the form."""
        field = self._fields.get(error.field)
        if field is None:
            self.form_errors.append(str(error))
        else:
            field.errors = [*field.errors, str(error)]


def required(longest: int) -> list[Any]:
    """Return the checks of a field that must be filled."""
    return [DataRequired(lazy_gettext("Please fill in this field.")), too_long(longest)]


def optional(longest: int) -> list[Any]:
    """Return the checks of a field that may stay empty."""
    return [Optional(), too_long(longest)]


def too_long(longest: int) -> Length:
    """Return the check of a longest length."""
    return Length(max=longest, message=lazy_gettext("Please use at most %(max)d characters.", max=longest))


class LineField(StringField):
    """One line of text, without the blanks around it; empty when nothing came."""

    data: str

    def __init__(self, label: Any = None, validators: Any = None, **kwargs: Any) -> None:
        super().__init__(label, validators, filters=[lambda text: text.strip() if text else ""], **kwargs)


class SecretField(PasswordField):
    """A secret exactly as typed; empty when nothing came. Never shown again, not even in the form that held it."""

    data: str

    def __init__(self, label: Any = None, validators: Any = None, **kwargs: Any) -> None:
        super().__init__(label, validators, filters=[lambda text: text or ""], **kwargs)


def offer(field: SelectField, choices: Mapping[Any, str]) -> None:
    """Let the reader choose among ``choices``, given as values and their words."""
    field.choices = cast("Any", dict(choices))
