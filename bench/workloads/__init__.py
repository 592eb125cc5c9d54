"""The workloads, in the order of the table. A file holds one family: the rows, how they are
measured, and each system's program in its own idiom."""

from harness import Workload

from . import (
    blocking,
    channels,
    cores,
    echo,
    idle,
    lateness,
    locking,
    memory,
    programs,
    sleeps,
    spawning,
    speedup,
    yielding,
)

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        channels.PINGPONG,
        channels.PINGPONG_2,
        channels.BUFFERED,
        channels.SELECT,
        yielding.YIELD,
        spawning.SPAWN,
        spawning.SPAWN_AWAIT,
        locking.MUTEX,
        locking.MUTEX_WITH,
        programs.SIEVE,
        programs.RING,
        programs.FIB_1,
        programs.FIB_2,
        programs.FIB_THREADS,
        blocking.SYSCALL,
        blocking.SYSCALL_OVER,
        memory.MEMORY,
        memory.MILLION,
        lateness.HOG,
        lateness.BLOCKER,
        echo.ECHO,
        echo.ECHO_PROTOCOL,
        speedup.SPEEDUP,
        sleeps.SLEEPS,
        idle.IDLE,
        cores.PAIRS,
        cores.NOWAIT,
        cores.YIELD,
        cores.SPAWN,
        cores.MPMC,
        cores.SERVICE,
        cores.LATE,
        cores.LATE_SLEEP,
    )
}
