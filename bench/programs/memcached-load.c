/*
 * memcached-load PORT SECONDS [CONNECTIONS]: one set, nine gets, over and over, on so many connections of the loopback,
 * one request at a time on each. Compares every value. Prints the requests per second.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 256, VALUE_LENGTH = 100, SETS_EVERY = 10 };

struct connection {
    int socket;
    int number;
    unsigned long count;
    size_t received, expected_length;
    char expected[512], answer[512];
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void ask(struct connection *connection)
{
    char request[512], value[VALUE_LENGTH + 1];
    int length;
    unsigned long round = connection->count / SETS_EVERY;
    snprintf(value, sizeof value, "%0*lu", VALUE_LENGTH, round);
    if (connection->count % SETS_EVERY == 0) {
        length = snprintf(request, sizeof request, "set key-%d 0 0 %d\r\n%s\r\n", connection->number, VALUE_LENGTH, value);
        connection->expected_length = (size_t)snprintf(connection->expected, sizeof connection->expected, "STORED\r\n");
    } else {
        length = snprintf(request, sizeof request, "get key-%d\r\n", connection->number);
        connection->expected_length =
            (size_t)snprintf(connection->expected, sizeof connection->expected, "VALUE key-%d 0 %d\r\n%s\r\nEND\r\n",
                             connection->number, VALUE_LENGTH, value);
    }
    connection->count++;
    connection->received = 0;
    if (send(connection->socket, request, (size_t)length, MSG_NOSIGNAL) != length) {
        perror("send");
        exit(1);
    }
}

/* True when the answer is complete, and it is what it should be. */
static int receive(struct connection *connection)
{
    ssize_t length = recv(connection->socket, connection->answer + connection->received,
                          sizeof connection->answer - connection->received, 0);
    if (length <= 0) {
        fprintf(stderr, "the server closed a connection\n");
        exit(1);
    }
    connection->received += (size_t)length;
    if (connection->received < connection->expected_length)
        return 0;
    if (connection->received != connection->expected_length ||
        memcmp(connection->answer, connection->expected, connection->expected_length) != 0) {
        fprintf(stderr, "wrong answer: %.*s\n", (int)connection->received, connection->answer);
        exit(1);
    }
    return 1;
}

int main(int argc, char **argv)
{
    static struct connection connections[MAX_CONNECTIONS];
    int count = argc > 3 ? atoi(argv[3]) : 32;
    if (argc < 3 || count < 1 || count > MAX_CONNECTIONS)
        return 2;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((unsigned short)atoi(argv[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int epoll = epoll_create1(0), yes = 1;
    for (int i = 0; i < count; i++) {
        struct connection *connection = &connections[i];
        connection->number = i;
        connection->socket = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(connection->socket, (struct sockaddr *)&address, sizeof address) != 0) {
            perror("connect");
            return 1;
        }
        setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        epoll_ctl(epoll, EPOLL_CTL_ADD, connection->socket, &event);
    }
    unsigned long answers = 0;
    double start = now(), end = start + atof(argv[2]);
    for (int i = 0; i < count; i++)
        ask(&connections[i]);
    while (now() < end) {
        struct epoll_event events[64];
        int ready = epoll_wait(epoll, events, 64, 1000);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!receive(connection))
                continue;
            answers++;
            ask(connection);
        }
    }
    printf("%.0f\n", (double)answers / (now() - start));
    return 0;
}
