#include "base/journal-socket.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PATH "/run/systemd/journal/socket"
/* One that reads at all makes room in much less. */
#define PATIENCE_MS 500

static GMutex mutex; /* guards all below */
static int journal = -1;
static gboolean hangs; /* it had its time: until it reads again nobody waits for it */
static guint lost;

static gboolean
open_socket(void)
{
    const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = PATH};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        fd = -1;
    }
    journal = fd;
    return fd >= 0;
}

/* "NAME=value\n", or, where the value has several lines, its length in between. */
static GString *
serialize(const GLogField *fields, gsize n_fields)
{
    GString *text = g_string_new(NULL);

    for (gsize i = 0; i < n_fields; i++) {
        const gsize length = fields[i].length < 0 ? strlen(fields[i].value) : (gsize)fields[i].length;

        g_string_append(text, fields[i].key);
        if (memchr(fields[i].value, '\n', length)) {
            const guint64 little_endian = GUINT64_TO_LE(length);

            g_string_append_c(text, '\n');
            g_string_append_len(text, (const char *)&little_endian, sizeof little_endian);
        } else {
            g_string_append_c(text, '=');
        }
        g_string_append_len(text, fields[i].value, (gssize)length);
        g_string_append_c(text, '\n');
    }
    return text;
}

static gboolean
has_room_in_time(void)
{
    struct pollfd poll_fd = {.fd = journal, .events = POLLOUT};

    return !hangs && poll(&poll_fd, 1, PATIENCE_MS) > 0;
}

/* What is too large for a datagram is handed over as a file: journald takes one that cannot be changed any
 * more. */
static int
make_file(const GString *text)
{
    const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    dlk_autofd fd = memfd_create("disklock-journal-entry", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || write(fd, text->str, text->len) != (gssize)text->len || fcntl(fd, F_ADD_SEALS, seals) < 0)
        return -1;
    return g_steal_fd(&fd);
}

static gboolean
send_as_file(const GString *text)
{
    dlk_autofd fd = make_file(text);

    return fd >= 0 && dlk_fd_send(journal, "", fd);
}

static gboolean
try_to_send(const GString *text)
{
    return send(journal, text->str, text->len, MSG_NOSIGNAL) >= 0 ||
           ((errno == EMSGSIZE || errno == ENOBUFS) && send_as_file(text));
}

static gboolean
send_text(const GString *text)
{
    gboolean sent = (journal >= 0 || open_socket()) && try_to_send(text);

    /* Another journald has taken the place of the one that we knew. */
    if (!sent && journal >= 0 && (errno == ECONNREFUSED || errno == ENOTCONN)) {
        close(journal);
        sent = open_socket() && try_to_send(text);
    }
    while (!sent && journal >= 0 && errno == EAGAIN && has_room_in_time())
        sent = try_to_send(text);
    hangs = !sent && journal >= 0 && errno == EAGAIN;
    if (hangs)
        lost++;
    return sent || hangs;
}

gboolean
dlk_journal_socket_send(const GLogField *fields, gsize n_fields)
{
    g_autoptr(GString) text = serialize(fields, n_fields);

    g_mutex_lock(&mutex);
    const gboolean done = send_text(text);
    g_mutex_unlock(&mutex);
    return done;
}

guint
dlk_journal_socket_take_lost(void)
{
    g_mutex_lock(&mutex);
    const guint taken = hangs ? 0 : lost;
    lost -= taken;
    g_mutex_unlock(&mutex);
    return taken;
}
