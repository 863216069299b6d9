#include "host/lease-journal.h"

#include "base/error.h"
#include "base/log.h"
#include "scratch.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a run leaves in the file, and what the next one makes of it, whatever happened to the file in between.
 */

typedef struct {
    Scratch scratch;
    char *path;
    DlkLeaseJournal *journal;
    DlkDisk *disk;
    gint64 places[8];
} Fixture;

static guint told; /* entries of the journal about damage */

static GLogWriterOutput
count_entries(GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer user_data)
{
    if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
        return g_log_writer_default(level, fields, n_fields, user_data);
    told++;
    return G_LOG_WRITER_HANDLED;
}

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
no_lease(DlkLeaseRecord *record, gpointer user_data)
{
    return NULL;
}

/* The next run, which has not written anything yet. */
static GPtrArray *
read_again(Fixture *f)
{
    g_clear_pointer(&f->journal, dlk_lease_journal_free);
    f->journal = dlk_lease_journal_open(f->scratch.path, NULL);
    g_assert_nonnull(f->journal);
    return dlk_lease_journal_take_records(f->journal);
}

static void
append(Fixture *f, guint64 number, guint n)
{
    g_autofree DlkLeaseRecord *records = g_new0(DlkLeaseRecord, n);

    for (guint i = 0; i < n; i++)
        records[i] = record_of(f, number + i);
    g_assert_true(dlk_lease_journal_append(f->journal, records, n, f->places + number, NULL));
}

/* Leases by their numbers: "1 2". */
static void
assert_read(Fixture *f, const char *expected)
{
    g_autoptr(GPtrArray) records = read_again(f);
    g_autoptr(GString) numbers = g_string_new(NULL);

    for (guint i = 0; i < records->len; i++) {
        const DlkLeaseRecord *record = g_ptr_array_index(records, i);

        g_string_append_printf(numbers, "%s%" G_GUINT64_FORMAT, i > 0 ? " " : "", record->token);
    }
    g_assert_cmpstr(numbers->str, ==, expected);
}

static void
set_up(Fixture *f, gconstpointer data)
{
    scratch_init(&f->scratch);
    f->path = scratch_path(&f->scratch, "leases");
    f->disk = dlk_disk_new(DLK_KIND_FILE, "file:1:2");
    f->journal = dlk_lease_journal_open(f->scratch.path, NULL);
    g_assert_nonnull(f->journal);
    g_assert_true(dlk_lease_journal_rewrite(f->journal, no_lease, NULL, NULL));
    g_clear_pointer(&f->journal, dlk_lease_journal_free);
    assert_read(f, "");
    g_assert_true(dlk_lease_journal_go_on(f->journal, 0, NULL));
    told = 0;
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_clear_pointer(&f->journal, dlk_lease_journal_free);
    dlk_disk_unref(f->disk);
    g_free(f->path);
    scratch_clear(&f->scratch);
}

/* Puts @bytes at the end of the file. */
static void
add_bytes(Fixture *f, const char *bytes, gsize length)
{
    const int fd = open(f->path, O_WRONLY | O_APPEND | O_CLOEXEC);

    g_assert_cmpint(write(fd, bytes, length), ==, (gssize)length);
    close(fd);
}

static void
assert_not_believed(Fixture *f, const char *because)
{
    g_autoptr(GError) error = NULL;

    g_clear_pointer(&f->journal, dlk_lease_journal_free);
    g_assert_null(dlk_lease_journal_open(f->scratch.path, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED);
    g_assert_nonnull(strstr(error->message, f->path));
    g_assert_nonnull(strstr(error->message, because));
}

/* ---- what stands ---- */

static void
test_what_was_appended_is_read_in_the_order_of_the_tokens(Fixture *f, gconstpointer data)
{
    append(f, 3, 1);
    append(f, 1, 2);
    assert_read(f, "1 2 3");
}

static void
test_what_was_struck_out_has_ended(Fixture *f, gconstpointer data)
{
    append(f, 1, 3);
    g_assert_true(dlk_lease_journal_strike(f->journal, f->places[2]));
    assert_read(f, "1 3");
    g_assert_cmpuint(told, ==, 0);
}

static void
test_of_two_lines_of_a_lease_the_later_counts(Fixture *f, gconstpointer data)
{
    append(f, 1, 1);
    const gint64 first = f->places[1];
    append(f, 1, 1);
    g_autoptr(GPtrArray) records = read_again(f);
    g_assert_cmpuint(records->len, ==, 1);
    const DlkLeaseRecord *record = g_ptr_array_index(records, 0);
    g_assert_cmpint(record->place, ==, f->places[1]);
    g_assert_cmpint(record->place, >, first);
}

/* The earlier line could not be struck out. */
static void
test_a_lease_whose_last_line_has_ended_has_ended(Fixture *f, gconstpointer data)
{
    append(f, 1, 1);
    append(f, 1, 1);
    g_assert_true(dlk_lease_journal_strike(f->journal, f->places[1]));
    assert_read(f, "");
}

static void
test_a_request_whose_last_line_is_missing_was_answered_to_nobody(Fixture *f, gconstpointer data)
{
    append(f, 4, 1);
    append(f, 1, 3);
    g_assert_cmpint(truncate(f->path, f->places[3]), ==, 0);
    assert_read(f, "4");
    g_assert_cmpuint(told, ==, 1);
}

static void
test_a_torn_line_is_left_behind(Fixture *f, gconstpointer data)
{
    append(f, 1, 1);
    add_bytes(f, "+ 0123", 6);
    assert_read(f, "1");
    g_assert_cmpuint(told, ==, 1);
    g_assert_true(dlk_lease_journal_go_on(f->journal, 1, NULL));
    append(f, 2, 1);
    assert_read(f, "1 2");
}

static void
test_the_file_of_an_earlier_run_can_be_written_on(Fixture *f, gconstpointer data)
{
    append(f, 1, 3);
    g_autoptr(GPtrArray) records = read_again(f);
    const DlkLeaseRecord *second = g_ptr_array_index(records, 1);

    g_assert_false(dlk_lease_journal_is_open(f->journal));
    g_assert_true(dlk_lease_journal_go_on(f->journal, 3, NULL));
    g_assert_true(dlk_lease_journal_strike(f->journal, second->place));
    append(f, 4, 1);
    assert_read(f, "1 3 4");
}

/* ---- what somebody else left ---- */

static void
test_a_file_of_nothing_but_damage_is_told_in_few_entries(Fixture *f, gconstpointer data)
{
    g_autoptr(GString) lines = g_string_new(NULL);

    append(f, 1, 1);
    for (guint i = 0; i < 1000000; i++)
        g_string_append_c(lines, '\n');
    add_bytes(f, lines->str, lines->len);
    assert_read(f, "1");
    g_assert_cmpuint(told, >, 1);
    g_assert_cmpuint(told, <, 30);
}

static void
test_a_line_without_end_is_skipped(Fixture *f, gconstpointer data)
{
    g_autofree char *line = g_strnfill(16 * 1024 * 1024, '+');

    add_bytes(f, line, strlen(line));
    add_bytes(f, "\n", 1);
    g_assert_true(dlk_lease_journal_go_on(f->journal, 0, NULL));
    assert_read(f, "");
    g_assert_cmpuint(told, ==, 1);
}

static void
test_a_file_that_others_can_write_is_not_believed(Fixture *f, gconstpointer data)
{
    append(f, 1, 1);
    g_assert_cmpint(chmod(f->path, 0620), ==, 0);
    assert_not_believed(f, "written by others");
    g_assert_cmpint(chmod(f->path, 0602), ==, 0);
    assert_not_believed(f, "written by others");
}

static void
test_a_file_of_somebody_else_is_not_believed(Fixture *f, gconstpointer data)
{
    append(f, 1, 1);
    g_assert_cmpint(chown(f->path, 5, 5), ==, 0);
    assert_not_believed(f, "uid 5");
}

static void
test_what_is_no_file_is_not_read(Fixture *f, gconstpointer data)
{
    g_autofree char *other = scratch_file(&f->scratch, "other");

    g_assert_cmpint(unlink(f->path), ==, 0);
    g_assert_cmpint(symlink(other, f->path), ==, 0);
    assert_not_believed(f, "symbolic");
    g_assert_cmpint(unlink(f->path), ==, 0);
    g_assert_cmpint(mkfifo(f->path, 0600), ==, 0);
    assert_not_believed(f, "no journal");
    g_assert_cmpint(unlink(f->path), ==, 0);
    g_assert_cmpint(mkdir(f->path, 0700), ==, 0);
    assert_not_believed(f, "no journal");
    g_assert_cmpint(rmdir(f->path), ==, 0);
}

static void
test_a_file_that_is_larger_than_can_be_is_not_read(Fixture *f, gconstpointer data)
{
    g_assert_cmpint(truncate(f->path, G_GINT64_CONSTANT(8) << 30), ==, 0);
    assert_not_believed(f, "no journal");
}

#define ADD(path, test) g_test_add("/lease-journal/" path, Fixture, NULL, set_up, test, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_writer_func(count_entries, NULL, NULL);
    ADD("order", test_what_was_appended_is_read_in_the_order_of_the_tokens);
    ADD("struck", test_what_was_struck_out_has_ended);
    ADD("later-counts", test_of_two_lines_of_a_lease_the_later_counts);
    ADD("last-ended", test_a_lease_whose_last_line_has_ended_has_ended);
    ADD("half-a-request", test_a_request_whose_last_line_is_missing_was_answered_to_nobody);
    ADD("torn", test_a_torn_line_is_left_behind);
    ADD("written-on", test_the_file_of_an_earlier_run_can_be_written_on);
    ADD("damage", test_a_file_of_nothing_but_damage_is_told_in_few_entries);
    ADD("endless-line", test_a_line_without_end_is_skipped);
    ADD("writable", test_a_file_that_others_can_write_is_not_believed);
    ADD("owner", test_a_file_of_somebody_else_is_not_believed);
    ADD("no-file", test_what_is_no_file_is_not_read);
    ADD("too-large", test_a_file_that_is_larger_than_can_be_is_not_read);
    return g_test_run();
}
