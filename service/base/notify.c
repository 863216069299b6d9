#include "base/notify.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* systemd reads within milliseconds, or is not at work. */
#define PATIENCE_MS 500

typedef struct {
    char *text;
    int fd;
    guint key;
} Message;

static GMutex mutex; /* guards all below */
static int manager = -1;
static GQueue waiting = G_QUEUE_INIT; /* of Message; while there is one, every other stands behind it */

static void
message_free(Message *message)
{
    dlk_close_fd(&message->fd);
    g_free(message->text);
    g_free(message);
}

gboolean
dlk_notify_is_heard(void)
{
    const char *path = g_getenv("NOTIFY_SOCKET");

    return path && (path[0] == '/' || path[0] == '@') && path[1] != '\0';
}

static gboolean
connect_to_manager(void)
{
    const char *path = g_getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const gsize length = dlk_notify_is_heard() ? strlen(path) : 0;

    if (length == 0 || length >= sizeof address.sun_path)
        return FALSE;
    memcpy(address.sun_path, path, length);
    /* "@" is an abstract one: unix(7). */
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (manager >= 0 && connect(manager, (const struct sockaddr *)&address,
                                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) == 0)
        return TRUE;
    dlk_close_fd(&manager);
    return FALSE;
}

/* EAGAIN: nobody reads. */
static gboolean
try_to_send(const char *text, int fd)
{
    if (manager < 0 && !connect_to_manager())
        return FALSE;
    gboolean sent = dlk_fd_send(manager, text, fd);
    /* Another manager has taken the place of the one that we knew. */
    if (!sent && (errno == ECONNREFUSED || errno == ENOTCONN)) {
        dlk_close_fd(&manager);
        sent = connect_to_manager() && dlk_fd_send(manager, text, fd);
    }
    return sent;
}

static gboolean
is_read_in_time(void)
{
    struct pollfd poll_fd = {.fd = manager, .events = POLLOUT};

    return poll(&poll_fd, 1, PATIENCE_MS) > 0;
}

/* Those that wait are sent as far as they are read; TRUE: none is left. */
static gboolean
send_waiting(void)
{
    Message *message;

    while ((message = g_queue_peek_head(&waiting))) {
        if (!try_to_send(message->text, message->fd) && errno == EAGAIN)
            return FALSE;
        message_free(g_queue_pop_head(&waiting));
    }
    return TRUE;
}

static gboolean
on_read(int fd, GIOCondition condition, gpointer user_data)
{
    g_mutex_lock(&mutex);
    const gboolean done = send_waiting();
    g_mutex_unlock(&mutex);
    return done ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

static gboolean
let_wait(const char *text, int fd, guint key)
{
    Message *message;
    const int copy = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;

    if (fd >= 0 && copy < 0)
        return FALSE;
    message = g_new(Message, 1);
    *message = (Message){g_strdup(text), copy, key};
    if (g_queue_is_empty(&waiting))
        g_unix_fd_add(manager, G_IO_OUT, on_read, NULL);
    g_queue_push_tail(&waiting, message);
    return TRUE;
}

static gboolean
send_or_let_wait(const char *text, int fd, guint key)
{
    if (!g_queue_is_empty(&waiting))
        return let_wait(text, fd, key);
    if (try_to_send(text, fd))
        return TRUE;
    while (manager >= 0 && errno == EAGAIN && is_read_in_time())
        if (try_to_send(text, fd))
            return TRUE;
    return manager >= 0 && errno == EAGAIN && let_wait(text, fd, key);
}

gboolean
dlk_notify(const char *text, int fd, guint key)
{
    if (!dlk_notify_is_heard())
        return FALSE;
    g_mutex_lock(&mutex);
    const gboolean sent = send_or_let_wait(text, fd, key);
    g_mutex_unlock(&mutex);
    return sent;
}

gboolean
dlk_notify_take_back(guint key)
{
    gboolean found = FALSE;

    g_mutex_lock(&mutex);
    for (GList *link = waiting.head; link && !found; link = link->next) {
        Message *message = link->data;

        found = message->key == key;
        if (!found)
            continue;
        message_free(message);
        g_queue_delete_link(&waiting, link);
        break;
    }
    g_mutex_unlock(&mutex);
    return found;
}
