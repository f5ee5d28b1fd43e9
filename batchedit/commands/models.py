"""``batchedit models``: the models of the service's catalogue, and the built-in ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import NotFoundError, ServiceUnavailableError, TokenError
from ..core.money import format_usd, label_sums
from ..core.shell_commands import format_command
from ..manifest.nearest import find_nearest
from ..run_folder import RunFolder
from ..runcomfy.catalogue import list_built_in, load_model
from ..runcomfy.client import Client
from ..runcomfy.submit_reply import ModelEntry
from ..runcomfy.token import find_token
from ..settings.model import Settings
from .host import Host
from .observers import ObserverGroup
from .play_money import is_at_own_sandbox
from .wiring import ASKING_SERVICE, open_service


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A model. ``price`` is as the catalogue words it, ``""`` for none; ``inputs``: its fields, required ones first."""

    id: str
    name: str
    price: str
    note: str
    inputs: Sequence[str]
    schema: Mapping[str, Any]


async def list_models(text: str, settings: Settings, host: Host) -> Sequence[OfferedModel]:
    """The models whose id or name holds ``text``, by id. TokenError (77) where the service wants a token and there is none,
    ServiceUnavailableError (69) where it has no catalogue.
    """
    entries = await _fetch_catalogue(text, settings, host)
    if entries is None:
        built_in_text = f"; these models come with the program: {_list_built_in(text)}"
        try:
            find_token(host.environ, Path.home())  # with a token the catalogue may be complete
        except TokenError as error:
            error.add(built_in_text)
            raise
        raise ServiceUnavailableError(f"the service tells no catalogue{built_in_text}")
    matches = [entry for entry in entries if _contains_words(f"{entry.model_id} {entry.display_name}", text)]
    play = _is_play_service(settings, host)
    return sorted((_make_offered_model(entry, play=play) for entry in matches), key=lambda model: model.id)


async def show_model(model_id: str, settings: Settings, host: Host) -> OfferedModel:
    """One model with its inputs: from the catalogue, else built in. NotFoundError (66) for an id that neither has."""
    entries = await _fetch_catalogue(model_id, settings, host) or ()
    if entry := next((entry for entry in entries if entry.model_id == model_id and entry.schema), None):
        return _make_offered_model(entry, play=_is_play_service(settings, host))
    if model_id in list_built_in():
        return _make_offered_model(ModelEntry(model_id=model_id, schema=load_model(model_id).schema))
    suggestion = find_nearest(model_id, [*(entry.model_id for entry in entries), *list_built_in()])
    hint = f"{f'did you mean {suggestion}? ' if suggestion else ''}which there are: {format_command('models')}"
    raise NotFoundError(f"there is no model {model_id}", hint=hint)


async def _fetch_catalogue(text: str, settings: Settings, host: Host) -> Sequence[ModelEntry] | None:
    with open_service(
        settings, RunFolder(Path()), host.environ, host.warn, only_asks=True
    ) as service:  # no sandbox, so nothing is kept
        client = Client(
            service.base_url,
            service.token,
            settings.model,
            {},
            observer=ObserverGroup(host.observers()),
            proxy=service.proxy,
        )
        with host.step(ASKING_SERVICE):
            async with client:
                return await client.ask_catalogue(text)


def _is_play_service(settings: Settings, host: Host) -> bool:
    return settings.sandbox or is_at_own_sandbox(settings, host.environ)


def _list_built_in(text: str) -> str:
    """The built-in models that have ``text`` in their ids, all of them where none has."""
    return ", ".join([name for name in list_built_in() if _contains_words(name, text)] or list_built_in())


def _contains_words(name: str, text: str) -> bool:
    return all(word in name.casefold() for word in text.casefold().split())


def _make_offered_model(entry: ModelEntry, *, play: bool = False) -> OfferedModel:
    schema = entry.schema or {}
    required = [name for name in schema.get("required", ()) if isinstance(name, str)]
    others = [name for name in schema.get("properties", {}) if name not in required]
    price = entry.other_price or (f"{format_usd(entry.picture_price)} a picture" if entry.picture_price else "")
    price_text, note = label_sums(price, play=play), label_sums(entry.pricing_note, play=play)
    return OfferedModel(entry.model_id, entry.display_name, price_text, note, [*required, *others], schema)
