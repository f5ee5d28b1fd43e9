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
from ..run_folder import RunFolder, find_run_folder, find_gone_runs, open_source
from ..settings.model import Settings
from .host import Host
from .observers import ObserverGroup
from .open_run import other_purchase
from .play import plan_is_at_own_sandbox, refusal_of_store
from .pricing import balance, catalogue_price, dearer
from .reading import as_it_stands
from .session import check_account_of
from .sharing import other_runs
from .sheet_links import BEFORE, CHECKING, OPENING, OTHERS, look_at_links, sample_links, tell_of_others
from .wiring import Service, client_for, find_model, model_from_catalogue, service


async def plan(source: Path, settings: Settings, host: Host, *, name: str = "") -> Plan:
    """Check every row, count, price. Sends nothing that buys.

    Writes nothing but what ``run`` need not ask for again: with ``check_images`` what was said about links, and pictures
    whose links die soon.
    """
    with host.step(OPENING):
        manifest = open_source(source, settings, name)
    register = Register.from_environ(host.environ)
    folder = find_run_folder(Path(name or source), settings, register)
    with service(settings, folder, host.environ, host.warn, only_asks=True) as found:
        what = await _planned(source, settings, host, manifest, register, folder, found)
    return add_gone_warning(what, _gone(Path(name or source), settings, register, folder) if what.to_buy else [])


def _gone(sheet: Path, settings: Settings, register: Register, folder: RunFolder) -> list[str]:
    """Where runs of the sheet were that are not there now, as ``run`` will find them."""
    if settings.fresh:
        return []
    if not is_run(folder.path):
        return [str(gone) for gone in find_gone_runs(sheet, settings, register)]
    with open_for_reading(folder.checkpoint) as checkpoint:
        return list_gone(checkpoint, folder.path)


def _tell_of_another_purchase(here: RunFolder, folder: RunFolder, settings: Settings, host: Host) -> None:
    """``run`` would refuse, whatever this plan says: the folder holds a run of another model or service."""
    if is_run(here.path):
        with open_for_reading(here.checkpoint) as checkpoint:
            other = other_purchase(checkpoint, folder, settings)
            other = other or refusal_of_store(checkpoint, folder.path.name, settings, host.environ)
        if other is not None:
            host.warn(f"{other}, so it takes no purchase; {other.hint}")


async def _planned(
    source: Path,
    settings: Settings,
    host: Host,
    manifest: Manifest,
    register: Register,
    folder: RunFolder,
    found: Service,
) -> Plan:
    model = find_model(settings)
    account = hash_token(found.token) if found.token else ""
    with ExitStack() as held:
        here = held.enter_context(as_it_stands(folder, settings.store)) if settings.store else folder
        _tell_of_another_purchase(here, folder, settings, host)
        check_account_of(here, account, settings)
        own = plan_is_at_own_sandbox(here.path, settings, host.environ)
        with host.step(BEFORE):
            before = await to_thread.run_sync(load_previous_run, here, settings, source)
    if model is None:
        model = await model_from_catalogue(settings, found, ObserverGroup(host.observers()), host.step)
    with ExitStack() as held:
        with host.step(OTHERS):
            reader = other_runs(register, folder.path, settings, account, host.environ, play=settings.sandbox or own)
            others = held.enter_context(reader)
        tell_of_others(host, others, register)
        state_of = make_state_lookup(before, others)
        links = await look_at_links(manifest, source, settings, model, folder, state_of, host)
        sample = await sample_links(manifest, source, settings, model, before, state_of, host)
        request = IntakeRequest(manifest, source, folder, settings, model, links=links, runs=others)
        with host.step(CHECKING) as progress:
            what = add_sample(await to_thread.run_sync(survey_manifest, request, before, host.stop, progress), sample)
    price, told, charged = settings.price or 0, "--price", before.top_price
    if settings.price is None:
        charged = max(charged, register.find_cost(settings.service, settings.model))
    async with client_for(settings, found, model, ObserverGroup(host.observers())) as client:
        if settings.price is None:
            try:
                price, told, other = await catalogue_price(client, host.step, patient=False)
            except ProxyRefusesError as refused:  # a run needs the service, a plan only its price
                host.warn(f"{refused}, so nobody tells the price. {refused.hint[0].upper()}{refused.hint[1:]}")
                other = ""
            what = replace(what, other_price=other)
        if found.token:
            what = replace(what, balance=await balance(client, host.step, patient=False))
    price, told = dearer(price * what.outputs, told, charged)
    return replace(what, price=price, price_source=told, own_sandbox=own)
