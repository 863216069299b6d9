#pragma once

#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A process beside the test's own, which has done its work when other_process_start() returns and then waits
 * to be stopped. It never outlives the test. */
typedef struct {
    pid_t pid;
} OtherProcess;

typedef void (*OtherProcessWork)(gconstpointer data);

/* @then: what it does when it is ready; either may be %NULL. */
static inline OtherProcess
other_process_start_then(const char *name, OtherProcessWork work, OtherProcessWork then, gconstpointer data)
{
    int ready[2];
    char byte = 0;
    g_assert_cmpint(pipe(ready), ==, 0);
    const pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NAME, name);
        if (work != NULL)
            work(data);
        if (write(ready[1], "r", 1) != 1)
            _exit(1);
        if (then != NULL)
            then(data);
        for (;;)
            pause();
    }
    close(ready[1]);
    g_assert_cmpint(read(ready[0], &byte, 1), ==, 1); /* 0: the work failed */
    close(ready[0]);
    return (OtherProcess){pid};
}

static inline OtherProcess
other_process_start(const char *name, OtherProcessWork work, gconstpointer data)
{
    return other_process_start_then(name, work, NULL, data);
}

/* The state letter of /proc/PID/stat. */
static inline int
other_process_state(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return strrchr(text, ')')[2];
}

static inline void
other_process_stop(OtherProcess *self)
{
    if (self->pid > 0) {
        kill(self->pid, SIGKILL);
        g_assert_cmpint(waitpid(self->pid, NULL, 0), ==, self->pid);
    }
    self->pid = 0;
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(OtherProcess, other_process_stop)
