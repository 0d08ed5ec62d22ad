"""Loads named weights, from the Hugging Face hub or this package, and weights from files."""

import contextlib
import functools
import logging
import math
import time
from pathlib import Path

from keras_fastvit.architecture.model import FastViT
from keras_fastvit.weights.file_kinds import KERAS_SUFFIXES
from keras_fastvit.weights.keras_files import load_keras_file
from keras_fastvit.weights.named import NamedWeights
from keras_fastvit.weights.stored_tensor import StoredTensor
from keras_fastvit.weights.torch_files import read_torch_file
from keras_fastvit.weights.torch_state import load_torch_state

_LOG = logging.getLogger("keras_fastvit")
_DATA = Path(__file__).parents[1] / "data"

SECONDS_TO_REACH = 5.0
"""How long a hub that does not answer is asked again."""


def load_weights(model: FastViT, weights: NamedWeights | Path, ema: bool = True) -> bool:
    """Loads weights strictly; on an error the model is left as it was.

    Of named weights with another number of classes than the model's all but the classifier is
    loaded, and a warning is logged; another is, once, if they are for research only.

    Args:
        model: A FastViT in training form. Without a classifier, that of the weights is not used.
        weights: What `find_weights` has returned.
        ema: Whether of a checkpoint that holds weights averaged over the training (EMA) too, those
            are taken.

    Returns:
        Whether the checkpoint's branches were folded, as in Apple's `_reparam` files; the model
        is in training form all the same, and computes what the folded one does.

    Raises:
        OSError: If the file cannot be read or fetched.
        ImportError: If a pickle (`.pth`, `.ckpt` …) is to be read and PyTorch is not installed.
        ValueError: If the file is damaged or does not fit the model.
    """
    if isinstance(weights, Path):
        if weights.name.endswith(KERAS_SUFFIXES):
            load_keras_file(model, weights)
            return False
        return load_torch_state(model, read_torch_file(weights), str(weights), ema=ema)
    config = model.get_config()
    skip_head = config["include_top"] and config["classes"] != weights.classes
    if skip_head:
        _LOG.warning(
            "The classifier of '%s' weights is for %d classes: all but it is loaded, and the "
            "model's classifier for %d classes starts at random.",
            *(weights.name, weights.classes, config["classes"]),
        )
    state = _read_named(weights)
    folded = load_torch_state(model, state, weights.source, skip_head)
    if weights.research_only:
        _say_research_only(weights.licence)
    return folded


@functools.cache  # once
def _say_research_only(licence: str) -> None:
    _LOG.warning(
        "MobileCLIP's weights are licensed by Apple for non-commercial research only, and so is "
        "what is made of them, a fine-tuned model or a .tflite file among it (%s).",
        licence,
    )


def _read_named(weights: NamedWeights) -> dict[str, StoredTensor]:
    if weights.repository is None:
        return read_torch_file(_DATA / weights.file)
    path = _fetched(weights.repository, weights)
    try:
        return read_torch_file(path)
    except ValueError as error:
        # The hub's client checks the size at most: a later call would take the file for whole.
        _remove_cached(path)
        raise ValueError(
            f"'{weights.source}', as fetched for '{weights.name}' weights of {weights.variant}, is "
            f"damaged and was removed from the cache; call again to fetch it anew. {error}"
        ) from None


def _fetched(repository: str, weights: NamedWeights) -> Path:
    """Returns the file's path in the hub client's cache, downloading it if need be."""
    from huggingface_hub import hf_hub_download, hf_hub_url, try_to_load_from_cache

    address = hf_hub_url(repository, weights.file)
    try:
        if not isinstance(try_to_load_from_cache(repository, weights.file), str):
            _reach(address)
        path = Path(hf_hub_download(repository, weights.file))
    except Exception as error:  # of many libraries: HTTP, TLS, the file system
        raise OSError(
            f"Cannot fetch '{weights.source}' for '{weights.name}' weights of {weights.variant}: "
            f"download {address} by hand, and give the file's path as `weights=` or --weights. "
            f"Expected the file in the cache or at that address. Received: {_reasons(error)}"
        ) from None  # its own causes are in the message; with the libraries' it takes 60 lines
    _sweep(path.resolve())
    return path


def _sweep(blob: Path) -> None:
    """Removes what killed downloads of a file have left beside it, which the client goes past.

    Under the client's own lock: whoever is downloading the file just now holds that.
    """
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

    # Of the client's own names: bytes of this file, and an empty file that it asks for its rights.
    left = [*blob.parent.glob(f"{blob.name}.*incomplete"), *blob.parent.glob("tmp_*")]
    lock = blob.parents[2] / ".locks" / blob.parents[1].name / f"{blob.name}.lock"
    if not left or not lock.is_file():
        return
    with contextlib.suppress(OSError), WeakFileLock(lock, timeout=0.1):  # or it is held
        for path in left:
            path.unlink(missing_ok=True)


def _reach(address: str) -> None:
    """Asks whether the hub has a file; without a network, three times in `SECONDS_TO_REACH`.

    The hub's client alone would go on for half a minute.
    """
    from huggingface_hub import get_hf_file_metadata

    end = time.monotonic() + SECONDS_TO_REACH
    for pause in (1.0, 2.0, math.inf):
        try:
            get_hf_file_metadata(address, timeout=max(0.5, end - time.monotonic()))
            return
        except Exception as error:
            # The hub's own answers are OSErrors; a failed connection is the HTTP library's.
            late = time.monotonic() + pause >= end
            if isinstance(error, OSError) or late:
                raise
            time.sleep(pause)


def _reasons(error: BaseException | None) -> str:
    """An error and its causes, the first line of each; libraries repeat each other's."""
    reasons: dict[str, None] = {}
    while error is not None:
        reasons[f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"] = None
        error = error.__cause__
    return ", because of ".join(reasons)


def _remove_cached(path: Path) -> None:
    # The path is a link to the content, where the file system has links.
    for file in (path.resolve(), path):
        with contextlib.suppress(OSError):  # a cache that can only be read
            file.unlink()
