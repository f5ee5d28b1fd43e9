"""What a page says of the command line's sentences: nothing that one would type in a shell."""

from __future__ import annotations

import pytest

from batchedit.commands.draft_messages import remove_cli_hints


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("export RUNCOMFY_API_TOKEN=…  (keys are in your profile), or once for all: batchedit login", ""),
        ("to go on with it: batchedit run outputs/m --max-cost 0.12", ""),
        ("Save it as .csv. To make a manifest of its pictures: batchedit init x.csv", "Save it as .csv."),
        ("the format '0.0' is not one that batchedit knows", "the format '0.0' is not one that batchedit knows"),
        ("top up the account, then type the same command again", "top up the account, then go on"),
        (
            "1 row names a file that is not here; if it is a web server's: --map image='https://www.example.com{Bild}'",
            "1 row names a file that is not here",
        ),
        ("1 row names a file; a folder beside the sheet has it: --image-root Fotos.alt", "1 row names a file"),
        ("the same command goes on later", "it can be gone on with later"),
    ],
)
def test_a_page_named_commands_for_a_shell(text: str, message: str) -> None:
    assert remove_cli_hints(text) == message
