# The public names. `__init__.py` imports each from the same place when it is first used.

from .hand_mesh import HandMesh as HandMesh
from .hand_mesh import project as project
from .hand_mesh import split_parameters as split_parameters
from .mano import Mano as Mano
from .mano_file import HandModel as HandModel
from .mano_file import read_mano as read_mano
from .semantic_fpn import SemanticFPN as SemanticFPN
