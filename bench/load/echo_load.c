/* Load for an echo server: connections that each keep one message in flight.
 *
 *     echo_load PORT SERVER_PID CONNECTIONS BYTES WARM_UP_SECONDS SECONDS
 *
 * Prints, as JSON, how many messages came back in SECONDS after the warm-up, and the CPU time
 * that the server's process and this one used meanwhile. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_BYTES = 65536, EVENTS = 256 };

struct connection {
    int fd;
    size_t received; /* of the message in flight */
};

static char message[MAX_BYTES], reply[MAX_BYTES];
static size_t bytes;

static void die(const char *what)
{
    fprintf(stderr, "echo_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static long long now_ns(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) < 0)
        die("clock_gettime");
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void send_message(const struct connection *c)
{
    if (send(c->fd, message, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
        die("send");
}

/* Whether the whole message is back. */
static int receive_reply(struct connection *c)
{
    ssize_t n = recv(c->fd, reply, bytes - c->received, 0);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0)
        die(n ? "recv" : "the server closed a connection");
    if (memcmp(reply, message + c->received, n) != 0)
        die("the server sent something else back");
    c->received += n;
    if (c->received < bytes)
        return 0;
    c->received = 0;
    return 1;
}

static void open_connection(struct connection *c, int port, int epoll)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int on = 1;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->received = 0;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connect");
    if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        die("TCP_NODELAY");
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0)
        die("O_NONBLOCK");
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll_ctl");
}

/* Answers replies with new messages for so long. Returns how many came back. */
static long long converse(int epoll, double seconds)
{
    struct epoll_event ready[EVENTS];
    long long end = now_ns(CLOCK_MONOTONIC) + (long long)(seconds * 1e9), messages = 0;

    while (now_ns(CLOCK_MONOTONIC) < end) {
        int n = epoll_wait(epoll, ready, EVENTS, 100);
        for (int i = 0; i < n; i++) {
            if (receive_reply(ready[i].data.ptr)) {
                messages++;
                send_message(ready[i].data.ptr);
            }
        }
    }
    return messages;
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: echo_load PORT PID CONNECTIONS BYTES WARM_UP SECONDS\n");
        return 2;
    }
    int connections = atoi(argv[3]), epoll = epoll_create1(0);
    clockid_t server;

    bytes = strtoul(argv[4], NULL, 10);
    if (bytes < 1 || bytes > MAX_BYTES)
        die("bytes");
    memset(message, 'x', bytes);
    if ((errno = clock_getcpuclockid(atoi(argv[2]), &server)))
        die("clock_getcpuclockid");

    struct connection *all = calloc(connections, sizeof *all);
    for (int i = 0; i < connections; i++)
        open_connection(&all[i], atoi(argv[1]), epoll);
    for (int i = 0; i < connections; i++)
        send_message(&all[i]);

    converse(epoll, atof(argv[5]));
    long long start = now_ns(CLOCK_MONOTONIC), server_start = now_ns(server);
    long long own_start = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    long long messages = converse(epoll, atof(argv[6]));
    if (messages == 0)
        die("no message came back");
    printf("{\"messages\": %lld, \"seconds\": %.6f, \"server_cpu_ns\": %lld, "
           "\"load_cpu_ns\": %lld}\n",
           messages, (now_ns(CLOCK_MONOTONIC) - start) / 1e9, now_ns(server) - server_start,
           now_ns(CLOCK_PROCESS_CPUTIME_ID) - own_start);
    return 0;
}
