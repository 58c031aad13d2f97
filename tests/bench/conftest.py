from dataclasses import replace

import pytest

from torchsag.bench.making import make
from torchsag.bench.task import task_named


@pytest.fixture(scope="session")
def aligned():
    """Thirty of the easy particles, as data."""
    return make(replace(task_named("align_easy"), particles=30))


@pytest.fixture(scope="session")
def averaged():
    return make(replace(task_named("average_easy"), particles=30))


@pytest.fixture(scope="session")
def classified():
    return make(replace(task_named("classify_easy"), particles=12))
