"""The benchmark: fixed tasks with a known truth, and the sheet that anybody's poses are scored on."""
