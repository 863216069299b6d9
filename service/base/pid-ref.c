#include "base/pid-ref.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

struct _DlkPidRef {
    gatomicrefcount references;
    pid_t pid;
    int pidfd;
    uid_t uid;
    guint64 start;
    char *command;
};

static gboolean
pidfd_is_alive(int pidfd)
{
    struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
    int ready;
    do
        ready = poll(&poll_fd, 1, 0);
    while (ready < 0 && errno == EINTR);
    return ready == 0;
}

static gboolean
read_uid(pid_t pid, uid_t *uid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", (int)pid);
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return FALSE;
    /* The name above may hold what it likes, but the kernel writes a line feed in it as "\n". */
    const char *line = strstr(text, "\nUid:\t");
    if (line == NULL)
        return FALSE;
    char *end = NULL;
    guint64 value = g_ascii_strtoull(line + strlen("\nUid:\t"), &end, 10);
    if (*end != '\t' || value > G_MAXUINT32)
        return FALSE;
    *uid = (uid_t)value;
    return TRUE;
}

/* The 22nd field of /proc/PID/stat, which is the 20th behind the name in parentheses: proc_pid_stat(5). */
static guint64
read_start(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return 0;
    /* The name may hold parentheses and spaces. */
    const char *word = strrchr(text, ')');
    for (guint i = 0; i < 20 && word != NULL; i++)
        word = strchr(word + 1, ' ');
    /* The first processes of a boot or of a container may have begun at 0. */
    return word != NULL ? MAX(g_ascii_strtoull(word + 1, NULL, 10), 1) : 0;
}

static char *
read_command(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/comm", (int)pid);
    g_autofree char *text = NULL;
    gsize length = 0;
    if (!g_file_get_contents(path, &text, &length, NULL))
        return g_strdup("");
    if (length > 0 && text[length - 1] == '\n')
        text[length - 1] = '\0';
    return dlk_text_printable(text, 0);
}

/* Everything is read by number and believed only if the pidfd says afterwards that the number was still its
 * own. */
static DlkPidRef *
pid_ref_new_take(pid_t pid, int taken_pidfd, GError **error)
{
    dlk_autofd pidfd = taken_pidfd;
    uid_t uid = 0;
    gboolean uid_known = read_uid(pid, &uid);
    guint64 start = read_start(pid);
    g_autofree char *command = read_command(pid);
    if (!pidfd_is_alive(pidfd)) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "process %d has ended", (int)pid);
        return NULL;
    }
    if (!uid_known || start == 0) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED, "cannot see whose process %d is", (int)pid);
        return NULL;
    }
    DlkPidRef *self = g_new0(DlkPidRef, 1);
    g_atomic_ref_count_init(&self->references);
    self->pid = pid;
    self->pidfd = g_steal_fd(&pidfd);
    self->uid = uid;
    self->start = start;
    self->command = g_steal_pointer(&command);
    return self;
}

DlkPidRef *
dlk_pid_ref_new(pid_t pid, GError **error)
{
    dlk_autofd pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
    if (pid <= 0 || (pidfd < 0 && errno == ESRCH)) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "no process has the number %d", (int)pid);
        return NULL;
    }
    if (pidfd < 0) {
        dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "cannot watch process %d", (int)pid);
        return NULL;
    }
    return pid_ref_new_take(pid, g_steal_fd(&pidfd), error);
}

/* The number that the kernel shows of it; %NULL: it is no pidfd. */
static char *
number_of(int fd, GError **error)
{
    char *text = fd >= 0 ? dlk_fd_info(fd, "Pid") : NULL;

    if (text == NULL)
        g_set_error_literal(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "the descriptor is not a pidfd");
    return text;
}

gboolean
dlk_pid_ref_check_pidfd(int fd, GError **error)
{
    g_autofree char *text = number_of(fd, error);

    return text != NULL;
}

DlkPidRef *
dlk_pid_ref_new_for_pidfd(int taken_pidfd, GError **error)
{
    dlk_autofd pidfd = taken_pidfd;
    g_autofree char *text = number_of(pidfd, error);
    gint64 pid = 0;
    if (text == NULL)
        return NULL;
    if (!g_ascii_string_to_signed(text, 10, -1, G_MAXINT32, &pid, NULL)) {
        g_set_error_literal(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "the descriptor is not a pidfd");
        return NULL;
    }
    if (pid < 0) {
        g_set_error_literal(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "the process of the pidfd has ended");
        return NULL;
    }
    if (pid == 0) {
        g_set_error_literal(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                            "the process of the pidfd is in a pid namespace that cannot be seen from here");
        return NULL;
    }
    /* Of the descriptor only this is believed: it may be of a single thread (PIDFD_THREAD), by which no
     * signal reaches the process, and whose end is not the process's. */
    dlk_autofd own = pidfd_open((pid_t)pid, 0);
    if (own < 0 || !pidfd_is_alive(pidfd)) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "the pidfd is of no process that lives");
        return NULL;
    }
    return pid_ref_new_take((pid_t)pid, g_steal_fd(&own), error);
}

DlkPidRef *
dlk_pid_ref_new_again(pid_t pid, guint64 start, GError **error)
{
    dlk_autofd pidfd = pidfd_open(pid, 0);
    if (pidfd < 0) {
        if (errno != ESRCH)
            dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "cannot watch process %d", (int)pid);
        return NULL;
    }
    dlk_autofd witness = fcntl(pidfd, F_DUPFD_CLOEXEC, 0);
    g_autoptr(GError) problem = NULL;
    g_autoptr(DlkPidRef) self = pid_ref_new_take(pid, g_steal_fd(&pidfd), &problem);
    if (self != NULL)
        return self->start == start ? g_steal_pointer(&self) : NULL;
    if (witness < 0 || pidfd_is_alive(witness))
        g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED, "%s", problem->message);
    return NULL;
}

DlkPidRef *
dlk_pid_ref_ref(DlkPidRef *self)
{
    g_atomic_ref_count_inc(&self->references);
    return self;
}

void
dlk_pid_ref_unref(DlkPidRef *self)
{
    if (!g_atomic_ref_count_dec(&self->references))
        return;
    dlk_close_fd(&self->pidfd);
    g_free(self->command);
    g_free(self);
}

pid_t
dlk_pid_ref_pid(const DlkPidRef *self)
{
    return self->pid;
}

guint
dlk_pid_ref_hash(gconstpointer self)
{
    return g_int_hash(&((const DlkPidRef *)self)->pid);
}

gboolean
dlk_pid_ref_equal(gconstpointer one, gconstpointer other)
{
    const DlkPidRef *a = one, *b = other;

    return a->pid == b->pid && a->start == b->start;
}

int
dlk_pid_ref_fd(const DlkPidRef *self)
{
    return self->pidfd;
}

uid_t
dlk_pid_ref_uid(const DlkPidRef *self)
{
    return self->uid;
}

guint64
dlk_pid_ref_start(const DlkPidRef *self)
{
    return self->start;
}

char *
dlk_pid_ref_command(const DlkPidRef *self)
{
    g_autofree char *command = read_command(self->pid);

    return g_strdup(dlk_pid_ref_is_alive(self) ? command : self->command);
}

gboolean
dlk_pid_ref_is_alive(const DlkPidRef *self)
{
    return pidfd_is_alive(self->pidfd);
}

gboolean
dlk_pid_ref_signal(const DlkPidRef *self, int signal_number)
{
    return pidfd_send_signal(self->pidfd, signal_number, NULL, 0) == 0;
}
