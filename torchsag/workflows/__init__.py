"""The commands: one module or one folder each."""
