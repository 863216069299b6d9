#include "backend/holder-files.h"

#include "base/fd.h"
#include "model/holder-record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK ".disklock-"
/* Records that are looked at, and entries of the folder that are gone through for them. */
#define MAX_RECORDS 64
#define MAX_ENTRIES 100000

static char *
make_name(const char *name, const DlkLeaseId *lease)
{
    char id[DLK_LEASE_ID_LENGTH + 1];
    dlk_lease_id_format(lease, id);
    return g_strconcat(".", name, MARK, id, NULL);
}

static gboolean
parse_name(const char *entry, const char *name, DlkLeaseId *lease)
{
    const gsize length = strlen(name);
    return entry[0] == '.' && strncmp(entry + 1, name, length) == 0 &&
           g_str_has_prefix(entry + 1 + length, MARK) &&
           dlk_lease_id_parse(entry + 1 + length + strlen(MARK), lease);
}

/* Made anew, so that what stands there, a link say, is not followed. */
gboolean
dlk_holder_files_write(int folder, const char *name, const DlkLeaseId *lease, const char *record)
{
    g_autofree char *entry = make_name(name, lease);
    const gsize length = strlen(record);
    if (unlinkat(folder, entry, 0) < 0 && errno != ENOENT)
        return FALSE;
    dlk_autofd fd = openat(folder, entry, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    return fd >= 0 && write(fd, record, length) == (ssize_t)length;
}

gboolean
dlk_holder_files_remove(int folder, const char *name, const DlkLeaseId *lease)
{
    g_autofree char *entry = make_name(name, lease);
    return unlinkat(folder, entry, 0) == 0;
}

/* %NULL with errno 0 where there is no other. */
static struct dirent *
next(DIR *entries)
{
    errno = 0;
    return readdir(entries);
}

/* The ids in the names of such files; of DlkLeaseId. @more (out): there are, or may be, others. %NULL with
 * errno set. */
static GArray *
list(int folder, const char *name, gboolean *more)
{
    struct dirent *entry;
    DlkLeaseId lease;
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;
    if (entries == NULL) {
        dlk_close_fd(&fd);
        return NULL;
    }
    GArray *leases = g_array_new(FALSE, FALSE, sizeof(DlkLeaseId));
    *more = FALSE;
    for (guint i = 0; !*more && (entry = next(entries)) != NULL; i++) {
        const gboolean is_record = parse_name(entry->d_name, name, &lease);
        *more = i == MAX_ENTRIES || (is_record && leases->len == MAX_RECORDS);
        if (is_record && !*more)
            g_array_append_val(leases, lease);
    }
    *more = *more || errno != 0;
    (void)closedir(entries);
    return leases;
}

void
dlk_holder_files_remove_others(int folder, const char *name, const DlkLeaseId *lease)
{
    gboolean more;
    g_autoptr(GArray) leases = list(folder, name, &more);
    for (guint i = 0; leases != NULL && i < leases->len; i++) {
        const DlkLeaseId *other = &g_array_index(leases, DlkLeaseId, i);
        if (memcmp(other, lease, sizeof *lease) != 0)
            (void)dlk_holder_files_remove(folder, name, other);
    }
}

/* O_NONBLOCK: a FIFO that somebody left there must not hold us. */
static DlkHolder *
read_one(int folder, const char *name, const DlkLeaseId *lease)
{
    char text[DLK_HOLDER_RECORD_MAX + 1];
    struct stat status;
    g_autofree char *entry = make_name(name, lease);
    dlk_autofd fd = openat(folder, entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return NULL;
    const ssize_t length = read(fd, text, sizeof text);
    return length > 0 ? dlk_holder_record_parse(text, (gsize)length) : NULL;
}

gboolean
dlk_holder_files_read(int folder, const char *name, GPtrArray *holders, gboolean *more)
{
    g_autoptr(GArray) leases = list(folder, name, more);
    for (guint i = 0; leases != NULL && i < leases->len; i++) {
        const DlkLeaseId *lease = &g_array_index(leases, DlkLeaseId, i);
        g_autoptr(DlkHolder) holder = read_one(folder, name, lease);
        /* One that speaks of another lease than its name does is none. */
        if (holder != NULL && memcmp(&holder->lease, lease, sizeof *lease) == 0)
            g_ptr_array_add(holders, g_steal_pointer(&holder));
    }
    return leases != NULL;
}
