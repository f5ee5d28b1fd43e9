"""The settings in the terms of the room that makes jobs, and where local pictures are read."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

from ..jobs.expand import Recipe
from ..jobs.recognise import recognise
from ..ledger.opening import reading
from ..ledger.register import is_mine, is_run
from ..manifest.read import Manifest
from ..run_folder import RunFolder, sheet_pictures
from ..runcomfy.catalogue import Model
from ..settings.model import ManifestOptions, Settings


def make_recipe(settings: Settings, model: Model, source: Path, manifest: Manifest) -> Recipe:
    """The settings in the manifest room's terms. Local pictures lie beside ``source`` or below an ``--image-root``."""
    recipe = Recipe(
        model=settings.model,
        schema=dict(model.schema),
        prompt=settings.prompt,
        mapping=settings.map,
        sets=settings.set,
        sizes=settings.sizes,
        variants=settings.variants,
        id_column=settings.id,
        name=settings.name,
        over=settings.over,
        fill_down=settings.fill_down,
        image_roots=list_picture_roots(source, settings),
        own_pictures=sheet_pictures(),
        shrinks=not settings.no_shrink,
        loopback=settings.sandbox or settings.base_url.startswith("http://"),
        date=date.today().isoformat(),  # noqa: DTZ011 - the date on the person's wall
    )
    return recognise(manifest, recipe)


def list_run_roots(folder: RunFolder) -> tuple[Path, ...]:
    """Where pictures are read for a run that nobody knows to be this person's, whatever its record says."""
    return folder.path, sheet_pictures()


def list_picture_roots(source: Path, settings: ManifestOptions) -> tuple[Path, ...]:
    """Where pictures are read: beside the sheet, then below each ``--image-root``. A run's own copy or results have the
    paths of the sheet that the run was made from, which is believed of a run that this person made.
    """
    beside, roots, sheet = source.absolute().parent, settings.image_root, None
    if is_run(beside) and source.name.partition(".")[0] in _OF_A_RUN:
        with reading(RunFolder(beside).checkpoint) as checkpoint:
            if is_mine(checkpoint, beside, os.environ):
                roots = roots or Settings.load(checkpoint.get("settings") or "{}").image_root
                sheet = checkpoint.get("source")
        beside = Path(sheet).parent if sheet else beside
    return tuple(dict.fromkeys((beside, *(Path(root).expanduser().absolute() for root in roots))))


_OF_A_RUN = frozenset({"manifest", "results", "failed", "in_doubt"})
