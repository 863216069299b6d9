#include "base/pid-threads.h"

#include <signal.h>
#include <string.h>

/* Each costs the kernel a walk along all threads, and a thread some microseconds to be looked at. */
#define MOST_SIGNALS 32
#define MOST_THREADS 4096
/* Of proc_pid_stat(5), counted from the state. */
#define UTIME 11

static void
add(DlkThreadsSeen *seen, const char *folder, const char *thread)
{
    g_autofree char *path = g_build_filename(folder, thread, "stat", NULL);
    g_autofree char *text = NULL;
    const char *word = NULL;
    DlkThreads state = DLK_THREADS_UNKNOWN;

    /* The name before it may hold parentheses and spaces. */
    if (g_file_get_contents(path, &text, NULL, NULL))
        word = strrchr(text, ')');
    if (word && word[1] == ' ')
        state = strchr("RS", word[2])      ? DLK_THREADS_RUN
                : strchr("TtZXx", word[2]) ? DLK_THREADS_STAND
                                           : DLK_THREADS_WAIT;
    seen->waiting += state == DLK_THREADS_WAIT;
    seen->standing += state == DLK_THREADS_STAND;
    seen->state = MAX(seen->state, state);
    for (guint i = 0; i <= UTIME && word; i++)
        word = strchr(word + 1, ' ');
    if (word) {
        char *end = NULL;

        seen->ticks += g_ascii_strtoull(word + 1, &end, 10);
        seen->ticks += g_ascii_strtoull(end, NULL, 10);
    }
}

DlkThreadsSeen
dlk_pid_threads_look(const DlkPidRef *process)
{
    g_autofree char *folder = g_strdup_printf("/proc/%d/task", (int)dlk_pid_ref_pid(process));
    g_autoptr(GDir) threads = g_dir_open(folder, 0, NULL);
    DlkThreadsSeen seen = {.state = threads ? DLK_THREADS_STAND : DLK_THREADS_UNKNOWN};
    guint count = 0;

    for (const char *thread; threads && (thread = g_dir_read_name(threads));) {
        if (++count > MOST_THREADS) {
            seen.state = DLK_THREADS_RUN; /* for all that can be said of the others */
            break;
        }
        add(&seen, folder, thread);
    }
    /* Else it was read by a number that is somebody else's now. */
    if (!dlk_pid_ref_is_alive(process))
        seen = (DlkThreadsSeen){.state = DLK_THREADS_STAND};
    return seen;
}

void
dlk_pid_threads_stop_others(const DlkPidRef *process, guint waiting)
{
    for (guint i = 0; i <= MIN(waiting, MOST_SIGNALS); i++) {
        dlk_pid_ref_signal(process, SIGCONT);
        dlk_pid_ref_signal(process, SIGSTOP);
    }
}
