"""The version, below everything that says it."""

VERSION = "0.2.0"
