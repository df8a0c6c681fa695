"""The import of modules. Keeps those of this package from shadowing others, such as ``logging`` and
``requests``.

The package's directory is in ``sys.path`` if Python runs in it, or runs it or a file of it.
"""

import os
import sys
from types import FrameType

_OWN = os.path.dirname(os.path.abspath(__file__))


def _is_own(path: str) -> bool:
    try:
        return os.path.abspath(path) == _OWN
    except (OSError, TypeError):
        # The working directory is deleted, or this is no path.
        return False


sys.path[:] = [path for path in sys.path if not _is_own(path)]


def is_importing() -> bool:
    """Return whether the code that runs is that of a module that is being imported."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
