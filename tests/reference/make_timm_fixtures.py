"""python -m tests.reference.make_timm_fixtures

Run in the repository's root with timm 1.0.31 and torch installed. Writes
`tests/fixtures/timm_fastvit_*.{json,npz}` and prints a line for each variant with the parameters
of both forms, the largest logit, and two differences relative to it: of timm's fused model in
float64 (below 1e-13) and of timm in float32 (below 1e-6): the reference's own rounding error.
"""

import copy

import timm
import torch
from timm.models import fastvit
from timm.utils.model import reparameterize_model

from .fixtures import VARIANTS, Reference, checksum, save
from .torch_outputs import case, load_generated, outputs, parameter_count, state_shapes

TIMM_VERSION = "1.0.31"
DEEPEST = ("fastvit_sa36", "fastvit_ma36")
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


def make(variant: str) -> Reference:
    """Runs a variant's cases, and checks timm's fused form and float32 against them."""
    model = getattr(fastvit, variant)(num_classes=1000)
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


def main() -> None:
    """Writes every variant's fixture."""
    if timm.__version__ != TIMM_VERSION:
        raise SystemExit(f"Expected timm {TIMM_VERSION}. Received: {timm.__version__}")
    for variant in VARIANTS:
        reference = make(variant)
        save("timm", variant, reference)
        facts, logits = reference.facts, reference.cases[0].expected["logits"]
        print(
            f"{variant}: {facts['parameters']:,} parameters, {facts['fused_parameters']:,} fused; "
            f"largest logit {logits.scale:.3f}; fused {facts['fused_difference']:.1e}, "
            f"float32 {facts['float32_difference']:.1e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
