"""The exported files in other runtimes than the one they are made with: `make test-runtimes`."""
