"""Commands around a manifest and its settings: ``init``, ``template``, ``config``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..core.plurals_and_durations import pluralize
from ..core.safe_text import to_one_line
from ..core.shell_commands import format_command, quote_word
from .commands import make_default_steps
from .completion import complete_run
from .group import EPILOG, batchedit, command
from .json_output import print_json
from .json_values import config_to_json
from .options import (
    AWAKE_OPTION,
    BUYING_OPTIONS,
    CANARY_OPTION,
    COMMON_OPTIONS,
    FORMAT_OPTION,
    JSON_OPTION,
    MANIFEST_OPTIONS,
    MODEL_OPTIONS,
    SANDBOX_OPTION,
    SERVICE_OPTIONS,
    STUCK_OPTION,
    Setting,
    find_origins,
    options,
    read_given_options,
)

TO_OPTION = click.option("--to", metavar="FILE", help="Where to.")
FORCE_OPTION = click.option("--force", is_flag=True, help="Write over a file that is there.")


@batchedit.command("init", epilog=EPILOG)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "--prompt", metavar="TEMPLATE", help="May name {title}, {description}, {sku} and the columns that are kept."
)
@TO_OPTION
@FORCE_OPTION
def init(sources: tuple[str, ...], prompt: str | None, to: str | None, force: bool) -> int:
    """Make a manifest from a folder of pictures, a list of links, or a Shopify or Google feed (CSV, TSV, XML)."""
    from ..core.errors import UsageError  # noqa: PLC0415 - `--help` needs none of it
    from ..importers.feeds import ProductSources  # noqa: PLC0415
    from ..importers.new_manifest import write_manifest  # noqa: PLC0415

    path = Path(to) if to else Path(f"{_derive_stem(sources[0])}-manifest.csv")
    if any(path.resolve() == Path(source).resolve() for source in sources):
        raise UsageError(f"{path} is one of the sources", hint="give another name with --to FILE")
    product_sources = ProductSources(sources, path.absolute().parent)
    written_manifest = write_manifest(
        product_sources.read_products(), path, template=prompt, force=force, steps=make_default_steps()
    )
    click.echo(
        to_one_line(f"{path}: {pluralize(written_manifest.rows, 'row')} with {', '.join(written_manifest.columns)}")
    )
    for note in product_sources.notes:
        click.echo(to_one_line(f"  note: {note}"))
    roots = [word for root in product_sources.image_roots for word in ("--image-root", root)]
    click.echo(
        to_one_line(
            f"  → look at it, then rehearse it, nothing is bought: {format_command('run', path, *roots, '--sandbox')}"
        )
    )
    click.echo(
        to_one_line(f"  → count and price it:                             {format_command('plan', path, *roots)}")
    )
    return 0


def _derive_stem(source: str) -> str:
    """The stem of the manifest's name: the source's own."""
    from ..run_folder import strip_suffixes  # noqa: PLC0415 - `--help` needs none of it

    if "://" in source:
        return "links"
    path = Path(source).absolute()
    name = path.name if path.is_dir() else strip_suffixes(path)
    return name.removesuffix(".xml") or "pictures"


@command("template")
@TO_OPTION
@FORCE_OPTION
@click.option("--examples", is_flag=True, help="Instead the sheets that README tries, in the folder manifests.")
@options(MODEL_OPTIONS, COMMON_OPTIONS)
@click.pass_context
def template(ctx: click.Context, /, to: str | None, *, force: bool, examples: bool, **_: Any) -> int:
    """Write an empty sheet (.xlsx or .csv) with the columns explained."""
    if examples:
        return _write_examples(Path(to or "manifests"), force=force)
    from ..commands.wiring import find_model  # noqa: PLC0415 - `--help` needs none of it
    from ..core.errors import UsageError  # noqa: PLC0415
    from ..importers.new_manifest import explain_columns, write_template  # noqa: PLC0415
    from ..settings.model import Settings  # noqa: PLC0415

    model = find_model(Settings(**read_given_options(ctx)))
    if model is None:
        raise UsageError(f"the inputs of {ctx.params['model']} are not known here", hint="give them as --schema FILE")
    path = Path(to or "manifest.xlsx")
    write_template(path, model.schema, force=force)
    click.echo(to_one_line(f"{path}: an empty manifest; one row a picture, below these columns"))
    for name, explanation in explain_columns(model.schema).items():
        click.echo(to_one_line(f"  {name:<10}{explanation}"))
    click.echo(to_one_line(f"  → fill it in, then: {format_command('plan', path)}"))
    return 0


def _write_examples(folder: Path, *, force: bool) -> int:
    from ..importers.new_manifest import write_examples  # noqa: PLC0415 - `--help` needs none of it

    names = write_examples(folder, force=force)
    click.echo(to_one_line(f"{folder}: {', '.join(names)}"))
    click.echo(
        to_one_line(f"  → to rehearse it, nothing is bought: {format_command('run', folder / 'demo.csv', '--sandbox')}")
    )
    return 0


@command("config")
@click.argument("run", shell_complete=complete_run)
@options(
    MANIFEST_OPTIONS,
    FORMAT_OPTION,
    CANARY_OPTION,
    BUYING_OPTIONS,
    STUCK_OPTION,
    AWAKE_OPTION,
    SANDBOX_OPTION,
    SERVICE_OPTIONS,
    JSON_OPTION,
    COMMON_OPTIONS,
)
@click.pass_context
def config(ctx: click.Context, /, run: str, *, as_json: bool, **_: Any) -> int:
    """Every setting and where it comes from: flag, environment, file, the run itself, or the default.

    RUN is a run's folder or its manifest; before the first run, what a run would be told.
    """
    from ..commands.config import config as read_config  # noqa: PLC0415
    from ..core.errors import NotFoundError  # noqa: PLC0415 - `--help` needs none of it
    from ..settings.toml import format_toml  # noqa: PLC0415

    try:
        folder, settings, kept_origins = read_config(run, read_given_options(ctx))
    except NotFoundError:
        if not Path(run).is_file():
            raise
        folder, settings, kept_origins = None, _make_settings_before_first_run(ctx), {}
    listed_settings, file = _list_settings(ctx, settings, kept_origins), ctx.meta.get("batchedit.config")
    if as_json:
        settings_by_name = {name: {"value": value, "from": origin} for name, value, origin in listed_settings}
        print_json(
            "config", config_to_json(run, None if folder is None else str(folder.absolute()), file, settings_by_name)
        )
        return 0
    click.echo(to_one_line(f"{folder or run}: settings file {file or 'none'}"))
    for name, value, origin in listed_settings:
        click.echo(to_one_line(f"  {name:<20}{'-' if value is None else format_toml(value):<40}  {origin}"))
    if folder is not None:
        click.echo(
            to_one_line(f"  → to use them again with any manifest: --config {quote_word(folder / 'settings.toml')}")
        )
    return 0


def _list_settings(ctx: click.Context, settings: Any, kept_origins: dict[str, str]) -> list[tuple[str, Any, str]]:
    """``(name, value as it is typed, origin)`` of each setting; the value is None for one that was not given."""
    from ..settings.toml import to_option_name, to_typed_value  # noqa: PLC0415 - `--help` needs none of it

    given_origins, listed_settings = find_origins(ctx), []
    for option in ctx.command.params:
        if isinstance(option, Setting) and option.name and hasattr(settings, option.name):
            value = getattr(settings, option.name)
            typed_value = None if value in (None, (), {}) else to_typed_value(option.name, value)
            listed_settings.append(
                (
                    to_option_name(option.name),
                    typed_value,
                    given_origins.get(option.name) or kept_origins.get(option.name) or "default",
                )
            )
    return listed_settings


def _make_settings_before_first_run(ctx: click.Context) -> Any:
    from ..settings.model import Settings  # noqa: PLC0415 - `--help` needs none of it

    return Settings(**read_given_options(ctx))
