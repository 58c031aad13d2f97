"""The one error a user can cause."""


class InputError(ValueError):
    """Something given from outside is unusable.

    The message is one sentence for the person at the keyboard: it names the file or particle, what was expected,
    what came, and what to do. The command line prints it alone and exits with status 2.
    """
