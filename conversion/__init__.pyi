# The public names. `__init__.py` imports each from the same place when it is first used.

from .evaluation.comparison import Evaluation as Evaluation
from .evaluation.comparison import evaluate as evaluate
from .exporting.export import export as export
from .exporting.report import Export as Export
from .lowering.lower import lower as lower
from .quantization.fine_tuning import fine_tune as fine_tune
from .quantization.layer_by_layer import Quantized as Quantized
from .quantization.layer_by_layer import quantize as quantize
from .tflite.inspection import Inspection as Inspection
from .tflite.inspection import inspect as inspect
from .tflite.timing import Timing as Timing
from .tflite.timing import benchmark as benchmark
