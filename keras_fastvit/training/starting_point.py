"""The start of a training: an architecture, its weights, and the images it is made for."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from keras_fastvit.architecture.model import DEFAULT_SIDE, FastViT
from keras_fastvit.architecture.variants import get_variant
from keras_fastvit.training.recipes import Recipe
from keras_fastvit.weights.loading import load_weights
from keras_fastvit.weights.named import NamedWeights, find_weights

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class StartingPoint:
    """A model before its training.

    Attributes:
        variant: Name of a row of `variants.py`.
        weights: What `find_weights` has found; None for random weights.
        side: Side of the images in pixels.
        crop_pct: Share of an image's short side that the validation's crop keeps.
        normalization: How images are normalised; see `preprocess_input`.
        drop_path_rate: Stochastic depth rate of the last block.
        ema: Whether of a checkpoint with weights averaged over its training, those are taken.
    """

    variant: str
    weights: NamedWeights | Path | None
    side: int
    crop_pct: float
    normalization: str
    drop_path_rate: float
    ema: bool = True

    def build(self, classes: int) -> FastViT:
        """Returns the model with random weights, giving logits `(batch, classes)`."""
        return FastViT(
            self.variant,
            input_shape=(self.side, self.side, 3),
            classes=classes,
            classifier_activation=None,
            drop_path_rate=self.drop_path_rate,
            data_format="channels_last",
        )

    def load_weights(self, model: FastViT) -> None:
        """Gives a model the weights, if there are any; of other classes all but the classifier.

        Raises:
            OSError: If they cannot be read or fetched.
            ValueError: If they do not fit.
            ImportError: If PyTorch is needed and not installed.
        """
        if self.weights is None:
            return
        try:
            load_weights(model, self.weights, self.ema)
        except ValueError:
            backbone = FastViT.from_config({**model.get_config(), "include_top": False})
            try:
                load_weights(backbone, self.weights, self.ema)
            except ValueError:
                backbone = None
            if backbone is None:
                raise
            for layer in backbone.layers[1:]:  # behind the input
                model.get_layer(layer.name).set_weights(layer.get_weights())
            _LOG.warning(
                "The classifier of '%s' is not one for %d classes: all but it is loaded, and the "
                "model's classifier starts at random.",
                *(self.weights, model.output_shape[-1]),
            )


def starting_point(
    variant: str, weights: str | os.PathLike[str] | None, recipe: Recipe, ema: bool = True
) -> StartingPoint:
    """Returns where a training of a variant by a recipe starts.

    Raises:
        ValueError: If there is no such variant or weights, or the recipe needs some.
        FileNotFoundError: If there is no such file.
    """
    row = get_variant(variant)
    found = None if weights is None else find_weights(weights, variant)
    if recipe.pretrained and found is None:
        raise ValueError(
            f"Recipe '{recipe.name}' changes a trained model: expected the name of weights or a "
            f"file with some. Received: weights={weights!r}"
        )
    named = found if isinstance(found, NamedWeights) else None
    return StartingPoint(
        variant,
        found,
        recipe.image_size or (named.image_size if named else DEFAULT_SIDE),
        named.crop_pct if named else row.crop_pct,
        row.normalization,
        row.drop_path_rate_distilled if recipe.distilled else row.drop_path_rate,
        ema,
    )
