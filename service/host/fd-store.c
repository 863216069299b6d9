#include "host/fd-store.h"

#include "base/fd.h"
#include "base/notify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define BASE 62
static const char digits[BASE + 1] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

enum {
    FREE,
    USED,
    TAKEN, /* given away by number */
};

typedef struct {
    int fd; /* -1 once given away */
    guint number;
} Passed;

struct _DlkFdStore {
    guint max;      /* 0: there is no store */
    guint8 *used;   /* by number, from 1: FREE, USED, TAKEN */
    guint lowest;   /* no free number is lower */
    GArray *passed; /* of Passed, by number; those with number 0 first */
    guint next;     /* of take_any() */
    GArray *later;  /* of guint: numbers that are to be removed */
    GArray *unsaid; /* of guint: numbers of whose removal systemd could not be told yet */
};

/* ---- names ---- */

/* All names of one length come before those of the next: "0" … "z", "00" … "zz", "000" … */
void
dlk_fd_store_name(guint number, char name[DLK_FD_STORE_NAME_SIZE])
{
    guint length = 1, count = BASE, rest = number - 1;

    for (; rest >= count; length++, count *= BASE)
        rest -= count;
    name[length] = '\0';
    for (guint i = length; i-- > 0; rest /= BASE)
        name[i] = digits[rest % BASE];
}

guint
dlk_fd_store_number(const char *name)
{
    const gsize length = strnlen(name, DLK_FD_STORE_NAME_SIZE);
    guint number = 0, shorter = 0, count = BASE;

    if (length == 0 || length >= DLK_FD_STORE_NAME_SIZE)
        return 0;
    for (gsize i = 0; i < length; i++) {
        const char *digit = strchr(digits, name[i]);
        if (!digit)
            return 0;
        number = number * BASE + (guint)(digit - digits);
        if (i > 0) {
            shorter += count;
            count *= BASE;
        }
    }
    number += shorter + 1;
    return number <= DLK_FD_STORE_MAX ? number : 0;
}

/* ---- what was passed ---- */

static int
compare_passed(gconstpointer a, gconstpointer b)
{
    const Passed *x = a, *y = b;

    return x->number < y->number ? -1 : x->number > y->number;
}

static void
take_passed(DlkFdStore *self)
{
    char **names = NULL;
    const int n = sd_listen_fds_with_names(TRUE, &names);

    for (int i = 0; i < n; i++) {
        const Passed one = {SD_LISTEN_FDS_START + i, dlk_fd_store_number(names[i])};

        g_array_append_val(self->passed, one);
        self->used[one.number] = USED;
        free(names[i]);
    }
    free(names);
    g_array_sort(self->passed, compare_passed);
}

/* systemd from 254 on says how much it keeps; an older one closes what is too much. */
static guint
find_max(void)
{
    const char *text = g_getenv("FDSTORE");
    guint64 max;

    if (!dlk_notify_is_heard())
        return 0;
    if (text && g_ascii_string_to_unsigned(text, 10, 0, DLK_FD_STORE_MAX, &max, NULL))
        return (guint)max;
    return DLK_FD_STORE_MAX;
}

DlkFdStore *
dlk_fd_store_new(void)
{
    DlkFdStore *self = g_new0(DlkFdStore, 1);

    self->max = find_max();
    self->used = g_new0(guint8, DLK_FD_STORE_MAX + 1);
    self->lowest = 1;
    self->passed = g_array_new(FALSE, FALSE, sizeof(Passed));
    self->later = g_array_new(FALSE, FALSE, sizeof(guint));
    self->unsaid = g_array_new(FALSE, FALSE, sizeof(guint));
    take_passed(self);
    return self;
}

void
dlk_fd_store_free(DlkFdStore *self)
{
    int fd;
    guint number;

    while ((fd = dlk_fd_store_take_any(self, &number)) >= 0)
        close(fd);
    g_array_unref(self->passed);
    g_array_unref(self->later);
    g_array_unref(self->unsaid);
    g_free(self->used);
    g_free(self);
}

int
dlk_fd_store_take(DlkFdStore *self, guint number)
{
    const Passed wanted = {.number = number};
    guint index;

    if (number == 0 || number > DLK_FD_STORE_MAX)
        return -1;
    if (!g_array_binary_search(self->passed, &wanted, compare_passed, &index))
        return -1;
    self->used[number] = TAKEN;
    return g_steal_fd(&g_array_index(self->passed, Passed, index).fd);
}

int
dlk_fd_store_take_any(DlkFdStore *self, guint *number)
{
    for (; self->next < self->passed->len; self->next++) {
        Passed *one = &g_array_index(self->passed, Passed, self->next);

        *number = self->used[one->number] == TAKEN ? 0 : one->number;
        if (one->fd >= 0)
            return g_steal_fd(&one->fd);
    }
    return -1;
}

/* ---- what is passed on ---- */

guint
dlk_fd_store_reserve(DlkFdStore *self)
{
    if (self->lowest > self->max)
        return 0;
    const guint8 *free_one = memchr(self->used + self->lowest, FREE, self->max - self->lowest + 1);
    if (!free_one) {
        self->lowest = self->max + 1;
        return 0;
    }
    const guint number = (guint)(free_one - self->used);
    self->used[number] = USED;
    self->lowest = number + 1;
    return number;
}

static void
give_back(DlkFdStore *self, guint number)
{
    self->used[number] = FREE;
    self->lowest = MIN(self->lowest, number);
}

/*
 * Without a barrier: PID 1 reads what was sent before it looks at whether the sender has died. FDPOLL=0, or a
 * descriptor that reports a hangup would be dropped: a keep pipe whose reader is gone, which is to be heard
 * of after the start.
 */
gboolean
dlk_fd_store_send(guint number, int fd)
{
    char name[DLK_FD_STORE_NAME_SIZE];
    char text[64];

    dlk_fd_store_name(number, name);
    g_snprintf(text, sizeof text, "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
    if (dlk_notify(text, fd, number))
        return TRUE;
    g_warning("systemd does not take a descriptor into its store: %s", g_strerror(errno));
    return FALSE;
}

guint
dlk_fd_store_add(DlkFdStore *self, int fd)
{
    const guint number = dlk_fd_store_reserve(self);

    if (number == 0 || dlk_fd_store_send(number, fd))
        return number;
    give_back(self, number);
    return 0;
}

/* A number that the store still has something under is not used for anything else. */
static gboolean
forget(guint number)
{
    char name[DLK_FD_STORE_NAME_SIZE];
    char text[64];

    dlk_fd_store_name(number, name);
    g_snprintf(text, sizeof text, "FDSTOREREMOVE=1\nFDNAME=%s", name);
    return dlk_notify_take_back(number) || dlk_notify(text, -1, 0);
}

void
dlk_fd_store_remove(DlkFdStore *self, guint number)
{
    if (number == 0)
        return;
    g_array_append_val(self->unsaid, number);
    while (self->unsaid->len > 0) {
        const guint last = g_array_index(self->unsaid, guint, self->unsaid->len - 1);

        if (!forget(last))
            return; /* with the next one it is tried again */
        g_array_set_size(self->unsaid, self->unsaid->len - 1);
        give_back(self, last);
    }
}

void
dlk_fd_store_put_off(DlkFdStore *self, guint number)
{
    if (number != 0)
        g_array_append_val(self->later, number);
}

void
dlk_fd_store_remove_put_off(DlkFdStore *self)
{
    for (guint i = 0; i < self->later->len; i++)
        dlk_fd_store_remove(self, g_array_index(self->later, guint, i));
    g_array_set_size(self->later, 0);
}
