"""One table: names in a PyTorch checkpoint <-> paths of this package's variables, and layouts.

It serves timm's names and Apple's, and is read in both directions. Files whose branches have been
folded already (Apple's `_reparam`) are taken apart again by `unfold`. NumPy only.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from keras_fastvit.architecture.variants import ATTENTION, Variant
from keras_fastvit.arrays import Array
from keras_fastvit.weights.stored_tensor import StoredTensor

Convention = Literal["timm", "apple"]
Layout = Literal["conv", "depthwise", "dense", "layer_scale", "vector"]


BATCH_NORM_EPSILON = 1e-5

# Parts of a path below a layer of the model: the first that fits wins, and `/` becomes `.`.
_PARTS = (
    # this package           timm                         Apple
    ("large_conv",           "proj.0.large_conv",         "proj.0.lkb_origin"),
    ("small_conv",           "proj.0.small_conv",         "proj.0.small_conv"),
    ("reparam_large_conv",   "proj.0.reparam_conv",       "proj.0.lkb_reparam"),
    ("large_se",             "proj.0.se",                 "proj.0.se"),
    ("pointwise",            "proj.1",                    "proj.1"),
    ("pos_enc",              "pos_enc",                   "pe"),
    ("token_mixer/norm",     "token_mixer.norm.identity", "token_mixer.norm.rbr_skip"),
    ("conv_kxk",             "conv_kxk.0",                "rbr_conv.0"),
    ("conv_scale",           "conv_scale",                "rbr_scale"),
    ("identity",             "identity",                  "rbr_skip"),
    ("se/fc1",               "se.fc1",                    "se.reduce"),
    ("se/fc2",               "se.fc2",                    "se.expand"),
    ("mlp",                  "mlp",                       "convffn"),
    ("layer_scale/gamma",    "layer_scale.gamma",         "layer_scale"),
    ("layer_scale_1/gamma",  "layer_scale_1.gamma",       "layer_scale_1"),
    ("layer_scale_2/gamma",  "layer_scale_2.gamma",       "layer_scale_2"),
    ("kernel",               "weight",                    "weight"),
    ("gamma",                "weight",                    "weight"),
    ("beta",                 "bias",                      "bias"),
    ("moving_mean",          "running_mean",              "running_mean"),
    ("moving_variance",      "running_var",               "running_var"),
)  # fmt: skip
_PATTERN = re.compile(r"(?<![^/])(" + "|".join(ours for ours, *_ in _PARTS) + r")(?![^/])")


def torch_name(path: str, variant: Variant, convention: Convention) -> str:
    """Returns the checkpoint's name for a variable's path.

    Args:
        path: Such as `"stage_0_block_1/mlp/fc1/kernel"`: a layer of the model, then the path to
            the variable inside it.
        variant: The model's row of `variants.py`.
        convention: Whose names: `"timm"` or `"apple"`.

    >>> from keras_fastvit.architecture.variants import VARIANTS
    >>> torch_name("stage_1_block_0/mlp/fc1/kernel", VARIANTS["fastvit_t8"], "apple")
    'network.2.0.convffn.fc1.weight'
    """
    column = {"timm": 0, "apple": 1}[convention]
    parts = {ours: theirs[column] for ours, *theirs in _PARTS}
    layer, inner = path.split("/", 1)
    renamed = _PATTERN.sub(lambda match: parts[match[1]], inner)
    return f"{layer_names(variant)[layer][column]}.{renamed}".replace("/", ".")


def layer_names(variant: Variant) -> dict[str, tuple[str, str]]:
    """Maps each layer of the model that has variables to timm's and Apple's prefix."""
    names = {f"stem_{i}": (f"stem.{i}", f"patch_embed.{i}") for i in range(3)}
    # Apple keeps downsamplings, positional encodings and stages in one list.
    index = 0
    for stage, depth in enumerate(variant.layers):
        if stage > 0:
            names[f"stage_{stage}_downsample"] = (f"stages.{stage}.downsample", f"network.{index}")
            index += 1
        if variant.token_mixers[stage] == ATTENTION:
            names[f"stage_{stage}_cpe"] = (f"stages.{stage}.pos_emb", f"network.{index}")
            index += 1
        for block in range(depth):
            names[f"stage_{stage}_block_{block}"] = (
                f"stages.{stage}.blocks.{block}",
                f"network.{index}.{block}",
            )
        index += 1
    return {**names, "final_conv": ("final_conv", "conv_exp"), "head": ("head.fc", "head")}


def with_dense_head(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a state dict in which the matrix that ends Apple's image towers is a dense layer.

    The matrix `head.proj` `(channels, embedding)` becomes the weight of a layer whose bias is zero,
    as in timm.

    >>> state = {"head.proj": np.ones((3, 2))}
    >>> {name: tensor.shape for name, tensor in with_dense_head(state).items()}
    {'head.weight': (2, 3), 'head.bias': (2,)}
    """
    if "head.proj" not in state:
        return state
    matrix = state["head.proj"]
    sides, dtype = tuple(matrix.shape), getattr(matrix.dtype, "name", matrix.dtype)
    width = sides[-1:]
    return {
        **{name: tensor for name, tensor in state.items() if name != "head.proj"},
        "head.weight": StoredTensor(sides[::-1], dtype, lambda: np.asarray(matrix).T),
        "head.bias": StoredTensor(width, "float32", lambda: np.zeros(width, "float32")),
    }


def detect(names: Mapping[str, Any]) -> tuple[Convention, bool] | None:
    """Tells whose names these are, and whether the branches have been folded.

    >>> detect({"patch_embed.0.reparam_conv.weight": ...})
    ('apple', True)

    Returns:
        None if they are not a FastViT's.
    """
    conventions: dict[str, Convention] = {"stem": "timm", "patch_embed": "apple"}
    for first, convention in conventions.items():
        if any(name.startswith(f"{first}.0.") for name in names):
            return convention, any("reparam" in name for name in names)
    return None


_LAYOUTS: dict[Layout, tuple[Callable[[Array], Array], Callable[[Array, Any], Array]]] = {
    # (to PyTorch, from PyTorch given this package's shape)
    "conv": (lambda x: x.transpose(3, 2, 0, 1), lambda x, shape: x.transpose(2, 3, 1, 0)),
    "depthwise": (
        lambda x: x.transpose(2, 3, 0, 1).reshape(-1, 1, *x.shape[:2]),
        lambda x, shape: x.reshape(*shape[2:], *shape[:2]).transpose(2, 3, 0, 1),
    ),
    "dense": (lambda x: x.T, lambda x, shape: x.T),
    "layer_scale": (lambda x: x[:, None, None], lambda x, shape: x[:, 0, 0]),
    "vector": (lambda x: x, lambda x, shape: x),
}


def to_torch(array: Array, layout: Layout) -> Array:
    """Brings a variable's value into PyTorch's layout.

    >>> to_torch(np.zeros((7, 7, 48, 2)), "depthwise").shape
    (96, 1, 7, 7)
    """
    return np.ascontiguousarray(_LAYOUTS[layout][0](array))


def from_torch(array: Array, layout: Layout, shape: tuple[int, ...]) -> Array:
    """Brings a checkpoint's array into the layout of a variable of that shape."""
    return _LAYOUTS[layout][1](array, shape)


# Which folded convolution holds a training form's variable, and as which branch of it.
_FOLDED = tuple(
    (re.compile(pattern), owner)
    for pattern, owner in (
        (r"(?P<block>.+/token_mixer)/(?P<branch>mixer/\w+|norm|layer_scale)/.+", "reparam_conv"),
        (r"(?P<block>.+)/(?P<branch>conv_kxk|conv_scale|identity)/.+", "reparam_conv"),
        (r"(?P<block>.+)/(?P<branch>large_conv|small_conv)/.+", "reparam_large_conv"),
        (r"(?P<block>.+)/(?P<branch>pos_enc)/.+", "reparam_conv"),
    )
)
_MAIN_BRANCHES = ("conv_kxk", "mixer/conv_kxk", "large_conv", "pos_enc")
_WITH_SKIP = ("mixer/conv_kxk", "pos_enc")


def folded_path(path: str) -> str:
    """Returns the path, in a file of folded branches, of what the variable at `path` went into.

    Of a kernel it is the folded kernel, of all else in the block the folded bias.

    >>> folded_path("stem_0/conv_scale/bn/beta")
    'stem_0/reparam_conv/bias'
    >>> folded_path("head/kernel")
    'head/kernel'
    """
    match = _branch(path)
    if match is None:
        return path
    block, _, owner = match
    return f"{block}/{owner}/{'kernel' if path.endswith('/kernel') else 'bias'}"


def _branch(path: str) -> tuple[str, str, str] | None:
    for pattern, owner in _FOLDED:
        if match := pattern.fullmatch(path):
            return match["block"], match["branch"], owner
    return None


def folded_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Maps the training form's paths and PyTorch shapes to those of a file of folded branches."""
    folded = {}
    for path, shape in shapes.items():
        match = _branch(path)
        # A block's main branch has the folded convolution's shapes.
        if match is None or match[1] in _MAIN_BRANCHES:
            folded[folded_path(path)] = shape
    return folded


def unfold(folded: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """Writes folded branches as a training form that computes, and folds to, the same.

    One branch of each block takes the folded kernel, and its batch normalisation only adds the
    folded bias; the other branches are zero.

    Args:
        folded: Path to array, in PyTorch's layout.
        shapes: Path to shape, in PyTorch's layout, of the training form.

    Returns:
        Path to array for every path of `shapes`.
    """
    return {path: _unfolded(path, folded, shape) for path, shape in shapes.items()}


def _unfolded(path: str, folded: Mapping[str, Array], shape: tuple[int, ...]) -> Array:
    match = _branch(path)
    value = folded[folded_path(path)]
    if match is None:
        return value
    _, branch, _ = match
    leaf = path.rsplit("/", 1)[1]
    main = branch in _MAIN_BRANCHES
    if leaf == "kernel":
        if not main:
            return np.zeros(shape, "float32")
        return value - _skip_kernel(shape) if branch in _WITH_SKIP else value
    if branch == "layer_scale":
        return np.ones(shape, "float32")
    if leaf in ("beta", "bias"):
        return value if main else np.zeros(shape, "float32")
    constant = {
        "gamma": 1.0 if main else 0.0,
        "moving_mean": 0.0,
        # Its square root, epsilon added, is one.
        "moving_variance": 1.0 - BATCH_NORM_EPSILON,
    }
    return np.full(shape, constant[leaf], "float32")


def _skip_kernel(shape: tuple[int, ...]) -> Array:
    kernel = np.zeros(shape, "float32")
    kernel[:, :, shape[2] // 2, shape[3] // 2] = 1
    return kernel
