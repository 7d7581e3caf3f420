#define _GNU_SOURCE 1
#include "CLinux.h"
#include <arpa/nameser.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <resolv.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static _Thread_local void *thread_worker;

void *chimera_thread_worker(void) { return thread_worker; }
void chimera_set_thread_worker(void *worker) { thread_worker = worker; }

int chimera_accept(int listener, struct sockaddr_storage *address, socklen_t *length) {
    return accept4(listener, (struct sockaddr *)address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int chimera_open_beneath(int directory, const char *path, int flags) {
    struct open_how how;
    memset(&how, 0, sizeof how);
    how.flags = (uint64_t)flags;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
}

int chimera_open_place(int directory, const char *path) {
    return openat(directory, path, O_PATH | O_CLOEXEC);
}

long chimera_read_resident(int file, void *room, size_t count, int64_t offset) {
    struct iovec part = {.iov_base = room, .iov_len = count};
    return preadv2(file, &part, 1, (off_t)offset, RWF_NOWAIT);
}

uint64_t chimera_acknowledged(int socket) {
    struct tcp_info info;
    socklen_t length = sizeof info;
    memset(&info, 0, sizeof info);
    if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return 0;
    return info.tcpi_bytes_acked;
}

int chimera_errno(void) { return errno; }

void chimera_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

int chimera_query_name(const char *name, int v6, unsigned char *answer, int capacity) {
    struct __res_state state;
    memset(&state, 0, sizeof state);
    if (res_ninit(&state) != 0) return -1;
    state.retrans = 2;
    state.retry = 1;
    int length = res_nsearch(&state, name, ns_c_in, v6 ? ns_t_aaaa : ns_t_a, answer, capacity);
    res_nclose(&state);
    return length > capacity ? capacity : length;
}

int chimera_usable_cores(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int count = CPU_COUNT(&set);
    return count < 1 ? 1 : count;
}

int chimera_synchronise(int file) {
    return syncfs(file);
}
