/*
 * Threads whose every use of a replaceable function is published in a file that the test reads. Two of them
 * sleep in the kernel until the test writes to the fifo; one is nearly always inside a replaceable function.
 * Compiled once per VERSION, to patch one into the other.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef VERSION
#define VERSION 1
#endif
/* How long the grinder stays outside: for a barrier, which can halt it only there, to find it. */
#ifndef BREAK_MICROSECONDS
#define BREAK_MICROSECONDS 2000
#endif

enum { CALLERS = 3, GRINDER = CALLERS, READER, WAITER, THREADS };

/* Read by the test: 64-bit integers, in this order. */
struct record {
    _Atomic long tid, calls, newest, backwards, torn;
};

static struct record *records;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int read_already;
static int fifo;

/* `answer` tells its own version and that of the function it calls: they change together. */
__attribute__((noipa)) int part_of_answer(int argument)
{
    return argument * 2 + VERSION;
}

__attribute__((noipa)) int answer(int argument)
{
    int part = part_of_answer(argument) - argument * 2;
    return part * 100 + VERSION + argument - argument;
}

__attribute__((noipa)) int grind(int rounds)
{
    volatile unsigned sum = 0;
    for (int round = 0; round < rounds; round++) {
        sum += (unsigned)round * VERSION;
        if (round % 1000 == 0) usleep(100);
    }
    return VERSION;
}

/* Differs from version 3 on: a patch of a patch also replaces what the first one left alone. */
__attribute__((noipa)) int later(int argument)
{
#if VERSION >= 3
    return argument * 7 + VERSION;
#else
    return argument * 5 + 1;
#endif
}

__attribute__((noinline)) static void publish(struct record *record, long version)
{
    if (version < record->newest) record->backwards++;
    record->newest = version;
    record->calls++;
}

static void call(struct record *record)
{
    int both = answer(17);
    if (both / 100 != both % 100) record->torn++;
    publish(record, both % 100);
}

static void *caller(void *argument)
{
    struct record *record = argument;
    record->tid = gettid();
    for (;;) {
        for (int times = 0; times < 50; times++) call(record);
        record->torn += later(1) != 6 && later(1) < 10;
        usleep(500);
    }
    return NULL;
}

static void *grinder(void *argument)
{
    struct record *record = argument;
    record->tid = gettid();
    for (;;) {
        publish(record, grind(20000));
        if (BREAK_MICROSECONDS > 0) usleep(BREAK_MICROSECONDS);
    }
    return NULL;
}

static void *reader(void *argument)
{
    struct record *record = argument;
    char byte;
    record->tid = gettid();
    if (read(fifo, &byte, 1) != 1 || byte != '!') abort();
    call(record);
    pthread_mutex_lock(&mutex);
    read_already = 1;
    pthread_cond_signal(&condition);
    pthread_mutex_unlock(&mutex);
    for (;;) pause();
    return NULL;
}

static void *waiter(void *argument)
{
    struct record *record = argument;
    record->tid = gettid();
    pthread_mutex_lock(&mutex);
    while (!read_already) pthread_cond_wait(&condition, &mutex);
    pthread_mutex_unlock(&mutex);
    call(record);
    for (;;) pause();
    return NULL;
}

int main(int count, char **arguments)
{
    if (count != 3) return 2;
    int file = open(arguments[1], O_RDWR);
    fifo = open(arguments[2], O_RDWR);
    if (file < 0 || fifo < 0 || ftruncate(file, sizeof(struct record) * THREADS) != 0) return 3;
    records = mmap(NULL, sizeof(struct record) * THREADS, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (records == MAP_FAILED) return 4;
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    for (int index = 0; index < THREADS; index++) {
        void *(*work)(void *) =
            index == GRINDER ? grinder : index == READER ? reader : index == WAITER ? waiter : caller;
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, &records[index]) != 0) return 5;
    }
    int signal;
    sigwait(&ends, &signal);
    return 0;
}
