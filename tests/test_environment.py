"""What is said of this process and its machine."""

import mmap
import subprocess
import sys

MUCH = 300 << 20
CHILD = (
    "import sys; from unittest.mock import MagicMock; sys.modules['torch'] = MagicMock();"  # it alone takes so much
    "from fusemix.machine.environment import peak_memory; print(peak_memory())"
)


def test_peak_memory_is_of_this_process_and_not_of_the_one_that_started_it():
    """In another process, since it is about what one hands on to the next."""
    with mmap.mmap(-1, MUCH) as pages:
        for at in range(0, MUCH, mmap.PAGESIZE):
            pages[at] = 1
        said = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True).stdout
    assert 5 << 20 < int(said) < MUCH // 2
