"""The paper's dense heads: what a FastViT is a backbone for."""

from keras_fastvit.tasks.hand_mesh import HandMesh, project, split_parameters
from keras_fastvit.tasks.mano import Mano
from keras_fastvit.tasks.mano_file import HandModel, read_mano

__all__ = ["HandMesh", "HandModel", "Mano", "project", "read_mano", "split_parameters"]
