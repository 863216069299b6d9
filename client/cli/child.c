#include "child.h"

#include "base/error.h"
#include "base/fd.h"
#include "exit-code.h"
#include "failure.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Above what scripts number by hand, so that `exec 3>file` does not give the disk away. */
#define LOWEST_KEEP_FD 20

static const int forwarded_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

/* What goes to the child along with the descriptor. */
typedef struct {
    char lease[64];
    char token[24];
} Handover;

/* For the signal handler; a pidfd never means another process. */
static volatile sig_atomic_t running_pidfd = -1;

/* Room for one descriptor, aligned as the kernel wants it. */
typedef union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr alignment;
} DescriptorRoom;

static int
receive_handover(int socket, Handover *handover)
{
    DescriptorRoom room;
    struct iovec data = {.iov_base = handover, .iov_len = sizeof *handover};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &room, .msg_controllen = sizeof room};
    const ssize_t size = TEMP_FAILURE_RETRY(recvmsg(socket, &message, MSG_CMSG_CLOEXEC));
    const struct cmsghdr *header = size == sizeof *handover ? CMSG_FIRSTHDR(&message) : NULL;
    int fd = -1;
    if (header && header->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

static gboolean
send_handover(int socket, const Handover *handover, int fd)
{
    DescriptorRoom room = {0};
    struct iovec data = {.iov_base = (void *)handover, .iov_len = sizeof *handover};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &room, .msg_controllen = sizeof room};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    return TEMP_FAILURE_RETRY(sendmsg(socket, &message, MSG_NOSIGNAL)) == sizeof *handover;
}

/* The child's life until it is the command. */
static G_GNUC_NORETURN void
become(int socket, char *const *argv)
{
    Handover handover;
    const int received = receive_handover(socket, &handover);
    if (received < 0)
        _exit(EXIT_FAILURE); /* the disk was not to be had; disklockctl says so */
    /* The copy is not closed by exec: the command and what it starts keep the lease. */
    if (fcntl(received, F_DUPFD, LOWEST_KEEP_FD) < 0) {
        dlk_warn("no descriptor is left to keep the lease by: %s", g_strerror(errno));
        _exit(DLK_EXIT_CANNOT_EXECUTE);
    }
    setenv("DISKLOCK_LEASE", handover.lease, TRUE);
    setenv("DISKLOCK_TOKEN", handover.token, TRUE);
    execvp(argv[0], argv);
    const int errsv = errno;
    dlk_warn("cannot run '%s': %s", argv[0], g_strerror(errsv));
    _exit(errsv == ENOENT ? DLK_EXIT_NOT_FOUND : DLK_EXIT_CANNOT_EXECUTE);
}

gboolean
dlk_child_fork(DlkChild *child, char *const *argv, GError **error)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "no socket for the command");
    dlk_autofd ours = ends[0];
    dlk_autofd theirs = ends[1];
    const pid_t pid = fork();
    if (pid < 0)
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "no process for the command");
    if (pid == 0) {
        dlk_close_fd(&ours);
        become(theirs, argv);
    }
    *child = (DlkChild){.pid = pid, .pidfd = pidfd_open(pid, 0), .socket = g_steal_fd(&ours)};
    if (child->pidfd < 0) {
        const int errsv = errno;
        dlk_child_dismiss(child);
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv, "no pidfd of the command");
    }
    return TRUE;
}

void
dlk_child_dismiss(DlkChild *child)
{
    dlk_close_fd(&child->socket);
    (void)dlk_child_wait(child);
}

static void
forward(int number, siginfo_t *info, void *context)
{
    const int errsv = errno;
    /* What the terminal's keys send, it sends to the command as well. */
    if (info->si_code != SI_KERNEL)
        pidfd_send_signal(running_pidfd, number, NULL, 0);
    errno = errsv;
}

static void
forward_signals(const DlkChild *child)
{
    struct sigaction action = {.sa_sigaction = forward, .sa_flags = SA_SIGINFO | SA_RESTART};
    running_pidfd = child->pidfd;
    sigemptyset(&action.sa_mask);
    for (gsize i = 0; i < G_N_ELEMENTS(forwarded_signals); i++) {
        struct sigaction before;
        sigaction(forwarded_signals[i], NULL, &before);
        /* nohup and background jobs ignore some; the command inherited that. */
        if (before.sa_handler != SIG_IGN)
            sigaction(forwarded_signals[i], &action, NULL);
    }
}

gboolean
dlk_child_start(DlkChild *child, int keep, const char *lease, guint64 token, GError **error)
{
    Handover handover = {0};
    g_strlcpy(handover.lease, lease, sizeof handover.lease);
    g_snprintf(handover.token, sizeof handover.token, "%" G_GUINT64_FORMAT, token);
    forward_signals(child);
    if (!send_handover(child->socket, &handover, keep)) {
        const int errsv = errno;
        dlk_child_dismiss(child);
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv,
                                   "the command's process ended too early");
    }
    dlk_close_fd(&child->socket);
    return TRUE;
}

int
dlk_child_wait(DlkChild *child)
{
    int status = 0;
    TEMP_FAILURE_RETRY(waitpid(child->pid, &status, 0));
    return WIFSIGNALED(status) ? DLK_EXIT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}
