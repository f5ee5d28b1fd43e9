"""Another version of a rejected picture: the same inputs, or a prompt with an addition, as a new job."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

from ..core.errors import UsageError
from ..core.jsontext import read_inputs, write_inputs
from ..core.model import Job, JobKey

KeyOf = Callable[[dict[str, Any], int, int], JobKey]
"""``(inputs, variant, revision)`` to the identity of a job."""


def make_next_version(
    job: Job, version: int, addition: str, *, key_of: KeyOf, keys: Container[bytes], names: Container[str]
) -> Job:
    """The next version of ``job``: inputs with ``addition`` after the prompt, an unused revision and name.

    ``keys`` are the run's, ``names`` the casefolded names of its files. UsageError if there is no prompt to add to.
    """
    inputs = read_inputs(job.inputs)
    if addition:
        if not isinstance(inputs.get("prompt"), str):
            raise UsageError(
                f"{job.model} has no input called prompt, so nothing can be added to it",
                hint="redo without --prompt-add and --use-notes",
            )
        inputs["prompt"] = extend_prompt(inputs["prompt"], addition)
    revision = job.revision + 1
    while (key := key_of(inputs, job.variant, revision)) in keys:
        revision += 1
    text = write_inputs(inputs).decode() if addition else job.inputs
    name = find_free_name(job.name.removesuffix(f"-v{job.version}"), version, names)
    return job._replace(key=key, inputs=text, name=name, revision=revision, version=version)


def extend_prompt(prompt: str, addition: str) -> str:
    """Append ``addition`` to ``prompt`` as a sentence: a full stop between them where there is none."""
    head = prompt.rstrip()
    separator = " " if not head or head[-1] in ".!?…:;," else ". "
    return f"{head}{separator}{addition.strip()}".lstrip()


def find_free_name(base: str, version: int, names: Container[str]) -> str:
    """``base-v2``, or a longer name while the picture of another row has that name."""
    name = f"{base}-v{version}"
    while name.casefold() in names:
        name += "-2"
    return name
