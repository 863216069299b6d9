#include "base/notify.h"

#include "base/fd.h"
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The service manager's end, which reads when the test says so. */

#define MANY 3000

static int manager;

static void
listen_again(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = g_getenv("NOTIFY_SOCKET");

    unlink(path);
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    g_assert_cmpint(bind(manager, (struct sockaddr *)&address, sizeof address), ==, 0);
}

/* The next message, or %NULL: there is none. @fd (out): that came along, or -1. */
static char *
receive(int *fd)
{
    char text[128], control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {text, sizeof text - 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    const gssize length = recvmsg(manager, &message, MSG_CMSG_CLOEXEC);
    struct cmsghdr *header = length >= 0 ? CMSG_FIRSTHDR(&message) : NULL;

    *fd = -1;
    if (header)
        memcpy(fd, CMSG_DATA(header), sizeof *fd);
    return length >= 0 ? g_strndup(text, (gsize)length) : NULL;
}

static char *
wait_for_message(int *fd)
{
    char *text;

    while (!(text = receive(fd)))
        g_main_context_iteration(NULL, FALSE);
    return text;
}

static void
assert_nothing_waits(void)
{
    int fd;

    g_assert_false(g_main_context_pending(NULL));
    g_assert_null(receive(&fd));
}

static void
test_a_message_arrives_with_its_descriptor(void)
{
    int fd;
    dlk_autofd sent = open("/dev/null", O_RDONLY | O_CLOEXEC);

    g_assert_true(dlk_notify("FDSTORE=1", sent, 1));
    g_autofree char *text = receive(&fd);
    dlk_autofd got = fd;
    g_assert_cmpstr(text, ==, "FDSTORE=1");
    g_assert_cmpint(got, >=, 0);
    g_assert_false(dlk_notify_take_back(1));
    assert_nothing_waits();
}

/* More than a socket takes; the descriptor may be closed by its owner meanwhile. */
static void
test_what_is_not_read_waits_in_order(void)
{
    for (guint i = 0; i < MANY; i++) {
        g_autofree char *text = g_strdup_printf("%u", i);
        dlk_autofd sent = i % 2 ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;

        g_assert_true(dlk_notify(text, sent, 0));
    }
    for (guint i = 0; i < MANY; i++) {
        int fd;
        g_autofree char *text = wait_for_message(&fd);
        dlk_autofd got = fd;

        g_assert_cmpuint(g_ascii_strtoull(text, NULL, 10), ==, i);
        g_assert_cmpint(got >= 0, ==, i % 2);
    }
    assert_nothing_waits();
}

static void
test_what_waits_can_be_taken_back(void)
{
    int fd;
    guint sent = 0;

    for (guint i = 1; i <= MANY; i++)
        g_assert_true(dlk_notify("x", -1, i));
    for (guint i = 1; i <= MANY; i++)
        sent += !dlk_notify_take_back(i);
    g_assert_cmpuint(sent, >, 0);
    g_assert_cmpuint(sent, <, MANY);
    for (; sent > 0; sent--) {
        g_autofree char *text = wait_for_message(&fd);
        g_assert_cmpstr(text, ==, "x");
    }
    while (g_main_context_iteration(NULL, FALSE))
        continue;
    assert_nothing_waits();
}

static void
test_another_manager_gets_what_follows(void)
{
    int fd;

    close(manager);
    g_assert_false(dlk_notify("lost", -1, 0));
    listen_again();
    g_assert_true(dlk_notify("heard", -1, 0));
    g_autofree char *text = receive(&fd);
    g_assert_cmpstr(text, ==, "heard");
}

static void
test_without_a_manager_nothing_is_sent(void)
{
    g_autofree char *path = g_strdup(g_getenv("NOTIFY_SOCKET"));
    static const char *const useless[] = {"", "/", "relative", "vsock:2:1"};

    for (guint i = 0; i < G_N_ELEMENTS(useless); i++) {
        g_setenv("NOTIFY_SOCKET", useless[i], TRUE);
        g_assert_false(dlk_notify_is_heard());
        g_assert_false(dlk_notify("x", -1, 0));
    }
    g_setenv("NOTIFY_SOCKET", path, TRUE);
}

/* What waits keeps its descriptors, and Debian lets a shell's programs have 1,024. */
static void
allow_many_files(void)
{
    struct rlimit limit;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    limit.rlim_cur = limit.rlim_max;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    allow_many_files();
    Scratch scratch;
    scratch_init(&scratch);
    g_autofree char *path = scratch_path(&scratch, "notify");
    g_setenv("NOTIFY_SOCKET", path, TRUE);
    listen_again();
    g_test_add_func("/notify/descriptor", test_a_message_arrives_with_its_descriptor);
    g_test_add_func("/notify/waits", test_what_is_not_read_waits_in_order);
    g_test_add_func("/notify/take-back", test_what_waits_can_be_taken_back);
    g_test_add_func("/notify/another", test_another_manager_gets_what_follows);
    g_test_add_func("/notify/nobody", test_without_a_manager_nothing_is_sent);
    const int status = g_test_run();
    close(manager);
    scratch_clear(&scratch);
    return status;
}
