"""How much work to hand out at a time."""

# With four shares each, a process that is a fifth slower than the others keeps them waiting for little.
_SHARES = 4


def fair_chunk(tasks: int, most: int, processes: int) -> int:
    """Tasks in a chunk: `most` for one process, for several few enough that all finish at about the same time."""
    return most if processes == 1 else max(1, min(most, -(-tasks // (_SHARES * processes))))
