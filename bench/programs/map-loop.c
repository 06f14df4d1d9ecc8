/* map-loop [PAIRS]: maps 64 KB of anonymous memory and unmaps it again; prints the nanoseconds of one pair. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

int main(int argc, char **argv)
{
    enum { LENGTH = 64 * 1024 };
    long pairs = argc > 1 ? atol(argv[1]) : 10000;
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (long i = 0; i < pairs; i++) {
        void *memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED || munmap(memory, LENGTH) != 0)
            return 1;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    double nanoseconds = (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
    printf("%.1f\n", nanoseconds / (double)pairs);
    return 0;
}
