"""What a plan says about a sheet, beside its counts."""

from __future__ import annotations

from collections.abc import Iterator

from ..jobs.expand import Expander
from ..manifest.read import Form
from ..manifest.rownames import Rows


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
    found = [
        f"{{{column}}} in the prompt is empty in {count:,} row{'s' if count > 1 else ''}"
        for column, count in expander.empties.items()
    ]
    found += [
        f"{{{column}}} in the prompt is 'nan', 'N/A' or the like in {count:,} row{'s' if count > 1 else ''}: "
        "what stands for an empty cell"
        for column, count in expander.placeholders.items()
    ]
    found += [
        f"{word} stands in {count:,} row{'s' if count > 1 else ''} as it is: no column is called so"
        for word, count in list(expander.unmerged.items())[:5]
    ]
    odd = expander.oddities
    found += [
        f"{word} stands in {count:,} row{'s' if count > 1 else ''} as it is; for that column's cell write {{…}} around it"
        for word, count in list(odd.bracketed.items())[:5]
    ]
    if odd.garbled.count:
        found.append(
            f"{_rows(odd.garbled)} a word such as {odd.garbled_word!r} ({odd.garbled.told(form)}), whose letters were read "
            "in a wrong encoding before the sheet was saved; mend them where the sheet was made"
        )
    if odd.shortened.count:
        found.append(
            f"{_rows(odd.shortened)} an id that a spreadsheet has rounded ({odd.shortened.told(form)}); make the column text "
            "or whole numbers where the sheet was made, and export it again"
        )
    found += [
        f"--for {column}: nothing uses it, so its pictures are one and the same; name {{{column}}} in --prompt"
        for column in expander.unused_over
    ]
    for page, pages in expander.probable_pages.items():
        found.append(
            f"{pages.links:,} link{'s lead' if pages.links > 1 else ' leads'} to {page}, where the service probably finds no "
            f"picture ({pages.rows.told(form)}); --check-images asks what is behind each link"
        )
    found += [
        f"the model takes pictures of {taken}: {rows.told(form)} may be refused, which costs nothing"
        for taken, rows in expander.beyond_rules.items()
    ]
    if (paths := expander.paths).count:
        name, column = next(iter(expander.picture_columns.items()))
        rows = f"{paths.count:,} row{'s name' if paths.count > 1 else ' names'}"
        found.append(
            f"{rows} a file that is not here ({paths.told(form)}); if it is a web server's, say which: "
            f"--map {name}='{expander.picture_address}{{{column}}}'"
        )
    if hint := expander.fill_down_hint():
        found.append(
            f"{', '.join(hint)}: blank below the first row of a product, as in a Shopify export; "
            f"--fill-down {','.join(hint)!r} carries the value down"
        )
    if large := expander.large_pictures:
        found.append(
            f"{large:,} local picture{'s are' if large > 1 else ' is'} larger than the service takes (6 MiB as sent) and "
            "will be re-encoded to fit; --no-shrink refuses such pictures instead"
        )
    return tuple(found)
