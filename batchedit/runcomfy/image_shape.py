"""Which of the two shapes a single picture is sent in, learned from the service's answers. Pure state, no I/O.

The page contradicts itself (a string in its call, an array in its schema), so the first answers decide: a string is
tried first, a 422 about the picture flips the shape, an acceptance proves it for the rest of the run. A job refused in
both shapes is refused: then it is the picture itself that is wrong.
"""

from __future__ import annotations

from collections.abc import Hashable

from .submit_reply import ImageShape


class ImageShapeProbe:
    """What one run has learned. Safe with many POSTs in flight: each answer is noted with the shape that was sent."""

    def __init__(self) -> None:
        self.now = ImageShape.STRING
        self.proven = False
        self._refused: dict[Hashable, ImageShape] = {}  # while unproven: the first shape each job was refused in

    def note_acceptance(self, sent: ImageShape) -> None:
        """A single picture was accepted in this shape: no more flipping."""
        if not self.proven:
            self.now, self.proven = sent, True
            self._refused.clear()

    def note_refusal(self, job: Hashable, sent: ImageShape) -> bool:
        """Note a complaint about the picture; True if the job should be tried once more, in the shape ``now``."""
        if self.proven:
            return sent is not self.now
        first = self._refused.setdefault(job, sent)
        if first is not sent:
            del self._refused[job]
            return False
        self.now = sent.other
        return True
