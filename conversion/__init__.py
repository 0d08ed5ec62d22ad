"""From a PyTorch checkpoint to a file for the phone: export, inspection, measurements."""

if __name__ == "conversion":
    raise ImportError(
        "This folder is the package keras_fastvit.conversion. Expected `import "
        "keras_fastvit.conversion`, after `pip install --editable .` in the checkout. Received: "
        "`import conversion`"
    )
