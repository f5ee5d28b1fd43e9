"""Where files lie that several machines share: a bucket of S3, Google or Azure, or a folder. Blocking; one thread at a time
or many.

A file is put once, under a name that nobody has, with its sha256, and never changed. Who wants to put it again finds it
there. Names are paths below the store's address: ``files/mug.png``, ``blobs/<sha256>``.

Keys and tokens are found by obstore as the cloud's own tools find them. None of them, and nothing that a server said, stands
in an error: a server repeats what it was sent.
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
from ..extras import to_install

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PROBE = ".batchedit"
"""Written and read when a command begins, so that nothing is bought whose picture could not be kept."""
_PROBED = b"batchedit writes here\n"
ANSWER_SECONDS = 60
RETRIES = 3
RETRY_SECONDS = 10
"""obstore's own, for a connection that breaks; who waits for a store that is away does so outside."""
BLOBS = "blobs"
_CLOUDS = {"s3": "S3", "gs": "Google Cloud Storage", "az": "Azure"}
_RIGHTS_FIRST = frozenset({"gs", "az"})
"""Clouds that may refuse for its rights who puts what is there, and not say that it is there."""
_HINTS = {
    "s3": "the keys are read from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the machine's role",
    "gs": "the account is read from GOOGLE_APPLICATION_CREDENTIALS, or made by: gcloud auth application-default login",
    "az": "the account is read from AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, "
    "or the machine's identity",
    "": "see to the folder's permissions",
}


def check_url(text: str) -> str:
    """``s3://bucket/prefix``, ``gs://``, ``az://`` or a folder, as it is kept: without a slash at its end, a folder absolute.

    UsageError (64) for anything else, and for an address that holds a name or a key.
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
    """The place ``name`` in ``url``."""
    return f"{url}/{name}"


class Objects:
    """The files below ``url``, as ``check_url`` returns it.

    Everything raises FilesUnavailableError (69) for a store that is away, FilesRefusedError (77) for keys that are refused or
    missing, OutputError (73) for a bucket that is not there, and OutputError (74) for the rest.
    """

    def __init__(self, url: str, environ: Mapping[str, str] = os.environ) -> None:
        """UsageError (64) where the extra is missing."""
        if find_spec("obstore") is None:
            raise UsageError("files in an object store need obstore", hint=to_install("files"))
        self.url = url
        self._scheme = urlsplit(url).scheme if "://" in url else ""
        self._environ = environ
        self._opened: ObjectStore | None = None
        self._opening = threading.Lock()

    def check(self) -> None:
        """May files be put here, and read again?"""
        with self._errors():
            import obstore  # noqa: PLC0415 - takes its time

            name = self._probe_by_rights() if self._scheme in _RIGHTS_FIRST else PROBE
            if name:
                obstore.put(self._store(), name, _PROBED, mode="overwrite", use_multipart=False)
            obstore.get(self._store(), name or PROBE).bytes()

    def _probe_by_rights(self) -> str:
        """Put the small object, unless it is there; returns the name under which another is to be put, "" for none.

        At Google overwriting takes the right to delete, and at Azure the right to write where that to create is enough else:
        who buys need have neither. Google lets an object be written once a second at the most. Where one that is there is
        refused, a new name shows whether this person may write.
        """
        import obstore  # noqa: PLC0415 - takes its time
        from obstore.exceptions import AlreadyExistsError, PermissionDeniedError  # noqa: PLC0415

        try:
            obstore.put(self._store(), PROBE, _PROBED, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return ""
        except PermissionDeniedError:
            if not self.digest(PROBE):
                raise
            return f"{PROBE}-{token_hex(4)}"
        return ""

    def keep(self, content: Path | bytes, key: str, sha256: str) -> bool:
        """Put ``content``, durable when it returns. False if another content has that name, which stays as it is."""
        import obstore  # noqa: PLC0415 - takes its time
        from obstore.exceptions import AlreadyExistsError, PermissionDeniedError  # noqa: PLC0415

        kind = mimetypes.guess_type(key)[0] or "application/octet-stream"
        about = {"Content-Type": kind, "sha256": sha256} if self._scheme else None
        with self._errors():
            try:
                obstore.put(self._store(), key, content, mode="create", attributes=about, use_multipart=False)
            except AlreadyExistsError:
                return self.digest(key) == sha256
            except PermissionDeniedError:  # these ask for the right to overwrite what is there before they say so
                found = self.digest(key) if self._scheme in _RIGHTS_FIRST else ""
                if not found:
                    raise
                return found == sha256
            if not self._scheme:
                self._sync(key)
        return True

    def digest(self, key: str) -> str:
        """The sha256 of what is there, hex; "" if nothing is."""
        found, _ = self.digest_and_size(key)
        return found

    def digest_and_size(self, key: str) -> tuple[str, int]:
        """The sha256 of what is there, and its bytes; ("", 0) if nothing is."""
        digest, size = hashlib.sha256(), 0
        try:
            for block in self._blocks(key):
                digest.update(block)
                size += len(block)
        except FileNotFoundError:
            return "", 0
        return digest.hexdigest(), size

    def fetch(self, key: str, sha256: str, target: Path, root: Path) -> bool:
        """Copy it to ``target``, below ``root``. False if it is not there, or not what it was: ``target`` stays as it is."""
        part = target.with_name(f"{target.name}.{threading.get_ident()}.part")
        if not is_inside(target.parent, root):
            return False
        make_folders(target.parent, root)
        digest = hashlib.sha256()
        try:
            with create(part) as file:
                for block in self._blocks(key):
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
        """All of it; None if it is not there."""
        try:
            return b"".join(self._blocks(key))
        except FileNotFoundError:
            return None

    def list_sizes(self, folder: str) -> dict[str, int]:
        """The names below ``folder``, with their bytes."""
        import obstore  # noqa: PLC0415 - takes its time

        with self._errors():
            pages = obstore.list(self._store(), folder)
            return {one["path"]: one["size"] for page in pages for one in page}

    def _blocks(self, key: str) -> Iterator[bytes]:
        import obstore  # noqa: PLC0415 - takes its time

        with self._errors(missing=True):
            for block in obstore.get(self._store(), key).stream(min_chunk_size=2**20):
                yield bytes(block)

    def _sync(self, key: str) -> None:
        """A folder's file, durable: obstore leaves that to the system."""
        path = Path(self.url, key)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        sync_folder(path.parent)

    def _store(self) -> ObjectStore:
        from obstore.exceptions import BaseError  # noqa: PLC0415 - takes its time

        with self._opening:
            if self._opened is None:
                try:
                    self._opened = self._open()
                except BaseError:  # nothing was sent yet: no key, or one that is none
                    if not self._scheme:
                        raise
                    raise FilesRefusedError(
                        f"the keys that are set here for {self.url} are missing or can't be read",
                        hint=_HINTS[self._scheme],
                    ) from None
            return self._opened

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
                "allow_http": self._plain_http(),
            },
            "retry_config": {"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
        }
        if self._scheme == "gs":
            return GCSStore(parts.netloc, **common)
        if self._scheme == "az":
            return AzureStore(parts.netloc, **self._microsoft(), **common)
        return S3Store(parts.netloc, checksum_algorithm="sha256", **self._amazon(), **common)

    def _first(self, *names: str) -> str:
        return next((self._environ[name] for name in names if self._environ.get(name)), "")

    def _endpoint(self) -> str:
        if self._scheme == "az":
            return self._first("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT") or self._connection().get("BlobEndpoint", "")
        return self._first("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT") if self._scheme == "s3" else ""

    def _plain_http(self) -> bool:
        """Only where this person's environment says so: a store in the house, or a test's."""
        emulator = self._first("AZURE_STORAGE_USE_EMULATOR").lower() in {"1", "true"}
        return self._endpoint().startswith("http://") or (self._scheme == "az" and emulator)

    def _connection(self) -> dict[str, str]:
        """The parts of Azure's connection string."""
        told = self._environ.get("AZURE_STORAGE_CONNECTION_STRING", "")
        return dict(part.partition("=")[::2] for part in told.split(";") if part.strip())

    def _microsoft(self) -> dict[str, Any]:
        """What obstore does not find by itself: the names that Azure's own tool takes."""
        string = self._connection()
        account = self._first("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT") or string.get("AccountName", "")
        told = {"account_name": account, "endpoint": self._endpoint()}
        if not self._first(*_AZURE_KEYS):
            told["account_key"] = self._first("AZURE_STORAGE_KEY") or string.get("AccountKey", "")
            told["sas_key"] = "" if told["account_key"] else string.get("SharedAccessSignature", "")
        return {name: text for name, text in told.items() if text}

    def _amazon(self) -> dict[str, Any]:
        """What obstore does not find by itself: the endpoint's usual names, and profiles, which are Amazon's own tool's."""
        told: dict[str, Any] = {"endpoint": self._endpoint()} if self._endpoint() else {}
        region = self._environ.get("AWS_REGION") or self._environ.get("AWS_DEFAULT_REGION")
        told["region"] = region or "us-east-1"
        if any(self._environ.get(name) for name in _KEYS_ELSEWHERE):
            return told
        profile = self._environ.get("AWS_PROFILE")
        kept = Path(self._environ.get("AWS_SHARED_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials")
        if not (profile or kept.is_file()):
            return told
        if find_spec("boto3") is None:
            raise FilesRefusedError(
                f"the keys for {self.url} are in a profile, which needs boto3", hint="pip install boto3"
            )
        import boto3  # noqa: PLC0415 - only for profiles
        from obstore.auth.boto3 import Boto3CredentialProvider  # noqa: PLC0415

        session = boto3.Session(profile_name=profile)
        told["region"] = region or session.region_name or "us-east-1"
        return told | {"credential_provider": Boto3CredentialProvider(session)}

    @contextmanager
    def _errors(self, *, missing: bool = False) -> Iterator[None]:
        """Sentences of ours. ``missing``: a name that is not there is the caller's FileNotFoundError."""
        from obstore.exceptions import BaseError  # noqa: PLC0415 - takes its time

        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            if missing and isinstance(error, FileNotFoundError) and not _NO_BUCKET(str(error)):
                raise FileNotFoundError(self.url) from None
            raise self._told(error) from None
        except Exception as error:
            if type(error).__module__.startswith("botocore"):  # a profile that is not there, a sign-on that has ended
                raise self._refused() from None
            raise

    def _told(self, error: Exception) -> OutputError:
        from obstore.exceptions import PermissionDeniedError, UnauthenticatedError  # noqa: PLC0415 - takes its time

        text = str(error)
        found = _STATUS(text)
        status = int(found[1]) if found else 0
        no = status in {401, 403} or (status in {400, 404} and _FOR_A_TOKEN(text))
        if no or isinstance(error, PermissionError | PermissionDeniedError | UnauthenticatedError) or _NO_KEYS(text):
            return self._refused()
        if isinstance(error, FileNotFoundError) or (self._scheme and status == 404):
            return OutputError(f"there is no {self.url}", hint="make it, or look at the name behind --files")
        if status in {301, 307}:
            return OutputError(f"{self.url} is in another region", hint="set AWS_REGION to the bucket's")
        if self._scheme and (status >= 500 or status in {0, 408, 429}):
            why = f"answers HTTP {status}" if status else "can't be reached"
            return FilesUnavailableError(
                f"the file store {self.url} {why}",
                hint="the same command goes on once it is back: what was bought is collected then, once",
            )
        why = f"HTTP {status}" if status else getattr(error, "strerror", None) or _shown(text)
        failed = OutputError(
            f"files can't be kept in {self.url}: {why}", hint="see to it, then type the same command again"
        )
        failed.code = 74
        return failed

    def _refused(self) -> FilesRefusedError:
        return FilesRefusedError(
            f"{self.url} may not be used with the rights that are set here", hint=_HINTS[self._scheme]
        )


_NO_BUCKET = re.compile("NoSuchBucket|ContainerNotFound").search
_STATUS = re.compile(r"status code: (\d{3})").search
_NO_KEYS = re.compile(
    r"169\.254\.169\.254|metadata\.google\.internal|/computeMetadata/|no credentials", re.IGNORECASE
).search
"""Nothing was set, so the machine's own role was asked for, and it has none."""
_FOR_A_TOKEN = re.compile(r"performing token request").search
"""What was refused is what a sign-in or a role is exchanged with: it has ended, or was taken back."""
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


def _shown(text: str) -> str:
    """A folder's error; the system's own words stand in brackets at its end."""
    return "the disk is full" if "No space left" in text else "the system refuses it"


def remove_quietly(path: Path) -> None:
    """A copy that is in the store is not needed."""
    with suppress(OSError):
        path.unlink()
