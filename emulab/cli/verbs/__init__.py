"""One module per verb: `arguments(parser)` and `run(args) -> exit code`."""
