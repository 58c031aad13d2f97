"""The one error a user can cause."""


class InputError(ValueError):
    """Something given from outside is unusable.

    The message is one sentence for the person at the keyboard: it names the file or particle, what was expected,
    what came, and what to do. The command line prints it alone and exits with status 2.
    """


def printable(text: str) -> str:
    """Text as it may go to a terminal: what would move its cursor or change its colours is written out as ``\\x1b``.

    Line breaks between sentences stay; so do letters of every language.
    """
    return "".join(sign if sign.isprintable() or sign == "\n" else ascii(sign)[1:-1] for sign in text)
