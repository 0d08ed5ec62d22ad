"""What Python's pipeline makes of camera frames, for the test of Kotlin's: `frames.py`."""
