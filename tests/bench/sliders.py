"""Milliseconds from key press to changed picture, in a browser: python -m tests.bench.sliders

On a computer that does nothing else: in `make test` two processes disturb each other.
"""

import os
import sys

import pytest

if __name__ == "__main__":
    os.environ.setdefault("PRESSES", "3")
    sys.exit(pytest.main(["-q", "tests/test_browser.py"]))
