"""From a start to an optimum: a score, its partition into terms, and an optimizer."""
