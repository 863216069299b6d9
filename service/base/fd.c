#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void
dlk_close_fd(int *fd)
{
    int errsv = errno;
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
    errno = errsv; /* runs between a failed call and the caller who asks why it failed */
}

int
dlk_fd_reopen(int fd, int flags)
{
    char path[64];
    g_snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int reopened;
    do
        reopened = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    while (reopened < 0 && errno == EINTR);
    return reopened;
}

char *
dlk_fd_info(int fd, const char *key)
{
    char path[64];
    g_snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return NULL;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    size_t length = strlen(key);
    for (char **line = lines; *line != NULL; line++)
        if (strncmp(*line, key, length) == 0 && (*line)[length] == ':')
            return g_strdup(g_strstrip(*line + length + 1));
    return NULL;
}

char *
dlk_fd_path(int fd)
{
    char path[64];
    g_snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return g_file_read_link(path, NULL);
}

gboolean
dlk_fd_send(int socket_fd, const char *text, int fd)
{
    struct iovec part = {.iov_base = (void *)text, .iov_len = strlen(text)};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (fd >= 0) {
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
        message.msg_control = &control;
        message.msg_controllen = sizeof control.space;
    }
    gssize sent;
    do
        sent = sendmsg(socket_fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent >= 0;
}
