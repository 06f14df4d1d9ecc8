/* All threads of a process end one by one, without exit_group: its end is told, with the status of the last one. */
#include "held_child.h"

static void *leave(void *unused) {
  (void)unused;
  pause_ms(20);
  syscall(SYS_exit, 3);
  return NULL;
}

int main(int argc, char **argv) {
  (void)argv;
  if (argc > 1) {
    pthread_t thread;
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&thread, NULL, leave, NULL) == 0);
    syscall(SYS_exit, 0);
  }
  pid_t pid = spawn_held("leave");
  int status, told = told_within(3000, pid, &status, 0);
  say("one by one: told %d, status %x", told, told ? status : -1);
  if (!told) kill(pid, SIGKILL);
  return 0;
}
