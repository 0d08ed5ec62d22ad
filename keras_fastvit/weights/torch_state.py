"""A PyTorch checkpoint into a FastViT and back: strict, every tensor and variable exactly once."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_fastvit.architecture.model import FastViT
from keras_fastvit.architecture.variants import get_variant
from keras_fastvit.arrays import Array
from keras_fastvit.weights.candidates import Candidate, find_candidates
from keras_fastvit.weights.file_kinds import listed, shown
from keras_fastvit.weights.torch_names import (
    Convention,
    detect,
    folded_shapes,
    from_torch,
    torch_name,
    unfold,
    with_dense_head,
)
from keras_fastvit.weights.variables import (
    HEAD,
    Weight,
    check_names,
    check_shape,
    checked,
    weights_of,
)

_FINAL_CONV = "final_conv/"
_NOT_AVERAGED = "`ema=False` of a constructor, --no-ema of a command"


def to_torch_state(model: FastViT, convention: Convention = "timm") -> dict[str, Array]:
    """Returns a model's weights under PyTorch's names, in PyTorch's layout.

    Args:
        model: A FastViT in training form.
        convention: Whose names: `"timm"` or `"apple"`.

    Returns:
        Name to float32 array; without `num_batches_tracked`, which no layer here counts.
    """
    variant = get_variant(model.variant)
    return {
        torch_name(weight.path, variant, convention): weight.to_torch()
        for weight in weights_of(model)
    }


def load_torch_state(
    model: FastViT,
    tensors: Mapping[str, Any],
    source: str,
    skip_head: bool = False,
    ema: bool = True,
) -> bool:
    """Loads a checkpoint with timm's or Apple's names; on an error the model is left as it was.

    What stands in front of the names does not matter: of a whole CLIP the image tower is taken, of
    a training's checkpoint the weights. Of several FastViTs in it, the preferred one of those that
    fit the model is taken, and a `UserWarning` says which.

    Args:
        model: A FastViT in training form. Without a classifier, the checkpoint's is not used, and a
            checkpoint of timm's `features_only` will do, which ends before the last convolution.
        tensors: By their names, with the keys of wrappers in front, joined by dots. Branches may
            have been folded: they are taken apart again.
        source: What to call the checkpoint in an error.
        skip_head: Whether to leave the model's classifier as it is and the checkpoint's unused.
        ema: Whether weights averaged over the training (EMA) are preferred, as in timm; otherwise
            they are not taken.

    Returns:
        Whether the checkpoint's branches were folded.

    Raises:
        ValueError: If a tensor is missing, left over, of another shape, or not finite; if two
            FastViTs fit, and nothing tells which is meant.
    """
    found = find_candidates(tensors, ema)
    if not found:
        raise ValueError(
            f"'{source}' holds no FastViT weights. Expected tensors with timm's names "
            "('stem.0.…') or Apple's ('patch_embed.0.…'), whatever stands in front of them. "
            f"Received: {len(tensors)} tensors{listed(_first_of_each_key(tensors))}"
        )
    if not ema and all(candidate.averaged for candidate in found):
        raise ValueError(
            f"'{source}' holds averaged weights (EMA) alone. Expected others, because of "
            f"{_NOT_AVERAGED}. Received: {_said(found)}"
        )
    weights = weights_of(model, skip_head)
    fitting: list[tuple[Candidate, _Fit]] = []
    errors = []
    for candidate in found:
        if ema or not candidate.averaged:
            try:
                fitting.append((candidate, _fit(candidate, weights, model.variant, source)))
            except ValueError as error:
                errors.append(error)
    if not fitting:
        raise errors[0]
    (taken, fit), *others = fitting
    if others and others[0][0].rank(ema) == taken.rank(ema):
        raise ValueError(
            f"'{source}' holds several FastViTs that fit. Expected one, or one under a usual key "
            "such as state_dict or model: save the state dict that you mean alone, with "
            f"torch.save. Received: {_said([taken, others[0][0]])}"
        )
    # All of them are checked before the first is assigned.
    what = f"'{source}' for {model.variant}"
    arrays = {
        path: checked(fit.tensors[path], name, fit.shapes[path], what)
        for path, name in fit.names.items()
    }
    if fit.folded:
        arrays = unfold(arrays, {weight.path: weight.torch_shape for weight in fit.weights})
    for weight in fit.weights:
        weight.variable.assign(from_torch(arrays[weight.path], weight.layout, weight.shape))
    _say(source, taken, [candidate for candidate in found if candidate is not taken], fit, weights)
    return fit.folded


@dataclass(frozen=True)
class _Fit:
    """A candidate that has the names and shapes of the model's weights.

    Attributes:
        weights: Those of the model that it has.
        names: By path, in the checkpoint.
        shapes: By path, in the checkpoint.
        tensors: By path.
        folded: Whether its branches were folded.
    """

    weights: Sequence[Weight]
    names: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    tensors: Mapping[str, Any]
    folded: bool


def _fit(candidate: Candidate, weights: Sequence[Weight], name: str, source: str) -> _Fit:
    state = with_dense_head(candidate.state)
    detected = detect(state)
    assert detected is not None, "it has been found by the same names"
    convention, folded = detected
    variant = get_variant(name)
    what = f"'{source}' for {name}"

    def has(path: str) -> bool:
        return any(x.startswith(torch_name(path, variant, convention)) for x in state)

    headless = not any(weight.path.startswith(HEAD) for weight in weights)
    if headless and not has(_FINAL_CONV):
        weights = [weight for weight in weights if not weight.path.startswith(_FINAL_CONV)]
    shapes = {weight.path: weight.torch_shape for weight in weights}
    shapes = folded_shapes(shapes) if folded else shapes
    names = {path: torch_name(path, variant, convention) for path in shapes}
    present = set(state)
    if headless:
        head = torch_name(HEAD, variant, convention)
        present = {name for name in present if not name.startswith(head)}
    elif not has(_FINAL_CONV) and not has(HEAD):
        raise ValueError(
            f"'{source}' holds a backbone alone, as timm's features_only makes it. Expected a "
            f"classifier too, or a model with include_top=False. Received: {name} with a classifier"
        )
    check_names(names.values(), present, what)
    for path, tensor_name in names.items():
        check_shape(state[tensor_name], tensor_name, shapes[path], what)
    tensors = {path: state[tensor_name] for path, tensor_name in names.items()}
    return _Fit(weights, names, shapes, tensors, folded)


def _say(
    source: str,
    taken: Candidate,
    others: Sequence[Candidate],
    fit: _Fit,
    weights: Sequence[Weight],
) -> None:
    """Warns if the weights that were taken are not the only ones, or not all that the model has."""
    said = []
    if others:
        said.append(
            f"holds several FastViTs: {_said([taken])} was loaded, not {_said(others)}"
            + (f"; {_NOT_AVERAGED}, takes weights that are not averaged" if taken.averaged else "")
        )
    if len(fit.weights) < len(weights):
        said.append("ends before the last convolution, which keeps the model's values")
    for text in said:
        warnings.warn(f"'{source}' {text}", UserWarning, stacklevel=3)


def _said(candidates: Sequence[Candidate]) -> str:
    """Names the prefixes of candidates, and which are averages."""
    return ", ".join(
        (f"'{shown(x.prefix.removesuffix('.'))}'" if x.prefix else "the one without a prefix")
        + (" (averaged, EMA)" if x.averaged else "")
        for x in candidates
    )


def _first_of_each_key(names: Mapping[str, Any]) -> list[str]:
    """Returns the first name below each of the outermost keys, so that `listed` shows several."""
    return list({name.partition(".")[0]: name for name in sorted(names, reverse=True)}.values())
