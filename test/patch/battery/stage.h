/* What a case of the battery has to define, and what it may use. */
#ifndef STAGE_H
#define STAGE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 256
#define NOINLINE __attribute__((noinline))

/** Keeps the compiler from knowing what a variable holds, and from doing without it. */
#define UNKNOWN(variable) __asm__ volatile("" : : "r"(&(variable)) : "memory")

#ifdef __cplusplus
extern "C" {
#endif

/** Called once, before any thread looks. */
void setup(void);

/** Writes what a thread sees now; called over and over by each of three threads, by one at a time. */
void look(char line[LINE_SIZE]);

#ifdef __cplusplus
}
#endif

#endif
