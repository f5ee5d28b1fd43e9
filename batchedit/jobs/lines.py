"""The lines of the results that a row's inputs make: one a variant, each with its job's identity and file name.

Only digests of new keys and of names are kept in memory.
"""

from __future__ import annotations

from typing import Any, Protocol

from ..core.digests import make_digest_set
from ..core.model import Job, JobKey, ResultLine
from .collisions import Collisions
from .identity import KeyMaker, hash_name, may_differ, reduce_to_identity, to_canonical_json
from .naming import Namer
from .recipe import Recipe


class EarlierJobs(Protocol):
    """Jobs that earlier runs bought or planned."""

    @property
    def last(self) -> int:
        """The highest id of its jobs; they begin at 1."""
        ...

    def find(self, key: JobKey) -> int | None:
        """The id of the job of this key, None if there is none."""
        ...

    def version(self, name_hash: int) -> int:
        """The highest version that this name has had, 0 if none."""
        ...


class LineMaker:
    """Makes lines in order, once. ``columns`` are those that name files; ``collisions`` the names that several jobs want."""

    def __init__(
        self, recipe: Recipe, columns: tuple[str, ...], known_jobs: EarlierJobs | None, *, sized: bool
    ) -> None:
        """``sized``: the model has a field for the size. UsageError for a template of names that can't be."""
        self._known = known_jobs if known_jobs is not None and known_jobs.last else None  # empty: no searches
        self._requested = bytearray(self._known.last + 1 if self._known else 0)  # by id of a known job
        self._model, self._revision = recipe.model, recipe.revision
        self._key_maker = KeyMaker(recipe.model, recipe.revision)
        self._suffixes = [(variant, self._key_maker.make_suffix(variant)) for variant in range(1, recipe.variants + 1)]
        self._namer = Namer(recipe.name, columns, date=recipe.date, over=tuple(recipe.over), sized=sized)
        self._shift = recipe.row_shift
        self._keys, self._name_hashes = make_digest_set(), set[int]()
        self._distinct = 0
        self.columns = self._namer.columns
        self.collisions = Collisions()

    def is_requested(self, key: JobKey) -> bool:
        """True if any row so far asks for this job."""
        job_id = self._known.find(key) if self._known is not None else None
        return key in self._keys if job_id is None else bool(self._requested[job_id])

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
        """One line for each variant of the row ``number`` with these ``inputs``."""
        sent = identity = to_canonical_json(inputs)
        text = sent.decode()
        if may_differ(text):
            identity = to_canonical_json(reduce_to_identity(inputs))
        moves = identity is not sent and identity != sent
        lines: list[ResultLine] = []
        for variant, suffix in self._suffixes:
            key = self._key_maker.make_key(identity, suffix)
            lines.append(self._make_line(number, id_, cells, text, key, size, variant, over, moves, pictures))
        return lines

    def _make_line(
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
        job_id = self._known.find(key) if self._known is not None else None
        if job_id is None:
            duplicate = not self._keys.add(key)
        else:
            duplicate = bool(self._requested[job_id])
            self._requested[job_id] = 1
        namer = self._namer
        if not duplicate:
            self._distinct += 1
        n = self._distinct
        name = namer.render(cells, number + self._shift, id_, size, variant, n)
        name_hash = hash_name(name)
        version = 1
        if not duplicate:
            if name_hash in self._name_hashes:
                name, name_hash = self._make_unique(name, name_hash, number, id_)
            self._name_hashes.add(name_hash)
            if job_id is None and self._known is not None:
                version = self._known.version(name_hash) + 1
        if namer.versioned:
            name = namer.render(cells, number + self._shift, id_, size, variant, n, str(version))
        elif version > 1:
            name = f"{name}-v{version}"
        job = Job(key, self._model, inputs, name, size, variant, self._revision, version)
        return ResultLine(number, id_, job, name_hash, duplicate, over, moves, pictures)

    def _make_unique(self, name: str, name_hash: int, row: int, id_: str) -> tuple[str, int]:
        """Another name for a second job with the same name. A clash of an explicit template is counted and refused at the
        end.
        """
        if not self._namer.default:
            self.collisions.add(name_hash, name, row, id_)
            return name, name_hash
        name = f"{name}-row{row + self._shift}"
        while (name_hash := hash_name(name)) in self._name_hashes:
            name += "-2"
        return name, name_hash
