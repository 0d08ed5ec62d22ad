"""A tensor of a file: its shape is known, its values are read when NumPy asks for them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras_fastvit.arrays import Array


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that takes no memory before it is needed, whatever its file says of its size.

    Attributes:
        shape: In the file.
        dtype: Its name, such as `"float32"` or `"bfloat16"`.
        read: Returns the values; bfloat16 may come as float32.

    >>> import numpy as np
    >>> tensor = StoredTensor((2, 3), "float32", lambda: np.zeros((2, 3), "float32"))
    >>> np.asarray(tensor).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Array]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self.read() if dtype is None else self.read().astype(dtype)
