"""A local server that speaks the Model API: for trying things out, for tests, and as a record of what was bought.

It imports nothing from the rest of batchedit, so that a mistake there cannot repeat itself here.
"""

from batchedit.sandbox.app import create_app
from batchedit.sandbox.cli import main
from batchedit.sandbox.config import SandboxConfig
from batchedit.sandbox.journal import StateError
from batchedit.sandbox.server import RunningSandbox, serve

__all__ = ["RunningSandbox", "SandboxConfig", "StateError", "create_app", "main", "serve"]
