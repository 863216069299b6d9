#include "backend/holder-attributes.h"

#include "model/holder-record.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#define PREFIX "user.disklock."
#define NAME_SIZE (sizeof PREFIX + DLK_LEASE_ID_LENGTH)
/* Records that are looked at; who writes more of them is telling nobody anything. */
#define MAX_RECORDS 64
#define LIST_SIZE 65536 /* XATTR_LIST_MAX of linux/limits.h */

static void
make_name(const DlkLeaseId *lease, char name[NAME_SIZE])
{
    g_strlcpy(name, PREFIX, NAME_SIZE);
    dlk_lease_id_format(lease, name + strlen(PREFIX));
}

static gboolean
parse_name(const char *name, DlkLeaseId *lease)
{
    return g_str_has_prefix(name, PREFIX) && dlk_lease_id_parse(name + strlen(PREFIX), lease);
}

gboolean
dlk_holder_attributes_write(int fd, const DlkLeaseId *lease, const char *record)
{
    char name[NAME_SIZE];
    make_name(lease, name);
    return fsetxattr(fd, name, record, strlen(record), 0) == 0;
}

gboolean
dlk_holder_attributes_remove(int fd, const DlkLeaseId *lease)
{
    char name[NAME_SIZE];
    make_name(lease, name);
    return fremovexattr(fd, name) == 0;
}

/* The ids in the names of @fd's attributes; of DlkLeaseId. @more (out): there are others. */
static GArray *
list(int fd, gboolean *more)
{
    g_autofree char *names = g_malloc(LIST_SIZE);
    const ssize_t length = flistxattr(fd, names, LIST_SIZE);
    if (length < 0)
        return NULL;
    GArray *leases = g_array_new(FALSE, FALSE, sizeof(DlkLeaseId));
    *more = FALSE;
    for (ssize_t i = 0; i < length && !*more;) {
        DlkLeaseId lease;
        const gsize size = strnlen(names + i, (gsize)(length - i));
        if (i + (ssize_t)size == length)
            break; /* no end: the kernel gives none such */
        const gboolean is_record = parse_name(names + i, &lease);
        *more = is_record && leases->len == MAX_RECORDS;
        if (is_record && !*more)
            g_array_append_val(leases, lease);
        i += (ssize_t)size + 1;
    }
    return leases;
}

void
dlk_holder_attributes_remove_others(int fd, const DlkLeaseId *lease)
{
    gboolean more;
    g_autoptr(GArray) leases = list(fd, &more);
    for (guint i = 0; leases != NULL && i < leases->len; i++) {
        const DlkLeaseId *other = &g_array_index(leases, DlkLeaseId, i);
        if (memcmp(other, lease, sizeof *lease) != 0)
            (void)dlk_holder_attributes_remove(fd, other);
    }
}

/* One that speaks of another lease than its name does is none. */
static DlkHolder *
read_one(int fd, const DlkLeaseId *lease)
{
    char name[NAME_SIZE], text[DLK_HOLDER_RECORD_MAX];
    make_name(lease, name);
    const ssize_t length = fgetxattr(fd, name, text, sizeof text);
    DlkHolder *holder = length > 0 ? dlk_holder_record_parse(text, (gsize)length) : NULL;
    if (holder != NULL && memcmp(&holder->lease, lease, sizeof *lease) != 0)
        g_clear_pointer(&holder, dlk_holder_unref);
    return holder;
}

gboolean
dlk_holder_attributes_read(int fd, GPtrArray *holders, gboolean *more)
{
    *more = FALSE;
    g_autoptr(GArray) leases = list(fd, more);
    for (guint i = 0; leases != NULL && i < leases->len; i++) {
        DlkHolder *holder = read_one(fd, &g_array_index(leases, DlkLeaseId, i));
        if (holder != NULL)
            g_ptr_array_add(holders, holder);
    }
    return leases != NULL || errno == ENOTSUP;
}
