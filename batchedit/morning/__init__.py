"""The morning after a run, without a word printed: gallery, review, redo and delivery of a run that is there.

As ``runs`` is for buying: the place where checkpoint, manifest and ``review`` meet.
"""

from .delivery import Delivered, deliver
from .gallery import GalleryMade, gallery
from .redo import redo_lines
from .reviewing import import_decisions, progress, review

__all__ = ["Delivered", "GalleryMade", "deliver", "gallery", "import_decisions", "progress", "redo_lines", "review"]
