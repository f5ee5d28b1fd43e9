"""``batchedit models``: the catalogue, and one model's inputs."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import click

from ..core.safe_text import as_lines
from .group import command
from .options import COMMON_OPTIONS, SERVICE_OPTIONS, options, read_given_options


@command("models")
@click.argument("words", nargs=-1, metavar="[TEXT]... | show ID")
@options(SERVICE_OPTIONS, COMMON_OPTIONS)
@click.pass_context
def models(ctx: click.Context, /, words: tuple[str, ...], **_: Any) -> int:
    """The models of the service with price and inputs, those that TEXT is in; `models show ID` explains one's inputs."""
    import anyio  # noqa: PLC0415 - `--help` needs none of it

    from ..commands.models import list_models, show_model  # noqa: PLC0415
    from ..settings.model import Settings  # noqa: PLC0415

    settings, host = Settings(**read_given_options(ctx)), _make_host(ctx)
    if len(words) == 2 and words[0] == "show":
        model = anyio.run(partial(show_model, words[1], settings, host))
        click.echo(as_lines([*_format_model(model), *_format_inputs(model.schema)]))
        return 0
    found_models = anyio.run(partial(list_models, " ".join(words), settings, host))
    click.echo(
        as_lines([line for model in found_models for line in _format_model(model)] or ["no model has that in its name"])
    )
    return 0 if found_models else 66


def _make_host(ctx: click.Context) -> Any:
    from ..commands.trust import keep_typed  # noqa: PLC0415
    from .terminal import Terminal  # noqa: PLC0415

    params, options_given = ctx.params, read_given_options(ctx)
    host = Terminal(
        yes=False, never_asks=True, quiet=params["quiet"], log_json=params["log_json"], verbose=params["verbose"]
    )
    if warning := keep_typed(os.environ, options_given.get("base_url"), options_given.get("allow_hosts", ())):
        host.warn(warning.removeprefix("warning: "))
    return host


def _format_model(model: Any) -> list[str]:
    title_parts = [model.id, *filter(None, (model.name if model.name != model.id else "", model.price))]
    lines = ["  ".join(title_parts)]
    if model.inputs:
        lines.append(f"  inputs  {', '.join(model.inputs)}")
    if model.note:
        lines.append(f"  note    {model.note}")
    return lines


def _format_inputs(schema: Any) -> list[str]:
    from ..importers.new_manifest import explain_columns  # noqa: PLC0415 - `--help` needs none of it

    explanations = explain_columns(schema) if schema else {}
    return [f"  {name:<18}{text}" for name, text in explanations.items() if name != "sku"]
