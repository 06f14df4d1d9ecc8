/*
 * quote: a small price server with a pool of threads, the first target of `npm start`.
 *
 *   quote [PORT]          serves 127.0.0.1:PORT (0 or none: a free one) and says which on standard output
 *
 *   quote UNITS CENTS PERMILLE   the price of so many units after a discount in tenths of a percent
 *   order UNITS CENTS PERMILLE   the same, and booked into the ledger that all threads share
 *   statement LINES              the sum of a customer's archived order lines; slow, done by a clerk
 *   ledger                       what has been booked: `ledger ORDERS CENTS`
 *
 * The answers to the first three are `TOTAL RULE TID TURN SERIAL`:
 *   RULE    how this server rounds: it shows which version of the code computed the answer
 *   TID     the thread that answered
 *   TURN    counts that thread's answers: whoever sorts by it sees the thread's own history
 *   SERIAL  counts all answers, under the ledger's lock: a lost update would show as a serial that comes twice
 *
 * Workers sleep in epoll_wait and answer at once. Clerks take statements from a queue and spend most of their time
 * inside one call of answer_statement, waiting for the archive: they are why a barrier is slow.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 4, CLERKS = 2, LINE_MAX_LENGTH = 256, QUEUE_LENGTH = 1024, ARCHIVE_MILLISECONDS = 20 };

struct thread {
    pthread_t handle;
    pid_t tid;
    unsigned long turn;
    int epoll;
    int is_clerk;
};

/* Owned by exactly one thread at a time: the worker whose epoll set it is in, or the clerk who works for it. */
struct connection {
    int socket;
    struct thread *worker;
    size_t length;
    char input[LINE_MAX_LENGTH];
};

static struct thread workers[WORKERS], clerks[CLERKS];

static struct {
    pthread_mutex_t lock;
    unsigned long serial;
    unsigned long orders;
    long cents;
} ledger = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct connection *waiting[QUEUE_LENGTH];
    size_t first, count;
} statements = {.lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER};

static void reply(struct connection *connection, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(connection->socket, text, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return; /* the client has gone; its worker sees the end of the stream */
        text += sent;
        length -= (size_t)sent;
    }
}

static void reply_price(struct thread *self, struct connection *connection, long total, const char *rule,
                        int is_order)
{
    pthread_mutex_lock(&ledger.lock);
    unsigned long serial = ++ledger.serial;
    if (is_order) {
        ledger.orders++;
        ledger.cents += total;
    }
    pthread_mutex_unlock(&ledger.lock);

    char text[160];
    int length = snprintf(text, sizeof text, "%ld %s %d %lu %lu\n", total, rule, (int)self->tid, ++self->turn, serial);
    reply(connection, text, (size_t)length);
}

/* The price of one order line, in cents. */
static long line_price(long units, long cents, long permille)
{
    return units * cents * (1000 - permille) / 1000;
}

static void answer_quote(struct thread *self, struct connection *connection, const char *arguments)
{
    long units, cents, permille;
    if (sscanf(arguments, "%ld %ld %ld", &units, &cents, &permille) != 3) {
        reply(connection, "error quote UNITS CENTS PERMILLE\n", 33);
        return;
    }
    reply_price(self, connection, line_price(units, cents, permille), "truncated", 0);
}

static void answer_order(struct thread *self, struct connection *connection, const char *arguments)
{
    long units, cents, permille;
    if (sscanf(arguments, "%ld %ld %ld", &units, &cents, &permille) != 3) {
        reply(connection, "error order UNITS CENTS PERMILLE\n", 33);
        return;
    }
    reply_price(self, connection, line_price(units, cents, permille), "truncated", 1);
}

/* The archive of this example invents its lines; a client can compute the same ones. */
static void answer_statement(struct thread *self, struct connection *connection, const char *arguments)
{
    long total = 0;
    long lines = atol(arguments);
    for (long line = 1; line <= lines; line++)
        total += line_price(line % 7 + 1, line * 37 % 10000, line * 13 % 500);
    struct timespec archive = {.tv_nsec = ARCHIVE_MILLISECONDS * 1000000L};
    nanosleep(&archive, NULL);
    reply_price(self, connection, total, "truncated", 0);
}

static void answer_ledger(struct thread *self, struct connection *connection, const char *arguments)
{
    (void)self;
    (void)arguments;
    char text[80];
    pthread_mutex_lock(&ledger.lock);
    int length = snprintf(text, sizeof text, "ledger %lu %ld\n", ledger.orders, ledger.cents);
    pthread_mutex_unlock(&ledger.lock);
    reply(connection, text, (size_t)length);
}

static const struct command {
    const char *name;
    void (*answer)(struct thread *self, struct connection *connection, const char *arguments);
    int is_slow;
} commands[] = {
    {"quote ", answer_quote, 0},
    {"order ", answer_order, 0},
    {"statement ", answer_statement, 1},
    {"ledger", answer_ledger, 0},
};

static const struct command *command_of(const char *line)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strncmp(line, commands[i].name, strlen(commands[i].name)) == 0)
            return &commands[i];
    return NULL;
}

/* Answers the complete lines of the input. False: the next one is a statement, and this thread is no clerk. */
static int serve_lines(struct thread *self, struct connection *connection)
{
    char *end;
    while ((end = memchr(connection->input, '\n', connection->length)) != NULL) {
        *end = '\0';
        const struct command *command = command_of(connection->input);
        if (command != NULL && command->is_slow && !self->is_clerk) {
            *end = '\n';
            return 0;
        }
        if (command != NULL)
            command->answer(self, connection, connection->input + strlen(command->name));
        else
            reply(connection, "error unknown command\n", 22);
        size_t used = (size_t)(end - connection->input) + 1;
        connection->length -= used;
        memmove(connection->input, end + 1, connection->length);
    }
    return 1;
}

static void watch(struct connection *connection)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(connection->worker->epoll, EPOLL_CTL_ADD, connection->socket, &event) != 0)
        err(1, "epoll_ctl");
}

static void hand_to_clerks(struct connection *connection)
{
    epoll_ctl(connection->worker->epoll, EPOLL_CTL_DEL, connection->socket, NULL);
    pthread_mutex_lock(&statements.lock);
    if (statements.count == QUEUE_LENGTH)
        errx(1, "more than %d statements at once", QUEUE_LENGTH);
    statements.waiting[(statements.first + statements.count++) % QUEUE_LENGTH] = connection;
    pthread_cond_signal(&statements.filled);
    pthread_mutex_unlock(&statements.lock);
}

static void *work(void *argument)
{
    struct thread *self = argument;
    self->tid = gettid();
    for (;;) {
        struct epoll_event events[16];
        int count = epoll_wait(self->epoll, events, 16, -1);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            ssize_t received = recv(connection->socket, connection->input + connection->length,
                                    LINE_MAX_LENGTH - connection->length, MSG_DONTWAIT);
            if (received <= 0) {
                close(connection->socket);
                free(connection);
                continue;
            }
            connection->length += (size_t)received;
            if (!serve_lines(self, connection))
                hand_to_clerks(connection);
        }
    }
    return NULL;
}

static void *clerk(void *argument)
{
    struct thread *self = argument;
    self->tid = gettid();
    for (;;) {
        pthread_mutex_lock(&statements.lock);
        while (statements.count == 0)
            pthread_cond_wait(&statements.filled, &statements.lock);
        struct connection *connection = statements.waiting[statements.first];
        statements.first = (statements.first + 1) % QUEUE_LENGTH;
        statements.count--;
        pthread_mutex_unlock(&statements.lock);
        serve_lines(self, connection);
        watch(connection);
    }
    return NULL;
}

static void start(struct thread *thread, void *(*body)(void *), const char *kind, int index)
{
    char name[16];
    if (pthread_create(&thread->handle, NULL, body, thread) != 0)
        errx(1, "cannot create a thread");
    snprintf(name, sizeof name, "%s-%d", kind, index + 1);
    pthread_setname_np(thread->handle, name);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((unsigned short)(argc > 1 ? atoi(argv[1]) : 0)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_length = sizeof address;
    int yes = 1;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 128) != 0)
        err(1, "cannot listen on 127.0.0.1:%d", ntohs(address.sin_port));
    getsockname(listener, (struct sockaddr *)&address, &address_length);
    printf("quote serves 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);

    for (int i = 0; i < WORKERS; i++) {
        workers[i].epoll = epoll_create1(EPOLL_CLOEXEC);
        start(&workers[i], work, "worker", i);
    }
    for (int i = 0; i < CLERKS; i++) {
        clerks[i].is_clerk = 1;
        start(&clerks[i], clerk, "clerk", i);
    }
    for (int next = 0;; next = (next + 1) % WORKERS) {
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0)
            continue;
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        struct connection *connection = calloc(1, sizeof *connection);
        if (connection == NULL)
            err(1, "out of memory");
        connection->socket = client;
        connection->worker = &workers[next];
        watch(connection);
    }
}
