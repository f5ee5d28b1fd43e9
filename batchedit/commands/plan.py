"""``batchedit plan``: check every row, count, price. Nothing is bought."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from anyio import to_thread

from ..core.errors import ProxyRefusesError
from ..ledger.account import hash_token
from ..ledger.opening import open_for_reading
from ..ledger.register import Register, is_run
from ..manifest.read import Manifest
from ..planning.gone_runs import list_gone
from ..planning.intake import IntakeRequest, make_state_lookup, survey_manifest
from ..planning.plan import Plan, add_gone_warning, add_sample
from ..planning.previous import load_previous_run
from ..run_folder import RunFolder, find_gone_runs, find_run_folder, open_source
from ..settings.model import Settings
from .host import Host
from .observers import ObserverGroup
from .open_run import explain_other_purchase
from .open_run_to_read import open_current_copy
from .play_money import explain_store_refusal, plan_is_at_own_sandbox
from .pricing import choose_dearer, fetch_balance, fetch_catalogue_price
from .register_run import find_other_runs
from .session import check_account_of
from .sheet_links import (
    CHECKING_ROWS,
    READING_OTHER_RUNS,
    READING_RUN,
    READING_SHEET,
    check_and_fetch_links,
    report_other_runs,
    sample_links,
)
from .wiring import Service, find_model, make_asking_client, model_from_catalogue, open_service


async def plan(source: Path, settings: Settings, host: Host, *, name: str = "") -> Plan:
    """Check every row, count, price. Sends nothing that buys.

    Writes only what ``run`` need not fetch again: with ``check_images`` the answers about links, and pictures whose links
    expire soon.
    """
    with host.step(READING_SHEET):
        manifest = open_source(source, settings, name)
    register = Register.from_environ(host.environ)
    folder = find_run_folder(Path(name or source), settings, register)
    with open_service(settings, folder, host.environ, host.warn, only_asks=True) as service:
        result = await _make_plan(source, settings, host, manifest, register, folder, service)
    return add_gone_warning(
        result, _list_gone(Path(name or source), settings, register, folder) if result.to_buy else []
    )


def _list_gone(sheet: Path, settings: Settings, register: Register, folder: RunFolder) -> list[str]:
    """The folders of runs of the sheet that are gone, as ``run`` lists them."""
    if settings.fresh:
        return []
    if not is_run(folder.path):
        return [str(gone) for gone in find_gone_runs(sheet, settings, register)]
    with open_for_reading(folder.checkpoint) as checkpoint:
        return list_gone(checkpoint, folder.path)


def _warn_of_another_purchase(copy: RunFolder, folder: RunFolder, settings: Settings, host: Host) -> None:
    """Warn where ``run`` would refuse: the folder holds a run of another model or service."""
    if is_run(copy.path):
        with open_for_reading(copy.checkpoint) as checkpoint:
            refusal = explain_other_purchase(checkpoint, folder, settings)
            refusal = refusal or explain_store_refusal(checkpoint, folder.path.name, settings, host.environ)
        if refusal is not None:
            host.warn(f"{refusal}, so it takes no purchase; {refusal.hint}")


async def _make_plan(
    source: Path,
    settings: Settings,
    host: Host,
    manifest: Manifest,
    register: Register,
    folder: RunFolder,
    service: Service,
) -> Plan:
    model = find_model(settings)
    account = hash_token(service.token) if service.token else ""
    with ExitStack() as stack:
        copy = stack.enter_context(open_current_copy(folder, settings.store)) if settings.store else folder
        _warn_of_another_purchase(copy, folder, settings, host)
        check_account_of(copy, account, settings)
        is_own_sandbox = plan_is_at_own_sandbox(copy.path, settings, host.environ)
        with host.step(READING_RUN):
            previous = await to_thread.run_sync(load_previous_run, copy, settings, source)
    if model is None:
        model = await model_from_catalogue(settings, service, ObserverGroup(host.observers()), host.step)
    with ExitStack() as stack:
        with host.step(READING_OTHER_RUNS):
            opening = find_other_runs(
                register, folder.path, settings, account, host.environ, play=settings.sandbox or is_own_sandbox
            )
            others = stack.enter_context(opening)
        report_other_runs(host, others, register)
        find_state = make_state_lookup(previous, others)
        links = await check_and_fetch_links(manifest, source, settings, model, folder, find_state, host)
        sample = await sample_links(manifest, source, settings, model, previous, find_state, host)
        request = IntakeRequest(manifest, source, folder, settings, model, links=links, runs=others)
        with host.step(CHECKING_ROWS) as on_progress:
            plan = add_sample(
                await to_thread.run_sync(survey_manifest, request, previous, host.stop, on_progress), sample
            )
    price, price_source, charged_before = settings.price or 0, "--price", previous.top_price
    if settings.price is None:
        charged_before = max(charged_before, register.find_cost(settings.service, settings.model))
    async with make_asking_client(settings, service, model, ObserverGroup(host.observers())) as client:
        if settings.price is None:
            try:
                price, price_source, other_price = await fetch_catalogue_price(client, host.step, patient=False)
            except ProxyRefusesError as refusal:  # a run needs the service, a plan needs only the price
                host.warn(f"{refusal}, so nobody tells the price. {refusal.hint[0].upper()}{refusal.hint[1:]}")
                other_price = ""
            plan = replace(plan, other_price=other_price)
        if service.token:
            plan = replace(plan, balance=await fetch_balance(client, host.step, patient=False))
    price, price_source = choose_dearer(price * plan.outputs, price_source, charged_before)
    return replace(plan, price=price, price_source=price_source, own_sandbox=is_own_sandbox)
