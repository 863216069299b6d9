#include "host/nvme-events.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <glib-unix.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

/* The group that the kernel sends to; what udev sends, when it has done its work, goes to another. */
#define KERNEL_GROUP 1
/* More than the kernel's UEVENT_BUFFER_SIZE (linux/kobject.h) and the line before it. */
#define MAX_MESSAGE 8192
/* So many in a turn of the loop: a machine whose devices come all at once does not keep it from all else. */
#define MESSAGES_A_TURN 64

/* Dword 0 of an event's completion (NVM Express Base Specification 2.0, 5.2): an event of an I/O command set,
 * told of in the log page of reservation notifications. */
#define EVENT_TYPE(event) ((event)&0x7U)
#define EVENT_LOG_PAGE(event) ((event) >> 16 & 0xffU)
enum {
    TYPE_IO_COMMAND_SET = 6,
    LOG_RESERVATION_NOTIFICATION = 0x80
};

struct _DlkNvmeEvents {
    GSourceOnceFunc func;
    gpointer user_data;
    int fd;
    GSource *source;
};

static gboolean
is_of_a_reservation(const char *value)
{
    guint64 event = 0;
    return g_str_has_prefix(value, "0x") &&
           g_ascii_string_to_unsigned(value + 2, 16, 0, G_MAXUINT32, &event, NULL) &&
           EVENT_TYPE(event) == TYPE_IO_COMMAND_SET && EVENT_LOG_PAGE(event) == LOG_RESERVATION_NOTIFICATION;
}

/* "change@/devices/…/nvme1", and behind it KEY=value, each with a 0 at its end. */
gboolean
dlk_nvme_events_are_told_by(const char *message, gsize length)
{
    gboolean of_nvme = FALSE, of_a_reservation = FALSE;
    const char *end = message + length;
    for (const char *field = message; field < end;) {
        const char *field_end = memchr(field, '\0', (gsize)(end - field));
        if (field_end == NULL)
            break;
        if (g_str_equal(field, "SUBSYSTEM=nvme"))
            of_nvme = TRUE;
        else if (g_str_has_prefix(field, "NVME_AEN="))
            of_a_reservation = is_of_a_reservation(field + strlen("NVME_AEN="));
        field = field_end + 1;
    }
    return of_nvme && of_a_reservation;
}

/* FALSE: there is no more to read now. */
static gboolean
read_one(int fd, gboolean *happened)
{
    char message[MAX_MESSAGE];
    struct sockaddr_nl sender = {0};
    socklen_t sender_length = sizeof sender;
    const ssize_t length = recvfrom(fd, message, sizeof message, MSG_TRUNC | MSG_DONTWAIT,
                                    (struct sockaddr *)&sender, &sender_length);
    if (length < 0) {
        /* The socket was full: nobody knows what did not get into it. */
        *happened = *happened || errno == ENOBUFS;
        return errno == ENOBUFS || errno == EINTR;
    }
    /* Processes may send here too, but not as 0 (netlink(7)). One that is longer is none of the kernel's. */
    if (sender_length == sizeof sender && sender.nl_pid == 0 && (gsize)length <= sizeof message)
        *happened = *happened || dlk_nvme_events_are_told_by(message, (gsize)length);
    return TRUE;
}

static gboolean
dispatch(int fd, GIOCondition condition, gpointer user_data)
{
    DlkNvmeEvents *self = user_data;
    gboolean happened = FALSE;
    for (guint i = 0; i < MESSAGES_A_TURN && read_one(fd, &happened); i++)
        ;
    if (happened)
        self->func(self->user_data);
    return G_SOURCE_CONTINUE;
}

static int
listen_to_kernel(void)
{
    const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP};
    dlk_autofd fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return -1;
    return g_steal_fd(&fd);
}

DlkNvmeEvents *
dlk_nvme_events_new(GMainContext *context, GSourceOnceFunc func, gpointer user_data, GError **error)
{
    const int fd = listen_to_kernel();
    if (fd < 0) {
        dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "cannot listen to the kernel's events");
        return NULL;
    }
    DlkNvmeEvents *self = g_new0(DlkNvmeEvents, 1);
    self->func = func;
    self->user_data = user_data;
    self->fd = fd;
    self->source = g_unix_fd_source_new(fd, G_IO_IN);
    g_source_set_static_name(self->source, "disklock NVMe events");
    g_source_set_callback(self->source, G_SOURCE_FUNC(dispatch), self, NULL);
    g_source_attach(self->source, context);
    return self;
}

void
dlk_nvme_events_free(DlkNvmeEvents *self)
{
    g_source_destroy(self->source);
    g_source_unref(self->source);
    dlk_close_fd(&self->fd);
    g_free(self);
}
