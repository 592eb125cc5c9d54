"""A goroutine that lost its P in user code and claimed another one."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

import gort


@pytest.mark.skipif(os.environ.get("GORT_PURE", "") in ("", "0"), reason="plays sysmon by hand")
def test_readied_while_it_parks_on_another_p() -> None:
    """Its M goes on with the P that the op claimed, and leaves the old one alone."""
    from gort.platform import YIELD, cas, getm, load, lock, unlock
    from gort.runtime import gmp, machine, park

    class Readied(park.Op):
        """Parks, and is readied before its frames have returned."""

        def start(self, pp: Any) -> int:
            park.gopark(self, 1)
            assert park.win(self)
            park.goready(self.g, pp, False)
            return YIELD

    async def main() -> None:
        while load(gmp.sched.npidle) != 1:
            time.sleep(0.001)  # whoever the boot woke has not slept yet
        mp = getm()
        old = mp.p
        # As sysmon does; the other P goes on top of the idle list.
        assert cas(old.status, mp.userword, gmp.Pidle)
        lock(gmp.sched.lock)
        other = machine.pidleget()
        machine.pidleput(old)
        machine.pidleput(other)
        unlock(gmp.sched.lock)
        await Readied()
        assert mp.p is other
        assert load(old.status) & gmp.PSTATE == gmp.Pidle

    gort.run(main, procs=2)
