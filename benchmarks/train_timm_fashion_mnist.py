"""Trains a FastViT with timm and PyTorch alone, so that a quantiser meets weights made elsewhere.

    python -m benchmarks.train_timm_fashion_mnist --output RUN --variant fastvit_t8 --epochs 3

An ordinary recipe: AdamW, one learning rate cycle, label smoothing, mirrored images, bfloat16
autocast. Writes RUN/timm_<variant>.safetensors in timm's layout after each epoch and prints the
accuracy on the 10,000 test images (T8, 3 epochs: about 92.5 %, half an hour on two cores).
`make bench-accuracy` quantises it beside the shipped checkpoint.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from benchmarks.train_fashion_mnist import CLASSES, DATA, load_split, to_inputs, upscale
from keras_fastvit.conversion.references.timm import import_timm, save

BATCH = 64
PEAK_LEARNING_RATE = 2e-3


def main() -> None:
    """Trains, writes, measures: see the module's docstring."""
    parser = argparse.ArgumentParser(description="Trains a FastViT of timm's on Fashion-MNIST.")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--variant", default="fastvit_t8")
    parser.add_argument("--epochs", type=int, default=3)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)

    (images, labels), (test_images, test_labels) = (
        (upscale(pixels), torch.from_numpy(labels))
        for pixels, labels in (load_split(DATA, split) for split in ("train", "t10k"))
    )
    model = import_timm().create_model(
        args.variant, num_classes=CLASSES, layer_scale_init_value=0.1
    )
    model = model.to(memory_format=torch.channels_last)
    batches = len(labels) // BATCH
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_LEARNING_RATE, total_steps=batches * args.epochs, pct_start=0.1
    )
    start = time.monotonic()
    for epoch in range(args.epochs):
        model.train()
        for batch, chosen in enumerate(torch.randperm(len(labels))[: batches * BATCH].split(BATCH)):
            x = to_tensor(images[chosen.numpy()])
            if torch.rand(1) < 0.5:
                x = x.flip(-1)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = functional.cross_entropy(model(x), labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if batch % 100 == 0:
                elapsed = time.monotonic() - start
                print(
                    f"epoch {epoch} batch {batch} loss {loss.item():.3f} {elapsed:.0f} s",
                    flush=True,
                )
        save(model, args.output / f"timm_{args.variant.removeprefix('fastvit_')}.safetensors")
        print(f"epoch {epoch}: {accuracy(model, test_images, test_labels):.2%}", flush=True)


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """Grey `(count, 64, 64)` in 0..255 to normalised `(count, 3, 64, 64)`, channels last."""
    x = torch.from_numpy(to_inputs(images)).permute(0, 3, 1, 2)
    return x.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def accuracy(model: torch.nn.Module, images: np.ndarray, labels: torch.Tensor) -> float:
    """Top-1 accuracy in 0..1."""
    model.eval()
    right = sum(
        int((model(to_tensor(images[i : i + 200])).argmax(1) == labels[i : i + 200]).sum())
        for i in range(0, len(labels), 200)
    )
    return right / len(labels)


if __name__ == "__main__":
    main()
