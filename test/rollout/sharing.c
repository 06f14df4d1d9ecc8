/*
 * Threads that tell which generation they see, and share everything else. Each watches a constant and a
 * function, passes a token on under a mutex and a condition variable, and frees what the one before it
 * allocated. Commands come as letters on a fifo and are carried out by the thread that the next digit names.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { THREADS = 4, CHILD = THREADS, RECORDS, PAGE = 4096 };

/* Read by the test: 64-bit integers, in this order. */
struct record {
    _Atomic long tid, turns, seen_constant, seen_function, wrong_blocks;
};

extern const unsigned char constant;
const unsigned char constant = 'a';
int variable = 1;

static struct record *records;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int holder;
static unsigned char *passed;
static int log_file;

static _Atomic int order[THREADS];
static unsigned char *mapped;

__attribute__((noipa)) int function(void)
{
    return 1000;
}

static void look(struct record *record)
{
    /* Declared volatile it would not be in read-only memory. */
    record->seen_constant = *(const volatile unsigned char *)&constant;
    record->seen_function = function();
}

static void *child(void *argument)
{
    struct record *record = &records[CHILD];
    (void)argument;
    record->tid = gettid();
    for (;;) {
        look(record);
        record->turns++;
        usleep(1000);
    }
    return NULL;
}

/* What the kernel says of a page, by a call that reads or writes it on our behalf. */
static const char *state_of(unsigned char *page)
{
    static int ends[2];
    static char text[40];
    char byte;
    if (ends[0] == 0 && pipe(ends) != 0) abort();
    if (write(ends[1], page, 1) != 1) return strerrorname_np(errno);
    int writable = read(ends[0], page, 1) == 1;
    if (!writable && read(ends[0], &byte, 1) != 1) abort();
    snprintf(text, sizeof text, "%s %d", writable ? "writable" : "read-only", page[0]);
    return text;
}

static void carry_out(int self, int command)
{
    pthread_t thread;
    switch (command) {
    case 'm':
        mapped = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapped == MAP_FAILED) abort();
        memset(mapped, 7, 2 * PAGE);
        break;
    case 'p':
        if (mprotect(mapped, PAGE, PROT_READ) != 0) abort();
        break;
    case 'u':
        if (munmap(mapped, 2 * PAGE) != 0) abort();
        break;
    case 'b':
        mapped = sbrk(16 * PAGE);
        if (mapped == (void *)-1) abort();
        memset(mapped, 9, 16 * PAGE);
        break;
    case 'c':
        if (pthread_create(&thread, NULL, child, NULL) != 0) abort();
        break;
    case 's': /* shows what it sees, and changes nothing */
        break;
    }
    dprintf(log_file, "%c by %d: %s\n", command, self, mapped == NULL ? "-" : state_of(mapped));
}

static void *worker(void *argument)
{
    int self = (int)(long)argument;
    struct record *record = &records[self];
    record->tid = gettid();
    for (;;) {
        pthread_mutex_lock(&mutex);
        while (holder != self) pthread_cond_wait(&condition, &mutex);
        if (passed != NULL) {
            for (int at = 0; at < 3000; at++) record->wrong_blocks += passed[at] != (unsigned char)(self + THREADS - 1) % THREADS;
            free(passed);
        }
        passed = malloc(3000);
        memset(passed, self, 3000);
        holder = (self + 1) % THREADS;
        pthread_cond_broadcast(&condition);
        pthread_mutex_unlock(&mutex);
        look(record);
        int command = atomic_exchange(&order[self], 0);
        if (command != 0) carry_out(self, command);
        record->turns++;
        usleep(1000);
    }
    return NULL;
}

int main(int count, char **arguments)
{
    if (count != 4) return 2;
    int file = open(arguments[1], O_RDWR);
    int fifo = open(arguments[2], O_RDWR);
    log_file = open(arguments[3], O_WRONLY | O_CREAT, 0600);
    if (file < 0 || fifo < 0 || log_file < 0 || ftruncate(file, sizeof(struct record) * RECORDS) != 0) return 3;
    records = mmap(NULL, sizeof(struct record) * RECORDS, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (records == MAP_FAILED) return 4;
    for (long index = 0; index < THREADS; index++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, worker, (void *)index) != 0) return 5;
    }
    for (char command[2]; read(fifo, command, 2) == 2 && command[0] != 'q';) order[command[1] - '0'] = command[0];
    return 0;
}
