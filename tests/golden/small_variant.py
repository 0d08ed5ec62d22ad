"""The row that golden files name. It never changes, or they would not load."""

from keras_fastvit.architecture.variants import ATTENTION, REPMIXER, Variant
from tests.models import added

SMALL = added(
    Variant(
        name="fastvit_golden",
        layers=(1, 1, 1, 1),
        widths=(8, 8, 16, 32),
        mlp_ratio=2,
        token_mixers=(REPMIXER, REPMIXER, REPMIXER, ATTENTION),
        drop_path_rate=0.1,
        drop_path_rate_distilled=0.0,
        layer_scale_init_value=0.1,
        crop_pct=0.9,
        top1=0.0,
        top1_distilled=0.0,
    )
)
