"""``flask prices``: what models cost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from app.cli.terminal import Commands, answer, json_option, table
from app.protocol.price import Rates, Tariff, dollars, from_dollars
from app.services import catalog, price_list, pricing, repricing
from app.services import prices as service

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.models import Model, Price

prices = Commands("prices", help="What models cost.")
DATES = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])
RATES = tuple(field for field in Rates.__struct_fields__)


def _rate_options(command: Callable[..., None]) -> Callable[..., None]:
    for name in reversed(RATES):
        told = "Dollars for one search." if name == "web_search" else "Dollars for a million tokens."
        command = click.option(f"--{name.replace('_', '-')}", name, metavar="DOLLARS", help=told)(command)
    return command


@prices.command("set")
@click.argument("model")
@_rate_options
@click.option("--valid-from", type=DATES, help="From when on (UTC); else from now on, the first from the beginning.")
@json_option
def set_price(model: str, *, valid_from: datetime | None, as_json: bool, **rates: str | None) -> None:
    """Set the price of a model; what isn't named has no price."""
    told = {name: _nanos(name, value) for name, value in rates.items() if value is not None}
    if not told:
        raise click.UsageError("Name at least one rate, such as --input 1.25 --output 10.")
    start = valid_from.replace(tzinfo=UTC) if valid_from else None
    price = service.put(_model(model).id, Tariff(Rates(**told)), valid_from=start, actor=None)
    answer(_row(model, price, as_json=True), as_json=as_json, text=f"The price of {model} is set.")


@prices.command("list")
@click.argument("model", required=False)
@json_option
def list_prices(model: str | None, *, as_json: bool) -> None:
    """List the prices in force, or every version of one model's."""
    if model is not None:
        rows = [_row(model, price, as_json=as_json) for price in service.list_for(_model(model).id)]
    else:
        latest = ((each.name, service.list_for(each.id)) for each in catalog.list_models())
        rows = [_row(name, found[0], as_json=as_json) for name, found in latest if found]
    table(rows, as_json=as_json, empty="No prices yet. See what the price list offers: flask prices sync")


@prices.command("sync")
@click.option("--apply", "write", is_flag=True, help="Take the prices over; without it they are only shown.")
@click.option("--model", "named", multiple=True, help="Only this model; may be repeated. Also where it is set by hand.")
@click.option("--by-name", is_flag=True, help="Also models whose provider is not known by their upstream's address.")
@json_option
def sync(*, write: bool, named: tuple[str, ...], by_name: bool, as_json: bool) -> None:
    """Compare prices with those of the genai-prices package, and take them over."""
    offered = [offer for offer in price_list.offers() if offer.changes and (not named or offer.model in named)]
    taken = [each for each in offered if each.model in named or not (each.manual or (each.by_name and not by_name))]
    if write:
        price_list.take([offer.model for offer in taken], actor=None)
    rows = [_offered(offer, taken=offer in taken, as_json=as_json) for offer in offered]
    table(rows, as_json=as_json, empty="Nothing to change: every price that the list knows is set.")


@prices.command("reprice")
@click.option("--from", "begin", type=DATES, required=True, help="Records from this moment on (UTC).")
@click.option("--to", "end", type=DATES, required=True, help="Records before this moment.")
@click.option("--model", default="", help="Only records of this model, as it was asked for.")
@click.option("--apply", "write", is_flag=True, help="Pay them again; without it the outcome is only shown.")
@json_option
def reprice(begin: datetime, end: datetime, *, model: str, write: bool, as_json: bool) -> None:
    """Pay records again at the prices that are set now for their time."""
    first, last = begin.replace(tzinfo=UTC), end.replace(tzinfo=UTC)
    if write:
        outcome = repricing.apply(first, last, model=model, actor=None)
    else:
        outcome = repricing.preview(first, last, model=model)
    text = f"{outcome.changed} of {outcome.seen} records: {dollars(outcome.before)} → {dollars(outcome.after)}"
    text += f", {outcome.unknown} without a price." + ("" if write else " Nothing was changed; repeat with --apply.")
    answer(msgspec.to_builtins(outcome), as_json=as_json, text=text)


def _model(name: str) -> Model:
    model = catalog.find_model(name)
    if model is None:
        raise click.ClickException(f"There is no model {name}. See: flask models list")
    return model


def _nanos(name: str, text: str) -> int:
    try:
        return from_dollars(text)
    except ValueError:
        raise click.UsageError(f"--{name.replace('_', '-')}: {text} is no amount in dollars, such as 1.25.") from None


def _row(name: str, price: Price, *, as_json: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": price.id,
        "model": name,
        "valid_from": price.valid_from.isoformat(timespec="seconds"),
        "source": price.source,
    }
    return row | ({"tariffs": price.tariffs} if as_json else _rates(price.tariffs))


def _rates(tariffs: Any) -> dict[str, str]:
    rates = tariffs[pricing.STANDARD]["rates"] if tariffs else {}
    return {name: dollars(rates[name]) if name in rates else "" for name in RATES}


def _offered(offer: price_list.Offer, *, taken: bool, as_json: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"model": offer.model, "source": offer.source, "taken": taken}
    if as_json:
        return row | {"before": offer.present, "after": offer.tariffs}
    before, after = _rates(offer.present), _rates(offer.tariffs)
    row["why_not"] = "" if taken else "set by hand" if offer.manual else "by name only"
    return row | {name: _change(before[name], after[name]) for name in RATES}


def _change(before: str, after: str) -> str:
    return after if before == after else f"{before or 'none'} → {after or 'none'}"
