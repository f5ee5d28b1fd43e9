"""The command line: the only place that prints, exits, reads the environment and handles signals."""

from __future__ import annotations

import sys


def main() -> None:
    """The ``batchedit`` command. Ends the process with one of the exit codes of ``core.errors``."""
    import os  # noqa: PLC0415 - the import of batchedit.cli itself costs nothing

    from . import log_lines  # noqa: PLC0415
    from .streams import flush_streams, make_streams_endure  # noqa: PLC0415

    is_completion = "_BATCHEDIT_COMPLETE" in os.environ
    if not is_completion:  # the shell reads completions byte for byte
        make_streams_endure()
    log_lines.begin_log(sys.argv[1:], {} if is_completion else os.environ)
    code = 1  # what Python ends with after a traceback
    try:
        code = _run_command_line()
    finally:
        log_lines.write_end(code)
    flush_streams()
    sys.exit(code)


def _run_command_line() -> int:
    """Run the command line and report the error that ended it. Returns the exit code."""
    import click  # noqa: PLC0415

    from ..core.errors import BatcheditError, DiskError  # noqa: PLC0415
    from . import log_lines  # noqa: PLC0415
    from .app import batchedit  # noqa: PLC0415
    from .json_output import is_json_requested, print_error, print_problem  # noqa: PLC0415

    as_json = is_json_requested(sys.argv[1:])
    try:
        try:
            code = batchedit.main(prog_name="batchedit", standalone_mode=False)
        except OSError as error:
            raise DiskError(error) from error
    except BatcheditError as error:
        log_lines.record_stop(str(error))
        print_error(error) if as_json else log_lines.write_error(error)
        return error.code
    except click.exceptions.Exit as exit_request:
        return exit_request.exit_code
    except click.Abort:
        log_lines.record_stop("interrupted")
        if as_json:
            print_problem(130, "InterruptedRunError", "interrupted")
        else:
            log_lines.write_problem(130, "InterruptedRunError", ["interrupted"])
        return 130
    except click.ClickException as error:
        log_lines.record_stop(error.format_message())
        if as_json:
            print_problem(64, "UsageError", error.format_message())
        elif log_lines.is_enabled():
            log_lines.write_problem(64, "UsageError", [error.format_message()])
        else:
            error.show()
        return 64
    return code if isinstance(code, int) else 0
