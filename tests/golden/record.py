"""What the recorders share: numbers as text, packed so that the same numbers give the same bytes.

    versions NAME NUMBER ...              of the frameworks
    INPUT VALUES ...                      what the runs start from: float32 numbers, a line for each step where several
    case FRAMEWORK WHAT NAME=VALUE ...    a run, and its options
    PRECISION KIND NAME VALUES ...        what it gave, in float64 and in float32

tests/golden/record.rs reads it.
"""

import gzip
import io
import os

import keras
import optax
import torch


def row(values):
    return " ".join(repr(float(value)) for value in values)


def versions():
    return f"versions torch {torch.__version__} keras {keras.__version__} optax {optax.__version__}"


def pack(name, write):
    """Has `write` print into tests/golden/NAME, and returns its size."""
    target = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    with gzip.GzipFile(target, "wb", mtime=0) as packed:
        with io.TextIOWrapper(packed, encoding="ascii") as out:
            write(out)
    return os.path.getsize(target)
