/*
 * malloc-heavy [SECONDS [THREADS]]: threads that allocate, fill, reallocate and free blocks of 16 bytes to 1 MB.
 * Prints the operations per second of all threads together.
 *
 * Half of the sizes are below 256 bytes, a few percent above glibc's first mmap threshold (128 KB), so that the
 * allocator maps and unmaps too, and its arenas grow and shrink. Every block is checked before it goes.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SLOTS = 512, MAX_THREADS = 64, CHECK_CLOCK_EVERY = 256 };

static double seconds = 2;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static size_t random_size(uint64_t *state)
{
    uint64_t class = next_random(state) % 1000;
    uint64_t random = next_random(state);
    if (class < 500)
        return 16 + random % 240;
    if (class < 850)
        return 256 + random % 3840;
    if (class < 970)
        return 4096 + random % (128 * 1024 - 4096);
    return 128 * 1024 + random % (1024 * 1024 - 128 * 1024);
}

/* Both ends of a block are marked, a large one in every page: that is what makes memory resident. */
static void mark(unsigned char *block, size_t size, unsigned char value)
{
    for (size_t at = 0; at < size; at += 4096)
        block[at] = value;
    block[size - 1] = value;
}

static void check(const unsigned char *block, size_t size, unsigned char value)
{
    for (size_t at = 0; at < size; at += 4096)
        if (block[at] != value)
            abort();
    if (block[size - 1] != value)
        abort();
}

static void *allocate(void *argument)
{
    uint64_t state = 0x9e3779b97f4a7c15u * ((uintptr_t)argument + 1);
    unsigned char *blocks[SLOTS] = {0};
    size_t sizes[SLOTS] = {0};
    uintptr_t operations = 0;
    double end = now() + seconds;
    do {
        for (int i = 0; i < CHECK_CLOCK_EVERY; i++, operations++) {
            size_t slot = next_random(&state) % SLOTS;
            unsigned char value = (unsigned char)slot;
            size_t size = random_size(&state);
            if (blocks[slot] == NULL) {
                blocks[slot] = malloc(size);
            } else {
                check(blocks[slot], sizes[slot], value);
                if (next_random(&state) % 4 == 0) {
                    blocks[slot] = realloc(blocks[slot], size);
                    if (blocks[slot] == NULL || blocks[slot][0] != value)
                        abort();
                } else {
                    free(blocks[slot]);
                    blocks[slot] = NULL;
                    continue;
                }
            }
            if (blocks[slot] == NULL)
                abort();
            sizes[slot] = size;
            mark(blocks[slot], size, value);
        }
    } while (now() < end);
    for (size_t slot = 0; slot < SLOTS; slot++)
        free(blocks[slot]);
    return (void *)operations;
}

int main(int argc, char **argv)
{
    pthread_t threads[MAX_THREADS];
    int count = argc > 2 ? atoi(argv[2]) : 4;
    if (argc > 1)
        seconds = atof(argv[1]);
    if (count < 1 || count > MAX_THREADS || seconds <= 0)
        return 2;
    double start = now();
    for (int i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, allocate, (void *)(uintptr_t)i) != 0)
            return 1;
    uintptr_t operations = 0;
    for (int i = 0; i < count; i++) {
        void *result;
        pthread_join(threads[i], &result);
        operations += (uintptr_t)result;
    }
    printf("%.0f\n", (double)operations / (now() - start));
    return 0;
}
