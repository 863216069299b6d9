/*
 * Ends a process at its Nth system call, or makes that call fail.
 *
 * strace does so too (-e inject=), but counts the calls of each thread by themselves; here all threads count
 * together, so that one number after the other meets every call of an operation.
 */
#include "calls.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* PTRACE_GET_SYSCALL_INFO's; <sys/ptrace.h> and <linux/ptrace.h> cannot be had together. */
#define SYSCALL_INFO_SIZE sizeof(struct __ptrace_syscall_info)
/* Our own descriptors stand from here on, behind those that the command is passed. */
#define HIGH 900

#define USAGE                                                                                                \
    "Usage: inject WHAT N REPORT PID\n"                                                                      \
    "       inject WHAT N REPORT FROM COMMAND...\n"                                                          \
    "\n"                                                                                                     \
    "Watches PID from now on, which \"ready\" says; or becomes COMMAND, and watches it from the moment "     \
    "when it\n"                                                                                              \
    "opens a file whose path ends with FROM; at once if FROM is empty. Ends when it has done its work.\n"    \
    "WHAT:\n"                                                                                                \
    "  kill   SIGKILL before the Nth system call\n"                                                          \
    "  marks  SIGKILL before the Nth of those that change something outside of the process\n"                \
    "  fail   the Nth of all pairs of a call and an error that it may give, gives that error, once;\n"       \
    "         calls that only wait for other threads, or wake them up, do not count\n"                       \
    "  wait   the same of those\n"                                                                           \
    "REPORT is the file that says which call was met; it stays empty where there are fewer than N.\n"

typedef enum {
    KILL,
    MARKS,
    FAIL,
    WAIT,
} What;

static struct {
    What what;
    unsigned long left; /* so many are yet to come, the one that is meant among them */
    int report;
    pid_t pid;
    const char *from; /* nothing is counted before; %NULL: it has been seen */
    pid_t failing;    /* the thread whose call is to fail, once it has ended */
    int error;
} state;

static void
die(const char *what)
{
    fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- one call ---- */

static void
read_call(pid_t thread, const struct __ptrace_syscall_info *info, DlkCall *call)
{
    char link[64];

    *call = (DlkCall){.number = (long)info->entry.nr};
    for (guint i = 0; i < G_N_ELEMENTS(call->arguments); i++)
        call->arguments[i] = info->entry.args[i];
    g_snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)thread, (int)call->arguments[0]);
    const ssize_t length = readlink(link, call->file, sizeof call->file - 1);
    call->file[MAX(length, 0)] = '\0';
}

/* Is this where the counting begins? */
static gboolean
is_start(pid_t thread, const DlkCall *call)
{
    char path[4096] = "";
    struct iovec here = {path, sizeof path - 1};
    struct iovec there = {(void *)(gsize)call->arguments[1], sizeof path - 1};

    if (call->number != SYS_openat)
        return FALSE;
    /* Up to the end of a page it may be, and no further. */
    there.iov_len = MIN(there.iov_len, 4096 - (gsize)there.iov_base % 4096);
    if (process_vm_readv(thread, &here, 1, &there, 1, 0) < 0)
        return FALSE;
    return g_str_has_suffix(path, state.from);
}

static void
report(pid_t thread, const DlkCall *call, const char *what)
{
    char text[512];
    const char *name = dlk_call_name(call);
    const int length =
        g_snprintf(text, sizeof text, "%s %s of %s (%s)\n", what, name,
                   thread == state.pid ? "main" : "worker", call->file[0] ? call->file : "no file");

    if (write(state.report, text, (size_t)MIN(length, (int)sizeof text - 1)) < 0)
        die("report");
}

/* Not executed, where it is not one that is done even if it fails. */
static void
skip_call(pid_t thread)
{
#if defined(__x86_64__)
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, thread, NULL, &registers) < 0)
        die("PTRACE_GETREGS");
    registers.orig_rax = (unsigned long long)-1;
    if (ptrace(PTRACE_SETREGS, thread, NULL, &registers) < 0)
        die("PTRACE_SETREGS");
#elif defined(__aarch64__)
    int none = -1;
    struct iovec value = {&none, sizeof none};
    if (ptrace(PTRACE_SETREGSET, thread, NT_ARM_SYSTEM_CALL, &value) < 0)
        die("NT_ARM_SYSTEM_CALL");
#else
#error "Say how a system call is skipped on this machine."
#endif
}

static void
set_result(pid_t thread, int error)
{
    struct user_regs_struct registers;
    struct iovec value = {&registers, sizeof registers};

    if (ptrace(PTRACE_GETREGSET, thread, NT_PRSTATUS, &value) < 0)
        die("PTRACE_GETREGSET");
#if defined(__x86_64__)
    registers.rax = (unsigned long long)-error;
#else
    registers.regs[0] = (unsigned long long)-error;
#endif
    if (ptrace(PTRACE_SETREGSET, thread, NT_PRSTATUS, &value) < 0)
        die("PTRACE_SETREGSET");
}

static void
make_fail(pid_t thread, const DlkCall *call)
{
    const DlkErrors errors = dlk_call_errors(call);
    char what[64];

    if (state.left > errors.n) {
        state.left -= errors.n;
        return;
    }
    /* To be told to end now would leave the call with neither result. */
    signal(SIGTERM, SIG_IGN);
    state.error = errors.errors[state.left - 1];
    state.failing = thread;
    g_snprintf(what, sizeof what, "%s in", strerrorname_np(state.error));
    report(thread, call, what);
    if (!dlk_call_is_done_anyway(call))
        skip_call(thread);
}

static void
on_entry(pid_t thread, const struct __ptrace_syscall_info *info)
{
    DlkCall call;

    if (state.failing || info->entry.nr == SYS_restart_syscall)
        return;
    read_call(thread, info, &call);
    if (state.from) {
        if (is_start(thread, &call))
            state.from = NULL;
        return;
    }
    if (state.what == FAIL || state.what == WAIT) {
        if (dlk_call_waits(&call) == (state.what == WAIT))
            make_fail(thread, &call);
        return;
    }
    if (state.what == MARKS && !dlk_call_leaves_mark(&call))
        return;
    if (--state.left > 0)
        return;
    /* A call that has not begun does not begin after this. */
    report(thread, &call, "SIGKILL before");
    kill(state.pid, SIGKILL);
    exit(0);
}

static void
on_syscall(pid_t thread)
{
    struct __ptrace_syscall_info info;

    if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, SYSCALL_INFO_SIZE, &info) < 0)
        return; /* killed meanwhile */
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
        on_entry(thread, &info);
    else if (info.op == PTRACE_SYSCALL_INFO_EXIT && thread == state.failing) {
        set_result(thread, state.error);
        exit(0); /* the kernel lets every thread go on */
    }
}

/* ---- the process ---- */

static void
on_stop(pid_t thread, int status)
{
    const int number = WSTOPSIG(status);
    int deliver = 0;

    if (number == (SIGTRAP | 0x80)) {
        on_syscall(thread);
    } else if (status >> 16 == PTRACE_EVENT_STOP) {
        if (number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU) {
            ptrace(PTRACE_LISTEN, thread, NULL, NULL);
            return;
        }
    } else if (status >> 16 == 0) {
        deliver = number;
    }
    ptrace(PTRACE_SYSCALL, thread, NULL, (void *)(gsize)deliver);
}

/* Until nothing is left of it. */
static void
watch(void)
{
    int status;
    pid_t thread;

    while ((thread = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR)
        if (thread > 0 && WIFSTOPPED(status))
            on_stop(thread, status);
    exit(0);
}

static gboolean
seize(pid_t thread)
{
    const long wanted = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;

    if (ptrace(PTRACE_SEIZE, thread, NULL, (void *)wanted) < 0)
        return FALSE;
    ptrace(PTRACE_INTERRUPT, thread, NULL, NULL);
    return TRUE;
}

/* Every thread, those too that are started meanwhile: of a thread that is ours already they are ours too. */
static void
seize_all(void)
{
    char folder[64];
    gboolean more = TRUE;

    g_snprintf(folder, sizeof folder, "/proc/%d/task", (int)state.pid);
    while (more) {
        DIR *tasks = opendir(folder);
        const struct dirent *entry;

        if (!tasks)
            die(folder);
        more = FALSE;
        while ((entry = readdir(tasks)))
            if (entry->d_name[0] != '.' && seize((pid_t)atoi(entry->d_name)))
                more = TRUE;
        closedir(tasks);
    }
}

/* Descriptors that the command is passed begin at 3. */
static int
out_of_the_way(int fd)
{
    const int high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH);

    if (high < 0)
        die("a high descriptor");
    close(fd);
    return high;
}

/* The command keeps our pid, as its manager wants it; the watcher is a grandchild that the command never has
 * to wait for. */
static void
become(char **command)
{
    int go[2];
    char byte = 0;

    state.pid = getpid();
    if (pipe2(go, O_CLOEXEC) < 0)
        die("pipe2");
    go[1] = out_of_the_way(go[1]);
    const pid_t child = fork();
    if (child < 0)
        die("fork");
    if (child == 0) {
        if (fork() != 0)
            _exit(0);
        close_range(3, HIGH - 1, 0); /* a copy of a lock, or of a pipe, would outlive the command's */
        if (!seize(state.pid))
            die("PTRACE_SEIZE");
        if (write(go[1], &byte, 1) < 0)
            die("pipe");
        close(go[1]);
        watch();
    }
    close(go[1]);
    waitpid(child, NULL, 0);
    if (read(go[0], &byte, 1) != 1)
        die("the watcher");
    execvp(command[0], command);
    die(command[0]);
}

int
main(int argc, char **argv)
{
    static const char *const words[] = {"kill", "marks", "fail", "wait", NULL};

    if (argc < 5) {
        fputs(USAGE, stderr);
        return 2;
    }
    while (words[state.what] && !g_str_equal(words[state.what], argv[1]))
        state.what++;
    state.left = strtoul(argv[2], NULL, 10);
    if (!words[state.what] || state.left == 0) {
        fputs(USAGE, stderr);
        return 2;
    }
    state.report = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (state.report < 0)
        die(argv[3]);
    state.report = out_of_the_way(state.report);
    if (argc > 5) {
        state.from = argv[4][0] ? argv[4] : NULL;
        become(argv + 5);
    }
    state.pid = (pid_t)atoi(argv[4]);
    seize_all();
    puts("ready");
    fflush(stdout);
    watch();
}
