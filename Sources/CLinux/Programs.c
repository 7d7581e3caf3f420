#define _GNU_SOURCE 1
#include "CLinux.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { stack_bytes = 16 * 1024 };

struct beginning {
    const struct chimera_program *program;
    pid_t parent;
    // Memory is shared with the parent until the program has taken over, so this is how it hears of a failure.
    int failure;
};

// What runs between the two processes: system calls alone, since the parent's other threads may hold any lock. The
// changes of user are made without glibc, whose own would tell those threads.
static int become(const struct chimera_program *program) {
    if (!program->changes_user) return 0;
    if (syscall(SYS_setgroups, program->group_count, program->groups) != 0) return -1;
    if (syscall(SYS_setresgid, program->group, program->group, program->group) != 0) return -1;
    return (int)syscall(SYS_setresuid, program->user, program->user, program->user);
}

static int place(int from, int to) {
    if (from != to) return dup2(from, to);
    int flags = fcntl(from, F_GETFD);
    return flags < 0 ? -1 : fcntl(from, F_SETFD, flags & ~FD_CLOEXEC);
}

static void close_others(void) {
    if (syscall(SYS_close_range, 3u, ~0u, 0u) == 0) return;
    // An older kernel: all that is ours is closed on exec anyway.
    struct rlimit limit;
    int most = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 65536 ? (int)limit.rlim_cur : 65536;
    for (int descriptor = 3; descriptor < most; descriptor++) close(descriptor);
}

// A process group of its own, and no terminal that somebody might be typing at. A session of its own would see to both,
// but the scheduler gives every session a share of its own (sched(7), autogroup), and each switch from one to another costs
// more than one within. So the terminal is given up, and the session stays: without a terminal it means nothing.
static void leave_terminal(void) {
    int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    int has_none = terminal < 0 && errno == ENXIO;
    int has_left = terminal >= 0 && ioctl(terminal, TIOCNOTTY) == 0;
    if (terminal >= 0) close(terminal);
    if (has_none || has_left) setpgid(0, 0);
    else setsid();
}

// As much as the limit that there is allows; a program may make it less, and not more again.
static int limit(int resource, unsigned long most, unsigned long last) {
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0) return -1;
    limit.rlim_cur = most < limit.rlim_max ? most : limit.rlim_max;
    limit.rlim_max = last < limit.rlim_max ? last : limit.rlim_max;
    return setrlimit(resource, &limit);
}

static int limit_resources(const struct chimera_program *program) {
    if (program->descriptors > 0 && limit(RLIMIT_NOFILE, program->descriptors, ~0ul) != 0) return -1;
    if (program->descriptors_max > 0 && limit(RLIMIT_NOFILE, program->descriptors_max, program->descriptors_max) != 0)
        return -1;
    if (program->address_space > 0 && limit(RLIMIT_AS, program->address_space, program->address_space) != 0) return -1;
    // It hears SIGXCPU first, and is killed a second later.
    if (program->cpu_seconds > 0 && limit(RLIMIT_CPU, program->cpu_seconds, program->cpu_seconds + 1) != 0) return -1;
    return 0;
}

// All of them, also the two that glibc keeps for itself and does not let anybody name: the program may have another libc.
static void make_signals_usual(void) {
    struct {
        void *handler;
        unsigned long flags;
        void *restorer;
        uint64_t mask;
    } usual = {0};
    for (int number = 1; number <= 64; number++) syscall(SYS_rt_sigaction, number, &usual, NULL, sizeof usual.mask);
}

static int begin(void *argument) {
    struct beginning *beginning = argument;
    const struct chimera_program *program = beginning->program;
    make_signals_usual();
    // What has a terminal of its own leads a session of its own.
    if (program->has_terminal) setsid();
    else leave_terminal();
    if (place(program->input, 0) < 0 || place(program->output, 1) < 0 || place(program->error, 2) < 0) goto failed;
    if (program->has_terminal && ioctl(0, TIOCSCTTY, 0) != 0) goto failed;
    if (limit_resources(program) != 0) goto failed;
    if (become(program) != 0) goto failed;
    if (program->drops_privileges && (chimera_refuse_new_privileges() != 0 || chimera_drop_capabilities() != 0))
        goto failed;
    // Behind the change of user, which would undo it.
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (syscall(SYS_getppid) != beginning->parent) _exit(127);
    if (program->directory && chdir(program->directory) != 0) goto failed;
    close_others();
    uint64_t none = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
    execve(program->path, program->arguments, program->environment);
failed:
    beginning->failure = errno;
    _exit(127);
}

// With our memory, which costs least, and with a part of our stack, since this thread waits meanwhile.
static int start_here(struct beginning *beginning) {
    _Alignas(16) char stack[stack_bytes];
    return clone(begin, stack + stack_bytes, CLONE_VM | CLONE_VFORK | SIGCHLD, beginning);
}

// Straight into a cgroup, so that nothing of it was ever outside. glibc's clone cannot say that, and without it there is no
// other stack for the child: it has a copy of our memory, and one page that is shared.
static int start_in_group(struct beginning *beginning) {
    struct beginning *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return -1;
    *shared = *beginning;
    struct clone_args arguments = {
        .flags = CLONE_VFORK | CLONE_INTO_CGROUP,
        .exit_signal = SIGCHLD,
        .cgroup = (unsigned)beginning->program->group_directory,
    };
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid == 0) begin(shared);
    int failure = errno;
    beginning->failure = shared->failure;
    munmap(shared, sizeof *shared);
    errno = failure;
    return (int)pid;
}

int chimera_start_program(const struct chimera_program *program) {
    struct beginning beginning = {.program = program, .parent = getpid(), .failure = 0};
    // Nothing of ours may run in the other process while it has our memory.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int pid = program->has_group ? start_in_group(&beginning) : start_here(&beginning);
    int failure = pid < 0 ? errno : beginning.failure;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid >= 0 && failure != 0) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
    }
    if (failure != 0) {
        errno = failure;
        return -1;
    }
    return pid;
}

int chimera_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

int chimera_terminal(int ends[2], int owner) {
    ends[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (ends[0] < 0) return -1;
    ends[1] = -1;
    if (grantpt(ends[0]) == 0 && unlockpt(ends[0]) == 0) {
        // By our end, and not by a name, which another mount could give another meaning.
        ends[1] = ioctl(ends[0], TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    }
    if (ends[1] >= 0 && owner >= 0 && fchown(ends[1], owner, -1) != 0) {
        close(ends[1]);
        ends[1] = -1;
    }
    if (ends[1] >= 0 && chimera_resize_terminal(ends[0], 80, 24) == 0) return 0;
    int failure = errno;
    if (ends[1] >= 0) close(ends[1]);
    close(ends[0]);
    errno = failure;
    return -1;
}

int chimera_resize_terminal(int end, unsigned short columns, unsigned short rows) {
    struct winsize size = {.ws_col = columns, .ws_row = rows};
    return ioctl(end, TIOCSWINSZ, &size);
}

int chimera_terminal_size(int terminal, unsigned short *columns, unsigned short *rows) {
    struct winsize size;
    if (ioctl(terminal, TIOCGWINSZ, &size) != 0) return -1;
    *columns = size.ws_col;
    *rows = size.ws_row;
    return 0;
}

static int left_terminal = -1;
static struct termios left_mode;

static void leave_in_mode(int number) {
    tcsetattr(left_terminal, TCSANOW, &left_mode);
    signal(number, SIG_DFL);
    raise(number);
}

void chimera_restore_terminal_at_end(int terminal, const struct termios *mode) {
    left_terminal = terminal;
    left_mode = *mode;
    const int ends[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT};
    for (size_t index = 0; index < sizeof ends / sizeof *ends; index++) {
        struct sigaction before;
        // What is ignored stays so (nohup).
        if (sigaction(ends[index], NULL, &before) == 0 && before.sa_handler == SIG_IGN) continue;
        struct sigaction action = {.sa_handler = leave_in_mode};
        sigaction(ends[index], &action, NULL);
    }
}

int chimera_fork(void) { return fork(); }

int chimera_adopt_orphans(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

int chimera_process_descriptor(int pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }
