// What Swift's Glibc module lacks: epoll and its relatives, GNU extensions behind feature macros, variadic calls,
// and one thread-local variable. Nothing here is defined that the Glibc module defines too.
#pragma once
#include <termios.h>
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

// Processes: packets with descriptors, signals as a descriptor, and what a process may do.

/// A connected pair of sockets that keep the bounds of packets (SOCK_SEQPACKET), closed on exec.
int chimera_packet_pair(int pair[2]);

/// From now on a send that blocks ends with EAGAIN after so long.
void chimera_limit_sending(int socket, long milliseconds);

/// Sends one packet, with descriptors (SCM_RIGHTS, at most 253); without `wait`, EAGAIN where there is no room.
long chimera_send_packet(int socket, const void *bytes, size_t size, const int *descriptors, size_t count, int wait);

/// Receives one packet. `count` is the room for descriptors before and their number after; those are closed on
/// exec. EMSGSIZE for a packet that does not fit, which is lost then; 0 for the other side's end.
long chimera_receive_packet(int socket, void *room, size_t size, int *descriptors, size_t *count, int wait);

/// A descriptor from which these signals, which are blocked, can be read (signalfd), without blocking.
int chimera_signal_descriptor(const int *signals, size_t count);

/// The next signal of such a descriptor; 0 where none waits.
int chimera_next_signal(int descriptor);

/// No exec of this thread and its children gives it more rights (PR_SET_NO_NEW_PRIVS).
int chimera_refuse_new_privileges(void);

/// syncfs: all that was written to the file system of an open file is on its disk; -1 with errno where it is not.
int chimera_synchronise(int file);

/// The process's environment.
char **chimera_environment(void);

/// Gives up every capability of the calling thread.
int chimera_drop_capabilities(void);

// Programs that others wrote.

/// A program to start: who it is and what it begins with.
struct chimera_program {
    /// An absolute path.
    const char *path;
    /// Both end with NULL.
    char *const *arguments;
    char *const *environment;
    /// Where it runs; NULL for where this process does.
    const char *directory;
    /// What becomes its standard input, output and error.
    int input, output, error;
    /// Descriptors that it may have open unless it asks for more; 0 for as many as this process.
    unsigned long descriptors;
    /// The most of: descriptors, octets of address space, seconds of processor time; of each process, and 0 for no bound.
    unsigned long descriptors_max, address_space, cpu_seconds;
    /// Not 0: it begins in the cgroup of this open directory.
    int has_group, group_directory;
    /// Whom it runs as, where `changes_user` is not 0.
    int changes_user;
    unsigned user, group;
    const unsigned *groups;
    size_t group_count;
    /// Not 0: it has no capability and gets none.
    int drops_privileges;
    /// Not 0: `input` is a terminal, which becomes the one that controls its session.
    int has_terminal;
};

/// Starts a program in a process group of its own, with no terminal but one that it is given, no other descriptor of this
/// process, every signal as usual, and killed when the calling thread ends. Waits until it runs.
///
/// Returns its process, or -1 with the errno of what failed.
int chimera_start_program(const struct chimera_program *program);

/// A pipe whose ends are closed on exec: what is written to the second is read from the first.
int chimera_pipe(int ends[2]);

/// A terminal for a program: our end and its own, both closed on exec. Its own belongs to `owner`, unless that is -1.
int chimera_terminal(int ends[2], int owner);

/// Tells the program behind our end of a terminal how large that is.
int chimera_resize_terminal(int end, unsigned short columns, unsigned short rows);

/// How large a terminal is; -1 for what is none.
int chimera_terminal_size(int terminal, unsigned short *columns, unsigned short *rows);

/// From now on a signal that ends this process (SIGTERM, SIGHUP, SIGINT, SIGQUIT) gives the terminal this mode before it does.
void chimera_restore_terminal_at_end(int terminal, const struct termios *mode);

/// Another process like this one, as fork(2) makes it; for one that has no other threads.
int chimera_fork(void);

/// From now on this process is the parent of what its children leave behind (PR_SET_CHILD_SUBREAPER).
int chimera_adopt_orphans(void);

/// A descriptor that becomes readable when a child has ended (pidfd_open); -1 where the kernel has none.
int chimera_process_descriptor(int pid);

/// Adds to a number that this thread alone writes and that others may read: a relaxed load and a relaxed store, which
/// is what an ordinary addition costs.
static inline void chimera_count(uint64_t *cell, int64_t amount) {
    uint64_t value = __atomic_load_n(cell, __ATOMIC_RELAXED);
    __atomic_store_n(cell, value + (uint64_t)amount, __ATOMIC_RELAXED);
}

/// Such a number as it was a moment ago.
static inline uint64_t chimera_counted(const uint64_t *cell) {
    return __atomic_load_n(cell, __ATOMIC_RELAXED);
}

/// A file that is nowhere but in memory, closed on exec.
int chimera_memory_file(void);

/// The end of a pipe for writing, which nobody reads, closed on exec.
int chimera_broken_pipe(void);
