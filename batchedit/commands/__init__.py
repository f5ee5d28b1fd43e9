"""The morning after a run, without a word printed: gallery, review, redo and delivery of a run that is there.

As ``runs`` is for buying: the place where checkpoint, manifest and ``review`` meet. Import what you need from its module:
``runs`` takes ``redo``, and the others take ``runs``.
"""

CONFIRMED = "confirmed"
"""The command that a process of its own is started with, besides the file of a person's confirmation. Nobody types it."""
