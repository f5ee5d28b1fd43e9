"""Signed links: the parts of a link that say who may fetch it and until when, and do not choose the picture.

Stores sign a link for some hours, and a sheet that is exported again holds other links to the same pictures. The parts
below do not count for a job's identity; the link is sent as it is. The rules are narrow: a part counts as a signature only
beside its family's own signature, or on the host that is known for it. Any other part may choose the picture
(``width=800``, ``x-oss-process=…``) and counts.

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
    """``link`` without signature and version mark; itself if it has none, or is no web link.

    All other parts stay as they are written, byte for byte and in order.
    """
    head, question_mark, rest = link.partition("?")
    if not question_mark or (host := _HOST(head)) is None:
        return link
    query, hash_, fragment = rest.partition("#")
    parts = query.split("&")
    names = [unquote_plus(part.partition("=")[0]).lower() for part in parts]
    dropped = _find_signature_names(frozenset(names), host.group(1).lower(), head)
    if not dropped:
        return link
    unsigned_query = "&".join(part for part, name in zip(parts, names, strict=True) if name not in dropped)
    return f"{head}{'?' + unsigned_query if unsigned_query else ''}{hash_}{fragment}"


def _find_signature_names(names: frozenset[str], host: str, head: str) -> frozenset[str]:
    dropped: set[str] = set()
    for prefix in ("x-amz-", "x-goog-"):
        if f"{prefix}signature" in names:
            dropped.update(name for name in names if name.startswith(prefix))
    if "signature" in names and names & {"expires", "policy"}:
        dropped |= _EXPIRES
    if {"sv", "sig"} <= names:
        dropped |= _AZURE
    if host.endswith((".airtable.com", ".airtableusercontent.com")):
        dropped |= _AIRTABLE
    if host == "cdn.shopify.com" or "/cdn/shop/" in head:
        dropped |= _SHOPIFY
    return names & dropped
