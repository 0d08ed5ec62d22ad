# The public names. `__init__.py` imports each from the same place when it is first used.

from .classifier import Trained as Trained
from .classifier import train as train
from .recipes import RECIPES as RECIPES
from .recipes import Augmentation as Augmentation
from .recipes import Phase as Phase
from .recipes import Recipe as Recipe
from .recipes import get_recipe as get_recipe
from .run_folder import FinishedRun as FinishedRun
from .run_folder import read_run as read_run
