#include "host/nvme-events.h"

#include <errno.h>
#include <linux/netlink.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the kernel says when a controller has told of a reservation (Linux 7.3), but for its number. */
#define EVENT                                                                                                \
    "change@/devices/virtual/nvme-fabrics/ctl/nvme1\0"                                                       \
    "ACTION=change\0"                                                                                        \
    "DEVPATH=/devices/virtual/nvme-fabrics/ctl/nvme1\0"                                                      \
    "SUBSYSTEM=nvme\0"                                                                                       \
    "NVME_AEN=0x800006\0"                                                                                    \
    "DEVNAME=nvme1\0"

#define MESSAGE(text)                                                                                        \
    {                                                                                                        \
        text, sizeof text - 1                                                                                \
    }

static gboolean
is_event(const char *message, gsize length)
{
    g_autofree char *exact = g_malloc(MAX(length, 1)); /* so that AddressSanitizer sees its end */
    memcpy(exact, message, length);
    return dlk_nvme_events_are_told_by(exact, length);
}

static void
test_an_event_of_a_reservation_is_known(void)
{
    g_assert_true(is_event(EVENT, sizeof EVENT - 1));
}

static void
test_other_messages_are_none(void)
{
    static const struct {
        const char *text;
        gsize length;
    } others[] = {
        MESSAGE(""),
        MESSAGE("\0\0\0\0"),
        MESSAGE("SUBSYSTEM=nvme\0"),
        MESSAGE("SUBSYSTEM=block\0NVME_AEN=0x800006\0"),
        MESSAGE("SUBSYSTEM=nvme\0NVME_AEN=0x70f002\0"), /* a changed discovery log */
        MESSAGE("SUBSYSTEM=nvme\0NVME_AEN=0x020101\0"), /* SMART */
        MESSAGE("SUBSYSTEM=nvme\0NVME_AEN=0x810006\0"), /* sanitized */
        MESSAGE("SUBSYSTEM=nvme\0NVME_AEN=800006\0"),
        MESSAGE("SUBSYSTEM=nvme\0NVME_AEN=0x\0"),
        MESSAGE("SUBSYSTEM=nvme\0NVME_AEN=0x80000600000000800006\0"),
        MESSAGE("SUBSYSTEM=nvme\0NVME_AEN=0x800006 \0"),
        MESSAGE("SUBSYSTEM=nvme\0NVME_AEN=0x800006"),
        MESSAGE("SUBSYSTEM=nvme\0SYNTH_ARG_NVME_AEN=0x800006\0"),
    };
    for (guint i = 0; i < G_N_ELEMENTS(others); i++) {
        g_test_message("%u", i);
        g_assert_false(is_event(others[i].text, others[i].length));
    }
}

static void
test_a_message_may_end_anywhere(void)
{
    const gsize needed = sizeof EVENT - 1 - sizeof "DEVNAME=nvme1";
    for (gsize length = 0; length < sizeof EVENT; length++)
        g_assert_cmpint(is_event(EVENT, length), ==, length >= needed);
}

/* ---- the socket, in a network namespace of its own, whose events are the test's alone ---- */

typedef struct {
    GMainContext *context;
    DlkNvmeEvents *events;
    int sender;
    guint heard;
} Fixture;

static void
hear(gpointer user_data)
{
    ((Fixture *)user_data)->heard++;
}

static void
set_up(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    f->context = g_main_context_new();
    f->events = dlk_nvme_events_new(f->context, hear, f, &error);
    g_assert_no_error(error);
    f->sender = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
    g_assert_no_errno(f->sender);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    close(f->sender);
    dlk_nvme_events_free(f->events);
    g_main_context_unref(f->context);
}

/* What is queued is there before the call that sent it returns. */
static void
listen_for_all(Fixture *f)
{
    while (g_main_context_iteration(f->context, FALSE))
        ;
}

/* Has the kernel send @body, to which it adds a number (uevent_net_broadcast in lib/kobject_uevent.c). */
static void
have_sent_by_kernel(Fixture *f, const char *body, gsize length)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct nlmsghdr header = {.nlmsg_len = (guint32)(sizeof header + length),
                              .nlmsg_type = NLMSG_MIN_TYPE,
                              .nlmsg_flags = NLM_F_REQUEST};
    g_autoptr(GByteArray) message = g_byte_array_new();
    g_byte_array_append(message, (const guint8 *)&header, sizeof header);
    g_byte_array_append(message, (const guint8 *)body, (guint)length);
    g_assert_no_errno((int)sendto(f->sender, message->data, message->len, 0, (const struct sockaddr *)&kernel,
                                  sizeof kernel));
}

static void
test_the_kernels_event_is_heard(Fixture *f, gconstpointer data)
{
    have_sent_by_kernel(f, "change@/devices/virtual/net/lo", sizeof "change@/devices/virtual/net/lo");
    listen_for_all(f);
    g_assert_cmpuint(f->heard, ==, 0);
    have_sent_by_kernel(f, EVENT, sizeof EVENT - 1);
    have_sent_by_kernel(f, EVENT, sizeof EVENT - 1);
    listen_for_all(f);
    g_assert_cmpuint(f->heard, ==, 1); /* for both */
    have_sent_by_kernel(f, EVENT, sizeof EVENT - 1);
    listen_for_all(f);
    g_assert_cmpuint(f->heard, ==, 2);
}

static gboolean
send_to_group(Fixture *f, const char *message, gsize length)
{
    const struct sockaddr_nl group = {.nl_family = AF_NETLINK, .nl_pid = (guint32)getpid(), .nl_groups = 1};
    return sendto(f->sender, message, length, 0, (const struct sockaddr *)&group, sizeof group) >= 0;
}

static void
test_what_a_process_sends_is_ignored(Fixture *f, gconstpointer data)
{
    g_assert_true(send_to_group(f, EVENT, sizeof EVENT - 1));
    listen_for_all(f);
    g_assert_cmpuint(f->heard, ==, 0);
}

static void
test_where_messages_were_lost_something_may_have_happened(Fixture *f, gconstpointer data)
{
    g_autofree char *noise = g_strnfill(1000, 'x');
    for (guint i = 0; i < 4096; i++)
        have_sent_by_kernel(f, noise, 1000);
    listen_for_all(f);
    g_assert_cmpuint(f->heard, ==, 1);
}

#define ADD(name) g_test_add_func("/nvme-events/" #name, test_##name)
#define ADD_LISTENING(name) g_test_add("/nvme-events/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_no_errno(unshare(CLONE_NEWNET));
    ADD(an_event_of_a_reservation_is_known);
    ADD(other_messages_are_none);
    ADD(a_message_may_end_anywhere);
    ADD_LISTENING(the_kernels_event_is_heard);
    ADD_LISTENING(what_a_process_sends_is_ignored);
    ADD_LISTENING(where_messages_were_lost_something_may_have_happened);
    return g_test_run();
}
