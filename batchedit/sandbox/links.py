"""Signed links to results: made by `/result`, checked at `/files`, dead when expired or when a fault killed them."""

import math
from collections.abc import Mapping
from hashlib import blake2b

from batchedit.sandbox.job_clock import Job
from batchedit.sandbox.config import SandboxConfig


def path(config: SandboxConfig, job: Job, number: int, now: float) -> str:
    """The path of the job's `number`-th picture, good from now on."""
    expires = "never" if config.link_ttl is None else f"{now + config.link_ttl:.3f}"
    signature = _sign(job, number, job.generation, expires)
    file = f"/files/{job.order.request_id}/{number}.png"
    return f"{file}?generation={job.generation}&expires={expires}&signature={signature}"


def alive(job: Job, number: int, query: Mapping[str, str], now: float) -> bool:
    """The signature fits, the time is not up, and no fault has killed this generation of links."""
    expires, generation = query.get("expires", ""), query.get("generation", "")
    if generation != str(job.generation) or query.get("signature") != _sign(job, number, job.generation, expires):
        return False
    return now <= (math.inf if expires == "never" else float(expires))


def _sign(job: Job, number: int, generation: int, expires: str) -> str:
    # A checksum, not a secret: it makes links long, different each time they are renewed, and easy to spoil.
    text = f"{job.order.request_id}/{number}/{generation}/{expires}"
    return blake2b(text.encode(), digest_size=20).hexdigest()
