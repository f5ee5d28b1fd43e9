"""What a link in a sheet is, told from its text alone: fit, to be mended, probably a page, or of no use to the service.

Nothing is asked here. A share link of a file store opens a page with the picture on it; where the store has a documented
address of the file itself, that one takes its place (``to_direct_link``). What nobody on the public internet can fetch is refused
(``explain_unusable``); what usually is a page or another kind of file gets a warning (``describe_page``).

Sources of the direct forms: Dropbox Help "Force a file or folder to download or render" (``raw=1``); Google Drive API,
``webContentLink`` of a file; Microsoft, OneDrive API "Access shared items" (``shares/u!…``) and SharePoint's
``download=1``; Box, "shared/static" direct links; GitHub's ``/raw/`` of a file.
"""

from __future__ import annotations

import re
import unicodedata
from base64 import urlsafe_b64encode
from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

_SPLIT = re.compile(r"(?<![\s,;|])(?:[\s,;|]|%(?:20|0a|0d|2c|3b|7c)|<br\s*/?>|\\[nr])++(?=https?:/)", re.IGNORECASE)
_GLUED = re.compile(r"\.(?:jpe?g|png|webp|gif|avif|heic|bmp|tiff?)https?:/", re.IGNORECASE).search
_ATTACHMENTS = re.compile(r"(?:[^(),]*(?:\([^():]*\)[^(),]*)* \(https?://[^\s()]+\)(?:,\s*(?=\S)|,?$))+").fullmatch
_IN_BRACKETS = re.compile(r"\((https?://[^\s()]+)\)").findall
_MARKDOWN = re.compile(r"!?\[[^\]]*\]\((https?://[^\s()]+)(?: \"[^\"]*\")?\)").fullmatch
_IN_ANGLES = re.compile(r"<(https?://[^\s<>]+)>").fullmatch
_FORMULA = re.compile(
    r"=\s*(?:IMAGE|HYPERLINK)\(\s*\"(https?://[^\s\"]+)\"\s*(?:[,;].*)?\)", re.IGNORECASE | re.DOTALL
).fullmatch
_NESTED = re.compile(r"[=/?&]https?(?::|%3a)/", re.IGNORECASE).search
_TWICE = re.compile(r"https?:/{1,2}(?:https?:|//)", re.IGNORECASE).match
_NO_PICTURE = re.compile(
    r"\.(svgz?|mp4|mov|m4v|webm|avi|pdf|html?|docx?|xlsx?|pptx?|zip|psd|ai|eps)(?:[?#]|$)", re.IGNORECASE
).search
_NUMBERS = re.compile(r"[\d.]+|0x[0-9a-f]+", re.IGNORECASE).fullmatch
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE).fullmatch
_OWN_NETWORK = (".local", ".localhost", ".internal", ".intranet", ".lan", ".corp", ".home.arpa", ".localdomain")


def split_links(text: str) -> list[str] | None:
    """The links of a text that names more than one; None where it is one.

    Commas, semicolons and bars may stand in a link, but never in front of a second ``https://``. ValueError says how to
    write what can't be told apart: links that carry another one inside (an image proxy's), links with words between them.
    """
    pieces = _SPLIT.split(text)
    if any(map(_GLUED, pieces)) or (len(pieces) > 1 and any(re.search(r"\s", piece.strip()) for piece in pieces)):
        told = "names several links; set them apart with a comma or a line break"
        raise ValueError(f"{told} and nothing else, and write %20 for a space inside a link")
    if len(pieces) == 1:
        return None
    if any(_NESTED(piece[8:]) for piece in pieces[:-1]):
        raise ValueError('holds links inside a link; write each on a line of its own, or ["https://…", "https://…"]')
    return [piece.rstrip(",;| ") for piece in pieces]


def find_wrapped_links(text: str) -> list[str] | None:
    """The links of a text that wraps them as other programs do; None where it is none of theirs.

    Airtable's attachments ``mug.jpg (https://…),cup.jpg (https://…)``, Markdown's ``![mug](https://…)``, mail's
    ``<https://…>``, and the formulas ``=IMAGE("https://…")`` and ``=HYPERLINK("https://…","view")``.
    """
    if _ATTACHMENTS(text):
        return _IN_BRACKETS(text)
    found = _MARKDOWN(text) or _IN_ANGLES(text) or _FORMULA(text)
    return [found.group(1)] if found else None


def explain_unusable(link: str) -> str:
    """Why nobody but this machine could fetch ``link``, which begins with https://; ``""`` if somebody could."""
    if _TWICE(link):
        return "begins with https:// twice; delete one of them"
    for letter in link:
        if not letter.isprintable() or (not letter.isascii() and unicodedata.category(letter)[0] in "ZC"):
            return f"holds an invisible character ({name_character(letter)}); type the link anew, or delete it"
    if "\\" in link:
        return "has a backslash; a link has / in its place"
    try:
        parts = urlsplit(link)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        told = "port" if "ort" in str(error) else "host"
        return f"has a {told} that can't be: {error}"
    if port == 0:
        return "has the port 0, which can't be"
    return _why_no_public_host(host)


def name_character(letter: str) -> str:
    """``U+200B ZERO WIDTH SPACE``."""
    return f"U+{ord(letter):04X} {unicodedata.name(letter, '')}".rstrip()


def _why_no_public_host(host: str) -> str:  # noqa: PLR0911 - one return a mistake
    private = "which is this machine or a private network; the service fetches from the public internet"
    try:
        address = ip_address(host)
    except ValueError:
        pass
    else:
        return "" if address.is_global and not address.is_multicast else f"leads to {host}, {private}"
    low = host.lower().removesuffix(".")
    if low == "localhost" or low.endswith(_OWN_NETWORK):
        return f"leads to {host}, {private}"
    if "." not in low:
        return f"leads to {host!r}, which has no dot and is no host of the public internet"
    if _NUMBERS(low.rpartition(".")[2]):
        return f"leads to {host}, which is no address"
    try:
        labels = low.encode("idna").decode() if not low.isascii() else low
    except UnicodeError:
        return f"leads to {host}, which is no name of a host"
    if len(labels) > 253 or not all(_LABEL(label) for label in labels.split(".")):
        return f"leads to {host}, which is no name of a host"
    return ""


def is_plain_host(host: str) -> bool:
    """May a link to ``host``, as it stands in the link, be taken as it is? Neither odd nor one with rules below."""
    return (
        host.isascii()
        and "@" not in host
        and ":" not in host
        and not _why_no_public_host(host)
        and _rule_of(host.lower()) is None
        and _page_of(host.lower(), "/") == ""
        and not any(_belongs(host.lower(), known) for known, _, _ in _PAGES)
    )


# --- share links -------------------------------------------------------------------------------------------------------


def to_direct_link(link: str) -> tuple[str, str]:
    """``(the file's own address, the store's name)`` for a share link of one file; ``(link, "")`` for any other."""
    parts = urlsplit(link)
    host = (parts.hostname or "").lower()
    rule = _rule_of(host)
    found = rule[1](link, host, parts.path, parts.query) if rule is not None else ""
    return (found, rule[0]) if rule is not None and found and found != link else (link, "")


_Rule = Callable[[str, str, str, str], str]
"""(link, host, path, query) → the file's own address, ``""`` where the link is no share link of one file."""


def _dropbox(_: str, host: str, path: str, query: str) -> str:
    if not path.startswith(("/s/", "/scl/fi/")):
        return ""
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name not in {"dl", "raw"}]
    return urlunsplit(("https", host, path, urlencode([*kept, ("raw", "1")]), ""))


def _google_drive(_: str, host: str, path: str, query: str) -> str:
    options = dict(parse_qsl(query))
    found = re.match(r"/(?:a/[^/]+/)?file/(?:u/\d+/)?d/([\w-]+)", path)
    if found is None and not (path.rstrip("/") in {"/open", "/uc"} and options.get("id")):
        return ""
    file = found.group(1) if found else options["id"]
    wanted = {"export": "download", "id": file}
    if key := options.get("resourcekey"):
        wanted["resourcekey"] = key
    if path.rstrip("/") == "/uc" and options.get("export") == "download":
        return ""
    return urlunsplit(("https", host, "/uc", urlencode(wanted), ""))


def _onedrive(link: str, host: str, path: str, query: str) -> str:
    if host == "1drv.ms" and not path.startswith(("/i/", "/u/")):
        return ""
    if host == "onedrive.live.com" and not ({"resid", "id"} & dict(parse_qsl(query)).keys() and "authkey" in query):
        return ""
    token = urlsafe_b64encode(link.encode()).decode().rstrip("=")
    return f"https://api.onedrive.com/v1.0/shares/u!{token}/root/content"


def _sharepoint(_: str, host: str, path: str, query: str) -> str:
    if not path.startswith(("/:i:/", "/:u:/")):
        return ""
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != "download"]
    return urlunsplit(("https", host, path, urlencode([*kept, ("download", "1")], safe=":"), ""))


def _box(_: str, host: str, path: str, query: str) -> str:
    found = re.fullmatch(r"/s/([a-z0-9]+)/?", path)
    return f"https://{host}/shared/static/{found.group(1)}" if found and not query else ""


def _github(_: str, host: str, path: str, _query: str) -> str:
    found = re.match(r"(/[^/]+/[^/]+)/blob/(.+)", path)
    return urlunsplit(("https", host, f"{found.group(1)}/raw/{found.group(2)}", "", "")) if found else ""


_RULES: tuple[tuple[str, str, _Rule], ...] = (
    ("dropbox.com", "Dropbox", _dropbox),
    ("drive.google.com", "Google Drive", _google_drive),
    ("1drv.ms", "OneDrive", _onedrive),
    ("onedrive.live.com", "OneDrive", _onedrive),
    ("sharepoint.com", "SharePoint", _sharepoint),
    ("box.com", "Box", _box),
    ("github.com", "GitHub", _github),
)


def _belongs(host: str, known: str) -> bool:
    return host == known or host.endswith("." + known)


def _rule_of(host: str) -> tuple[str, _Rule] | None:
    return next(((name, rule) for known, name, rule in _RULES if _belongs(host, known)), None)


# --- pages -------------------------------------------------------------------------------------------------------------

_PAGES = (
    ("docs.google.com", "/", "a Google document"),
    ("drive.google.com", "/drive/", "a Google Drive folder"),
    ("drive.google.com", "/folderview", "a Google Drive folder"),
    ("photos.google.com", "/", "Google Photos"),
    ("photos.app.goo.gl", "/", "Google Photos"),
    ("dropbox.com", "/sh/", "a Dropbox folder"),
    ("dropbox.com", "/scl/fo/", "a Dropbox folder"),
    ("dropbox.com", "/home", "a Dropbox folder"),
    ("1drv.ms", "/f/", "a OneDrive folder"),
    ("1drv.ms", "/a/", "a OneDrive album"),
    ("onedrive.live.com", "/", "OneDrive"),
    ("sharepoint.com", "/:f:/", "a SharePoint folder"),
    ("box.com", "/folder/", "a Box folder"),
    ("box.com", "/file/", "a Box page that needs a login"),
    ("icloud.com", "/", "iCloud"),
    ("we.tl", "/", "WeTransfer"),
    ("wetransfer.com", "/", "WeTransfer"),
    ("canva.com", "/design/", "a Canva design"),
    ("figma.com", "/", "a Figma design"),
    ("pinterest.com", "/pin/", "a Pinterest page"),
    ("unsplash.com", "/photos/", "a page of Unsplash"),
    ("pexels.com", "/photo/", "a page of Pexels"),
    ("pixabay.com", "/photos/", "a page of Pixabay"),
    ("shutterstock.com", "/image-", "a page of Shutterstock"),
    ("istockphoto.com", "/photo/", "a page of iStock"),
    ("gettyimages.com", "/detail/", "a page of Getty Images"),
    ("stock.adobe.com", "/", "a page of Adobe Stock"),
    ("freepik.com", "/", "a page of Freepik"),
    ("alamy.com", "/", "a page of Alamy"),
    ("depositphotos.com", "/", "a page of Depositphotos"),
    ("dreamstime.com", "/", "a page of Dreamstime"),
    ("instagram.com", "/", "an Instagram page"),
    ("facebook.com", "/", "a Facebook page"),
    ("flickr.com", "/photos/", "a Flickr page"),
    ("imgur.com", "/", "an Imgur page"),
    ("amazon.com", "/dp/", "a product page of Amazon"),
    ("etsy.com", "/listing/", "a product page of Etsy"),
    ("ebay.com", "/itm/", "a product page of eBay"),
    ("airtable.com", "/", "an Airtable page"),
)
"""Host, beginning of the path, what it is. A store's own picture hosts (images.unsplash.com, i.imgur.com) are no pages."""
_PICTURE_HOSTS = re.compile(
    r"(?:i|images?|img|media|static|cdn|live|previews?|thumbs?|farm\d*|c\d*|t\d|as\d|p|dl|public|thumbnail\d*)[\w-]*\.",
    re.IGNORECASE,
).match


def describe_page(link: str) -> str:
    """What page or other kind of file ``link`` probably is, such as ``a Google document``; ``""`` for none known."""
    parts = urlsplit(link)
    if found := _page_of((parts.hostname or "").lower(), parts.path or "/"):
        return found
    if parts.username or parts.password:
        return "an address with a name and a password"
    if ending := _NO_PICTURE(parts.path):
        return f"a .{ending.group(1).lower()} file"
    return ""


def has_odd_ending(link: str) -> bool:
    """May ``describe_page`` name the ending of ``link``? Quick, and never wrongly False."""
    return _NO_PICTURE(link) is not None


def _page_of(host: str, path: str) -> str:
    for known, beginning, what in _PAGES:
        if _belongs(host, known) and path.startswith(beginning) and (host == known or not _PICTURE_HOSTS(host)):
            return what
    return ""
