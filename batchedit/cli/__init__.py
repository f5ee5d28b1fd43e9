"""The command line: the only place that prints, exits, reads the environment and handles signals."""

from __future__ import annotations

import sys


def main() -> None:
    """The ``batchedit`` command. Ends the process with one of the exit codes of ``core.errors``."""
    import os  # noqa: PLC0415 - the import of batchedit.cli itself costs nothing

    import click  # noqa: PLC0415

    from ..core.errors import BatcheditError, DiskError  # noqa: PLC0415
    from . import log_lines  # noqa: PLC0415
    from .app import batchedit  # noqa: PLC0415
    from .json_output import is_asked_for, print_error, print_problem  # noqa: PLC0415
    from .streams import flush_streams, make_streams_endure  # noqa: PLC0415

    if "_BATCHEDIT_COMPLETE" not in os.environ:  # a shell reads what is completed, byte for byte
        make_streams_endure()
    as_json = is_asked_for(sys.argv[1:])
    log_lines.begin(sys.argv[1:], os.environ)
    try:
        try:
            code = batchedit.main(prog_name="batchedit", standalone_mode=False)
        except OSError as error:
            raise DiskError(error) from error
    except BatcheditError as error:
        print_error(error) if as_json else log_lines.complain(error)
        code = error.code
    except click.exceptions.Exit as leave:
        code = leave.exit_code
    except click.Abort:
        if as_json:
            print_problem(130, "InterruptedRunError", "interrupted")
        else:
            log_lines.complain_of(130, "InterruptedRunError", ["interrupted"])
        code = 130
    except click.ClickException as error:
        if as_json:
            print_problem(64, "UsageError", error.format_message())
        elif log_lines.asked():
            log_lines.note("error", error.format_message(), code=64, kind="UsageError")
        else:
            error.show()
        code = 64
    flush_streams()
    sys.exit(code if isinstance(code, int) else 0)
