"""How the threads of OpenMP, on which torch computes, wait for one another; chosen before torch is imported.

Place in the flow: the start of a command -> a variable that OpenMP reads when it is loaded.
"""

import os

VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Who has set any of these has chosen."""


def wait_without_spinning() -> None:
    """Let threads that wait sleep.

    They would spin instead, for milliseconds at each of the hundreds of meetings of a pass; where others use the cores,
    that is time which the thread that they wait for needs.
    """
    if not any(name in os.environ for name in VARIABLES):
        os.environ["OMP_WAIT_POLICY"] = "passive"
