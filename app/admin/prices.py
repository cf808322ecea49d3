"""What models cost: versions by hand, the price list held against them, and records paid again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import DateField
from wtforms.validators import InputRequired, Optional

from app.admin import blueprint
from app.admin.deletion import ask_or_delete
from app.protocol.price import Rates, Tariff, dollars, from_dollars
from app.services import catalog, price_list, pricing, repricing
from app.services import prices as service
from app.services.prices import PriceError
from app.web.forms import Form, LineField, optional
from app.web.people import password_again, person
from app.web.times import begin_of, end_of

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

MONEY = {"spellcheck": "false", "autocomplete": "off", "inputmode": "decimal"}


def _rate(label: Any) -> LineField:
    return LineField(label, optional(24), render_kw=MONEY)


class PriceForm(Form):
    """One version of a model's price, without tiers; in dollars, an empty field is no price."""

    input = _rate(_l("Fresh input"))
    cache_read = _rate(_l("Read from a cache"))
    cache_write_5m = _rate(_l("Cached for 5 minutes"))
    cache_write_1h = _rate(_l("Cached for an hour"))
    output = _rate(_l("Output"))
    audio_input = _rate(_l("Audio heard"))
    audio_output = _rate(_l("Audio said"))
    web_search = _rate(_l("One web search"))
    valid_from = DateField(_l("From day"), [Optional()])

    @property
    def tariff(self) -> Tariff:
        """What was entered. Raises ``PriceError`` for what is no amount, and for nothing at all."""
        rates = {name: self._entered(name) for name in Rates.__struct_fields__ if self[name].data}
        if not rates:
            raise PriceError("input", _("Enter an amount in dollars, such as 5 or 0.25."))
        return Tariff(Rates(**rates))

    def _entered(self, name: str) -> int:
        try:
            return from_dollars(self[name].data)
        except ValueError:
            raise PriceError(name, _("Enter an amount in dollars, such as 5 or 0.25.")) from None


class RepriceForm(Form):
    """Which records are paid again."""

    since = DateField(_l("From day"), [InputRequired(_l("Please fill in this field."))])
    until = DateField(_l("To day"), [InputRequired(_l("Please fill in this field."))])
    model = LineField(_l("Only for the model"), optional(200), render_kw={"spellcheck": "false"})


@blueprint.route("/models/<int:model_id>/prices", methods=["GET", "POST"])
def model_prices(model_id: int) -> ResponseReturnValue:
    """Show every version of a model's price, and add one."""
    model = catalog.get_model(model_id) or abort(404)
    present = service.list_for(model_id)
    form = PriceForm(data={kind: told.lstrip("$") for kind, told in _rates(present[0].tariffs if present else None)})
    if form.validate_on_submit():
        day = form.valid_from.data
        start = begin_of(day) if day else None
        try:
            service.put(model_id, form.tariff, valid_from=start, actor=person().user)
        except PriceError as error:
            form.refuse(error)
        else:
            flash(_("The price is set."), "good")
            return redirect(url_for("admin.model_prices", model_id=model_id))
    return render_template("admin/model_prices.html", form=form, model=model, prices=present, manual=service.MANUAL)


@blueprint.route("/models/<int:model_id>/prices/<int:price_id>/delete", methods=["GET", "POST"])
@password_again
def delete_price(model_id: int, price_id: int) -> ResponseReturnValue:
    """Ask whether to forget one version, then forget it."""
    model = catalog.get_model(model_id) or abort(404)
    if price_id not in {price.id for price in service.list_for(model_id)}:
        abort(404)
    back = url_for("admin.model_prices", model_id=model_id)
    return ask_or_delete(
        title=_("Delete a price of %(name)s", name=model.name),
        text=_("Records keep what they were paid at."),
        back=back,
        then=back,
        act=lambda: service.delete(price_id, actor=person().user),
    )


@blueprint.route("/prices", methods=["GET", "POST"])
def prices() -> ResponseReturnValue:
    """Hold the price list against what is set, and take over what is ticked."""
    if request.method == "POST":
        count = price_list.take(request.form.getlist("take"), actor=person().user)
        flash(_("%(count)d prices are set as the list has them.", count=count), "good")
        return redirect(url_for("admin.prices"))
    offers = [each for each in price_list.offers() if each.changes]
    return render_template("admin/prices.html", offers=offers, rates=_rates, form=RepriceForm())


@blueprint.post("/prices/again")
def reprice() -> ResponseReturnValue:
    """Show what paying records again comes to, and do it once that was seen."""
    form = RepriceForm()
    outcome = None
    if form.validate_on_submit() and form.since.data and form.until.data:
        begin = begin_of(form.since.data)
        end = end_of(form.until.data)
        if request.form.get("sure"):
            done = repricing.apply(begin, end, model=form.model.data or "", actor=person().user)
            flash(_("%(count)d records are paid again.", count=done.changed), "good")
            return redirect(url_for("admin.prices"))
        outcome = repricing.preview(begin, end, model=form.model.data or "")
    return render_template("admin/reprice.html", form=form, outcome=outcome)


def _rates(tariffs: Any) -> list[tuple[str, str]]:
    """Return what a price says as pages show it: kind and dollars."""
    rates = tariffs[pricing.STANDARD]["rates"] if tariffs else {}
    return [(name, dollars(rates[name])) for name in Rates.__struct_fields__ if name in rates]
