"""Classic faults, put back into the simulated runtime one at a time; the simulator
must catch each.

    python tests/sim/mutations.py [--seeds N] [--jobs N] [--write] [NAME ...]

prints how many runs it took to catch each, from seed 0 on and over its cases in turn,
and exits 1 when one was not caught, or when a case fails without the fault; with
--write it notes the seeds in caught.txt, for the tests. A fault is a replacement in a
function's source; one whose text is not there any more fails loudly.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import inspect
import multiprocessing
import os
import sys
import textwrap
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
if __name__ == "__main__":
    os.environ.setdefault("GORT_PURE", "1")  # the simulator needs no build

from runner import CASES, FAILURES, again, runcase

from gort import _pure
from gort.testing._swap import swapped


@dataclass(frozen=True)
class Mutation:
    fault: str
    where: str
    """module.function, or module.Class.method, under gort.runtime"""
    old: str
    new: str
    cases: tuple[str, ...]
    more: tuple[tuple[str, str, str], ...] = ()
    """Further replacements: where, old, new."""


MUTATIONS = {
    "countlate": Mutation(
        "who awaits a goroutine is woken before it is taken off the list",
        "proc.goexit0",
        """    allgdel(gp)  # before anyone can know that it has ended, and count
    publish(mp, gp, value, code)
""",
        """    publish(mp, gp, value, code)
    allgdel(gp)
""",
        ("what_was_awaited_is_counted_no_more",),
    ),
    "joinerback": Mutation(
        "a joiner that leaves does not tell the one behind it",
        "proc.Join.unqueue",
        "next.prev = prev",
        "pass",
        ("cancelled_joiners_leave_the_others", "joins", "joiners_leave_in_any_order"),
    ),
    "inherits": Mutation(
        "runnext inherits a slice that is over",
        "proc.endslice",
        "if not slotset(pp.runnext):",
        "if True:",
        ("hand_overs_starve_no_timer", "hand_overs_starve_nobody"),
    ),
    "runqlate": Mutation(
        "nobody looks whether the global queue is served",
        "sysmon.Slow.lookrunq",
        "store(sched.runqlate, 1)",
        "pass",
        ("the_global_queue_is_served",),
    ),
    "norecheck": Mutation(
        "no second look at the queues after nmspinning was dropped",
        "proc.giveup",
        "idle = checkrunqs()",
        "idle = None",
        ("every_idle_p_finds_work", "wake_then_compute", "idle_ps_take_new_work"),
    ),
    "needspinning": Mutation(
        "needspinning is not left where work was found and no P",
        "machine.pidlegetspinning",
        "store(sched.needspinning, 1)",
        "pass",
        ("timers_wake_two", "threads_start_two_at_once", "every_idle_p_finds_work"),
    ),
    "notoken": Mutation(
        "goready makes a goroutine runnable before it has parked, without a token",
        "park.castogrunnable",
        """            if cas(gp.status_, Gparking, Gparkready):
                return False  # step 2
""",
        """            if cas(gp.status_, Gparking, Grunnable):
                return True
""",
        ("pingpong", "many_to_many"),
    ),
    "stealnocas": Mutation(
        "a thief advances the victim's head with a store",
        "runq.runqgrab",
        "if cas(victim.runqhead, h, h + n):",
        "store_rel(victim.runqhead, h + n)\n        if True:",
        ("ring_overflows", "tree", "fan_out"),
    ),
    "sole": Mutation(
        "an owner takes from its ring as if there were no thieves",
        "runq.runqget",
        "if load(sched.nprocs) == 1:",
        "if True:",
        ("ring_overflows", "tree", "fan_out"),
    ),
    "runnexttwice": Mutation(
        "a thief reads runnext and clears it in two steps",
        "runq.runqgrab",
        "gp = slotswap(victim.runnext, None)",
        "gp = victim.runnext.v\n            slotswap(victim.runnext, None)",
        ("wake_then_compute", "idle_ps_take_new_work", "tree"),
    ),
    "timersteal": Mutation(
        "a thief does not run the timers of the P that it robs",
        "proc.stealwork",
        "if last and load(p2.minwhen) != 0:",
        "if False:",
        ("timers_of_a_busy_p_are_stolen",),
    ),
    "handoffpoller": Mutation(
        "handoffp idles the last P although nobody polls",
        "machine.handoffp",
        "if load(sched.npidle) == load(sched.nprocs) - 1 and load(sched.lastpoll) != 0:",
        "if False:",
        ("the_last_p_polls", "files_from_outside"),
    ),
    "selectnocas": Mutation(
        "a waiting select is won with a store",
        "chan.winsudog",
        """    if not cas(sel.won, WPENDING, WREADY):
        return False
""",
        "    store(sel.won, WREADY)\n",
        ("select_exactly_one", "select_from_two", "select_against_select"),
    ),
    "closesend": Mutation(
        "close marks the channel after it has let the lock go",
        "chan.closechan",
        """    c.closed = True
    while True:
        sg = c.takerecv()
        if sg is None:
            sg = c.takesend()
        if sg is None:
            break
        sg.ok = False
        woken.append(sg)
    unlock(c.lock)
""",
        """    while True:
        sg = c.takerecv()
        if sg is None:
            sg = c.takesend()
        if sg is None:
            break
        sg.ok = False
        woken.append(sg)
    unlock(c.lock)
    load(sched.up)
    c.closed = True
""",
        ("close_wakes_receivers", "close_races_send"),
    ),
    "retakenoclaim": Mutation(
        "sysmon takes a P with a store",
        "sysmon.retake",
        "if cas(pp.status, s, Pidle):",
        "store(pp.status, Pidle)\n        if True:",
        ("syscalls_return_to_busy_ps", "syscalls", "hogs_share"),
    ),
    "resizelost": Mutation(
        "procresize forgets the runnext of a P that dies",
        "world.destroy",
        "gp = slotswap(pp.runnext, None)",
        "gp = None",
        ("resize_full_queues",),
    ),
    "resizetimers": Mutation(
        "procresize forgets the timers of a P that dies",
        "world.destroy",
        "movetimers(pp, sched.allp[0])",
        "pass",
        ("resize_with_timers",),
    ),
    "resizeunlocked": Mutation(
        "procresize moves timers without their locks (found here)",
        "timers.movetimers",
        "    lock(dead.timerlock)\n    lock(to.timerlock)\n",
        "",
        ("resize_while_timers_start", "resize_with_timers"),
        (("timers.movetimers", "    unlock(to.timerlock)\n    unlock(dead.timerlock)\n", ""),),
    ),
    "handoffspinning": Mutation(
        "handoffp idles its P although needspinning asks for one (found here)",
        "machine.handoffp",
        "if load(sched.needspinning) != 0:",
        "if False:",
        ("chaos", "locked", "locked_in_calls"),
    ),
    "tickclock": Mutation(
        "tick reads the clock twice to check its period (found here)",
        "ticks.periodof",
        "if s <= 0:",
        "if deadline(s) - nanotime() <= 0:",
        ("after_and_tick",),
    ),
    "exitsyscall": Mutation(
        "a goroutine that comes out of a call without a P is queued nowhere",
        "proc.goschedimpl",
        "    globput(gp)\n",
        "    if action != ALOSTP:\n        globput(gp)\n",
        ("syscalls_return_to_busy_ps", "syscalls"),
    ),
    "exitsyscallstore": Mutation(
        "exitsyscall takes its old P back without looking who has it",
        "syscall.exitsyscall",
        "if pp is not None and cas(pp.status, mp.sysword, mp.userword):",
        "if pp is not None:\n        pp.status.v = mp.userword",
        ("syscalls_return_to_busy_ps", "syscalls"),
    ),
    "parkcancel": Mutation(
        "parkdone does not look for a cancel that came while it parked",
        "park.parkdone",
        "if unlikely(load(gp.cancelreq) != 0):",
        "if False:",
        ("cancelled_sleepers", "cancel_races_ready", "select_cancelled_takes_nothing"),
    ),
    "wakenetpoller": Mutation(
        "a new first timer wakes nobody",
        "timers.addtimer",
        "        wakenetpoller(when)\n",
        "        pass\n",
        ("timers_of_who_computes_on", "earlier_timers_break_the_poll"),
    ),
    "numberonly": Mutation(
        "a number stands for the file that it was armed for",
        "netpoll.Iowait.start",
        "if pd.kept and pd.ref is self.ref:",
        "if pd.kept:",
        ("reused_numbers",),
    ),
    "neverdisarmed": Mutation(
        "what is ready while nobody waits for it stays armed",
        "netpoll.netpoll",
        "                    list_ = disarm(pd, list_)\n",
        "                    pass\n",
        ("unread_sockets_do_not_spin",),
    ),
    "overtaken": Mutation(
        "a wait ends for what was read before it began",
        "netpoll.netpoll",
        "pd.stamp > since",
        "False",
        ("sockets_fed_from_outside",),
    ),
    "samenumber": Mutation(
        "an event of a file that was armed is taken for one of a later wait",
        "netpoll.unkeep",
        "        pd.was = pd.seq\n        nextseq(pd)\n",
        "",
        ("sockets_by_number",),
    ),
    "otherfile": Mutation(
        "an event of a file that lives on is the number's",
        "netpoll.netpoll",
        "pd is None or pd.seq != evseq(evs, n)",
        "pd is None",
        ("files_outlive_their_numbers",),
    ),
    "straysstay": Mutation(
        "a file that lives on behind a closed number is reported for ever",
        "netpoll.stray",
        "not sched.poller.renew()",
        "True",
        ("files_outlive_their_numbers",),
    ),
    "nowriter": Mutation(
        "a writer finds the socket armed to read, and leaves it so",
        "netpoll.arm",
        "mask == READ and ref is not None",
        "ref is not None",
        ("directions_in_turn",),
    ),
    "nobodywaits": Mutation(
        "a socket's number is closed under a system call that is under way",
        "netfd.closesock",
        "            awaitcall(mp, sock)\n",
        "            pass\n",
        ("closing_beside_a_send",),
    ),
    "oldnumber": Mutation(
        "a wait begins for the number that its socket had",
        "netpoll.Iowait.barred",
        "sockfileno(sock) != self.fd",
        "False",
        ("closing_beside_a_wait",),
    ),
    "strangersstay": Mutation(
        "who waits for a file that was closed waits for the next one of its number",
        "netpoll.Iowait.start",
        "strangers(pd, self) if pd.replaced else None",
        "None",
        ("numbers_closed_without_a_word",),
    ),
    "onelook": Mutation(
        "a deadlock is reported without a second look",
        "sysmon.alldead",
        "    return allidle()\n",
        "    return True\n",
        ("no_deadlock_while_a_thread_lives", "threads_start_goroutines", "foreign_threads_send"),
    ),
    "nowakep": Mutation(
        "who makes a goroutine runnable wakes nobody",
        "park.ready",
        "            wakep(pp)\n",
        "            pass\n",
        ("idle_ps_take_new_work", "wake_then_compute"),
    ),
    "lastspinner": Mutation(
        "the last spinner that finds work starts no other",
        "proc.resetspinning",
        "    wakep(mp.p)\n",
        "",
        ("every_idle_p_finds_work", "fan_out"),
    ),
    "spinninglost": Mutation(
        "an M that is started does not take its starter's count of nmspinning over",
        "machine.startm",
        "    mp.spinning = spinning\n",
        "",
        ("idle_ps_take_new_work", "fan_out"),
    ),
    "aba": Mutation(
        "a P's word does not say whose it is",
        "gmp.M.__init__",
        """        self.userword = Puser | id << PMSHIFT
        self.runword = Prunning | id << PMSHIFT
        self.sysword = Psyscall | id << PMSHIFT
""",
        """        self.userword = Puser
        self.runword = Prunning
        self.sysword = Psyscall
""",
        ("syscalls_return_to_busy_ps", "hogs_share"),
    ),
    "overlooked": Mutation(
        "the second look leaves out a P that is in the hands of an M (found here)",
        "proc.checkrunqs",
        "        if not runqempty(p2):\n",
        "        if load(p2.status) & 0xFF != 0 and not runqempty(p2):\n",
        ("locked_in_calls", "syscalls"),
        (
            (
                "proc.stealwork",
                "gp = runqsteal(pp, p2, last)",
                "gp = runqsteal(pp, p2, last) if load(p2.status) & 0xFF != 0 else None",
            ),
        ),
    ),
    "otherp": Mutation(
        "a goroutine that goes on at once goes on with the P of before (found here)",
        "proc.execute",
        """    while True:
        # mp.p is another one than before, where the op that parked lost its P.
""",
        """    pp = mp.p
    while True:
""",
        ("parks_on_another_p", "deadlock_after_work"),
        (
            (
                "proc.execute",
                "        store_rel(mp.p.status, mp.userword)",
                "        store_rel(pp.status, mp.userword)",
            ),
        ),
    ),
    "m0ends": Mutation(
        "a locked goroutine takes the thread that called run along (found here)",
        "machine.lockedexit",
        "if mp is not sched.m0:",
        "if not mp.ism0:",
        ("locked_to_the_end",),
    ),
    "stopnocas": Mutation(
        "stop-the-world takes a P with a store",
        "world.preempttake",
        "if (st == Puser or st == Psyscall) and cas(pp.status, s, Pgcstop):",
        "if st == Puser or st == Psyscall:\n        store(pp.status, Pgcstop)",
        ("resize_from_everywhere", "resize", "resize_over_calls_and_hogs"),
    ),
    "joinlost": Mutation(
        "a goroutine that ends takes its joiners before the lock",
        "proc.publish",
        """    lock(gp.lock)
    joinq = gp.result
""",
        """    joinq = gp.result
    gp.result = None
    lock(gp.lock)
""",
        ("fan_out", "joins", "tree"),
    ),
    "yieldjoins": Mutation(
        "a yield joins the global queue while anything is there",
        "proc.execute",
        "if mp.action == AYIELD and not sched.gm:",
        "if mp.action == AYIELD and not sched.gm and load(sched.runqsize) == 0:",
        ("a_yield_lets_the_global_queue_go_first",),
    ),
    "yieldfirst": Mutation(
        "what yields goes before what waits on the global queue",
        "proc.execute",
        "pullglobal(mp.p)",
        "pass",
        ("a_yield_lets_the_global_queue_go_first",),
    ),
    "barrierlost": Mutation(
        "a waiter that a round has counted is cancelled all the same",
        "barrier.Barrierop.unqueue",
        "            store(self.won, WDONE)  # the round has counted it\n",
        "            pass\n",
        ("barrier_counts_no_one_who_was_cancelled",),
    ),
    "pullunlocked": Mutation(
        "a yield holds a goroutine of the global queue where nobody sees it (found here)",
        "proc.pullglobal",
        """    if gp is not None:
        runqput(pp, gp, False)
    unlock(sched.lock)
""",
        """    unlock(sched.lock)
    if gp is not None:
        runqput(pp, gp, False)
""",
        ("syscalls_return_to_busy_ps",),
    ),
    "partlost": Mutation(
        "the goroutines of new Ps are not counted",
        "world.procresize",
        "store(sched.nshards, used)",
        "store(sched.nshards, 1)",
        ("each_p_counts_what_it_starts", "fan_out"),
    ),
    "overflownocas": Mutation(
        "a full ring is halved without a look at the thieves",
        "runq.runqputslow",
        """    if not cas(pp.runqhead, h, h + n):
        return False  # thieves made room
""",
        "    pp.runqhead.v = h + n\n",
        ("ring_overflows", "fan_out"),
    ),
    "threadcancel": Mutation(
        "a cancel wakes a thread in gort.wait without winning its op",
        "park.wakewaiter",
        "cas(op.won, WPENDING, WCANCELLED)",
        "True",
        ("cancel_races_a_thread_that_waits", "cancel_a_thread_that_waits"),
    ),
    "mutexforgets": Mutation(
        "a mutex with waiters is unlocked, and nobody is woken",
        "mutex.Mutex.unlockslow",
        "if self.starving or self.woken != load(sched.gen):",
        "if self.starving:",
        ("mutex_waiters_are_served_in_order", "mutex_excludes"),
    ),
    "mutexwoken": Mutation(
        "a woken waiter that competes does not say that it has come",
        "mutex.Mutex.lockagain",
        "        self.woken = 0\n",
        "",
        ("mutex_starves_nobody", "mutex_excludes"),
    ),
    "mutexmark": Mutation(
        "who waits for a mutex does not look whether it became free",
        "mutex.Mutex.grab",
        """            if s & LOCKED == 0:
                if cas(self.state, s, s | LOCKED):
                    return True
            elif s & WAITERS != 0 or cas(self.state, s, s | WAITERS):
                return False
""",
        """            if s & LOCKED == 0:
                if cas(self.state, s, s | LOCKED):
                    return True
            else:
                store(self.state, s | WAITERS)
                return False
""",
        ("mutex_excludes", "mutex_from_threads"),
    ),
    "rwpass": Mutation(
        "readers pass a writer that waits",
        "rwmutex.RWMutex.rgrab",
        "if s & WRITER == 0 and self.writers.first is None:",
        "if s & WRITER == 0:",
        ("rwmutex_a_waiting_writer_goes_first", "rwmutex_excludes"),
    ),
    "rwcancel": Mutation(
        "a cancelled writer leaves the readers that it kept out",
        "rwmutex.RWMutex.leavequeue",
        "if self.writers.first is None and s & WRITER == 0:",
        "if False:",
        ("rwmutex_a_cancelled_writer_lets_readers_in", "rwmutex_cancels_race_unlocks"),
    ),
    "waitgroupone": Mutation(
        "a WaitGroup at zero wakes one of several waiters",
        "waitgroup.WaitGroup.last",
        "op = self.q.takeall()",
        "op = self.q.take()",
        ("waitgroup_wakes_everybody",),
    ),
    "waitgroupword": Mutation(
        "who waits on a WaitGroup sets its bit with a store",
        "waitgroup.WaitGroup.park",
        "if s & 1 != 0 or cas(self.state, s, s | 1):",
        "load(self.state)\n        self.state.v = s | 1\n        if True:",
        ("waitgroup_wakes_everybody", "waitgroup_is_used_again"),
    ),
    "waitgroupcancel": Mutation(
        "a waiter that leaves a WaitGroup takes the bit of the others along",
        "waitgroup.Waitop.unqueue",
        "if wg.q.remove(self) and wg.q.first is None:",
        "if wg.q.remove(self):",
        ("waitgroup_a_cancelled_waiter_leaves_the_others",),
    ),
    "oncelook": Mutation(
        "who waits for a Once does not look whether it ended meanwhile",
        "once.Oncewait.start",
        "if load(o.state) == DONE:",
        "if False:",
        ("once_runs_once",),
    ),
    "condlost": Mutation(
        "Cond.wait drops its lock before it stands in the queue",
        "cond.Condwait.start",
        """        lock(c.mu)
        gopark(self, 12)
        c.q.push(self)
        unlock(c.mu)
        c.locker.drop(pp)
""",
        """        c.locker.drop(pp)
        lock(c.mu)
        gopark(self, 12)
        c.q.push(self)
        unlock(c.mu)
""",
        ("cond_signals_race_waits", "cond_bounded_buffer"),
    ),
    "condstolen": Mutation(
        "a signal counts for a waiter that a cancel has won",
        "sema.Waitq.take",
        """            if op.wins():
                return op
""",
        """            return op if op.wins() else None
""",
        ("cond_cancel_races_signal", "mutex_cancelled_waiters_pass_it_on"),
    ),
    "semaphorecancel": Mutation(
        "a cancelled waiter for many units leaves those that it held up",
        "semaphore.Acquire.unqueue",
        "op = s.admit(load(s.state))",
        "op = None",
        ("semaphore_cancelled_waiters_let_others_in", "semaphore_cancels_race_releases"),
    ),
    "contextadopt": Mutation(
        "a new context does not look whether its parent was cancelled meanwhile",
        "context.adopt",
        "if load(parent.state) == CANCELLED:",
        "if False:",
        ("context_cancel_races_new_children",),
    ),
    "contextskip": Mutation(
        "a cancel leaves out the contexts below the children",
        "context.cancelnode",
        "for ref in list(at.children.values()):",
        "for ref in list(at.children.values()) if at is node else ():",
        ("context_cancel_reaches_every_descendant",),
    ),
    "contexttwice": Mutation(
        "two cancels of a context both take effect",
        "context.cancelnode",
        "if cas(at.state, LIVE, CANCELLING):",
        "if load(at.state) == LIVE:\n            store(at.state, CANCELLING)",
        ("context_cancels_race", "context_cancel_races_the_deadline"),
    ),
    "groupforgets": Mutation(
        "a group forgets a failure when it has one already",
        "group.adderror",
        "    grp.errors.setdefault(",
        "    if not grp.errors:\n        grp.errors.setdefault(",
        ("group_forgets_no_failure",),
    ),
    "groupearly": Mutation(
        "a block ends when no child runs, though others wait for their turn",
        "group.Groupwait.start",
        "if grp.nlive == 0:",
        "if not grp.children:",
        ("group_block_ends_between_children", "group_limit_holds"),
    ),
    "groupborn": Mutation(
        "a child that comes after its group's cancel is not born cancelled",
        "group.gogroup",
        "        if reached:\n            borncancelled(gp)\n",
        "",
        ("group_go_races_cancel",),
    ),
    "timeoutstays": Mutation(
        "what a timeout asked for outlives its block",
        "scope.unlink",
        "    update(gp)\n",
        "",
        ("timeouts_come_in_time", "timeout_races_the_end"),
    ),
    "shieldleaks": Mutation(
        "a shield lets a goroutine's own cancel through",
        "scope.effective",
        """        if sc.shielded and not (pierced and sc.timer is None):
            return False
""",
        "",
        ("shields_hold",),
    ),
    "lateborn": Mutation(
        "a thread starts a goroutine in a runtime that has gone down",
        "proc.startglobal",
        """    if load(sched.up) == 0 or (load(sched.draining) != 0 and curm() is None):
        unlock(sched.lock)
        return False
""",
        "",
        ("a_thread_starts_goroutines_past_the_end",),
    ),
    "agenlate": Mutation(
        "a run ends while another M begins to close its async generators",
        "asyncgen.closesuspended",
        "    more = gcount() != 0\n",
        "    more = False\n",
        ("suspended_generators_are_closed",),
    ),
    "timerstale": Mutation(
        "a timer sends though it was reset meanwhile",
        "ticks.feedtime",
        "if f.seq == seq and not c.closed:",
        "if not c.closed:",
        ("timer_resets_race", "timer_stop_races_its_time", "timer_reset_leaves_no_stale_time"),
    ),
    "cleanuplost": Mutation(
        "the cleanup goroutine clears its word after its look at the queue",
        "cleanup.runcleanups",
        """            store(sched.cleanupwake, 0)  # before the look at the queue
            while queue:
""",
        """            while queue:
""",
        ("cleanups_run_once",),
        (
            (
                "cleanup.runcleanups",
                "            await sleepop(w)\n",
                "            store(sched.cleanupwake, 0)\n            await sleepop(w)\n",
            ),
        ),
    ),
    "latewake": Mutation(
        "a system goroutine that is woken as the run ends is left in the list (found here)",
        "systemg.dropsysg",
        "    if late and (gp is None or not cas(gp.status_, Grunnable, Gdead)):\n",
        "    if late:\n",
        ("cleanups_run_once",),
    ),
    "joinerlinks": Mutation(
        "a joiner that was cancelled clears its link, which who wakes them goes along (found here)",
        "proc.Join.unqueue",
        "            unlock(gp.lock)  # wakejoiners goes along the queue now\n",
        "            self.next = None\n            unlock(gp.lock)\n",
        ("cancelled_joiners_leave_the_others",),
    ),
}


def resolve(where: str) -> tuple[Any, FunctionType]:
    """The simulated module and the function."""
    module_name, *names = where.split(".")
    module: Any = getattr(_pure.simulated().runtime, module_name)
    fn: Any = module
    for name in names:
        fn = inspect.getattr_static(fn, name) if isinstance(fn, type) else getattr(fn, name)
    return module, inspect.unwrap(fn)  # of what tells a run's story


@cache
def mutant(where: str, *pairs: tuple[str, str]) -> Any:
    """The code of the function with the fault in it: each first text made the second."""
    module, fn = resolve(where)
    source = textwrap.dedent(inspect.getsource(fn))
    for old, new in pairs:
        if source.count(old) != 1:  # a method's text was dedented
            old, new = ("".join(x[4:] for x in t.splitlines(True)) for t in (old, new))
        if source.count(old) != 1:
            raise AssertionError(f"{where} does not hold this text any more:\n{old}")
        source = source.replace(old, new)
    space: dict[str, Any] = {}
    text = "from __future__ import annotations\n" + source
    exec(compile(text, f"<{where}, mutated>", "exec"), vars(module), space)
    return space[fn.__name__].__code__


@contextmanager
def applied(mutation: Mutation) -> Iterator[None]:
    """With the fault in the simulated runtime, whoever imported the function."""
    edits: dict[str, list[tuple[str, str]]] = {}
    for where, old, new in ((mutation.where, mutation.old, mutation.new), *mutation.more):
        edits.setdefault(where, []).append((old, new))
    undo = []
    try:
        for where, pairs in edits.items():
            _, fn = resolve(where)
            undo.append((fn, fn.__code__))
            fn.__code__ = mutant(where, *pairs)
        yield
    finally:
        for fn, code in reversed(undo):
            fn.__code__ = code


def caught(name: str, seed: int) -> str:
    """How the simulator fails with a case under a seed; empty when it does not."""
    try:
        runcase(CASES[name], seed)
    except FAILURES as exc:
        return f"{type(exc).__name__}: {exc}".partition("\n")[0]
    return ""


KNOWN = Path(__file__).with_name("caught.txt")
"""A line for each fault: its name, the case and the seed that showed it last. A change
of the runtime shifts schedules, and may ask for other seeds."""


@dataclass(frozen=True)
class Found:
    """What a search came to. broken: seeds that fail without the fault too."""

    name: str
    runs: int
    case: str
    seed: int
    how: str
    seconds: float
    broken: list[str]


def known() -> dict[str, tuple[str, int]]:
    rows = [line.split() for line in KNOWN.read_text().splitlines()]
    return {name: (case, int(seed)) for name, case, seed in rows}


def search(name: str, seeds: int) -> Found:
    """Run until it is caught, by a seed under which the case passes without the fault."""
    mutation = MUTATIONS[name]
    warnings.simplefilter("ignore", RuntimeWarning)  # coroutines of runs that were cut off
    start = time.perf_counter()
    runs = 0
    broken = []
    with swapped():
        for seed in range(seeds // len(mutation.cases)):
            for case in mutation.cases:
                runs += 1
                with applied(mutation):
                    how = caught(case, seed)
                if not how:
                    continue
                own = caught(case, seed)
                if not own:
                    return Found(name, runs, case, seed, how, seconds(start), broken)
                broken.append(f"{again(CASES[case], seed)}: {own}")
    return Found(name, runs, "", -1, "NOT CAUGHT", seconds(start), broken)


def seconds(since: float) -> float:
    return time.perf_counter() - since


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="runs at most for each")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--write", action="store_true", help="note what caught them")
    parser.add_argument("names", nargs="*", metavar="NAME")
    args = parser.parse_args()
    names = args.names or list(MUTATIONS)
    missed = broken = 0
    rows = known() if KNOWN.exists() else {}
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(args.jobs, mp_context=context) as pool:
        found = pool.map(search, names, [args.seeds] * len(names))
        for x in found:
            missed += not x.case
            if x.case:
                rows[x.name] = x.case, x.seed
            for text in x.broken:
                broken += 1
                print(f"FAILS WITHOUT A FAULT: {text}")
            print(f"{x.name:16} {x.runs:6} runs {x.seconds:7.1f} s  {x.case} {x.seed}: {x.how}")
            sys.stdout.flush()
    if args.write:
        lines = [f"{name} {rows[name][0]} {rows[name][1]}\n" for name in MUTATIONS if name in rows]
        KNOWN.write_text("".join(lines))
    print(f"{len(names) - missed} of {len(names)} faults caught")
    return 1 if missed or broken else 0


if __name__ == "__main__":
    sys.exit(main())
