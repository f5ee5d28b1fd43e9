"""``python -m batchedit``."""

from .cli import main

main()
