"""Commands around a manifest and its settings: ``init``, ``template``, ``config``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from .group import EPILOG, batchedit, command
from .options import (
    BUYING_OPTIONS,
    CANARY_OPTION,
    COMMON_OPTIONS,
    FORMAT_OPTION,
    MANIFEST_OPTIONS,
    MODEL_OPTIONS,
    SANDBOX_OPTION,
    SERVICE_OPTIONS,
    STUCK_OPTION,
    Setting,
    given,
    options,
    origins,
)

TO_OPTION = click.option("--to", metavar="FILE", help="Where to.")
FORCE_OPTION = click.option("--force", is_flag=True, help="Write over a file that is there.")


@batchedit.command("init", epilog=EPILOG)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--prompt", metavar="TEMPLATE", help="May name {title}, {description} and {sku}.")
@TO_OPTION
@FORCE_OPTION
def init(sources: tuple[str, ...], prompt: str | None, to: str | None, force: bool) -> int:
    """Make a manifest from a folder of pictures, a list of links, or a Shopify or Google feed (CSV, TSV, XML)."""
    from ..core.errors import UsageError  # noqa: PLC0415 - `--help` needs none of it
    from ..importers.feeds import Sources  # noqa: PLC0415
    from ..importers.new_manifest import COLUMNS, write_manifest  # noqa: PLC0415
    from .show import number  # noqa: PLC0415

    path = Path(to) if to else Path(f"{_stem(sources[0])}-manifest.csv")
    if any(path.resolve() == Path(source).resolve() for source in sources):
        raise UsageError(f"{path} is one of the sources", hint="give another name with --to FILE")
    found = Sources(sources, path.absolute().parent)
    count = write_manifest(found.products(), path, template=prompt, force=force)
    click.echo(f"{path}: {number(count, 'row')} with {', '.join(COLUMNS)}")
    for note in found.notes:
        click.echo(f"  note: {note}")
    name = shlex.quote(str(path))
    click.echo(f"  → look at it, then rehearse it, nothing is bought: batchedit run {name} --sandbox")
    click.echo(f"  → count and price it:                             batchedit plan {name}")
    return 0


def _stem(source: str) -> str:
    """A name for the manifest: the source's own."""
    from ..run_folder import stem  # noqa: PLC0415 - `--help` needs none of it

    if "://" in source:
        return "links"
    path = Path(source).absolute()
    name = path.name if path.is_dir() else stem(path)
    return name.removesuffix(".xml") or "pictures"


@command("template")
@TO_OPTION
@FORCE_OPTION
@options(MODEL_OPTIONS, COMMON_OPTIONS)
@click.pass_context
def template(ctx: click.Context, /, to: str | None, *, force: bool, **_: Any) -> int:
    """Write an empty sheet (.xlsx or .csv) with the columns explained."""
    from ..commands.wiring import find_model  # noqa: PLC0415 - `--help` needs none of it
    from ..core.errors import UsageError  # noqa: PLC0415
    from ..importers.new_manifest import explained, write_template  # noqa: PLC0415
    from ..settings.model import Settings  # noqa: PLC0415

    model = find_model(Settings(**given(ctx)))
    if model is None:
        raise UsageError(f"the inputs of {ctx.params['model']} are not known here", hint="give them as --schema FILE")
    path = Path(to or "manifest.xlsx")
    write_template(path, model.schema, force=force)
    click.echo(f"{path}: an empty manifest; one row a picture, below these columns")
    for name, told in explained(model.schema).items():
        click.echo(f"  {name:<10}{told}")
    click.echo(f"  → fill it in, then: batchedit plan {shlex.quote(str(path))}")
    return 0


@command("config")
@click.argument("run")
@options(
    MANIFEST_OPTIONS,
    FORMAT_OPTION,
    CANARY_OPTION,
    BUYING_OPTIONS,
    STUCK_OPTION,
    SANDBOX_OPTION,
    SERVICE_OPTIONS,
    COMMON_OPTIONS,
)
@click.pass_context
def config(ctx: click.Context, /, run: str, **_: Any) -> int:
    """Every setting and where it comes from: flag, environment, file, the run itself, or the default.

    RUN is a run's folder or its manifest; before the first run, what a run would be told.
    """
    from ..commands.run import settings_of  # noqa: PLC0415
    from ..core.errors import NotFoundError  # noqa: PLC0415 - `--help` needs none of it
    from ..settings.toml import as_typed, key_of, toml  # noqa: PLC0415

    try:
        folder, settings, kept = settings_of(run, given(ctx))
    except NotFoundError:
        if not Path(run).is_file():
            raise
        folder, settings, kept = None, _before_the_first(ctx), {}
    now = origins(ctx)
    click.echo(f"{folder or run}: settings file {ctx.meta.get('batchedit.config', 'none')}")
    for option in ctx.command.params:
        if isinstance(option, Setting) and option.name and hasattr(settings, option.name):
            value = getattr(settings, option.name)
            shown = "" if value in (None, (), {}) else toml(as_typed(option.name, value))
            origin = now.get(option.name) or kept.get(option.name) or "default"
            click.echo(f"  {key_of(option.name):<20}{shown or '-':<40}  {origin}")
    if folder is not None:
        click.echo(
            f"  → to use them again: batchedit run MANIFEST --config {shlex.quote(str(folder / 'settings.toml'))}"
        )
    return 0


def _before_the_first(ctx: click.Context) -> Any:
    from ..settings.model import Settings  # noqa: PLC0415 - `--help` needs none of it

    return Settings(**given(ctx))
