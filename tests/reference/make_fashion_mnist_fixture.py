"""Makes `tests/fixtures/timm_fashion_mnist.npz`: what timm answers with the shipped checkpoint.

    python -m tests.reference.make_fashion_mnist_fixture

needs timm (`make parity` installs it). Writes the logits of timm's FastViT-T8, computed in
float64, for the images in `demo_images/fashion_mnist`, in the order of their sorted paths.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from keras_fastvit.conversion.references.timm import create_model
from keras_fastvit.images.preprocessing import load_image, preprocess_input

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    model = create_model("fastvit_t8", classes=10)
    state = load_file(ROOT / "keras_fastvit/data/fashion_mnist_t8.safetensors")
    model.load_state_dict(state, strict=True)
    paths = sorted((ROOT / "demo_images/fashion_mnist").rglob("*.png"))
    images = [load_image(path, size=64, crop_pct=1.0) for path in paths]
    x = torch.from_numpy(preprocess_input(np.stack(images), "channels_last")).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = model.double()(x.double()).numpy()
    np.savez_compressed(
        ROOT / "tests/fixtures/timm_fashion_mnist.npz", logits=logits.astype("float32")
    )


if __name__ == "__main__":
    main()
