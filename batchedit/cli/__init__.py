"""The command line: the only place that prints, exits, reads the environment and handles signals."""

from __future__ import annotations

import sys


def main() -> None:
    """The ``batchedit`` command. Ends the process with one of the exit codes of ``core.errors``."""
    import click  # noqa: PLC0415 - the import of batchedit.cli itself costs nothing

    from ..core.errors import BatcheditError  # noqa: PLC0415
    from .app import batchedit  # noqa: PLC0415
    from .streams import flush_streams, make_streams_endure  # noqa: PLC0415

    make_streams_endure()
    try:
        code = batchedit.main(standalone_mode=False)
    except BatcheditError as error:
        _complain(str(error), error.hint)
        code = error.code
    except click.exceptions.Exit as leave:
        code = leave.exit_code
    except click.Abort:
        _complain("interrupted", "")
        code = 130
    except click.ClickException as error:
        error.show()
        code = 64
    flush_streams()
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str, hint: str) -> None:
    sys.stderr.write(f"batchedit: {message}\n")
    if hint:
        sys.stderr.write(f"  → {hint}\n")
