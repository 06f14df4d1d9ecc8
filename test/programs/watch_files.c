/* inotify reports what happens in a folder, to a thread that already waits. */
#include <sys/inotify.h>
#include "check.h"

static char folder[] = "/tmp/atlas-test-watch-XXXXXX";

static void *toucher(void *unused) {
  pause_ms(30);
  char path[100], other[100];
  snprintf(path, sizeof path, "%s/file", folder), snprintf(other, sizeof other, "%s/renamed", folder);
  close(open(path, O_CREAT | O_WRONLY, 0600));
  CHECK(rename(path, other) == 0 && unlink(other) == 0);
  return unused;
}

int main(void) {
  CHECK(mkdtemp(folder) != NULL);
  int fd = inotify_init1(IN_CLOEXEC);
  CHECK(inotify_add_watch(fd, folder, IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE) > 0);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, toucher, NULL) == 0);
  char buffer[4096] __attribute__((aligned(8)));
  for (int count = 0; count < 4;) {
    ssize_t length = read(fd, buffer, sizeof buffer);
    CHECK(length > 0);
    for (char *at = buffer; at < buffer + length; count++) {
      struct inotify_event *event = (void *)at;
      say("%x %s", event->mask, event->name);
      at += sizeof *event + event->len;
    }
  }
  pthread_join(thread, NULL);
  rmdir(folder);
  return 0;
}
