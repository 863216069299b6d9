#include "host/lease-journal.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#define FILE_NAME "leases"
#define HEADER "disklock-leases 1 "
/* Below this it is not worth the work to write the file anew. */
#define STALE_LINES 1000
/* The file is read whole: 200,000 leases with long names take less. */
#define MAX_SIZE (1024 * 1024 * 1024)
/* So many damaged lines are told one by one: a file may be nothing else. */
#define TOLD_LINES 20

struct _DlkLeaseJournal {
    char *path;
    char boot[SD_ID128_STRING_MAX];
    int fd;
    gint64 size;        /* up to here everything is whole */
    gboolean torn;      /* behind that stands what could not be taken back */
    guint live, struck; /* lines */
    guint stale_at;     /* so many struck lines, at least */
    guint damaged;      /* lines */
    GPtrArray *found;   /* of DlkLeaseRecord, or %NULL once taken */
};

static void
tell(const DlkLeaseJournal *self, guint line, const char *what)
{
    g_autofree char *text = line > 0 ? g_strdup_printf("%s, line %u: %s", self->path, line, what)
                                     : g_strdup_printf("%s: %s", self->path, what);
    const DlkLogField fields[] = {{"DISKLOCK_FILE", self->path}, {"DISKLOCK_REASON", what}, {0}};

    dlk_log_event(DLK_EVENT_RECORD_DAMAGED, fields, text);
}

/* ---- reading ---- */

typedef struct {
    DlkLeaseJournal *journal;
    GHashTable *by_id;  /* DlkLeaseId → DlkLeaseRecord */
    GPtrArray *pending; /* read, and answered for only if the next line is there */
    guint line;
} Reader;

static void
accept_pending(Reader *reader)
{
    for (guint i = 0; i < reader->pending->len; i++) {
        DlkLeaseRecord *record = g_ptr_array_index(reader->pending, i);

        g_hash_table_replace(reader->by_id, &record->id, record);
    }
    g_ptr_array_set_size(reader->pending, 0);
}

static void
tell_damaged(Reader *reader, const char *why)
{
    g_autofree char *text = g_strconcat("skipped: ", why, NULL);

    if (reader->journal->damaged++ < TOLD_LINES)
        tell(reader->journal, reader->line, text);
}

static void
read_line(Reader *reader, const char *line, gsize length, gint64 place)
{
    gboolean ended;
    const char *why;
    DlkLeaseRecord *record = dlk_lease_record_parse(line, length, reader->journal->boot, &ended, &why);

    if (!record) {
        tell_damaged(reader, why);
        return;
    }
    const gboolean more = record->more;
    record->place = place;
    if (ended) {
        /* An earlier line may still stand, where it could not be struck out. */
        g_hash_table_remove(reader->by_id, &record->id);
        dlk_lease_record_free(record);
    } else {
        g_ptr_array_add(reader->pending, record);
    }
    if (!more)
        accept_pending(reader);
}

/* What the process was killed in the midst of writing was answered to nobody. */
static void
end_reading(Reader *reader, gsize torn_bytes)
{
    if (torn_bytes > 0)
        tell(reader->journal, reader->line,
             "the last line is cut off, and skipped: nobody was answered for it");
    if (reader->pending->len > 0)
        tell(reader->journal, reader->line,
             "leases of one request without the last of them are skipped: nobody was answered for them");
    for (guint i = 0; i < reader->pending->len; i++)
        dlk_lease_record_free(g_ptr_array_index(reader->pending, i));
    if (reader->journal->damaged > TOLD_LINES) {
        g_autofree char *text = g_strdup_printf("%u lines are skipped in all", reader->journal->damaged);
        tell(reader->journal, 0, text);
    }
}

static int
compare_tokens(gconstpointer a, gconstpointer b)
{
    const DlkLeaseRecord *x = *(DlkLeaseRecord *const *)a, *y = *(DlkLeaseRecord *const *)b;

    return x->token < y->token ? -1 : x->token > y->token;
}

/* In the order of the grants: who came first is in the right. */
static void
collect(DlkLeaseJournal *self, GHashTable *by_id)
{
    GHashTableIter iter;
    gpointer record;

    g_hash_table_iter_init(&iter, by_id);
    while (g_hash_table_iter_next(&iter, NULL, &record)) {
        g_hash_table_iter_steal(&iter);
        g_ptr_array_add(self->found, record);
    }
    g_ptr_array_sort(self->found, compare_tokens);
}

static void
read_records(DlkLeaseJournal *self, const char *whole, gsize first, gsize size, guint line)
{
    g_autoptr(GHashTable) by_id = g_hash_table_new_full(dlk_lease_id_hash, dlk_lease_id_equal, NULL,
                                                        (GDestroyNotify)dlk_lease_record_free);
    g_autoptr(GPtrArray) pending = g_ptr_array_new();
    Reader reader = {self, by_id, pending, line};
    const char *text = whole + first, *end = whole + size, *feed;

    for (; (feed = memchr(text, '\n', (gsize)(end - text))); text = feed + 1, reader.line++)
        read_line(&reader, text, (gsize)(feed - text), text - whole);
    end_reading(&reader, (gsize)(end - text));
    self->size = text - whole;
    self->torn = text < end;
    collect(self, by_id);
}

static void
read_text(DlkLeaseJournal *self, const char *text, gsize length)
{
    const gsize header = strlen(HEADER) + strlen(self->boot) + 1;
    const char *feed = memchr(text, '\n', length);
    const gsize first = feed ? (gsize)(feed - text) + 1 : 0;

    if (first == header && memcmp(text, HEADER, strlen(HEADER)) == 0) {
        if (memcmp(text + strlen(HEADER), self->boot, strlen(self->boot)) == 0)
            read_records(self, text, header, length, 2);
        else
            tell(self, 0, "it is of an earlier boot, whose processes and locks are gone, and is dropped");
        return;
    }
    /* Each line says by its checksum what it is worth. */
    if (length > 0)
        tell(self, 1, "it does not say of which boot the file is, or of which version");
    read_records(self, text, first, length, feed ? 2 : 1);
}

static gboolean
load(DlkLeaseJournal *self, GError **error)
{
    dlk_autofd fd = open(self->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat status;

    if (fd < 0 && errno == ENOENT)
        return TRUE;
    if (fd < 0 || fstat(fd, &status) < 0)
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno,
                                   "the journal of the leases, %s, cannot be opened", self->path);
    if (status.st_uid != geteuid() || status.st_mode & (S_IWGRP | S_IWOTH)) {
        g_set_error(
            error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED,
            "%s could have been written by others (it is uid %u's, mode %04o), and is not believed: look "
            "at it, and remove it if no lease is held",
            self->path, status.st_uid, (guint)status.st_mode & 07777);
        return FALSE;
    }
    if (!S_ISREG(status.st_mode) || status.st_size > MAX_SIZE) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED,
                    "%s is no journal of leases: look at what it is, and remove it if no lease is held",
                    self->path);
        return FALSE;
    }
    g_autofree char *text = g_malloc((gsize)status.st_size + 1);
    gsize length = 0;
    while (length < (gsize)status.st_size) {
        const gssize got = read(fd, text + length, (gsize)status.st_size - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno,
                                       "the journal of the leases, %s, cannot be read", self->path);
        if (got == 0)
            break;
        length += (gsize)got;
    }
    read_text(self, text, length);
    return TRUE;
}

DlkLeaseJournal *
dlk_lease_journal_open(const char *runtime_dir, GError **error)
{
    g_autoptr(DlkLeaseJournal) self = g_new0(DlkLeaseJournal, 1);
    sd_id128_t boot;

    self->path = g_build_filename(runtime_dir, FILE_NAME, NULL);
    self->fd = -1;
    self->stale_at = STALE_LINES;
    self->found = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_lease_record_free);
    const int result = sd_id128_get_boot(&boot);
    if (result < 0) {
        dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, -result, "the boot has no id");
        return NULL;
    }
    sd_id128_to_string(boot, self->boot);
    return load(self, error) ? g_steal_pointer(&self) : NULL;
}

GPtrArray *
dlk_lease_journal_take_records(DlkLeaseJournal *self)
{
    return g_steal_pointer(&self->found);
}

void
dlk_lease_journal_free(DlkLeaseJournal *self)
{
    dlk_close_fd(&self->fd);
    g_clear_pointer(&self->found, g_ptr_array_unref);
    g_free(self->path);
    g_free(self);
}

/* ---- writing ---- */

/*
 * One write(2); it may be cut short by a full filesystem, or, between two pages, by SIGKILL (mm/filemap.c,
 * generic_perform_write()). -1 with errno set: not all of it stands.
 */
static int
write_at(int fd, const char *text, gsize length, gint64 place)
{
    gssize written;

    do
        written = pwrite(fd, text, length, place);
    while (written < 0 && errno == EINTR);
    if (written >= 0 && (gsize)written < length)
        errno = ENOSPC;
    return written == (gssize)length ? 0 : -1;
}

/* A file that has ended by a torn line goes on with a new one. */
static gboolean
write_lines(DlkLeaseJournal *self, const GString *text, gint64 *start, GError **error)
{
    if (self->torn && write_at(self->fd, "\n", 1, self->size) == 0) {
        self->size++;
        self->torn = FALSE;
    }
    *start = self->size;
    if (!self->torn && write_at(self->fd, text->str, text->len, self->size) == 0) {
        self->size += (gint64)text->len;
        return TRUE;
    }
    const int errsv = errno;
    self->torn = ftruncate(self->fd, self->size) < 0;
    return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv,
                               "the lease cannot be written down in %s, and without that a restart of the "
                               "service would forget it",
                               self->path);
}

static gboolean
format(DlkLeaseJournal *self, const DlkLeaseRecord *record, GString *text, GError **error)
{
    if (dlk_lease_record_format(record, self->boot, text))
        return TRUE;
    g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED,
                "the lease cannot be written down in %s: its path, owner and reason are too long",
                self->path);
    return FALSE;
}

gboolean
dlk_lease_journal_append(DlkLeaseJournal *self, DlkLeaseRecord *records, guint n, gint64 *places,
                         GError **error)
{
    g_autoptr(GString) text = g_string_sized_new(512 * (gsize)n);
    gint64 start;

    if (self->fd < 0) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED,
                    "the lease cannot be written down: there is no journal of the leases, %s", self->path);
        return FALSE;
    }
    for (guint i = 0; i < n; i++) {
        places[i] = (gint64)text->len;
        records[i].more = i + 1 < n;
        if (!format(self, &records[i], text, error))
            return FALSE;
    }
    if (!write_lines(self, text, &start, error))
        return FALSE;
    for (guint i = 0; i < n; i++)
        places[i] += start;
    self->live += n;
    return TRUE;
}

gboolean
dlk_lease_journal_is_open(const DlkLeaseJournal *self)
{
    return self->fd >= 0;
}

gboolean
dlk_lease_journal_strike(DlkLeaseJournal *self, gint64 place)
{
    static const char ended[] = {DLK_LEASE_RECORD_ENDED};

    /* The page is there already: this cannot fail for want of space. */
    self->live--;
    self->struck++;
    return self->fd >= 0 && write_at(self->fd, ended, sizeof ended, place) == 0;
}

gboolean
dlk_lease_journal_is_stale(const DlkLeaseJournal *self)
{
    if (self->fd < 0)
        return self->found == NULL; /* it could not be written when it was to be */
    return self->struck > MAX(self->live, self->stale_at);
}

gboolean
dlk_lease_journal_go_on(DlkLeaseJournal *self, guint live, GError **error)
{
    dlk_autofd fd = open(self->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno,
                                   "the journal of the leases, %s, cannot be opened", self->path);
    self->fd = g_steal_fd(&fd);
    self->live = live;
    return TRUE;
}

typedef struct {
    gint64 *kept; /* where the lease keeps its place */
    gint64 place;
} Moved;

static gboolean
format_all(DlkLeaseJournal *self, DlkLeaseJournalNext next, gpointer user_data, GString *text, GArray *moved,
           GError **error)
{
    DlkLeaseRecord record = {0};
    gint64 *kept;

    g_string_append_printf(text, HEADER "%s\n", self->boot);
    while ((kept = next(&record, user_data))) {
        const Moved one = {kept, (gint64)text->len};

        g_array_append_val(moved, one);
        if (!format(self, &record, text, error))
            return FALSE;
        record = (DlkLeaseRecord){0};
    }
    return TRUE;
}

/*
 * No fsync, neither of the file nor of its folder: what a process has written its death does not undo, and
 * after the death of the machine nothing in here means anything.
 */
static int
replace_file(DlkLeaseJournal *self, const GString *text, GError **error)
{
    g_autofree char *temporary = g_strconcat(self->path, ".new", NULL);
    dlk_autofd fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd >= 0 && write_at(fd, text->str, text->len, 0) == 0 && rename(temporary, self->path) == 0)
        return g_steal_fd(&fd);
    const int errsv = errno;
    if (fd >= 0)
        unlink(temporary);
    dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv,
                        "the journal of the leases, %s, cannot be written", self->path);
    return -1;
}

gboolean
dlk_lease_journal_rewrite(DlkLeaseJournal *self, DlkLeaseJournalNext next, gpointer user_data, GError **error)
{
    g_autoptr(GString) text = g_string_sized_new((gsize)self->live * 512 + 128);
    g_autoptr(GArray) moved = g_array_new(FALSE, FALSE, sizeof(Moved));

    self->stale_at =
        MAX(self->struck, STALE_LINES / 2) * 2; /* where it fails it is tried again, but not at once */
    if (!format_all(self, next, user_data, text, moved, error))
        return FALSE;
    int fd = replace_file(self, text, error);
    if (fd < 0)
        return FALSE;
    dlk_close_fd(&self->fd);
    self->fd = fd;
    self->size = (gint64)text->len;
    self->torn = FALSE;
    self->live = moved->len;
    self->struck = 0;
    self->stale_at = STALE_LINES;
    for (guint i = 0; i < moved->len; i++)
        *g_array_index(moved, Moved, i).kept = g_array_index(moved, Moved, i).place;
    return TRUE;
}
