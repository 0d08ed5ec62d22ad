"""python -m tests.reference.make_apple_fixtures path/to/ml-fastvit

Run in the repository's root with timm 1.0.31 and torch installed, on a checkout of Apple's
ml-fastvit at commit 8af5928, whose code this imports and does not contain. Writes
`tests/fixtures/apple_fastvit_*` and `apple_reparam_fastvit_*` and prints a line for each variant
with the parameters of both forms and three differences relative to the largest logit, in float64
(all below 1e-13): of the training form from timm's model with the same weights renamed by timm; of
Apple's fusion of the training form; of a model built in inference form from that fusion's weights.
"""

import argparse
import importlib
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import timm
import torch
from timm.models import fastvit

from tests.reference.fixtures import CLASSIFIERS, Reference, checksum, save
from tests.reference.make_timm_fixtures import DEEPEST
from tests.reference.torch_outputs import (
    case,
    load_generated,
    outputs,
    parameter_count,
    state_shapes,
)

ALSO_LARGE = ("fastvit_t8", "fastvit_sa12")


def image_shapes(variant: str) -> list[tuple[int, int, int]]:
    """Returns the `(batch, height, width)` of the variant's cases, an odd, oblong one first."""
    shapes = [(2, 71, 45) if variant in DEEPEST else (2, 97, 75)]
    if variant in ALSO_LARGE:
        shapes += [(1, 256, 256)]
    return shapes


def taps(model: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """Returns which module gives which output.

    `network` holds stages and downsamples in turn; a position encoding comes before the last
    stage, so that stage is the last entry in every variant.
    """
    network = model.network
    return {
        "features": model.conv_exp,
        "P2": network[0],
        "P3": network[2],
        "P4": network[4],
        "P5": network[-1],
    }


def largest_difference(
    model: torch.nn.Module, other: torch.nn.Module, image: np.ndarray, scale: float
) -> float:
    """Returns how far the logits of two models lie apart, relative to `scale`."""
    logits, others = (outputs(each, {}, image)["logits"] for each in (model, other))
    return float(np.abs(logits - others).max()) / scale


def make(
    variant: str,
    build: Callable[..., torch.nn.Module],
    reparameterize: Callable[[torch.nn.Module], torch.nn.Module],
) -> tuple[Reference, Reference]:
    """Runs a variant in training form and in inference form, each on weights of its own."""
    versions = {"ml-fastvit": "8af5928", "timm": timm.__version__, "torch": torch.__version__}

    training = build()
    weights = load_generated(training)
    cases = tuple(case(training, taps(training), shape) for shape in image_shapes(variant))
    image, scale = cases[0].image, cases[0].expected["logits"].scale

    renamed = getattr(fastvit, variant)(num_classes=1000)
    renamed.load_state_dict(fastvit.checkpoint_filter_fn(training.state_dict(), renamed))
    renamed.eval().double()
    fused = reparameterize(training)
    inference = build(inference_mode=True)
    if state_shapes(inference) != state_shapes(fused):
        raise SystemExit(f"{variant}: the built and the fused inference form differ in names")
    inference.double().load_state_dict(fused.state_dict(), strict=True)
    inference.eval()
    facts = versions | {
        "parameters": parameter_count(training),
        "fused_parameters": parameter_count(inference),
        "timm_difference": largest_difference(training, renamed, image, scale),
        "fused_difference": largest_difference(training, fused, image, scale),
        "inference_form_difference": largest_difference(training, inference, image, scale),
    }
    of_training = Reference(state_shapes(training), facts, checksum(weights), cases)

    weights = load_generated(inference)
    cases = tuple(case(inference, taps(inference), shape) for shape in image_shapes(variant))
    facts = versions | {"parameters": parameter_count(inference)}
    return of_training, Reference(state_shapes(inference), facts, checksum(weights), cases)


def main() -> None:
    """Writes both fixtures of every variant."""
    parser = argparse.ArgumentParser(description="Makes the fixtures of Apple's implementation.")
    parser.add_argument("checkout", type=Path, help="ml-fastvit at commit 8af5928")
    checkout = parser.parse_args().checkout.resolve()
    if not (checkout / "models" / "fastvit.py").is_file():
        raise SystemExit(f"Expected a checkout with models/fastvit.py. Received: {checkout}")
    sys.path.insert(0, str(checkout))
    with warnings.catch_warnings():
        # Apple's code was written for an older timm: it imports by names since deprecated, and
        # registers its models over timm's, which are called here by their functions instead.
        warnings.simplefilter("ignore")
        apple = importlib.import_module("models.fastvit")
    reparameterize = importlib.import_module("models.modules.mobileone").reparameterize_model

    for variant in CLASSIFIERS:
        training, inference = make(variant, getattr(apple, variant), reparameterize)
        save("apple", variant, training)
        save("apple_reparam", variant, inference)
        facts = training.facts
        print(
            f"{variant}: {facts['parameters']:,} parameters, {facts['fused_parameters']:,} fused; "
            f"timm {facts['timm_difference']:.1e}, fused {facts['fused_difference']:.1e}, "
            f"inference form {facts['inference_form_difference']:.1e}; largest logits "
            f"{training.cases[0].expected['logits'].scale:.3f} and "
            f"{inference.cases[0].expected['logits'].scale:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
