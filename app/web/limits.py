"""The form of limits, which both rooms show: what one subject may use, on everything or on one model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import IntegerField
from wtforms.validators import Optional

from app.protocol.limit import Measure
from app.protocol.price import exact_dollars, from_dollars
from app.services import allowances
from app.services.allowances import AllowanceError
from app.web.forms import Form, LineField, optional
from app.web.people import person

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask.typing import ResponseReturnValue

PLAIN = {"spellcheck": "false", "autocapitalize": "none", "autocomplete": "off"}
MONEY = {**PLAIN, "inputmode": "decimal"}


class AmountsForm(Form):
    """All limits of one subject, as forms of any kind hold them; an empty field is no limit."""

    requests_minute = IntegerField(_l("Requests a minute"), [Optional()])
    tokens_minute = IntegerField(_l("Tokens a minute"), [Optional()])
    concurrent = IntegerField(_l("Requests at a time"), [Optional()])
    money_day = LineField(_l("Dollars a day"), optional(24), render_kw=MONEY)
    money_week = LineField(_l("Dollars a week"), optional(24), render_kw=MONEY)
    money_month = LineField(_l("Dollars a month"), optional(24), render_kw=MONEY)
    money_total = LineField(_l("Dollars in all"), optional(24), render_kw=MONEY)
    money_conversation = LineField(_l("Dollars for one conversation"), optional(24), render_kw=MONEY)

    @property
    def most(self) -> dict[Measure, int | None]:
        """What was entered, money in nano-dollars. Raises ``AllowanceError`` for what is no amount."""
        return {measure: self._entered(measure) for measure in Measure}

    @property
    def any_entered(self) -> bool:
        """Whether a limit stands in the form, or what was entered for one is wrong."""
        return any(self[measure.value].data not in {None, ""} or self[measure.value].errors for measure in Measure)

    def show(self, most: Mapping[Measure, int | None]) -> None:
        """Fill in what is set."""
        for measure, value in most.items():
            if value is not None and measure.is_money:
                self[measure.value].data = exact_dollars(value).rstrip("0").rstrip(".")
            else:
                self[measure.value].data = value

    def _entered(self, measure: Measure) -> int | None:
        value = self[measure.value].data
        if not measure.is_money or not value:
            return None if value == "" else value
        try:
            return from_dollars(value)
        except ValueError:
            raise AllowanceError(measure.value, _("Enter an amount in dollars, such as 5 or 0.25.")) from None


class LimitsForm(AmountsForm):
    """Those on everything, or those on one model."""

    model = LineField(_l("Only for the model"), optional(200), render_kw=PLAIN)


def limits_page(scope: str, subject_id: int, *, title: str, back: str, up: str) -> ResponseReturnValue:
    """Show a subject's limits with a form for those on everything or on ``?model=``, and keep what it says."""
    form = LimitsForm()
    rows = allowances.list_for(scope, subject_id)
    if form.validate_on_submit():
        try:
            model = form.model.data or ""
            allowances.put(scope, subject_id, model=model, most=form.most, actor=person().user)
        except AllowanceError as error:
            form.refuse(error)
        else:
            flash(_("The limits are set."), "good")
            return redirect(request.path)
    elif request.method == "GET":
        form.model.data = request.args.get("model", "")[:200]
        form.show(allowances.present(scope, subject_id, model=form.model.data))
    measures = [(measure, form[measure.value].label.text) for measure in Measure]
    return render_template(
        "limits.html", form=form, rows=rows, title=title, back=back, up=up, scope=scope, measures=measures
    )
