"""Recipes as data: how long, how fast, and with which augmentation a model is trained.

Sources: the paper (arXiv 2303.14189, appendix) for `paper`, `paper_distilled` and `finetune_384`;
`finetune` is this package's own, for a few thousand photographs and a laptop. The paper's
hyperparameters name colour jitter beside RandAugment, and here both are applied; the trainer that
the released models come from leaves the jitter out where RandAugment is on.
"""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training images; every image is also mirrored half of the time.

    Attributes:
        crop_area: Smallest and largest share of an image's area that a random crop has.
        rand_augment: Mean magnitude of RandAugment's operations, 0..10; None for no RandAugment.
        color_jitter: Largest difference from 1 of the factors of brightness, contrast and
            saturation.
        random_erasing: Probability that a rectangle of an image is replaced by noise.
        mixup: Parameter of the Beta distribution of mixup's weights; 0 for no mixup.
        cutmix: The same for cutmix; if both are on, each batch has one of the two.

    Example:
    >>> Augmentation(crop_area=(0.35, 1.0), color_jitter=0.2).mixup
    0.0
    """

    crop_area: tuple[float, float]
    rand_augment: float | None = None
    color_jitter: float = 0.0
    random_erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0


@dataclass(frozen=True)
class Phase:
    """Part of a training that has an optimizer of its own.

    Attributes:
        epochs: Number of epochs.
        learning_rate: Its peak, for the recipe's batch size.
        warmup_epochs: Epochs in which it rises linearly, before its cosine decay.
        head_only: Whether all layers but the classifier are frozen.

    Example:
    >>> Phase(epochs=3, learning_rate=1e-3, head_only=True).warmup_epochs
    0.0
    """

    epochs: int
    learning_rate: float
    warmup_epochs: float = 0.0
    head_only: bool = False


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how a model is trained with AdamW, but for the data and the seed.

    Attributes:
        name: Its name; those of `RECIPES` are what `--recipe` takes.
        phases: One after the other.
        batch_size: Images a step.
        image_size: Side in pixels; None for the side that the weights were trained at.
        augmentation: Changes of the training images.
        weight_decay: Weight decay of kernels; biases, normalisations and layer scales have none.
        final_share: Learning rate at a phase's end as a share of its peak.
        label_smoothing: Share of each label that is spread over all classes.
        ema_momentum: Momentum of the moving average of the weights that is evaluated and saved, in
            a training that is long enough for one; None for the weights themselves.
        distilled: Whether it needs a teacher.
        pretrained: Whether it starts from trained weights.

    Example, of a recipe of one's own:
    >>> from dataclasses import replace
    >>> mine = replace(RECIPES["finetune"], name="mine", label_smoothing=0.0)
    >>> mine.epochs, mine.batch_size
    (15, 32)
    """

    name: str
    phases: tuple[Phase, ...]
    batch_size: int
    image_size: int | None
    augmentation: Augmentation
    weight_decay: float
    final_share: float
    label_smoothing: float
    ema_momentum: float | None
    distilled: bool = False
    pretrained: bool = False

    @property
    def epochs(self) -> int:
        """The number of epochs of all phases together."""
        return sum(phase.epochs for phase in self.phases)


_PAPER = Recipe(
    name="paper",
    phases=(Phase(epochs=300, learning_rate=1e-3, warmup_epochs=5),),
    batch_size=1024,
    image_size=256,
    augmentation=Augmentation(
        crop_area=(0.08, 1.0),
        rand_augment=9,
        color_jitter=0.4,
        random_erasing=0.25,
        mixup=0.8,
        cutmix=1.0,
    ),
    weight_decay=0.05,
    final_share=0.01,
    label_smoothing=0.1,
    ema_momentum=0.9995,
)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        _PAPER,
        replace(_PAPER, name="paper_distilled", distilled=True),
        replace(
            _PAPER,
            name="finetune_384",
            phases=(Phase(epochs=30, learning_rate=5e-5),),
            image_size=384,
            weight_decay=1e-8,
            pretrained=True,
        ),
        Recipe(
            name="finetune",
            phases=(
                Phase(epochs=3, learning_rate=1e-3, head_only=True),
                Phase(epochs=12, learning_rate=1e-4, warmup_epochs=1),
            ),
            batch_size=32,
            image_size=None,
            augmentation=Augmentation(crop_area=(0.35, 1.0), color_jitter=0.2),
            weight_decay=0.05,
            final_share=0.01,
            label_smoothing=0.1,
            ema_momentum=None,
            pretrained=True,
        ),
    )
}
"""The recipes by name: `paper`, `paper_distilled`, `finetune_384` and `finetune`."""


def get_recipe(
    name: str,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    image_size: int | None = None,
) -> Recipe:
    """Returns the recipe of that name, with other figures in place of its own where given.

    Args:
        name: One of `RECIPES`.
        epochs: Epochs of all phases together; each phase keeps its share of them.
        batch_size: Images a step. Unless `learning_rate` is given, it changes in proportion.
        learning_rate: Peak of the last phase; that of the others changes in proportion.
        image_size: Side of the images in pixels.

    Raises:
        ValueError: If there is no such recipe, or a figure is not positive.

    >>> recipe = get_recipe("finetune", epochs=5, batch_size=16)
    >>> [(phase.epochs, phase.learning_rate) for phase in recipe.phases]
    [(1, 0.0005), (4, 5e-05)]
    """
    if name not in RECIPES:
        raise ValueError(
            f"Unknown recipe. Expected one of {', '.join(RECIPES)}. Received: recipe={name!r}"
        )
    figures: dict[str, float | None] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "image_size": image_size,
    }
    for what, figure in figures.items():
        if figure is not None and not (figure > 0 and math.isfinite(figure)):
            raise ValueError(f"`{what}` must be positive. Received: {what}={figure}")
    recipe = RECIPES[name]
    size = batch_size or recipe.batch_size
    if learning_rate is None:
        scale = size / recipe.batch_size
    else:
        scale = learning_rate / recipe.phases[-1].learning_rate
    return replace(
        recipe,
        phases=_rescaled(recipe, epochs or recipe.epochs, scale),
        batch_size=size,
        image_size=image_size or recipe.image_size,
    )


def _rescaled(recipe: Recipe, epochs: int, learning_rate_scale: float) -> tuple[Phase, ...]:
    share = epochs / recipe.epochs
    lengths = [round(phase.epochs * share) for phase in recipe.phases[:-1]]
    lengths.append(epochs - sum(lengths))
    return tuple(
        replace(
            phase,
            epochs=length,
            learning_rate=phase.learning_rate * learning_rate_scale,
            warmup_epochs=phase.warmup_epochs * min(share, 1.0),
        )
        for phase, length in zip(recipe.phases, lengths, strict=True)
        if length > 0
    )
