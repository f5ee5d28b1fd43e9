"""Links that are signed anew at each export: which part of a link says who may fetch it and until when, not which picture.

Stores sign a link for some hours, and a sheet that is exported again holds other links to the same pictures. The parts
below do not count for a job's identity; what is sent is the link as it stands. The rules are narrow: a part counts as a
signature only beside its family's own signature, or on the host that is known for it. Whatever is not listed here may
choose the picture (``width=800``, ``x-oss-process=…``) and counts.

Sources: AWS Signature Version 4 and 2 for query strings, CloudFront signed URLs, Google Cloud Storage V4 and V2 signed
URLs, Azure shared access signatures; Airtable's ``ts``, ``userId`` and ``cs`` and Shopify's ``v`` as their links show them.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

_HOST = re.compile(r"https?://(?:[^/?#@]*@)?([^/?#:]*)", re.IGNORECASE).match

_EXPIRES = frozenset(
    {"expires", "signature", "policy", "key-pair-id", "hash-algorithm", "awsaccesskeyid", "googleaccessid",
     "ossaccesskeyid", "x-amz-security-token", "security-token"}
)  # fmt: skip
"""AWS Signature Version 2, CloudFront, Google V2, Aliyun: with ``Signature`` and ``Expires`` or ``Policy`` alone."""
_AZURE = frozenset(
    {"sv", "ss", "srt", "sp", "st", "se", "spr", "sip", "sr", "si", "sig", "sdd", "ses",
     "skoid", "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid", "scid"}
)  # fmt: skip
_AIRTABLE = frozenset({"ts", "userid", "cs"})
_SHOPIFY = frozenset({"v"})


def strip_signature(link: str) -> str:
    """``link`` without what is only a signature or a version mark; itself if there is none, or if it is no web link.

    Everything else stays as it is written, byte for byte and in order.
    """
    head, mark, rest = link.partition("?")
    if not mark or (host := _HOST(head)) is None:
        return link
    query, hash_, fragment = rest.partition("#")
    parts = query.split("&")
    names = [unquote_plus(part.partition("=")[0]).lower() for part in parts]
    gone = _signature_names(frozenset(names), host.group(1).lower(), head)
    if not gone:
        return link
    kept = "&".join(part for part, name in zip(parts, names, strict=True) if name not in gone)
    return f"{head}{'?' + kept if kept else ''}{hash_}{fragment}"


def _signature_names(names: frozenset[str], host: str, head: str) -> frozenset[str]:
    gone: set[str] = set()
    for prefix in ("x-amz-", "x-goog-"):
        if f"{prefix}signature" in names:
            gone.update(name for name in names if name.startswith(prefix))
    if "signature" in names and names & {"expires", "policy"}:
        gone |= _EXPIRES
    if {"sv", "sig"} <= names:
        gone |= _AZURE
    if host.endswith((".airtable.com", ".airtableusercontent.com")):
        gone |= _AIRTABLE
    if host == "cdn.shopify.com" or "/cdn/shop/" in head:
        gone |= _SHOPIFY
    return names & gone
