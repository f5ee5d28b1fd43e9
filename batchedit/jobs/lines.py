"""The lines of the results that a row's inputs make: one a variant, each with its job's identity, file name and place.

What is remembered are digests of new keys and of names.
"""

from __future__ import annotations

from typing import Any, Protocol

from ..core.model import Job, JobKey, ResultLine
from ..manifest.digests import DigestSet
from .collisions import Collisions
from .identity import KeyMaker, to_canonical_json, reduce_to_identity, may_differ, hash_name
from .naming import Namer
from .recipe import Recipe


class Known(Protocol):
    """What earlier runs have bought or planned."""

    @property
    def last(self) -> int:
        """The highest id of its jobs; they begin at 1."""
        ...

    def find(self, key: JobKey) -> int | None:
        """The id of the job of this key, None if there is none."""
        ...

    def version(self, slot: int) -> int:
        """The highest version that this slot has had, 0 if none."""
        ...


class LineMaker:
    """Makes lines in order, once. ``columns`` are those that name files; ``collisions`` the names that several jobs want."""

    def __init__(self, recipe: Recipe, columns: tuple[str, ...], known: Known | None, *, sized: bool) -> None:
        """``sized``: the model has a field for the size. UsageError for a template of names that can't be."""
        self._known = known if known is not None and known.last else None  # to find nothing would cost as much
        self._met = bytearray(self._known.last + 1 if self._known else 0)  # by id: which known jobs were asked for
        self._model, self._revision = recipe.model, recipe.revision
        self._key_maker = KeyMaker(recipe.model, recipe.revision)
        self._suffixes = [(variant, self._key_maker.make_suffix(variant)) for variant in range(1, recipe.variants + 1)]
        self._namer = Namer(recipe.name, columns, date=recipe.date, over=tuple(recipe.over), sized=sized)
        self._shift = recipe.row_shift
        self._keys, self._slots = DigestSet(16), set[int]()
        self._n = 0
        self.columns = self._namer.columns
        self.collisions = Collisions()

    def is_requested(self, key: JobKey) -> bool:
        """Has any row so far asked for this job?"""
        job = self._known.find(key) if self._known is not None else None
        return key in self._keys if job is None else bool(self._met[job])

    def make_lines(
        self,
        number: int,
        id_: str,
        cells: dict[str, Any],
        inputs: dict[str, Any],
        size: str,
        over: str,
        pictures: int,
    ) -> list[ResultLine]:
        """One for each variant of what the row ``number`` asks for with these ``inputs``."""
        written = digested = to_canonical_json(inputs)
        text = written.decode()
        if may_differ(text):
            digested = to_canonical_json(reduce_to_identity(inputs))
        moves = digested is not written and digested != written
        lines: list[ResultLine] = []
        for variant, suffix in self._suffixes:
            key = self._key_maker.make_key(digested, suffix)
            lines.append(self._line(number, id_, cells, text, key, size, variant, over, moves, pictures))
        return lines

    def _line(
        self,
        number: int,
        id_: str,
        cells: dict[str, Any],
        inputs: str,
        key: JobKey,
        size: str,
        variant: int,
        over: str,
        moves: bool,
        pictures: int,
    ) -> ResultLine:
        job = self._known.find(key) if self._known is not None else None
        if job is None:
            twin = not self._keys.add(key)
        else:
            twin = bool(self._met[job])
            self._met[job] = 1
        namer = self._namer
        if not twin:
            self._n += 1
        n = self._n
        name = namer.render(cells, number + self._shift, id_, size, variant, n)
        slot = hash_name(name)
        version = 1
        if not twin:
            if slot in self._slots:
                name, slot = self._told_apart(name, slot, number, id_)
            self._slots.add(slot)
            if job is None and self._known is not None:
                version = self._known.version(slot) + 1
        if namer.versioned:
            name = namer.render(cells, number + self._shift, id_, size, variant, n, str(version))
        elif version > 1:
            name = f"{name}-v{version}"
        wanted = Job(key, self._model, inputs, name, size, variant, self._revision, version)
        return ResultLine(number, id_, wanted, slot, twin, over, moves, pictures)

    def _told_apart(self, name: str, slot: int, row: int, id_: str) -> tuple[str, int]:
        """Another name for a second job of one name. An explicit template's clash is noted and refused at the end."""
        if not self._namer.default:
            self.collisions.add(slot, name, row, id_)
            return name, slot
        name = f"{name}-row{row + self._shift}"
        while (slot := hash_name(name)) in self._slots:
            name += "-2"
        return name, slot
