"""The jobs of a sweep: what each left behind, all of them in one table, and what they say together."""
