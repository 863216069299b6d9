#include "base/pid-threads.h"

#include <signal.h>
#include <string.h>

/* proc_pid_stat(5) has the letters. */
static DlkThreads
look_at(const char *folder, const char *thread)
{
    g_autofree char *path = g_build_filename(folder, thread, "stat", NULL);
    g_autofree char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return DLK_THREADS_UNKNOWN;
    /* The name before it may hold parentheses and spaces. */
    const char *state = strrchr(text, ')');
    if (!state || state[1] != ' ')
        return DLK_THREADS_UNKNOWN;
    if (strchr("RS", state[2]))
        return DLK_THREADS_RUN;
    return strchr("TtZXx", state[2]) ? DLK_THREADS_STAND : DLK_THREADS_WAIT;
}

DlkThreads
dlk_pid_threads_look(const DlkPidRef *process, guint *waiting)
{
    g_autofree char *folder = g_strdup_printf("/proc/%d/task", (int)dlk_pid_ref_pid(process));
    g_autoptr(GDir) threads = g_dir_open(folder, 0, NULL);
    DlkThreads found = threads ? DLK_THREADS_STAND : DLK_THREADS_UNKNOWN;

    *waiting = 0;
    for (const char *thread; threads && (thread = g_dir_read_name(threads));) {
        const DlkThreads state = look_at(folder, thread);

        *waiting += state == DLK_THREADS_WAIT;
        found = MAX(found, state);
    }
    /* Else it was read by a number that is somebody else's now. */
    return dlk_pid_ref_is_alive(process) ? found : DLK_THREADS_STAND;
}

void
dlk_pid_threads_stop_others(const DlkPidRef *process, guint waiting)
{
    for (guint i = 0; i <= waiting; i++) {
        dlk_pid_ref_signal(process, SIGCONT);
        dlk_pid_ref_signal(process, SIGSTOP);
    }
}
