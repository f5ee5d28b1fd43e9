"""What the shell completes besides commands and options: sheets, runs by their name, and a sheet's columns."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, split_arg_string

from ..core.errors import BatcheditError


class WholeWords(BashComplete):
    """bash breaks ``image=Photo`` into three words and puts what it is given in the place of the last: it is asked for the
    line, told the part behind the break, and a blank in a column's name is quoted.
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
        """The words of the line up to the cursor, and the last one where it is not ended yet."""
        line = os.environ["COMP_WORDS"]
        words = split_arg_string(line)
        begun = words.pop() if words and not line[-1:].isspace() else ""
        return words[1:], begun


add_completion_class(WholeWords)


def complete_run(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """The names of this person's runs, and files."""
    from ..ledger.register import Register  # noqa: PLC0415 - nothing but a completion needs it

    try:
        names = dict.fromkeys(entry.folder.name for entry in Register.from_environ(os.environ).list_entries())
    except (BatcheditError, OSError):
        names = {}
    return _beginning(dict.fromkeys((*names, *_files(begun))), begun)


def _files(begun: str) -> Iterable[str]:
    """Files and folders: bash leaves out every other word where it is asked to complete files by itself."""
    folder, name = os.path.split(begun)
    try:
        found = sorted(os.scandir(folder or "."), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        if entry.name.startswith(name) and not (entry.name.startswith(".") and not name):
            yield os.path.join(folder, entry.name) + ("/" if entry.is_dir() else "")  # noqa: PTH118 - as it was typed


def complete_column(ctx: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """The columns of the sheet that stands on the line. Behind ``FIELD=`` too, and behind the last comma of a list."""
    place = max(begun.rfind("="), begun.rfind(",")) + 1
    return _beginning((f"{begun[:place]}{column}" for column in _columns(ctx)), begun)


def _columns(ctx: click.Context) -> tuple[str, ...]:
    from ..manifest.read import open_manifest  # noqa: PLC0415 - nothing but a completion needs it

    # Where the option before the cursor still lacks its value, click leaves the words that it has read in ``args``.
    words = [ctx.params.get("manifest"), ctx.params.get("run"), *ctx.args]
    sheet = next((word for word in words if isinstance(word, str) and Path(word).is_file()), None)
    if sheet is None:
        return ()
    try:
        return open_manifest(Path(sheet)).columns
    except (BatcheditError, OSError):
        return ()


def _beginning(words: Iterable[str], begun: str) -> list[CompletionItem]:
    """What the person may have begun to type. A name with control characters stays out: the shell would draw it."""
    return [CompletionItem(word) for word in words if word.startswith(begun) and word.isprintable()]
