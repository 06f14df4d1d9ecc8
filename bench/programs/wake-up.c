/*
 * wake-up [ROUNDS]: two processes, each on a core of its own, pass a byte to and fro through pipes. Half of a round is
 * the wake-up of a task that sleeps on another core: what the kernel makes us pay for every stop that crosses cores.
 * Prints p50, p99 and max in microseconds. Ends with 3 when this process may use one core only.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int compare(const void *a, const void *b)
{
    double difference = *(const double *)a - *(const double *)b;
    return (difference > 0) - (difference < 0);
}

static void pin(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        exit(1);
}

static int nth_allowed_core(int n)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return -1;
    for (int core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, &allowed) && n-- == 0)
            return core;
    return -1;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 5000;
    int first = nth_allowed_core(0), second = nth_allowed_core(1);
    if (second < 0)
        return 3;
    int ping[2], pong[2];
    double *microseconds = calloc((size_t)rounds, sizeof *microseconds);
    if (microseconds == NULL || rounds < 1 || pipe(ping) != 0 || pipe(pong) != 0)
        return 1;
    char byte = 0;
    pid_t child = fork();
    if (child < 0)
        return 1;
    if (child == 0) {
        pin(second);
        close(ping[1]);
        while (read(ping[0], &byte, 1) == 1)
            if (write(pong[1], &byte, 1) != 1)
                break;
        _exit(0);
    }
    pin(first);
    for (int i = 0; i < rounds; i++) {
        struct timespec start, end;
        /* Long enough that the other side is asleep, and its core perhaps too. */
        usleep(100);
        clock_gettime(CLOCK_MONOTONIC, &start);
        if (write(ping[1], &byte, 1) != 1 || read(pong[0], &byte, 1) != 1)
            return 1;
        clock_gettime(CLOCK_MONOTONIC, &end);
        microseconds[i] = ((double)(end.tv_sec - start.tv_sec) * 1e6 + (double)(end.tv_nsec - start.tv_nsec) / 1e3) / 2;
    }
    close(ping[1]);
    waitpid(child, NULL, 0);
    qsort(microseconds, (size_t)rounds, sizeof *microseconds, compare);
    printf("%.2f %.2f %.2f\n", microseconds[rounds / 2], microseconds[rounds * 99L / 100], microseconds[rounds - 1]);
    return 0;
}
