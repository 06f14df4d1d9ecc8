/* posix_spawn with file actions and attributes; a failing one reports its error. */
#include <spawn.h>
#include "check.h"

extern char **environ;

int main(void) {
  int channel[2];
  CHECK(pipe(channel) == 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, channel[1], 1);
  posix_spawn_file_actions_addclose(&actions, channel[0]);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  pid_t pid;
  char *argv[] = {"sh", "-c", "echo spawned; exit 9", NULL};
  CHECK(posix_spawn(&pid, "/bin/sh", &actions, &attributes, argv, environ) == 0);
  CHECK(getpgid(pid) == pid);
  close(channel[1]);
  char text[100] = {0};
  CHECK(read(channel[0], text, sizeof text) > 0);
  say("read: %s", text);
  say_ending("spawned", pid);
  say("no such program: %d", posix_spawn(&pid, "/nonexistent", NULL, NULL, argv, environ));
  for (int i = 0; i < 50; i++) {
    char *quick[] = {"true", NULL};
    CHECK(posix_spawnp(&pid, "true", NULL, NULL, quick, environ) == 0);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  }
  say("50 spawned in a row");
  return 0;
}
