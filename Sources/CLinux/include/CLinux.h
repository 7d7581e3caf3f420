// What Swift's Glibc module lacks: epoll and its relatives, GNU extensions behind feature macros, variadic calls,
// and one thread-local variable. Nothing here is defined that the Glibc module defines too.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

/// The worker whose thread this is, or NULL.
void *chimera_thread_worker(void);
void chimera_set_thread_worker(void *worker);

/// accept4 with SOCK_NONBLOCK and SOCK_CLOEXEC; the peer's address goes to `address`.
int chimera_accept(int listener, struct sockaddr_storage *address, socklen_t *length);

/// Opens without following a symbolic link out of the directory (openat2 with RESOLVE_BENEATH).
int chimera_open_beneath(int directory, const char *path, int flags);

/// Opens a place only, following symbolic links: what it is can be asked, nothing is read (O_PATH).
int chimera_open_place(int directory, const char *path);

/// Reads at `offset` only what is in memory already (RWF_NOWAIT): EAGAIN where the disk would be waited for,
/// EOPNOTSUPP where the file system cannot tell.
long chimera_read_resident(int file, void *room, size_t count, int64_t offset);

/// How many bytes the peer of a TCP connection has acknowledged so far; 0 where the kernel does not say.
uint64_t chimera_acknowledged(int socket);

/// errno of this thread.
int chimera_errno(void);

/// Names the calling thread, for ps and debuggers.
void chimera_name_thread(const char *name);

/// Asks the name servers of /etc/resolv.conf for the IPv4 or IPv6 addresses of a name, with its search list, once and
/// for two seconds at most each. Blocks.
///
/// Returns how many bytes of the answer are in `answer`, or -1 where there is none.
int chimera_query_name(const char *name, int v6, unsigned char *answer, int capacity);

/// How many cores the process's affinity allows; at least 1.
int chimera_usable_cores(void);
