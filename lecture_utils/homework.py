"""Homework: every student is dealt other data, and grading deals it again."""

import hashlib
from pathlib import Path

import numpy as np

PLACEHOLDER = "your id"  # what stands in a notebook as it is handed out


def generator(student: str, purpose: str) -> np.random.Generator:
    """Random numbers that depend on the student's id and on what they are for, on nothing else.

    Spaces around the id and capital letters make no difference. NotImplementedError without an id.
    """
    name = _known(student)
    digest = hashlib.sha256(f"{name}\n{purpose}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def belongs(student: str) -> None:
    """For hidden tests: is this the id of the student whose submission is being graded?

    nbgrader grades in the folder `autograded/<student>/<assignment>`. AssertionError if that
    student is another one; anywhere else every id is right. NotImplementedError without an id.
    """
    name = _known(student)
    stage, owner = Path.cwd().parent.parent.name, Path.cwd().parent.name
    assert stage != "autograded" or owner.strip().lower() == name, (
        f"STUDENT is {student!r}, but this was handed in by {owner!r}: the data of another "
        "student does not count. Write your own id at the top and run everything again."
    )


def _known(student: str) -> str:
    name = str(student).strip().lower()
    if name in ("", PLACEHOLDER):
        raise NotImplementedError('write your id at the top of the notebook first: STUDENT = "..."')
    return name
