"""A soak that is over soon: scripts/soak is the long one."""

import pytest
from soak.__main__ import soak

pytestmark = pytest.mark.e2e


def test_a_crowd_leaves_memory_flat_and_the_dead_leave_nothing():
    assert soak(sandboxes=40, seconds=15, deaths=1) == []
