"""The paper's dense heads, on the feature pyramid of a FastViT."""

from keras_fastvit.tasks.hand_mesh import HandMesh, project, split_parameters
from keras_fastvit.tasks.mano import Mano
from keras_fastvit.tasks.mano_file import HandModel, read_mano
from keras_fastvit.tasks.semantic_fpn import SemanticFPN

__all__ = [
    "HandMesh",
    "HandModel",
    "Mano",
    "SemanticFPN",
    "project",
    "read_mano",
    "split_parameters",
]
