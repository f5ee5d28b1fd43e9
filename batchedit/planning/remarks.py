"""What a plan says about a sheet, beside its counts."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.typed import quote_word
from ..jobs.expand import Expander
from ..manifest.read import Form
from ..manifest.rownames import Rows
from ..run_folder import near


def merged(expander: Expander) -> Iterator[str]:
    """Which column fills the words in braces that stand inside cells."""
    for column, count in expander.merged.items():
        yield f"{{{column}}} inside the cells is filled from the column {column!r} in {count:,} row{'s' if count > 1 else ''}"


def link_notes(expander: Expander) -> Iterator[str]:
    """What was made of links: several in one cell, and such as were turned into direct ones."""
    if several := expander.cells_of_several:
        yield (
            f"{several:,} cell{'s name' if several > 1 else ' names'} several pictures; "
            "those of one cell are sent together and give one new picture; for one of each, give each a row of its own"
        )
    for store, count in expander.mended_links.items():
        what = "link was turned into a direct one" if count == 1 else "links were turned into direct ones"
        yield f"{count:,} {store} {what}"


def _rows(rows: Rows) -> str:
    return f"{rows.count:,} row{'s have' if rows.count > 1 else ' has'}"


def warnings_of_sheet(expander: Expander, form: Form) -> tuple[str, ...]:
    """What is probably not meant so: empty words in a prompt, links to pages, pictures that are too large."""
    return (
        *_of_words(expander),
        *_of_texts(expander, form),
        *(
            f"--for {column}: nothing uses it, so its pictures are one and the same; name {{{column}}} in --prompt"
            for column in expander.unused_over
        ),
        *_of_pictures(expander, form),
        *_of_blanks(expander),
        *_of_large_pictures(expander),
    )


def _in_rows(count: int) -> str:
    return f"in {count:,} row{'s' if count > 1 else ''}"


def _of_words(expander: Expander) -> Iterator[str]:
    """Words in braces or brackets that are filled with nothing, or not filled."""
    for column, count in expander.empties.items():
        yield f"{{{column}}} in the prompt is empty {_in_rows(count)}"
    for column, count in expander.placeholders.items():
        yield (
            f"{{{column}}} in the prompt is 'nan', 'N/A' or the like {_in_rows(count)}: what stands for an empty cell"
        )
    for word, count in list(expander.unmerged.items())[:5]:
        yield f"{word} stands {_in_rows(count)} as it is: no column is called so"
    for word, count in list(expander.oddities.bracketed.items())[:5]:
        yield f"{word} stands {_in_rows(count)} as it is; for that column's cell write {{…}} around it"


def _of_texts(expander: Expander, form: Form) -> Iterator[str]:
    """Letters and ids that were damaged before the sheet was saved."""
    odd = expander.oddities
    if odd.garbled.count:
        yield (
            f"{_rows(odd.garbled)} a word such as {odd.garbled_word!r} ({odd.garbled.told(form)}), whose letters were read "
            "in a wrong encoding before the sheet was saved; mend them where the sheet was made"
        )
    if odd.shortened.count:
        yield (
            f"{_rows(odd.shortened)} an id that a spreadsheet has rounded ({odd.shortened.told(form)}); make the column text "
            "or whole numbers where the sheet was made, and export it again"
        )


def _of_pictures(expander: Expander, form: Form) -> Iterator[str]:
    """Links to pages, pictures that the model may refuse, and files that are not here."""
    for page, pages in expander.probable_pages.items():
        yield (
            f"{pages.links:,} link{'s lead' if pages.links > 1 else ' leads'} to {page}, where the service probably finds no "
            f"picture ({pages.rows.told(form)}); --check-images asks what is behind each link"
        )
    for taken, rows in expander.beyond_rules.items():
        yield f"the model takes pictures of {taken}: {rows.told(form)} may be refused, which costs nothing"
    if (paths := expander.paths).count:
        yield (
            f"{paths.count:,} row{'s name' if paths.count > 1 else ' names'} a file that is not here "
            f"({paths.told(form)}); {_where_pictures_are(expander)}"
        )


def _where_pictures_are(expander: Expander) -> str:
    """The option that says where pictures lie: the folder beside the sheet that has them, else each place that it may be."""
    if other := expander.other_folder():
        some = f"{other.found} of the first {other.asked}" if other.asked > 1 else "it"
        return f"a folder beside the sheet has {some}: --image-root {quote_word(near(other.path))}"
    name, column = next(iter(expander.picture_columns.items()))
    address = f"{expander.picture_address}{{{column}}}"
    return (
        f"if it is a web server's, say which: --map {name}='{address}'; if it lies in another folder: --image-root DIR"
    )


def _of_blanks(expander: Expander) -> Iterator[str]:
    if hint := expander.fill_down_hint():
        yield (
            f"{', '.join(hint)}: blank below the first row of a product, as in a Shopify export; "
            f"--fill-down {','.join(hint)!r} carries the value down"
        )


def _of_large_pictures(expander: Expander) -> Iterator[str]:
    if large := expander.large_pictures:
        yield (
            f"{large:,} local picture{'s are' if large > 1 else ' is'} larger than the service takes (6 MiB as sent) and "
            "will be re-encoded to fit; --no-shrink refuses such pictures instead"
        )
