"""The type of NumPy's arrays in signatures; docstrings tell their shapes and dtypes."""

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
