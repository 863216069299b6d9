#include "model/lease-record.h"

#include <string.h>

#define BOOT "6c6a6cd8-6d5a-4ac5-9d8f-2f1c1f0f7a11"

typedef struct {
    DlkLeaseRecord record;
    GString *line; /* without its line feed */
} Fixture;

/* A record with a value for every key. */
static void
set_up(Fixture *f, gconstpointer data)
{
    static const char *names[] = {"/dev/sda", "/dev/disk/by-id/a b\\c=d", NULL};
    static const char *ancestors[] = {"wwid:naa.1", NULL};
    DlkDisk *disk = dlk_disk_new(DLK_KIND_BLOCK, "lvm:0123");

    disk->lane = g_strdup("/dev");
    disk->path = g_strdup("/images/a\nb \xff.img");
    disk->names = g_strdupv((char **)names);
    disk->ancestors = g_strdupv((char **)ancestors);
    disk->device = 4711;
    disk->inode = G_MAXUINT64;
    f->record = (DlkLeaseRecord){.id = {1, G_MAXUINT64},
                                 .token = 42,
                                 .disk = disk,
                                 .path = "/images/web 01.img",
                                 .backend = "fcntl",
                                 .rule = "all files",
                                 .mode = DLK_MODE_SHARED,
                                 .other_mode = DLK_MODE_EXCLUSIVE,
                                 .state = DLK_STATE_BROKEN,
                                 .lifetime = DLK_LIFETIME_PROCESS,
                                 .on_break = DLK_ON_BREAK_KILL,
                                 .strict = TRUE,
                                 .by_descriptor = TRUE,
                                 .is_data_file = TRUE,
                                 .more = TRUE,
                                 .released = TRUE,
                                 .stopping = TRUE,
                                 .revoked = TRUE,
                                 .uid = 64055,
                                 .pid = 4711,
                                 .process_start = 123456,
                                 .acquired_at = G_GINT64_CONSTANT(1700000000000000),
                                 .risk_since = 77,
                                 .owner = "wéb01",
                                 .owner_uuid = BOOT,
                                 .why = "a = b\\x41",
                                 .broken_reason = "deleted",
                                 .fds = "3,1x",
                                 .spares = "",
                                 .keep = "7",
                                 .bus = "bus",
                                 .bus_name = ":1.7"};
    f->line = g_string_new(NULL);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    dlk_disk_unref(f->record.disk);
    g_string_free(f->line, TRUE);
}

static void
write_line(Fixture *f)
{
    g_string_truncate(f->line, 0);
    g_assert_true(dlk_lease_record_format(&f->record, BOOT, f->line));
    g_assert_cmpint(f->line->str[f->line->len - 1], ==, '\n');
    g_string_truncate(f->line, f->line->len - 1);
    g_assert_null(strchr(f->line->str, '\n'));
}

static void
assert_refused(const char *line, gsize length, const char *boot)
{
    gboolean ended;
    const char *why = NULL;

    g_assert_null(dlk_lease_record_parse(line, length, boot, &ended, &why));
    g_assert_nonnull(why);
}

static DlkLeaseRecord *
parse(const Fixture *f, gboolean expect_ended)
{
    gboolean ended;
    const char *why = NULL;
    DlkLeaseRecord *read = dlk_lease_record_parse(f->line->str, f->line->len, BOOT, &ended, &why);

    g_assert_cmpstr(why, ==, NULL);
    g_assert_nonnull(read);
    g_assert_cmpint(ended, ==, expect_ended);
    return read;
}

static void
test_what_is_written_is_read(Fixture *f, gconstpointer data)
{
    write_line(f);
    g_autoptr(DlkLeaseRecord) read = parse(f, FALSE);
    GString *again = g_string_new(NULL);

    g_assert_true(dlk_lease_record_format(read, BOOT, again));
    g_string_truncate(again, again->len - 1);
    g_assert_cmpstr(again->str, ==, f->line->str);
    g_assert_cmpstr(read->disk->path, ==, f->record.disk->path);
    g_assert_cmpstrv(read->disk->names, f->record.disk->names);
    g_assert_cmpuint(read->disk->inode, ==, G_MAXUINT64);
    g_assert_cmpstr(read->owner, ==, "wéb01");
    g_assert_cmpstr(read->why, ==, "a = b\\x41");
    g_assert_cmpint(read->other_mode, ==, DLK_MODE_EXCLUSIVE);
    g_string_free(again, TRUE);
}

static void
test_record_says_that_its_lease_has_ended(Fixture *f, gconstpointer data)
{
    write_line(f);
    f->line->str[0] = DLK_LEASE_RECORD_ENDED;
    g_autoptr(DlkLeaseRecord) read = parse(f, TRUE);

    g_assert_cmpuint(read->token, ==, 42);
}

static void
test_torn_line_is_refused_wherever_it_ends(Fixture *f, gconstpointer data)
{
    write_line(f);
    for (gsize length = 0; length < f->line->len; length++)
        assert_refused(f->line->str, length, BOOT);
}

static void
test_line_with_any_other_byte_is_refused(Fixture *f, gconstpointer data)
{
    write_line(f);
    for (gsize i = 0; i < f->line->len; i++) {
        const char before = f->line->str[i];

        f->line->str[i] = (char)(before ^ 1);
        assert_refused(f->line->str, f->line->len, BOOT);
        f->line->str[i] = before;
    }
}

static void
test_line_of_another_boot_is_refused(Fixture *f, gconstpointer data)
{
    write_line(f);
    assert_refused(f->line->str, f->line->len, "00000000-6d5a-4ac5-9d8f-2f1c1f0f7a11");
}

static void
test_what_no_lease_can_be_is_refused(Fixture *f, gconstpointer data)
{
    const DlkLeaseRecord good = f->record;

    f->record.token = 0;
    write_line(f);
    assert_refused(f->line->str, f->line->len, BOOT);
    f->record = good;
    f->record.owner = "\xff";
    write_line(f);
    assert_refused(f->line->str, f->line->len, BOOT);
    f->record = good;
    f->record.state = DLK_STATE_ACTIVE; /* and yet with a reason why it is broken */
    write_line(f);
    assert_refused(f->line->str, f->line->len, BOOT);
    f->record = good;
}

static void
test_line_that_would_be_too_long_is_not_written(Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_strnfill(DLK_LEASE_RECORD_MAX, 'a');

    f->record.path = path;
    g_assert_false(dlk_lease_record_format(&f->record, BOOT, f->line));
    g_assert_cmpuint(f->line->len, ==, 0);
}

#define TEST(name) g_test_add("/lease-record/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(what_is_written_is_read);
    TEST(record_says_that_its_lease_has_ended);
    TEST(torn_line_is_refused_wherever_it_ends);
    TEST(line_with_any_other_byte_is_refused);
    TEST(line_of_another_boot_is_refused);
    TEST(what_no_lease_can_be_is_refused);
    TEST(line_that_would_be_too_long_is_not_written);
    return g_test_run();
}
