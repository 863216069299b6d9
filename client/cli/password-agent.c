#include "password-agent.h"

#include "base/fd.h"

#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "/usr/bin/pkttyagent"
#define READY_FD 3
#define READY_PATIENCE_MS 10000

struct _DlkPasswordAgent {
    GPid pid;
};

/* In the child: the agent must not outlive a disklockctl that is killed. */
static void
die_with_parent(gpointer unused)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
}

DlkPasswordAgent *
dlk_password_agent_start(void)
{
    const int ready_fd = READY_FD;
    g_autofree char *process = g_strdup_printf("--process=%d", (int)getpid());
    const char *argv[] = {PROGRAM, "--notify-fd=3", "--fallback", process, NULL};
    int ends[2];
    GPid pid = 0;
    if (!isatty(STDERR_FILENO) || !g_unix_open_pipe(ends, FD_CLOEXEC, NULL))
        return NULL;
    dlk_autofd reading = ends[0];
    dlk_autofd writing = ends[1];
    if (!g_spawn_async_with_pipes_and_fds(
            NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_CHILD_INHERITS_STDIN, die_with_parent, NULL,
            -1, -1, -1, &writing, &ready_fd, 1, &pid, NULL, NULL, NULL, NULL))
        return NULL;
    dlk_close_fd(&writing);
    /* It closes its end when it is ready, and when it ends. */
    poll(&(struct pollfd){.fd = reading, .events = POLLIN}, 1, READY_PATIENCE_MS);
    DlkPasswordAgent *self = g_new0(DlkPasswordAgent, 1);
    self->pid = pid;
    return self;
}

void
dlk_password_agent_stop(DlkPasswordAgent *self)
{
    kill(self->pid, SIGTERM);
    kill(self->pid, SIGCONT);
    waitpid(self->pid, NULL, 0);
    g_free(self);
}
