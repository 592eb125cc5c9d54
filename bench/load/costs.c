/* The costs that bench/simgm.py takes from this machine, in ns, as lines "name value":
 * an uncontended lock, a cache line's way from one CPU to another, a futex wake-up as
 * the waker and as the sleeper see it, a switch between threads on one CPU. Each is
 * the least of its rounds, which other load on the machine disturbed least. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 15, LINES = 20000, LOCKS = 1000000, WAKES = 300, SWITCHES = 5000 };

static int32_t word, other;
static int64_t woken;
static int peer_cpu;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
}

static void sleep_on(int32_t *at, int32_t value)
{
    while (__atomic_load_n(at, __ATOMIC_ACQUIRE) == value)
        syscall(SYS_futex, at, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void wake(int32_t *at, int32_t value)
{
    __atomic_store_n(at, value, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, at, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *line_peer(void *arg)
{
    pin(peer_cpu);
    for (int32_t i = 0; i < LINES; i++) {
        while (__atomic_load_n(&word, __ATOMIC_ACQUIRE) != 2 * i + 1)
            ;
        __atomic_store_n(&word, 2 * i + 2, __ATOMIC_RELEASE);
    }
    return arg;
}

static void *wake_peer(void *arg)
{
    pin(peer_cpu);
    for (int32_t i = 0; i < WAKES; i++) {
        sleep_on(&word, i);
        __atomic_store_n(&woken, now(), __ATOMIC_SEQ_CST);
    }
    return arg;
}

static void *switch_peer(void *arg)
{
    pin(peer_cpu);
    for (int32_t i = 0; i < SWITCHES; i++) {
        sleep_on(&word, i);
        wake(&other, i + 1);
    }
    return arg;
}

static pthread_t start(void *(*fn)(void *), int cpu)
{
    pthread_t t;
    word = other = 0;
    peer_cpu = cpu;
    if (pthread_create(&t, NULL, fn, NULL))
        exit(1);
    usleep(2000);
    return t;
}

static double lock_cost(void)
{
    int64_t t = now();
    for (int i = 0; i < LOCKS; i++) {
        int32_t zero = 0;
        __atomic_compare_exchange_n(&word, &zero, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
        __atomic_exchange_n(&word, 0, __ATOMIC_RELEASE);
    }
    return (double)(now() - t) / LOCKS;
}

static double line_cost(void)
{
    pthread_t t = start(line_peer, 1);
    int64_t from = now();
    for (int32_t i = 0; i < LINES; i++) {
        __atomic_store_n(&word, 2 * i + 1, __ATOMIC_RELEASE);
        while (__atomic_load_n(&word, __ATOMIC_ACQUIRE) != 2 * i + 2)
            ;
    }
    double ns = (double)(now() - from) / LINES / 2;
    pthread_join(t, NULL);
    return ns;
}

static void wake_cost(double *call, double *latency)
{
    pthread_t t = start(wake_peer, 1);
    int64_t calls = 0, late = 0;
    for (int32_t i = 0; i < WAKES; i++) {
        woken = 0;
        usleep(50);
        int64_t from = now();
        wake(&word, i + 1);
        calls += now() - from;
        int64_t at;
        while ((at = __atomic_load_n(&woken, __ATOMIC_SEQ_CST)) == 0)
            ;
        late += at - from;
    }
    pthread_join(t, NULL);
    *call = (double)calls / WAKES;
    *latency = (double)late / WAKES;
}

static double switch_cost(void)
{
    pthread_t t = start(switch_peer, 0);
    int64_t from = now();
    for (int32_t i = 0; i < SWITCHES; i++) {
        wake(&word, i + 1);
        sleep_on(&other, i);
    }
    double ns = (double)(now() - from) / SWITCHES / 2;
    pthread_join(t, NULL);
    return ns;
}

static void print(const char *name, const double *values)
{
    double least = values[0];
    for (int i = 1; i < ROUNDS; i++)
        least = values[i] < least ? values[i] : least;
    printf("%s %.1f\n", name, least);
}

int main(void)
{
    double lock[ROUNDS], line[ROUNDS], call[ROUNDS], latency[ROUNDS], change[ROUNDS];
    pin(0);
    for (int i = 0; i < ROUNDS; i++) {
        lock[i] = lock_cost();
        line[i] = line_cost();
        wake_cost(&call[i], &latency[i]);
        change[i] = switch_cost();
    }
    print("lock", lock);
    print("line", line);
    print("wakecall", call);
    print("wakelatency", latency);
    print("osswitch", change);
}
