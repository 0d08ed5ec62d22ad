"""python -m tests.reference.make_timm_fixtures

Run in the repository's root with timm 1.0.31 and torch installed, perhaps with names of variants
as arguments. Writes `tests/fixtures/timm_fastvit_*.{json,npz}` and prints a line for each variant
with the parameters of both forms, the largest logit, and two differences relative to it: of timm's
fused model in float64 (below 1e-13) and of timm in float32 (below 1e-6): the reference's own
rounding error.

For image towers with four stages it writes `apple_clip_fastvit_*` too: Apple's names, as this
package writes them, in a checkpoint of the whole MobileCLIP, which timm must be able to read.
"""

import copy
import sys

import timm
import torch
from timm.models import fastvit
from timm.utils.model import reparameterize_model

from keras_fastvit import FastViT
from keras_fastvit.architecture.variants import get_variant
from keras_fastvit.weights.torch_state import to_torch_state
from tests.reference.fixtures import FOUR_STAGE_TOWERS, VARIANTS, Reference, checksum, save
from tests.reference.torch_outputs import (
    case,
    load_generated,
    load_strictly,
    outputs,
    parameter_count,
    state_shapes,
)
from tests.reference.weights_from_names import generate

TIMM_VERSION = "1.0.31"
DEEPEST = ("fastvit_sa36", "fastvit_ma36", *VARIANTS[-4:])
ALSO_LARGE_AND_SMALLEST = ("fastvit_t8", "fastvit_sa12")


def image_shapes(variant: str) -> list[tuple[int, int, int]]:
    """Returns the `(batch, height, width)` of the variant's cases, an odd, oblong one first."""
    shapes = [(2, 71, 45) if variant in DEEPEST else (2, 97, 75)]
    if variant in ALSO_LARGE_AND_SMALLEST:
        shapes += [(1, 256, 256), (2, 32, 32)]
    return shapes


def taps(model: fastvit.FastVit) -> dict[str, torch.nn.Module]:
    """Returns which module gives which output."""
    stages = {f"P{level}": stage for level, stage in enumerate(model.stages, start=2)}
    return {"features": model.final_conv} | stages


def create(variant: str) -> fastvit.FastVit:
    """Returns timm's model, its head as wide as that of the released weights."""
    return getattr(fastvit, variant)(num_classes=get_variant(variant).classes)


def make(variant: str) -> Reference:
    """Runs a variant's cases, and checks timm's fused form and float32 against them."""
    model = create(variant)
    weights = load_generated(model)
    cases = tuple(case(model, taps(model), shape) for shape in image_shapes(variant))

    first = cases[0]
    scale = first.expected["logits"].scale
    logits = outputs(model, {}, first.image)["logits"]
    fused = reparameterize_model(model)
    with torch.no_grad():
        rounded = copy.deepcopy(model).float()(torch.from_numpy(first.image).permute(0, 3, 1, 2))
    facts = {
        "timm": timm.__version__,
        "torch": torch.__version__,
        "parameters": parameter_count(model),
        "fused_parameters": parameter_count(fused),
        "fused_difference": float(abs(outputs(fused, {}, first.image)["logits"] - logits).max())
        / scale,
        "float32_difference": float(abs(rounded.numpy() - logits).max()) / scale,
    }
    return Reference(state_shapes(model), facts, checksum(weights), cases)


def make_clip(variant: str) -> Reference:
    """Runs a tower on weights under the names of a whole MobileCLIP, which timm renames."""
    classes = get_variant(variant).classes
    shapes = {
        f"image_encoder.model.{name}": array.shape
        for name, array in to_torch_state(FastViT(variant, classes=classes), "apple").items()
    }
    head = "image_encoder.model.head"
    shapes.pop(f"{head}.bias")
    shapes[f"{head}.proj"] = shapes.pop(f"{head}.weight")[::-1]
    shapes["text_encoder.embedding_layer.weight"] = (7, 5)
    weights = generate(shapes)

    model = create(variant)
    tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
    renamed = fastvit.checkpoint_filter_fn(tensors, model)
    load_strictly(model, {name: tensor.numpy() for name, tensor in renamed.items()})
    cases = tuple(case(model, taps(model), shape) for shape in image_shapes(variant))
    facts = {"timm": timm.__version__, "torch": torch.__version__}
    return Reference(shapes, facts, checksum(weights), cases)


def main() -> None:
    """Writes the fixtures of the variants that are named, or of all."""
    if timm.__version__ != TIMM_VERSION:
        raise SystemExit(f"Expected timm {TIMM_VERSION}. Received: {timm.__version__}")
    for variant in sys.argv[1:] or VARIANTS:
        reference = make(variant)
        save("timm", variant, reference)
        if variant in FOUR_STAGE_TOWERS:
            save("apple_clip", variant, make_clip(variant))
        facts, logits = reference.facts, reference.cases[0].expected["logits"]
        print(
            f"{variant}: {facts['parameters']:,} parameters, {facts['fused_parameters']:,} fused; "
            f"largest logit {logits.scale:.3f}; fused {facts['fused_difference']:.1e}, "
            f"float32 {facts['float32_difference']:.1e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
