"""The store of files that several machines share: a bucket of S3, Google or Azure, or a folder. Blocking; safe in many
threads.

A file is put once, under a free name, with its sha256, and never changed. A second put finds it there. Names are paths below
the store's address: ``files/mug.png``, ``blobs/<sha256>``.

obstore finds keys and tokens as the cloud's own tools do. No error contains a key, a token or a server's words: a server may
repeat what it was sent.
"""

from __future__ import annotations

import hashlib
import mimetypes
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..core.errors import FilesRefusedError, FilesUnavailableError, OutputError, UsageError
from ..disk import create, is_inside, make_folders, put_in_place, sync_folder
from ..settings.extras import to_install

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PROBE = ".batchedit"
"""Written and read when a command begins, so that no picture is bought that could not be stored."""
_PROBE_CONTENT = b"batchedit writes here\n"
ANSWER_SECONDS = 60
RETRIES = 3
RETRY_SECONDS = 10
"""obstore's own retries, for a connection that breaks. Callers that wait for a store that is away retry themselves."""
BLOBS = "blobs"
_CLOUDS = {"s3": "S3", "gs": "Google Cloud Storage", "az": "Azure"}
_DENY_BEFORE_EXISTS = frozenset({"gs", "az"})
"""Clouds that may answer a put of an existing object with a missing right, not with "already exists"."""
_HINTS = {
    "s3": "the keys are read from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the machine's role",
    "gs": "the account is read from GOOGLE_APPLICATION_CREDENTIALS, or made by: gcloud auth application-default login",
    "az": "the account is read from AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, "
    "or the machine's identity",
    "": "see to the folder's permissions",
}


def check_url(text: str) -> str:
    """``s3://bucket/prefix``, ``gs://``, ``az://`` or a folder, as it is stored: without a trailing slash, a folder absolute.

    UsageError (64) for anything else, and for an address with a name or a key in it.
    """
    if "://" not in text:
        return str(Path(text).expanduser().absolute())
    parts = urlsplit(text)
    if parts.scheme == "file" and not parts.netloc and parts.path:
        return str(Path(parts.path))
    if parts.scheme not in _CLOUDS or not parts.netloc:
        raise UsageError(
            "--files is no place for files", hint="s3://bucket/prefix, gs://…, az://container/prefix or a folder"
        )
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(
            "--files takes no keys: the address is kept with the run, and whoever reads that would have them",
            hint=f"only {parts.scheme}://bucket/prefix; {_HINTS[parts.scheme]}",
        )
    return text.rstrip("/")


def join_url(url: str, name: str) -> str:
    """The address of ``name`` in the store at ``url``."""
    return f"{url}/{name}"


class Objects:
    """The files below ``url``, as ``check_url`` returns it.

    All methods raise FilesUnavailableError (69) for a store that is away, FilesRefusedError (77) for keys that are refused or
    missing, OutputError (73) for a bucket that does not exist, and OutputError (74) for other errors.
    """

    def __init__(self, url: str, environ: Mapping[str, str] = os.environ) -> None:
        """Raises UsageError (64) if the extra is missing."""
        if find_spec("obstore") is None:
            raise UsageError("files in an object store need obstore", hint=to_install("files"))
        self.url = url
        self._scheme = urlsplit(url).scheme if "://" in url else ""
        self._environ = environ
        self._opened_store: ObjectStore | None = None
        self._opening = threading.Lock()

    def check(self) -> None:
        """Raise unless files may be put here and read again."""
        with self._translate_errors():
            import obstore  # noqa: PLC0415 - takes its time

            name = self._probe_by_rights() if self._scheme in _DENY_BEFORE_EXISTS else PROBE
            if name:
                obstore.put(self._open_once(), name, _PROBE_CONTENT, mode="overwrite", use_multipart=False)
            obstore.get(self._open_once(), name or PROBE).bytes()

    def _probe_by_rights(self) -> str:
        """Put the probe unless it exists. Returns the name under which a second probe must be put, "" for none.

        Overwriting takes the right to delete at Google, and at Azure the right to write, where otherwise the right to create
        suffices. A buyer needs neither. Google lets an object be written at most once a second. If the existing probe is
        refused, a new name shows whether this person may write.
        """
        import obstore  # noqa: PLC0415 - takes its time
        from obstore.exceptions import AlreadyExistsError, PermissionDeniedError  # noqa: PLC0415

        try:
            obstore.put(self._open_once(), PROBE, _PROBE_CONTENT, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return ""
        except PermissionDeniedError:
            if not self.digest(PROBE):
                raise
            return f"{PROBE}-{token_hex(4)}"
        return ""

    def keep(self, content: Path | bytes, key: str, sha256: str) -> bool:
        """Put ``content``; it is durable on return. False if that name has other content, which is not changed."""
        import obstore  # noqa: PLC0415 - takes its time
        from obstore.exceptions import AlreadyExistsError, PermissionDeniedError  # noqa: PLC0415

        content_type = mimetypes.guess_type(key)[0] or "application/octet-stream"
        attributes = {"Content-Type": content_type, "sha256": sha256} if self._scheme else None
        with self._translate_errors():
            try:
                obstore.put(self._open_once(), key, content, mode="create", attributes=attributes, use_multipart=False)
            except AlreadyExistsError:
                return self.digest(key) == sha256
            except (
                PermissionDeniedError
            ):  # these clouds check the right to overwrite before they report an existing object
                digest = self.digest(key) if self._scheme in _DENY_BEFORE_EXISTS else ""
                if not digest:
                    raise
                return digest == sha256
            if not self._scheme:
                self._sync_file(key)
        return True

    def digest(self, key: str) -> str:
        """The hex sha256 of the stored content; "" if there is none."""
        digest, _ = self.digest_and_size(key)
        return digest

    def digest_and_size(self, key: str) -> tuple[str, int]:
        """The hex sha256 of the stored content, and its size in bytes; ("", 0) if there is none."""
        digest, size = hashlib.sha256(), 0
        try:
            for block in self._read_blocks(key):
                digest.update(block)
                size += len(block)
        except FileNotFoundError:
            return "", 0
        return digest.hexdigest(), size

    def fetch(self, key: str, sha256: str, target: Path, root: Path) -> bool:
        """Copy it to ``target``, below ``root``. False, without a change, if it is missing or has another sha256."""
        part = target.with_name(f"{target.name}.{threading.get_ident()}.part")
        if not is_inside(target.parent, root):
            return False
        make_folders(target.parent, root)
        digest = hashlib.sha256()
        try:
            with create(part) as file:
                for block in self._read_blocks(key):
                    digest.update(block)
                    file.write(block)
            if digest.hexdigest() != sha256:
                return False
            put_in_place(part, target)
        except FileNotFoundError:
            return False
        finally:
            part.unlink(missing_ok=True)
        return True

    def read(self, key: str) -> bytes | None:
        """The whole content; None if there is none."""
        try:
            return b"".join(self._read_blocks(key))
        except FileNotFoundError:
            return None

    def list_sizes(self, folder: str) -> dict[str, int]:
        """The names below ``folder``, with their sizes in bytes."""
        import obstore  # noqa: PLC0415 - takes its time

        with self._translate_errors():
            pages = obstore.list(self._open_once(), folder)
            return {entry["path"]: entry["size"] for page in pages for entry in page}

    def _read_blocks(self, key: str) -> Iterator[bytes]:
        import obstore  # noqa: PLC0415 - takes its time

        with self._translate_errors(missing=True):
            for block in obstore.get(self._open_once(), key).stream(min_chunk_size=2**20):
                yield bytes(block)

    def _sync_file(self, key: str) -> None:
        """Make a file in a folder durable: obstore does not sync it."""
        path = Path(self.url, key)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        sync_folder(path.parent)

    def _open_once(self) -> ObjectStore:
        from obstore.exceptions import BaseError  # noqa: PLC0415 - takes its time

        with self._opening:
            if self._opened_store is None:
                try:
                    self._opened_store = self._open()
                except BaseError:  # nothing was sent yet: a key is missing or malformed
                    if not self._scheme:
                        raise
                    raise FilesRefusedError(
                        f"the keys that are set here for {self.url} are missing or can't be read",
                        hint=_HINTS[self._scheme],
                    ) from None
            return self._opened_store

    def _open(self) -> ObjectStore:
        from obstore.store import AzureStore, GCSStore, LocalStore, S3Store  # noqa: PLC0415 - takes its time

        if not self._scheme:
            return LocalStore(self.url, mkdir=True)
        parts = urlsplit(self.url)
        common: dict[str, Any] = {
            "prefix": parts.path.strip("/") or None,
            "client_options": {
                "timeout": f"{ANSWER_SECONDS}s",
                "connect_timeout": "10s",
                "allow_http": self._allows_plain_http(),
            },
            "retry_config": {"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
        }
        if self._scheme == "gs":
            return GCSStore(parts.netloc, **common)
        if self._scheme == "az":
            return AzureStore(parts.netloc, **self._read_azure_options(), **common)
        return S3Store(parts.netloc, checksum_algorithm="sha256", **self._read_s3_options(), **common)

    def _read_first(self, *names: str) -> str:
        return next((self._environ[name] for name in names if self._environ.get(name)), "")

    def _find_endpoint(self) -> str:
        if self._scheme == "az":
            return self._read_first("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT") or self._parse_connection_string().get(
                "BlobEndpoint", ""
            )
        return (
            self._read_first("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT") if self._scheme == "s3" else ""
        )

    def _allows_plain_http(self) -> bool:
        """True only if this person's environment says so: for a local store, or a test's."""
        emulator = self._read_first("AZURE_STORAGE_USE_EMULATOR").lower() in {"1", "true"}
        return self._find_endpoint().startswith("http://") or (self._scheme == "az" and emulator)

    def _parse_connection_string(self) -> dict[str, str]:
        """The parts of Azure's connection string."""
        text = self._environ.get("AZURE_STORAGE_CONNECTION_STRING", "")
        return dict(part.partition("=")[::2] for part in text.split(";") if part.strip())

    def _read_azure_options(self) -> dict[str, Any]:
        """Options that obstore does not find by itself: from the names that Azure's own tool reads."""
        connection = self._parse_connection_string()
        account = self._read_first("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT") or connection.get(
            "AccountName", ""
        )
        options = {"account_name": account, "endpoint": self._find_endpoint()}
        if not self._read_first(*_AZURE_KEYS):
            options["account_key"] = self._read_first("AZURE_STORAGE_KEY") or connection.get("AccountKey", "")
            options["sas_key"] = "" if options["account_key"] else connection.get("SharedAccessSignature", "")
        return {name: text for name, text in options.items() if text}

    def _read_s3_options(self) -> dict[str, Any]:
        """Options that obstore does not find by itself: the endpoint's usual names, and the profiles of Amazon's own tool."""
        options: dict[str, Any] = {"endpoint": self._find_endpoint()} if self._find_endpoint() else {}
        region = self._environ.get("AWS_REGION") or self._environ.get("AWS_DEFAULT_REGION")
        options["region"] = region or "us-east-1"
        if any(self._environ.get(name) for name in _KEYS_ELSEWHERE):
            return options
        profile = self._environ.get("AWS_PROFILE")
        credentials_file = Path(
            self._environ.get("AWS_SHARED_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials"
        )
        if not (profile or credentials_file.is_file()):
            return options
        if find_spec("boto3") is None:
            raise FilesRefusedError(
                f"the keys for {self.url} are in a profile, which needs boto3", hint="pip install boto3"
            )
        import boto3  # noqa: PLC0415 - only for profiles
        from obstore.auth.boto3 import Boto3CredentialProvider  # noqa: PLC0415

        session = boto3.Session(profile_name=profile)
        options["region"] = region or session.region_name or "us-east-1"
        return options | {"credential_provider": Boto3CredentialProvider(session)}

    @contextmanager
    def _translate_errors(self, *, missing: bool = False) -> Iterator[None]:
        """Turn errors into messages of batchedit. ``missing``: a missing name is a FileNotFoundError for the caller."""
        from obstore.exceptions import BaseError  # noqa: PLC0415 - takes its time

        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            if missing and isinstance(error, FileNotFoundError) and not _IS_MISSING_BUCKET(str(error)):
                raise FileNotFoundError(self.url) from None
            raise self._build_error(error) from None
        except Exception as error:
            if type(error).__module__.startswith("botocore"):  # a profile that is not there, a sign-on that has ended
                raise self._build_refused_error() from None
            raise

    def _build_error(self, error: Exception) -> OutputError:
        from obstore.exceptions import PermissionDeniedError, UnauthenticatedError  # noqa: PLC0415 - takes its time

        text = str(error)
        match = _STATUS(text)
        status = int(match[1]) if match else 0
        is_refused = status in {401, 403} or (status in {400, 404} and _IS_TOKEN_REQUEST(text))
        if (
            is_refused
            or isinstance(error, PermissionError | PermissionDeniedError | UnauthenticatedError)
            or _HAS_NO_KEYS(text)
        ):
            return self._build_refused_error()
        if isinstance(error, FileNotFoundError) or (self._scheme and status == 404):
            return OutputError(f"there is no {self.url}", hint="make it, or look at the name behind --files")
        if status in {301, 307}:
            return OutputError(f"{self.url} is in another region", hint="set AWS_REGION to the bucket's")
        if self._scheme and (status >= 500 or status in {0, 408, 429}):
            cause = f"answers HTTP {status}" if status else "can't be reached"
            return FilesUnavailableError(
                f"the file store {self.url} {cause}",
                hint="the same command goes on once it is back: what was bought is collected then, once",
            )
        cause = f"HTTP {status}" if status else getattr(error, "strerror", None) or _describe_disk_error(text)
        output_error = OutputError(
            f"files can't be kept in {self.url}: {cause}", hint="see to it, then type the same command again"
        )
        output_error.code = 74
        return output_error

    def _build_refused_error(self) -> FilesRefusedError:
        return FilesRefusedError(
            f"{self.url} may not be used with the rights that are set here", hint=_HINTS[self._scheme]
        )


_IS_MISSING_BUCKET = re.compile("NoSuchBucket|ContainerNotFound").search
_STATUS = re.compile(r"status code: (\d{3})").search
_HAS_NO_KEYS = re.compile(
    r"169\.254\.169\.254|metadata\.google\.internal|/computeMetadata/|no credentials", re.IGNORECASE
).search
"""No key is set, so the machine's own role was requested, and it has none."""
_IS_TOKEN_REQUEST = re.compile(r"performing token request").search
"""The request that exchanges a sign-in or a role for a token was refused: it has expired, or was withdrawn."""
_AZURE_KEYS = (
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_MASTER_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_SAS_KEY",
)
_KEYS_ELSEWHERE = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


def _describe_disk_error(text: str) -> str:
    """The cause of a folder's error, without the system's own words."""
    return "the disk is full" if "No space left" in text else "the system refuses it"


def remove_quietly(path: Path) -> None:
    """Remove a file that is not needed any more; errors are ignored."""
    with suppress(OSError):
        path.unlink()
