"""The subcommands of `keras-fastvit`: one module each."""
