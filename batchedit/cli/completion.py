"""Shell completion besides commands and options: sheets, runs by their name, and a sheet's columns."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, split_arg_string

from ..core.errors import BatcheditError


class WholeWords(BashComplete):
    """bash splits ``image=Photo`` into three words and replaces the last one by the completion. So the completion is made
    from the whole line, only the part after the split is returned, and a blank in a column's name is quoted.
    """

    source_template = r"""
%(complete_func)s() {
    local IFS=$'\n' response completion type value
    local line="${COMP_LINE:0:COMP_POINT}"
    local typed="${line##*[[:space:]]}" before=""
    if [[ $typed != [\'\"]* && $COMP_WORDBREAKS == *=* ]]; then
        before="${typed%%"${typed##*=}"}"
        [[ $typed == -* ]] && before="${before#*=}"
    fi

    response=$(env COMP_WORDS="$line" %(complete_var)s=bash_complete $1)

    for completion in $response; do
        IFS=',' read -r type value <<< "$completion"

        if [[ $type == 'dir' ]]; then
            COMPREPLY=()
            compopt -o dirnames
        elif [[ $type == 'file' ]]; then
            COMPREPLY=()
            compopt -o default
        elif [[ $type == 'plain' ]]; then
            value="${value#"$before"}"
            if [[ $typed != [\'\"]* && $value == *[!a-zA-Z0-9_./,:=@%%+-]* ]]; then
                printf -v value %%q "$value"
            fi
            COMPREPLY+=("$value")
        fi
    done

    return 0
}

%(complete_func)s_setup() {
    complete -o nosort -F %(complete_func)s %(prog_name)s
}

%(complete_func)s_setup;
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The complete words of the line up to the cursor, and the incomplete last one."""
        line = os.environ["COMP_WORDS"]
        words = split_arg_string(line)
        incomplete = words.pop() if words and not line[-1:].isspace() else ""
        return words[1:], incomplete


add_completion_class(WholeWords)


def complete_run(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of this person's runs, and files."""
    from ..ledger.register import Register  # noqa: PLC0415 - nothing but a completion needs it

    try:
        names = dict.fromkeys(entry.folder.name for entry in Register.from_environ(os.environ).list_entries())
    except (BatcheditError, OSError):
        names = {}
    return _match_beginning(dict.fromkeys((*names, *_list_files(incomplete))), incomplete)


def _list_files(incomplete: str) -> Iterable[str]:
    """Files and folders: bash would drop every other candidate if it completed files itself."""
    folder, name = os.path.split(incomplete)
    try:
        entries = sorted(os.scandir(folder or "."), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(name) and not (entry.name.startswith(".") and not name):
            yield os.path.join(folder, entry.name) + ("/" if entry.is_dir() else "")  # noqa: PTH118 - as it was typed


def complete_column(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The columns of the sheet on the command line, also after ``FIELD=`` and after the last comma of a list."""
    start = max(incomplete.rfind("="), incomplete.rfind(",")) + 1
    return _match_beginning((f"{incomplete[:start]}{column}" for column in _read_columns(ctx)), incomplete)


def _read_columns(ctx: click.Context) -> tuple[str, ...]:
    from ..manifest.read import open_manifest  # noqa: PLC0415 - nothing but a completion needs it

    # While the option before the cursor still lacks its value, click leaves the arguments that it has read in ``args``.
    arguments = [ctx.params.get("manifest"), ctx.params.get("run"), *ctx.args]
    sheet = next((argument for argument in arguments if isinstance(argument, str) and Path(argument).is_file()), None)
    if sheet is None:
        return ()
    try:
        return open_manifest(Path(sheet)).columns
    except (BatcheditError, OSError):
        return ()


def _match_beginning(candidates: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """The candidates that begin with ``incomplete``. One with control characters is left out: the shell would print them."""
    return [
        CompletionItem(candidate)
        for candidate in candidates
        if candidate.startswith(incomplete) and candidate.isprintable()
    ]
