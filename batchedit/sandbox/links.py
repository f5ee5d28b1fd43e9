"""Signed links to results: made by `/result`, checked at `/files`, dead after expiry or a fault."""

import math
from collections.abc import Mapping
from hashlib import blake2b

from batchedit.sandbox.config import SandboxConfig
from batchedit.sandbox.job_clock import Job


def sign_path(config: SandboxConfig, job: Job, number: int, now: float) -> str:
    """The path of the job's `number`-th picture, valid from now on."""
    expires = "never" if config.link_ttl is None else f"{now + config.link_ttl:.3f}"
    signature = _sign(job, number, job.generation, expires)
    file = f"/files/{job.order.request_id}/{number}.png"
    return f"{file}?generation={job.generation}&expires={expires}&signature={signature}"


def is_alive(job: Job, number: int, query: Mapping[str, str], now: float) -> bool:
    """True if the signature is right, the link has not expired, and no fault has ended this generation of links."""
    expires, generation = query.get("expires", ""), query.get("generation", "")
    if generation != str(job.generation) or query.get("signature") != _sign(job, number, job.generation, expires):
        return False
    return now <= (math.inf if expires == "never" else float(expires))


def _sign(job: Job, number: int, generation: int, expires: str) -> str:
    # A checksum, not a secret: it makes links long, different each time they are renewed, and easy to damage.
    text = f"{job.order.request_id}/{number}/{generation}/{expires}"
    return blake2b(text.encode(), digest_size=20).hexdigest()
