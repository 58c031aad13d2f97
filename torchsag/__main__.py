"""``python -m torchsag`` is the same as ``torchsag``."""

import sys

from torchsag.app.main import main

sys.exit(main())
