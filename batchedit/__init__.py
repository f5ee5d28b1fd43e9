"""A spreadsheet in, thousands of finished ad creatives out, without ever paying twice."""

from .core.errors import BatcheditError
from .library import RunResult, arun, run

__all__ = ["BatcheditError", "RunResult", "arun", "run"]
