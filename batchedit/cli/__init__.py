"""The command line: the only place that prints, exits, reads the environment and handles signals."""

from __future__ import annotations

import sys


def main() -> None:
    """The ``batchedit`` command. Ends the process with one of the exit codes of ``core.errors``."""
    import os  # noqa: PLC0415 - the import of batchedit.cli itself costs nothing

    from . import log_lines  # noqa: PLC0415
    from .streams import flush_streams, make_streams_endure  # noqa: PLC0415

    completes = "_BATCHEDIT_COMPLETE" in os.environ
    if not completes:  # a shell reads what is completed, byte for byte
        make_streams_endure()
    log_lines.begin(sys.argv[1:], {} if completes else os.environ)
    code = 1  # what Python ends with after a traceback
    try:
        code = _carry_out()
    finally:
        log_lines.end(code)
    flush_streams()
    sys.exit(code)


def _carry_out() -> int:
    """Do what the command line says, and say what ended it. Returns the exit code."""
    import click  # noqa: PLC0415

    from ..core.errors import BatcheditError, DiskError  # noqa: PLC0415
    from . import log_lines  # noqa: PLC0415
    from .app import batchedit  # noqa: PLC0415
    from .json_output import is_asked_for, print_error, print_problem  # noqa: PLC0415

    as_json = is_asked_for(sys.argv[1:])
    try:
        try:
            code = batchedit.main(prog_name="batchedit", standalone_mode=False)
        except OSError as error:
            raise DiskError(error) from error
    except BatcheditError as error:
        log_lines.stops(str(error))
        print_error(error) if as_json else log_lines.complain(error)
        return error.code
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.Abort:
        log_lines.stops("interrupted")
        if as_json:
            print_problem(130, "InterruptedRunError", "interrupted")
        else:
            log_lines.complain_of(130, "InterruptedRunError", ["interrupted"])
        return 130
    except click.ClickException as error:
        log_lines.stops(error.format_message())
        if as_json:
            print_problem(64, "UsageError", error.format_message())
        elif log_lines.asked():
            log_lines.complain_of(64, "UsageError", [error.format_message()])
        else:
            error.show()
        return 64
    return code if isinstance(code, int) else 0
