/* What restricts or identifies one task, looked at from inside. Every attribute has a thread of its own, its owner, that
   sets it in one of the phases, and says in each what it sees; a thread that the owner makes then says it, too, and the
   first thread, which sets nothing, is the witness. Between the phases the test moves the threads.

   usage: PROGRAM PHASE FOLDER    a phase begins when FOLDER/phase-N is there */
#pragma once
#define NEVER_HELD
#include <linux/capability.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include "check.h"

#define PHASES 6
#define TEXT 120

struct attribute {
  const char *name;
  /* 0, or the error negated. */
  long (*set)(void);
  void (*show)(char *text);
};

static const struct attribute ATTRIBUTES[];
static const int COUNT;
/* Before there is a second thread. */
static void prepare(void);

static const char *folder;
static int phase_of_setting;
static volatile int phase = -1;
static int done;

struct owner {
  pthread_t thread;
  const struct attribute *attribute;
  long result;
  char own[TEXT], born[TEXT], witnessed[TEXT];
};

#define RESULT(call) ((call) == -1 ? -(long)errno : 0L)

__attribute__((format(printf, 2, 3))) static void tell(char *text, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  size_t length = strlen(text);
  vsnprintf(text + length, TEXT - length, format, arguments);
  va_end(arguments);
}

/* A path of this process alone. */
__attribute__((unused)) static const char *in_folder(char *path, const char *name) {
  snprintf(path, 300, "%s/%s-%d-%s", folder, program_invocation_short_name, phase_of_setting, name);
  return path;
}

static void *shows(void *argument) {
  struct owner *owner = argument;
  owner->attribute->show(owner->born);
  return NULL;
}

static void *owns(void *argument) {
  struct owner *owner = argument;
  for (int at = 0; at < PHASES; at++) {
    while (phase < at) pause_ms(5);
    owner->result = at == phase_of_setting ? owner->attribute->set() : 1;
    owner->own[0] = owner->born[0] = 0;
    owner->attribute->show(owner->own);
    pthread_t born;
    int error = pthread_create(&born, NULL, shows, owner);
    if (error != 0) tell(owner->born, "not born, errno %d", error);
    else pthread_join(born, NULL);
    __atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  phase_of_setting = atoi(argv[1]);
  folder = argv[2];
  prepare();
  struct owner *owners = calloc(COUNT, sizeof *owners);
  for (int i = 0; i < COUNT; i++) {
    owners[i].attribute = &ATTRIBUTES[i];
    CHECK(pthread_create(&owners[i].thread, NULL, owns, &owners[i]) == 0);
  }
  for (int at = 0; at < PHASES; at++) {
    char path[300];
    snprintf(path, sizeof path, "%s/phase-%d", folder, at);
    while (access(path, F_OK) != 0) pause_ms(5);
    done = 0;
    phase = at;
    while (__atomic_load_n(&done, __ATOMIC_SEQ_CST) < COUNT) pause_ms(5);
    for (int i = 0; i < COUNT; i++) {
      struct owner *owner = &owners[i];
      owner->witnessed[0] = 0;
      owner->attribute->show(owner->witnessed);
      if (at == phase_of_setting) say("%s, phase %d: set: %ld", owner->attribute->name, at, owner->result);
      say("%s, phase %d: owner: %s", owner->attribute->name, at, owner->own);
      say("%s, phase %d: born: %s", owner->attribute->name, at, owner->born);
      say("%s, phase %d: witness: %s", owner->attribute->name, at, owner->witnessed);
    }
    say("phase %d is over", at);
  }
  for (int i = 0; i < COUNT; i++) CHECK(pthread_join(owners[i].thread, NULL) == 0);
  return 0;
}
