"""From a PyTorch checkpoint to a file for the phone: export, inspection, measurements.

Nothing of Keras is imported before a name is used: LiteRT's environment may have none.
"""

if __name__ == "conversion":
    raise ImportError(
        "This folder is the package keras_fastvit.conversion. Expected `import "
        "keras_fastvit.conversion`, after `pip install --editable .` in the checkout. Received: "
        "`import conversion`"
    )

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
