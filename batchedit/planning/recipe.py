"""The settings as a recipe for making jobs, and the folders in which local pictures are read."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

from ..jobs.expand import Recipe
from ..jobs.recognise import recognise
from ..ledger.opening import open_for_reading
from ..ledger.register import is_mine, is_run
from ..manifest.read import Manifest
from ..run_folder import RunFolder, find_pictures_folder
from ..runcomfy.catalogue import Model
from ..settings.model import ManifestOptions, Settings


def make_recipe(settings: Settings, model: Model, source: Path, manifest: Manifest) -> Recipe:
    """The settings as a recipe. Local pictures lie beside ``source`` or below an ``--image-root``."""
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
        own_pictures=find_pictures_folder(),
        shrinks=not settings.no_shrink,
        loopback=settings.sandbox or settings.base_url.startswith("http://"),
        date=date.today().isoformat(),  # noqa: DTZ011 - the person's local date
    )
    return recognise(manifest, recipe)


def list_run_roots(folder: RunFolder) -> tuple[Path, ...]:
    """The folders in which pictures are read for a run that is not known to be this person's, whatever its record says."""
    return folder.path, find_pictures_folder()


def list_picture_roots(source: Path, settings: ManifestOptions) -> tuple[Path, ...]:
    """The folders in which pictures are read: beside the sheet, then below each ``--image-root``. A run's own copy or results
    have the paths of the sheet that the run was made from. That sheet is used if this person made the run.
    """
    parent, roots, sheet = source.absolute().parent, settings.image_root, None
    if is_run(parent) and source.name.partition(".")[0] in _FILES_OF_A_RUN:
        with open_for_reading(RunFolder(parent).checkpoint) as checkpoint:
            if is_mine(checkpoint, parent, os.environ):
                roots = roots or Settings.load(checkpoint.get("settings") or "{}").image_root
                sheet = checkpoint.get("source")
        parent = Path(sheet).parent if sheet else parent
    return tuple(dict.fromkeys((parent, *(Path(root).expanduser().absolute() for root in roots))))


_FILES_OF_A_RUN = frozenset({"manifest", "results", "failed", "in_doubt"})
