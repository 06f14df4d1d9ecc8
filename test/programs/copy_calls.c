/* sendfile, splice, tee, vmsplice, copy_file_range, readv and preadv move bytes unharmed. */
#include <sys/sendfile.h>
#include <sys/uio.h>
#include "check.h"

int main(void) {
  FILE *from = tmpfile(), *to = tmpfile();
  char *text = malloc(100000);
  for (int i = 0; i < 100000; i++) text[i] = (char)(i * 7);
  CHECK(write(fileno(from), text, 100000) == 100000);
  off_t offset = 1000;
  CHECK(sendfile(fileno(to), fileno(from), &offset, 50000) == 50000);
  char *back = malloc(100000);
  CHECK(pread(fileno(to), back, 50000, 0) == 50000 && memcmp(back, text + 1000, 50000) == 0);
  say("sendfile: offset %ld", (long)offset);
  int channel[2], other[2];
  CHECK(pipe(channel) == 0 && pipe(other) == 0);
  offset = 0;
  CHECK(splice(fileno(from), &offset, channel[1], NULL, 10000, 0) == 10000);
  CHECK(tee(channel[0], other[1], 10000, 0) == 10000);
  CHECK(read(channel[0], back, 10000) == 10000 && memcmp(back, text, 10000) == 0);
  CHECK(read(other[0], back, 10000) == 10000 && memcmp(back, text, 10000) == 0);
  say("splice and tee");
  struct iovec vector = {text + 5000, 8000};
  CHECK(vmsplice(channel[1], &vector, 1, 0) == 8000);
  CHECK(read(channel[0], back, 8000) == 8000 && memcmp(back, text + 5000, 8000) == 0);
  say("vmsplice");
  loff_t in = 0, out = 0;
  CHECK(copy_file_range(fileno(from), &in, fileno(to), &out, 30000, 0) == 30000);
  struct iovec parts[3] = {{back, 10}, {back + 1000, 9990}, {back + 50000, 20000}};
  CHECK(preadv(fileno(to), parts, 3, 0) == 30000);
  CHECK(memcmp(back, text, 10) == 0 && memcmp(back + 1000, text + 10, 9990) == 0);
  CHECK(memcmp(back + 50000, text + 10000, 20000) == 0);
  say("copy_file_range and preadv");
  say("bad address: %d", read(fileno(from), (void *)PAGE, 10) == -1 ? errno : lseek(fileno(from), 0, SEEK_SET) == 0 && read(fileno(from), (void *)PAGE, 10) == -1 ? errno : 0);
  return 0;
}
