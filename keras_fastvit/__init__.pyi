# The public names. `__init__.py` imports each from the same place when it is first used.

from .applications import FastViTMA36 as FastViTMA36
from .applications import FastViTMCi0 as FastViTMCi0
from .applications import FastViTMCi1 as FastViTMCi1
from .applications import FastViTMCi2 as FastViTMCi2
from .applications import FastViTMCi3 as FastViTMCi3
from .applications import FastViTMCi4 as FastViTMCi4
from .applications import FastViTS12 as FastViTS12
from .applications import FastViTSA12 as FastViTSA12
from .applications import FastViTSA24 as FastViTSA24
from .applications import FastViTSA36 as FastViTSA36
from .applications import FastViTT8 as FastViTT8
from .applications import FastViTT12 as FastViTT12
from .architecture.inference_form import fuse as fuse
from .architecture.model import FastViT as FastViT
from .clip.classifier import zero_shot as zero_shot
from .clip.text_embeddings import TextEmbeddings as TextEmbeddings
from .clip.text_embeddings import read_text_embeddings as read_text_embeddings
from .images.preprocessing import class_names as class_names
from .images.preprocessing import decode_predictions as decode_predictions
from .images.preprocessing import load_image as load_image
from .images.preprocessing import preprocess_input as preprocess_input

__version__: str
