#include "host/lease-journal.h"

#include "base/error.h"
#include "base/log.h"
#include "scratch.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/*
 * The file of the leases on a filesystem that gets full, and what becomes of it when it is written anew. The
 * filesystem is one in memory, in a mount namespace of this program.
 */

#define CHUNK 65536
/* What is certainly more than the rest of a page. */
#define MANY 20

typedef struct {
    Scratch scratch;
    char *filler;
    DlkLeaseJournal *journal;
    DlkDisk *disk;
    gint64 places[2048]; /* by the lease's number */
} Fixture;

typedef struct {
    Fixture *fixture;
    const guint64 *numbers; /* 0 behind the last */
} Standing;

static DlkLeaseRecord
record_of(Fixture *f, guint64 number)
{
    return (DlkLeaseRecord){.id = {1, number},
                            .token = number,
                            .disk = f->disk,
                            .path = "/images/web01.img",
                            .backend = "fcntl",
                            .rule = "all",
                            .owner = "web01",
                            .acquired_at = 1};
}

static gint64 *
next_standing(DlkLeaseRecord *record, gpointer user_data)
{
    Standing *standing = user_data;

    if (*standing->numbers == 0)
        return NULL;
    *record = record_of(standing->fixture, *standing->numbers);
    return &standing->fixture->places[*standing->numbers++];
}

/* Puts a file with leases of these @numbers in the place of the old one. */
static gboolean
rewrite(Fixture *f, const guint64 *numbers, GError **error)
{
    Standing standing = {f, numbers};

    return dlk_lease_journal_rewrite(f->journal, next_standing, &standing, error);
}

static void
open_journal(Fixture *f)
{
    f->journal = dlk_lease_journal_open(f->scratch.path, NULL);
    g_assert_nonnull(f->journal);
}

static void
set_up(Fixture *f, gconstpointer data)
{
    scratch_init(&f->scratch);
    g_assert_cmpint(mount("small", f->scratch.path, "tmpfs", 0, "mode=700,size=1m"), ==, 0);
    f->filler = scratch_path(&f->scratch, "filler");
    f->disk = dlk_disk_new(DLK_KIND_FILE, "file:1:2");
    open_journal(f);
    g_assert_true(rewrite(f, (const guint64[]){0}, NULL));
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_clear_pointer(&f->journal, dlk_lease_journal_free);
    dlk_disk_unref(f->disk);
    g_free(f->filler);
    g_assert_cmpint(umount(f->scratch.path), ==, 0);
    scratch_clear(&f->scratch);
}

static gboolean
append(Fixture *f, guint64 number, guint n, GError **error)
{
    g_autofree DlkLeaseRecord *records = g_new0(DlkLeaseRecord, n);

    for (guint i = 0; i < n; i++)
        records[i] = record_of(f, number + i);
    return dlk_lease_journal_append(f->journal, records, n, f->places + number, error);
}

/* Not a byte is left. */
static void
fill(Fixture *f)
{
    static const char zeros[CHUNK];
    const int fd = open(f->filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    g_assert_cmpint(fd, >=, 0);
    while (write(fd, zeros, sizeof zeros) > 0)
        ;
    close(fd);
}

/* What the next run finds: "1 2". */
static void
assert_read(Fixture *f, const char *expected)
{
    g_autoptr(GString) numbers = g_string_new(NULL);

    g_clear_pointer(&f->journal, dlk_lease_journal_free);
    open_journal(f);
    g_autoptr(GPtrArray) records = dlk_lease_journal_take_records(f->journal);
    for (guint i = 0; i < records->len; i++)
        g_string_append_printf(numbers, "%s%" G_GUINT64_FORMAT, i > 0 ? " " : "",
                               ((const DlkLeaseRecord *)g_ptr_array_index(records, i))->token);
    g_assert_cmpstr(numbers->str, ==, expected);
}

static void
assert_full(GError *error, const Fixture *f)
{
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED);
    g_assert_nonnull(strstr(error->message, f->scratch.path));
    g_assert_nonnull(strstr(error->message, g_strerror(ENOSPC)));
    g_error_free(error);
}

static void
test_leases_that_do_not_fit_are_refused_and_leave_no_trace(Fixture *f, gconstpointer data)
{
    GError *error = NULL;

    g_assert_true(append(f, 1, 1, NULL));
    fill(f);
    /* The first of them would fit into the page. */
    g_assert_false(append(f, 2, MANY, &error));
    assert_full(error, f);
    g_assert_cmpint(unlink(f->filler), ==, 0);
    g_assert_true(append(f, 2, 1, NULL));
    /* A warning of a damaged line would end the test. */
    assert_read(f, "1 2");
}

static void
test_end_of_a_lease_needs_no_space(Fixture *f, gconstpointer data)
{
    g_assert_true(append(f, 1, 2, NULL));
    fill(f);
    g_assert_true(dlk_lease_journal_strike(f->journal, f->places[1]));
    assert_read(f, "2");
}

static void
test_new_file_has_the_leases_that_stand_and_says_where(Fixture *f, gconstpointer data)
{
    g_assert_true(append(f, 1, 4, NULL));
    const gint64 before = f->places[4];

    g_assert_true(dlk_lease_journal_strike(f->journal, f->places[1]));
    g_assert_true(rewrite(f, (const guint64[]){2, 3, 4, 0}, NULL));
    g_assert_cmpint(f->places[4], <, before);
    g_assert_true(dlk_lease_journal_strike(f->journal, f->places[3]));
    g_assert_true(append(f, 5, 1, NULL));
    assert_read(f, "2 4 5");
}

static void
test_new_file_that_does_not_fit_leaves_the_old_one(Fixture *f, gconstpointer data)
{
    g_autofree char *unfinished = scratch_path(&f->scratch, "leases.new");
    GError *error = NULL;

    g_assert_true(append(f, 1, MANY, NULL));
    const gint64 before = f->places[2];

    fill(f);
    g_assert_false(rewrite(f, (const guint64[]){2, 3, 0}, &error));
    assert_full(error, f);
    g_assert_cmpint(access(unfinished, F_OK), <, 0);
    g_assert_cmpint(f->places[2], ==, before);
    for (guint i = 3; i <= MANY; i++)
        g_assert_true(dlk_lease_journal_strike(f->journal, f->places[i]));
    assert_read(f, "1 2");
}

static void
test_file_is_stale_when_most_of_it_has_ended(Fixture *f, gconstpointer data)
{
    enum {
        SO_MANY_AT_LEAST = 1000
    };

    g_assert_true(append(f, 2000, 1, NULL));
    for (guint i = 1; !dlk_lease_journal_is_stale(f->journal); i++) {
        g_assert_cmpuint(i, <, 2000);
        g_assert_true(append(f, i, 1, NULL));
        g_assert_true(dlk_lease_journal_strike(f->journal, f->places[i]));
    }
    g_assert_cmpint(f->places[SO_MANY_AT_LEAST], >, 0);
    g_assert_true(rewrite(f, (const guint64[]){2000, 0}, NULL));
    g_assert_false(dlk_lease_journal_is_stale(f->journal));
    assert_read(f, "2000");
}

#define ADD(path, test) g_test_add("/lease-journal-full/" path, Fixture, NULL, set_up, test, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(unshare(CLONE_NEWNS), ==, 0);
    g_assert_cmpint(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), ==, 0);
    ADD("refused", test_leases_that_do_not_fit_are_refused_and_leave_no_trace);
    ADD("end", test_end_of_a_lease_needs_no_space);
    ADD("new-file", test_new_file_has_the_leases_that_stand_and_says_where);
    ADD("new-file-does-not-fit", test_new_file_that_does_not_fit_leaves_the_old_one);
    ADD("stale", test_file_is_stale_when_most_of_it_has_ended);
    return g_test_run();
}
