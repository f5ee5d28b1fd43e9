"""Notes and warnings of a plan about its sheet."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.shell_commands import quote_word
from ..jobs.expand import Expander
from ..manifest.read import Form
from ..manifest.rownames import RowExamples
from ..run_folder import shorten_path


def describe_merged(expander: Expander) -> Iterator[str]:
    """Notes on the columns that fill words in braces inside cells."""
    for column, count in expander.merged.items():
        yield f"{{{column}}} inside the cells is filled from the column {column!r} in {count:,} row{'s' if count > 1 else ''}"


def describe_link_changes(expander: Expander) -> Iterator[str]:
    """Notes on links: cells with several links, and links that were turned into direct ones."""
    if several := expander.cells_of_several:
        yield (
            f"{several:,} cell{'s name' if several > 1 else ' names'} several pictures; "
            "those of one cell are sent together and give one new picture; for one of each, give each a row of its own"
        )
    for store, count in expander.mended_links.items():
        predicate = "link was turned into a direct one" if count == 1 else "links were turned into direct ones"
        yield f"{count:,} {store} {predicate}"


def _format_rows_have(rows: RowExamples) -> str:
    return f"{rows.count:,} row{'s have' if rows.count > 1 else ' has'}"


def list_sheet_warnings(expander: Expander, form: Form) -> tuple[str, ...]:
    """What is probably a mistake: empty words in a prompt, links to pages, pictures that are too large."""
    return (
        *_warn_of_words(expander),
        *_warn_of_texts(expander, form),
        *(
            f"--for {column}: nothing uses it, so its pictures are one and the same; name {{{column}}} in --prompt"
            for column in expander.unused_over
        ),
        *_warn_of_pictures(expander, form),
        *_warn_of_blanks(expander),
        *_warn_of_large_pictures(expander),
    )


def _format_in_rows(count: int) -> str:
    return f"in {count:,} row{'s' if count > 1 else ''}"


def _warn_of_words(expander: Expander) -> Iterator[str]:
    """Words in braces or brackets that are filled with nothing, or not filled."""
    for column, count in expander.empties.items():
        yield f"{{{column}}} in the prompt is empty {_format_in_rows(count)}"
    for column, count in expander.placeholders.items():
        yield (
            f"{{{column}}} in the prompt is 'nan', 'N/A' or the like {_format_in_rows(count)}: what stands for an empty cell"
        )
    for word, count in list(expander.unmerged.items())[:5]:
        yield f"{word} stands {_format_in_rows(count)} as it is: no column is called so"
    for word, count in list(expander.oddities.bracketed.items())[:5]:
        yield f"{word} stands {_format_in_rows(count)} as it is; for that column's cell write {{…}} around it"


def _warn_of_texts(expander: Expander, form: Form) -> Iterator[str]:
    """Letters and ids that were damaged before the sheet was saved."""
    garbled, shortened = expander.oddities.garbled, expander.oddities.shortened
    if garbled.count:
        yield (
            f"{_format_rows_have(garbled)} a word such as {expander.oddities.garbled_word!r} ({garbled.describe(form)}), "
            "whose letters were read in a wrong encoding before the sheet was saved; mend them where the sheet was made"
        )
    if shortened.count:
        yield (
            f"{_format_rows_have(shortened)} an id that a spreadsheet has rounded ({shortened.describe(form)}); make the "
            "column text or whole numbers where the sheet was made, and export it again"
        )


def _warn_of_pictures(expander: Expander, form: Form) -> Iterator[str]:
    """Links to pages, pictures that the model may refuse, and missing files."""
    for page, pages in expander.probable_pages.items():
        yield (
            f"{pages.links:,} link{'s lead' if pages.links > 1 else ' leads'} to {page}, where the service probably finds no "
            f"picture ({pages.rows.describe(form)}); --check-images asks what is behind each link"
        )
    for rule, rows in expander.beyond_rules.items():
        yield f"the model takes pictures of {rule}: {rows.describe(form)} may be refused, which costs nothing"
    if (missing := expander.missing_file_rows).count:
        yield (
            f"{missing.count:,} row{'s name' if missing.count > 1 else ' names'} a file that is not here "
            f"({missing.describe(form)}); {_advise_picture_option(expander)}"
        )


def _advise_picture_option(expander: Expander) -> str:
    """The option that says where pictures lie: the folder beside the sheet that has them, else the possible options."""
    if folder := expander.find_other_folder():
        count_text = f"{folder.found} of the first {folder.asked}" if folder.asked > 1 else "it"
        return f"a folder beside the sheet has {count_text}: --image-root {quote_word(shorten_path(folder.path))}"
    name, column = next(iter(expander.picture_columns.items()))
    address = f"{expander.picture_address}{{{column}}}"
    return (
        f"if it is a web server's, say which: --map {name}='{address}'; if it lies in another folder: --image-root DIR"
    )


def _warn_of_blanks(expander: Expander) -> Iterator[str]:
    if columns := expander.find_fill_down_columns():
        yield (
            f"{', '.join(columns)}: blank below the first row of a product, as in a Shopify export; "
            f"--fill-down {','.join(columns)!r} carries the value down"
        )


def _warn_of_large_pictures(expander: Expander) -> Iterator[str]:
    if count := expander.large_pictures:
        yield (
            f"{count:,} local picture{'s are' if count > 1 else ' is'} larger than the service takes (6 MiB as sent) and "
            "will be re-encoded to fit; --no-shrink refuses such pictures instead"
        )
