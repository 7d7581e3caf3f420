// Requests at a constant rate, and how long each took from the moment at which it was due.
//
//   constant_rate PORT PATH HOST CONNECTIONS RATE SECONDS [sleep]
//
// A client that waits for an answer before it asks again does not ask while the server is slow, and so hides what
// real clients would have met. Here each request is due at its own time, whatever became of those before it; where no
// connection is free it waits, and that wait counts. The first second is left out. It polls without sleeping, so it
// needs a core of its own; with `sleep` it waits for the next event, where something else needs the core. Prints one line: requests, requests a second, p50, p99, p99.9 and the greatest time in
// microseconds, and failures.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct connection {
    int fd;
    int64_t due;      // Of the request under way; 0 where there is none.
    size_t have;      // Bytes of the answer so far.
    size_t whole;     // Bytes of the whole answer; 0 until its head is there.
    char head[2048];
};

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

// Reads what came; 1 where the answer is whole, 0 where not, -1 where it is none.
static int receive(struct connection *c) {
    static char room[1 << 16];
    for (;;) {
        ssize_t n = recv(c->fd, room, sizeof room, MSG_DONTWAIT);
        if (n < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
        if (n == 0) return -1;
        if (!c->whole) {
            size_t kept = c->have < sizeof c->head - 1 ? sizeof c->head - 1 - c->have : 0;
            if (kept > (size_t)n) kept = n;
            memcpy(c->head + c->have, room, kept);
            c->head[c->have + kept] = 0;
            char *end = strstr(c->head, "\r\n\r\n");
            if (end) {
                char *length = strcasestr(c->head, "\r\ncontent-length:");
                if (!length || strncmp(c->head, "HTTP/1.1 200", 12)) return -1;
                c->whole = (size_t)(end - c->head) + 4 + strtoul(length + 17, NULL, 10);
            } else if (!kept) {
                return -1;
            }
        }
        c->have += n;
        if (c->whole && c->have >= c->whole) return c->have == c->whole ? 1 : -1;
        if ((size_t)n < sizeof room) return 0;
    }
}

int main(int argc, char **argv) {
    int sleeps = argc == 8 && !strcmp(argv[7], "sleep");
    if (argc != 7 && !sleeps) {
        fprintf(stderr, "usage: %s PORT PATH HOST CONNECTIONS RATE SECONDS [sleep]\n", argv[0]);
        return 2;
    }
    int count = atoi(argv[4]), rate = atoi(argv[5]), seconds = atoi(argv[6]);
    if (count < 1 || rate < 1 || seconds < 2) return 2;
    char request[1024];
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", argv[2], argv[3]);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct connection *all = calloc(count, sizeof *all);
    int *free_list = calloc(count, sizeof *free_list), free_count = 0;
    size_t room = (size_t)rate * seconds + 1, done = 0, failures = 0;
    uint32_t *times = malloc(room * sizeof *times);
    int poll = epoll_create1(0), one = 1;
    if (!all || !free_list || !times || poll < 0) fail("setting up");
    for (int i = 0; i < count; i++) {
        all[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        if (all[i].fd < 0 || connect(all[i].fd, (struct sockaddr *)&to, sizeof to)) fail("connect");
        setsockopt(all[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &event)) fail("epoll_ctl");
        free_list[free_count++] = i;
    }
    int64_t begin = now(), end = begin + seconds * 1000000000LL, counted = begin + 1000000000LL;
    uint64_t sent = 0;
    while (now() < end) {
        while (free_count) {
            int64_t due = begin + (int64_t)(sent * 1e9 / rate);
            if (due > now()) break;
            struct connection *c = &all[free_list[--free_count]];
            c->due = due;
            c->have = c->whole = 0;
            sent++;
            if (send(c->fd, request, length, MSG_NOSIGNAL) != length) fail("send");
        }
        struct epoll_event events[64];
        int64_t pause = begin + (int64_t)(sent * 1e9 / rate) - now();
        // Where no connection is free, an answer is what has to come first.
        if (!free_count) pause = 1000000;
        struct timespec timeout = {.tv_nsec = sleeps && pause > 0 ? (pause < 1000000 ? pause : 1000000) : 0};
        int n = epoll_pwait2(poll, events, 64, &timeout, NULL);
        for (int i = 0; i < n; i++) {
            struct connection *c = &all[events[i].data.u32];
            int what = c->due ? receive(c) : -1;
            if (what == 0) continue;
            if (what < 0) {
                failures++;
                epoll_ctl(poll, EPOLL_CTL_DEL, c->fd, NULL);
                continue;
            }
            int64_t took = now() - c->due;
            if (c->due >= counted && done < room) times[done++] = took / 1000 > UINT32_MAX ? UINT32_MAX : took / 1000;
            c->due = 0;
            free_list[free_count++] = events[i].data.u32;
        }
    }
    if (!done) {
        fprintf(stderr, "no answers, %zu failures\n", failures);
        return 1;
    }
    qsort(times, done, sizeof *times, compare);
    printf("%zu %.0f %u %u %u %u %zu\n", done, done / (seconds - 1.0), times[done / 2], times[done * 99 / 100],
           times[done * 999 / 1000], times[done - 1], failures);
    return 0;
}
