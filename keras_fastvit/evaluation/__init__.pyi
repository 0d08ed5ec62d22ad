# The public names. `__init__.py` imports each from the same place when it is first used.

from .classifier import Answers as Answers
from .classifier import KerasClassifier as KerasClassifier
from .classifier import classify as classify
from .corruptions import corrupt as corrupt
from .metrics import agreement as agreement
from .metrics import calibration_error as calibration_error
from .metrics import per_class_accuracy as per_class_accuracy
from .metrics import sqnr_db as sqnr_db
from .metrics import top_k_accuracy as top_k_accuracy
from .robustness import Robustness as Robustness
from .robustness import measure as measure
from .saliency import grad_cam as grad_cam
