"""The preparation of images for a model: normalisations by name, and the crop."""

DEFAULT_CROP_PCT = 0.9
"""Share of the short side that the crop keeps, of most variants."""

DEFAULT_NORMALIZATION = "imagenet"
"""That of all variants but MobileCLIP's image towers."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of the red, green and blue channels of ImageNet, on the 0..1 scale."""

IMAGENET_STD = (0.229, 0.224, 0.225)
"""Standard deviation of the red, green and blue channels of ImageNet, on the 0..1 scale."""

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Those that OpenAI's CLIP was trained with."""

NORMALIZATIONS = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "clip": (CLIP_MEAN, CLIP_STD),
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "pixels": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
}
"""Mean and standard deviation by name. `"unit"` leaves the pixels in 0..1, `"pixels"` in 0..255."""
