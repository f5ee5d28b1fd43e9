"""Classifies a link in a sheet by its text alone: usable, convertible, probably a page, or of no use to the service.

Nothing is requested here. A share link of a file store opens a page with the picture on it. Where the store has a
documented address of the file itself, that address replaces the link (``to_direct_link``). A link that can't be fetched
from the public internet is refused (``explain_unusable``). A link that usually leads to a page or another kind of file
gets a warning (``describe_page``).

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
    """The links of a text that names more than one; None if it is one link.

    Commas, semicolons and bars may stand in a link, but never in front of a second ``https://``. ValueError says how to
    write links that can't be separated: such as contain another link (an image proxy's), or have words between them.
    """
    pieces = _SPLIT.split(text)
    if any(map(_GLUED, pieces)) or (len(pieces) > 1 and any(re.search(r"\s", piece.strip()) for piece in pieces)):
        problem = "names several links; set them apart with a comma or a line break"
        raise ValueError(f"{problem} and nothing else, and write %20 for a space inside a link")
    if len(pieces) == 1:
        return None
    if any(_NESTED(piece[8:]) for piece in pieces[:-1]):
        raise ValueError('holds links inside a link; write each on a line of its own, or ["https://…", "https://…"]')
    return [piece.rstrip(",;| ") for piece in pieces]


def find_wrapped_links(text: str) -> list[str] | None:
    """The links of a text that wraps them as other programs do; None for any other text.

    Airtable's attachments ``mug.jpg (https://…),cup.jpg (https://…)``, Markdown's ``![mug](https://…)``, mail's
    ``<https://…>``, and the formulas ``=IMAGE("https://…")`` and ``=HYPERLINK("https://…","view")``.
    """
    if _ATTACHMENTS(text):
        return _IN_BRACKETS(text)
    match = _MARKDOWN(text) or _IN_ANGLES(text) or _FORMULA(text)
    return [match.group(1)] if match else None


def explain_unusable(link: str) -> str:
    """Why ``link``, which begins with https://, can't be fetched from the public internet; ``""`` if it can."""
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
        part = "port" if "ort" in str(error) else "host"
        return f"has a {part} that can't be: {error}"
    if port == 0:
        return "has the port 0, which can't be"
    return _explain_host(host)


def name_character(letter: str) -> str:
    """``U+200B ZERO WIDTH SPACE``."""
    return f"U+{ord(letter):04X} {unicodedata.name(letter, '')}".rstrip()


def _explain_host(host: str) -> str:  # noqa: PLR0911 - one return a mistake
    private = "which is this machine or a private network; the service fetches from the public internet"
    try:
        address = ip_address(host)
    except ValueError:
        pass
    else:
        return "" if address.is_global and not address.is_multicast else f"leads to {host}, {private}"
    lowered = host.lower().removesuffix(".")
    if lowered == "localhost" or lowered.endswith(_OWN_NETWORK):
        return f"leads to {host}, {private}"
    if "." not in lowered:
        return f"leads to {host!r}, which has no dot and is no host of the public internet"
    if _NUMBERS(lowered.rpartition(".")[2]):
        return f"leads to {host}, which is no address"
    try:
        ascii_host = lowered.encode("idna").decode() if not lowered.isascii() else lowered
    except UnicodeError:
        return f"leads to {host}, which is no name of a host"
    if len(ascii_host) > 253 or not all(_LABEL(label) for label in ascii_host.split(".")):
        return f"leads to {host}, which is no name of a host"
    return ""


def is_plain_host(host: str) -> bool:
    """True if a link to ``host`` (as in the link) needs no conversion and no warning."""
    return (
        host.isascii()
        and "@" not in host
        and ":" not in host
        and not _explain_host(host)
        and _find_rule(host.lower()) is None
        and _find_page(host.lower(), "/") == ""
        and not any(_is_below(host.lower(), domain) for domain, _, _ in _PAGES)
    )


# --- share links -------------------------------------------------------------------------------------------------------


def to_direct_link(link: str) -> tuple[str, str]:
    """``(the file's own address, the store's name)`` for a share link of one file; ``(link, "")`` for any other."""
    parts = urlsplit(link)
    host = (parts.hostname or "").lower()
    rule = _find_rule(host)
    address = rule[1](link, host, parts.path, parts.query) if rule is not None else ""
    return (address, rule[0]) if rule is not None and address and address != link else (link, "")


_Rule = Callable[[str, str, str, str], str]
"""(link, host, path, query) → the file's own address, ``""`` where the link is no share link of one file."""


def _convert_dropbox(_: str, host: str, path: str, query: str) -> str:
    if not path.startswith(("/s/", "/scl/fi/")):
        return ""
    options = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name not in {"dl", "raw"}]
    return urlunsplit(("https", host, path, urlencode([*options, ("raw", "1")]), ""))


def _convert_google_drive(_: str, host: str, path: str, query: str) -> str:
    options = dict(parse_qsl(query))
    match = re.match(r"/(?:a/[^/]+/)?file/(?:u/\d+/)?d/([\w-]+)", path)
    if match is None and not (path.rstrip("/") in {"/open", "/uc"} and options.get("id")):
        return ""
    file_id = match.group(1) if match else options["id"]
    download = {"export": "download", "id": file_id}
    if key := options.get("resourcekey"):
        download["resourcekey"] = key
    if path.rstrip("/") == "/uc" and options.get("export") == "download":
        return ""
    return urlunsplit(("https", host, "/uc", urlencode(download), ""))


def _convert_onedrive(link: str, host: str, path: str, query: str) -> str:
    if host == "1drv.ms" and not path.startswith(("/i/", "/u/")):
        return ""
    if host == "onedrive.live.com" and not ({"resid", "id"} & dict(parse_qsl(query)).keys() and "authkey" in query):
        return ""
    token = urlsafe_b64encode(link.encode()).decode().rstrip("=")
    return f"https://api.onedrive.com/v1.0/shares/u!{token}/root/content"


def _convert_sharepoint(_: str, host: str, path: str, query: str) -> str:
    if not path.startswith(("/:i:/", "/:u:/")):
        return ""
    options = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != "download"]
    return urlunsplit(("https", host, path, urlencode([*options, ("download", "1")], safe=":"), ""))


def _convert_box(_: str, host: str, path: str, query: str) -> str:
    match = re.fullmatch(r"/s/([a-z0-9]+)/?", path)
    return f"https://{host}/shared/static/{match.group(1)}" if match and not query else ""


def _convert_github(_: str, host: str, path: str, _query: str) -> str:
    match = re.match(r"(/[^/]+/[^/]+)/blob/(.+)", path)
    return urlunsplit(("https", host, f"{match.group(1)}/raw/{match.group(2)}", "", "")) if match else ""


_RULES: tuple[tuple[str, str, _Rule], ...] = (
    ("dropbox.com", "Dropbox", _convert_dropbox),
    ("drive.google.com", "Google Drive", _convert_google_drive),
    ("1drv.ms", "OneDrive", _convert_onedrive),
    ("onedrive.live.com", "OneDrive", _convert_onedrive),
    ("sharepoint.com", "SharePoint", _convert_sharepoint),
    ("box.com", "Box", _convert_box),
    ("github.com", "GitHub", _convert_github),
)


def _is_below(host: str, domain: str) -> bool:
    return host == domain or host.endswith("." + domain)


def _find_rule(host: str) -> tuple[str, _Rule] | None:
    return next(((name, rule) for domain, name, rule in _RULES if _is_below(host, domain)), None)


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
"""Domain, beginning of the path, description. Hosts of pictures (images.unsplash.com, i.imgur.com) are no pages."""
_PICTURE_HOSTS = re.compile(
    r"(?:i|images?|img|media|static|cdn|live|previews?|thumbs?|farm\d*|c\d*|t\d|as\d|p|dl|public|thumbnail\d*)[\w-]*\.",
    re.IGNORECASE,
).match


def describe_page(link: str) -> str:
    """What page or other kind of file ``link`` probably is, such as ``a Google document``; ``""`` for none known."""
    parts = urlsplit(link)
    if page := _find_page((parts.hostname or "").lower(), parts.path or "/"):
        return page
    if parts.username or parts.password:
        return "an address with a name and a password"
    if ending := _NO_PICTURE(parts.path):
        return f"a .{ending.group(1).lower()} file"
    return ""


def has_odd_ending(link: str) -> bool:
    """True if ``describe_page`` may name the ending of ``link``. Quick, and never wrongly False."""
    return _NO_PICTURE(link) is not None


def _find_page(host: str, path: str) -> str:
    for domain, beginning, page in _PAGES:
        if _is_below(host, domain) and path.startswith(beginning) and (host == domain or not _PICTURE_HOSTS(host)):
            return page
    return ""
