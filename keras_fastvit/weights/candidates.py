"""Finds the FastViTs in a checkpoint, whatever wraps them.

A training keeps the weights beside an optimizer's state and beside their average (EMA), under keys
that each tutorial calls otherwise; and whatever wraps a model writes its own name in front of its
tensors': `module.` (DDP), `_orig_mod.` (torch.compile), `model.` (Lightning), `timm_model.`
(Hugging Face). A reader joins keys and names to one name, `state_dict.module.stem.0.…`; whatever
stands there before a FastViT's first name is a prefix, whoever wrote it. No Keras, no torch.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LONGEST_NAME = 400
"""Characters of a tensor's name, keys of wrappers among it; no FastViT has longer ones."""

MOST = 50
"""How many FastViTs are looked for in one file."""

_PARALLEL = r"(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
"""What parallel and compiled modules add, around a whole model or around one of its layers."""
_WITHIN = re.compile(rf"(?<![^.]){_PARALLEL}")
_FIRST = re.compile(
    rf"(?P<prefix>(?:[^.]*\.)*?)(?:stem_0|(?:stem|patch_embed)\.(?:{_PARALLEL})*0)\."
)
_FIRST_NAMES = ("stem.0.", "patch_embed.0.")
_FEATURES_ONLY = re.compile(r"^(stem|stages)_(\d+)\.")
"""What timm's `features_only=True` makes of `stem.0.` and `stages.0.`."""

_COUNTERS = ("num_batches_tracked", "total_ops", "total_params")
"""Ends of the names of buffers that batch normalisations and profilers count in."""

_KEYS = ("state_dict", "model_state_dict", "model_state", "model", "module", "net", "network")
"""The usual keys and names in front of a model that is not an average, the likeliest first."""
_AVERAGED = {"ema", "swa", "avg", "average", "averaged", "averaging", "shadow"}
_NEVER_AVERAGED = "current_model_state"
"""Where Lightning keeps the last step's weights when the average is under `state_dict`."""


@dataclass(frozen=True)
class Candidate:
    """A FastViT's tensors in a checkpoint.

    Attributes:
        prefix: What stands in front of their names, such as `"state_dict_ema.module."`.
        state: The tensors under timm's or Apple's names, without counters.
    """

    prefix: str
    state: Mapping[str, Any]

    @property
    def averaged(self) -> bool:
        """Whether its prefix says that the weights are an average over the training.

        >>> [Candidate(x, {}).averaged for x in ("state_dict_ema.", "ModelEMA.", "schema.")]
        [True, True, False]
        """
        words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", self.prefix)
        return not _AVERAGED.isdisjoint(word.lower() for word in words)

    def rank(self, ema: bool) -> tuple[int, list[int]]:
        """Returns what candidates are sorted by; equal if nothing speaks for either.

        Args:
            ema: Whether averaged weights are preferred.
        """
        average = 0 if self.prefix.startswith(_NEVER_AVERAGED) else 1 + self.averaged
        parts = [part for part in self.prefix.split(".")[:-1] if not _WITHIN.match(f"{part}.")]
        order = [_KEYS.index(part) if part in _KEYS else len(_KEYS) for part in parts]
        return -average if ema else average, order


def find_candidates(tensors: Mapping[str, Any], ema: bool = True) -> list[Candidate]:
    """Returns the FastViTs among a checkpoint's tensors, the preferred one first.

    Args:
        tensors: By their names, with the keys of wrappers in front, joined by dots.
        ema: Whether averaged weights (EMA) come first, as in timm, or last.

    >>> found = find_candidates({
    ...     "state_dict.module.stem.0.identity.bias": ...,
    ...     "state_dict.criterion.weight": ...,
    ...     "state_dict_ema.module.stem.0.identity.bias": ...,
    ... })
    >>> [candidate.prefix for candidate in found], found[0].state
    (['state_dict_ema.module.', 'state_dict.module.'], {'stem.0.identity.bias': Ellipsis})
    """
    names = [x for x in tensors if len(x) <= LONGEST_NAME and not x.endswith(_COUNTERS)]
    prefixes = {match["prefix"] for name in names if (match := _FIRST.match(name))}
    states: dict[str, dict[str, Any]] = {prefix: {} for prefix in prefixes}
    for name in names:
        prefix = _longest(name, prefixes)
        if prefix is not None:
            inner = _FEATURES_ONLY.sub(r"\1.\2.", _WITHIN.sub("", name[len(prefix) :]))
            # A second tensor of that name keeps its own, and is refused as a tensor too many.
            states[prefix][name if inner in states[prefix] else inner] = tensors[name]
    found = [
        Candidate(prefix, states[prefix])
        for prefix in sorted(prefixes)
        if any(name.startswith(_FIRST_NAMES) for name in states[prefix])
    ]
    return sorted(found, key=lambda candidate: candidate.rank(ema))[:MOST]


def _longest(name: str, prefixes: set[str]) -> str | None:
    end = len(name)
    while end >= 0:
        end = name.rfind(".", 0, end)
        if name[: end + 1] in prefixes:
            return name[: end + 1]
    return None
