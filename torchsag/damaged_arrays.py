"""What ``numpy.load`` raises for a file whose bytes are not those that were written."""

import tokenize
import zipfile
import zlib

# numpy reads its headers as Python literals, and archives may claim to be packed or locked in ways Python cannot undo.
DAMAGED_ARRAYS = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    SyntaxError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
)
