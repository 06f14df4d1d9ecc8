/*
 * A server that is idle unless asked: one byte on the fifo is answered by one line in the output. What the
 * patches of its other versions change is told at each place; none of them may be applied.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#ifndef VERSION
#define VERSION 1
#endif

#ifdef CHANGED_DATA
int limit = 200;
#else
int limit = 100;
#endif

#ifdef OTHER_BUILD
#define FACTOR 17
#else
#define FACTOR 3
#endif

__attribute__((noipa)) int price(int units)
{
    return units * FACTOR + VERSION + limit;
}

static void *idle(void *argument)
{
    for (;;) pause();
    return argument;
}

int main(int count, char **arguments)
{
    if (count != 2) return 2;
    int fifo = open(arguments[1], O_RDWR);
    pthread_t thread;
    if (fifo < 0 || pthread_create(&thread, NULL, idle, NULL) != 0) return 3;
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    for (char byte; read(fifo, &byte, 1) == 1 && byte != 'q';) printf("%d\n", price(byte - '0'));
    return 0;
}
