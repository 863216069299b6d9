#include "backend/holder-files.h"
#include "image-fixture.h"
#include "model/holder-record.h"

#include <string.h>
#include <sys/xattr.h>

/* Who has locked a file that several hosts see: extended attributes of the file say it. */

#define ID "0123456789abcdef0123456789abcdef"
#define NAME "user.disklock." ID

static DlkHolder *
holder_on(const char *host, DlkMode mode, guint64 number)
{
    DlkHolder *holder = dlk_holder_new(mode);
    holder->host = g_ref_string_new(host);
    holder->host_name = g_ref_string_new("node7");
    holder->owner = g_ref_string_new("web01");
    holder->lease = (DlkLeaseId){number, number};
    return holder;
}

static DlkHold *
take(Image *image, const char *host, DlkMode mode, guint64 number)
{
    g_autoptr(GError) error = NULL;
    DlkBackend *backend = dlk_backends_get("fcntl");
    g_autoptr(DlkTarget) target = image_open_again(image);
    g_autoptr(DlkHolder) holder = holder_on(host, mode, number);
    DlkHold *hold = dlk_hold_new(backend, target, mode, FALSE, 0);
    dlk_hold_set_holder(hold, holder);
    dlk_backend_acquire(backend, hold, image->rule, &error);
    g_assert_no_error(error);
    return hold;
}

static GPtrArray *
holders_of(Image *image)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *holders = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_holder_unref);
    dlk_backend_holders(dlk_backends_get("fcntl"), image->target, image->rule, holders, &error);
    g_assert_no_error(error);
    return holders;
}

static void
assert_holders(Image *image, guint expected, guint expected_confirmed)
{
    g_autoptr(GPtrArray) holders = holders_of(image);
    guint confirmed = 0;
    for (guint i = 0; i < holders->len; i++)
        confirmed += ((DlkHolder *)holders->pdata[i])->confirmed;
    g_assert_cmpuint(holders->len, ==, expected);
    g_assert_cmpuint(confirmed, ==, expected_confirmed);
}

/* The host is gone, and its record stands. */
static void
die(DlkHold *hold)
{
    dlk_hold_unref(hold);
}

static void
write_attribute(Image *image, const char *name, const char *value, gsize length)
{
    g_assert_cmpint(setxattr(image->path, name, value, length, 0), ==, 0);
}

static void
test_a_holder_is_named_and_confirmed(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) hold = take(image, "alpha", DLK_MODE_EXCLUSIVE, 1);
    g_autoptr(GPtrArray) holders = holders_of(image);
    g_assert_cmpuint(holders->len, ==, 1);
    const DlkHolder *holder = holders->pdata[0];
    g_assert_cmpstr(holder->host, ==, "alpha");
    g_assert_cmpstr(holder->owner, ==, "web01");
    g_assert_true(holder->confirmed);
    image_assert_check(hold, DLK_CHECK_HELD, NULL);
}

static void
test_the_record_goes_with_the_release(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) hold = take(image, "alpha", DLK_MODE_SHARED, 1);
    image_give_back(hold);
    assert_holders(image, 0, 0);
    g_assert_cmpint(listxattr(image->path, NULL, 0), ==, 0);
}

static void
test_readers_and_writers_that_share_are_all_named(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) one = take(image, "alpha", DLK_MODE_READ_ONLY, 1);
    g_autoptr(DlkHold) two = take(image, "beta", DLK_MODE_SHARED, 2);
    assert_holders(image, 2, 2);
    image_give_back(one);
    assert_holders(image, 1, 1);
}

static void
test_a_reader_that_becomes_a_writer_stays_confirmed(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) hold = take(image, "alpha", DLK_MODE_READ_ONLY, 1);
    g_assert_true(dlk_backend_convert(hold->backend, hold, DLK_MODE_EXCLUSIVE, NULL));
    g_autoptr(GPtrArray) holders = holders_of(image);
    g_assert_cmpuint(holders->len, ==, 1);
    g_assert_true(((DlkHolder *)holders->pdata[0])->confirmed);
    g_assert_cmpint((gint)((DlkHolder *)holders->pdata[0])->mode, ==, (gint)DLK_MODE_EXCLUSIVE);
}

static void
test_the_record_of_the_dead_is_unconfirmed_beside_the_living(Image *image, gconstpointer data)
{
    die(take(image, "alpha", DLK_MODE_SHARED, 1));
    assert_holders(image, 1, 0);
    g_autoptr(DlkHold) living = take(image, "beta", DLK_MODE_SHARED, 2);
    assert_holders(image, 2, 1);
}

static void
test_who_has_it_alone_takes_the_records_of_the_dead_away(Image *image, gconstpointer data)
{
    die(take(image, "alpha", DLK_MODE_EXCLUSIVE, 1));
    g_autoptr(DlkHold) next = take(image, "beta", DLK_MODE_EXCLUSIVE, 2);
    assert_holders(image, 1, 1);
}

static void
test_what_is_forged_or_torn_refuses_nobody_and_is_never_confirmed(Image *image, gconstpointer data)
{
    g_autoptr(DlkHolder) forged = holder_on("mallory", DLK_MODE_EXCLUSIVE, 7);
    g_assert_true(dlk_lease_id_parse(ID, &forged->lease));
    g_autofree char *record = dlk_holder_record_format(forged, DLK_MODE_EXCLUSIVE, 0);
    write_attribute(image, NAME, record, strlen(record));
    assert_holders(image, 1, 0);
    write_attribute(image, NAME, record, strlen(record) / 2);
    assert_holders(image, 0, 0);
    g_autofree char *large = g_strnfill(2000, 'x');
    write_attribute(image, NAME, large, 2000);
    write_attribute(image, NAME "0", record, strlen(record));
    write_attribute(image, "user.disklock.", record, strlen(record));
    write_attribute(image, "user.disklock.fedcba9876543210fedcba9876543210", record, strlen(record));
    write_attribute(image, "user.other", record, strlen(record));
    assert_holders(image, 0, 0);
    g_autoptr(DlkHold) hold = take(image, "beta", DLK_MODE_EXCLUSIVE, 2);
    assert_holders(image, 1, 1);
    g_assert_cmpint(getxattr(image->path, "user.other", NULL, 0), >, 0); /* others' attributes are not ours */
}

/* Somebody keeps the byte of a record locked, and there is no lease. */
static void
test_a_record_without_a_lock_on_the_disk_is_unconfirmed(Image *image, gconstpointer data)
{
    die(take(image, "alpha", DLK_MODE_SHARED, 1));
    g_auto(OtherProcess) other =
        image_lock_elsewhere(image, "locker", F_OFD_SETLK, F_RDLCK, 0x40000000, 0x40000000 + 16);
    assert_holders(image, 1, 0);
}

static void
test_where_locks_stay_on_the_host_nothing_is_written(Image *image, gconstpointer data)
{
    image->target->disk->lock_limit = g_ref_string_new("the mount option nolock keeps locks on this host");
    g_autoptr(DlkHold) hold = take(image, "alpha", DLK_MODE_EXCLUSIVE, 1);
    g_assert_cmpint(listxattr(image->path, NULL, 0), ==, 0);
}

/* ---- fencing ---- */

static guint
fence(Image *image, const char *host, char **message)
{
    guint removed = 0;
    g_autoptr(GError) error = NULL;
    const gboolean fenced =
        dlk_backend_fence(dlk_backends_get("fcntl"), image->target, image->rule, host, &removed, &error);
    g_assert_cmpint(fenced, ==, error == NULL);
    if (error != NULL)
        g_assert_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED);
    *message = g_strdup(error != NULL ? error->message : "");
    return removed;
}

static void
assert_fenced(Image *image, const char *host, guint expected)
{
    g_autofree char *message = NULL;
    g_assert_cmpuint(fence(image, host, &message), ==, expected);
    g_assert_cmpstr(message, ==, "");
}

static void
assert_not_fenced(Image *image, const char *host, const char *part)
{
    g_autofree char *message = NULL;
    g_assert_cmpuint(fence(image, host, &message), ==, 0);
    g_test_message("%s", message);
    g_assert_nonnull(strstr(message, part));
}

static void
test_fencing_removes_what_the_dead_left_and_nobody_elses(Image *image, gconstpointer data)
{
    die(take(image, "alpha", DLK_MODE_SHARED, 1));
    die(take(image, "beta", DLK_MODE_SHARED, 2));
    assert_fenced(image, "alpha", 1);
    assert_holders(image, 1, 0);
    assert_fenced(image, "alpha", 0);
}

/* By version 3 of NFS it is tried whether the byte is free. */
static void
test_fencing_by_version_3_of_nfs_removes_what_the_dead_left(Image *image, gconstpointer data)
{
    g_free(image->target->disk->filesystem);
    image->target->disk->filesystem = g_strdup("nfs");
    die(take(image, "alpha", DLK_MODE_READ_ONLY, 1));
    g_autoptr(DlkHold) living = take(image, "beta", DLK_MODE_SHARED, 2);
    assert_fenced(image, "alpha", 1);
    assert_holders(image, 1, 1);
    image_assert_check(living, DLK_CHECK_HELD, NULL);
}

static void
test_fencing_says_what_to_do_on_the_server(Image *image, gconstpointer data)
{
    const struct {
        const char *filesystem, *part;
    } cases[] = {
        {"nfs4", "grep -E '^(name|address):' /proc/fs/nfsd/clients/*/info"},
        {"nfs4", "locked by host alpha, by its record node7, and"},
        {"nfs", "echo CLIENT-ADDRESS > /proc/fs/nfsd/unlock_ip"},
        {"cifs", "smbstatus -b"},
        {"cifs", "smbcontrol smbd kill-client-ip"},
        {"gfs2", "have the cluster fence that host"},
        {"ceph", "on the server of the ceph filesystem"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_free(image->target->disk->filesystem);
        image->target->disk->filesystem = g_strdup(cases[i].filesystem);
        g_autoptr(DlkHold) hold = take(image, "alpha", DLK_MODE_EXCLUSIVE, 1);
        assert_not_fenced(image, "alpha", cases[i].part);
        assert_fenced(image, "gamma", 0); /* it is known who has it, and that is another */
        image_assert_check(hold, DLK_CHECK_HELD, NULL);
        image_give_back(hold);
    }
}

/* What is advised is done as root on the server: a name that somebody made up is in none of its commands. */
static void
test_a_name_of_a_record_is_in_no_command(Image *image, gconstpointer data)
{
    static const char name[] = "x' /etc/passwd; reboot; '";
    g_free(image->target->disk->filesystem);
    image->target->disk->filesystem = g_strdup("nfs4");
    g_autoptr(DlkHold) hold = take(image, "alpha", DLK_MODE_EXCLUSIVE, 1);
    g_autoptr(DlkHolder) forged = holder_on("alpha", DLK_MODE_EXCLUSIVE, 1);
    g_ref_string_release(forged->host_name);
    forged->host_name = g_ref_string_new(name);
    g_autofree char *record = dlk_holder_record_format(forged, DLK_MODE_EXCLUSIVE, 0);
    write_attribute(image, "user.disklock.00000000000000010000000000000001", record, strlen(record));
    g_autofree char *message = NULL;
    fence(image, "alpha", &message);
    const char *advice = strstr(message, "on the server");
    g_assert_nonnull(advice);
    g_assert_nonnull(strstr(message, name));
    g_assert_null(strstr(advice, "reboot"));
}

/* Its record could not be written, or somebody took it away: it may be the host that is to be fenced. */
static void
test_fencing_is_not_done_while_a_lease_without_a_record_stands(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) known = take(image, "beta", DLK_MODE_SHARED, 2);
    assert_fenced(image, "alpha", 0);
    g_auto(OtherProcess) unknown =
        image_lock_elsewhere(image, "unknown", F_OFD_SETLK, F_RDLCK, 0x40000007, 0x40000007);
    assert_not_fenced(image, "alpha", "that has left no record, which may be this one");
}

/* More records than anybody reads hide the one that is asked for. */
static void
test_records_beyond_those_that_are_read_are_somebody_unknown(Image *image, gconstpointer data)
{
    image->rule->holder_file = TRUE;
    for (guint i = 0; i < 65; i++) {
        g_autoptr(DlkHolder) holder = holder_on("gamma", DLK_MODE_SHARED, 100 + i);
        g_autofree char *record = dlk_holder_record_format(holder, DLK_MODE_SHARED, 0);
        g_assert_true(dlk_holder_files_write(image->target->folder_fd, "disk.img", &holder->lease, record));
    }
    g_autoptr(DlkHold) known = take(image, "beta", DLK_MODE_SHARED, 2);
    assert_holders(image, 64 + 2, 2);
    assert_not_fenced(image, "alpha", "that has left no record, which may be this one");
}

static void
test_fencing_on_a_filesystem_of_this_host_has_nothing_to_fence(Image *image, gconstpointer data)
{
    image->target->disk->lock_limit = g_ref_string_new("ext4 is known to this host alone");
    assert_not_fenced(image, "alpha", "no other host can have locked it");
}

#define ADD(name) g_test_add("/fcntl-holders/" #name, Image, NULL, image_set_up, test_##name, image_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(a_holder_is_named_and_confirmed);
    ADD(the_record_goes_with_the_release);
    ADD(readers_and_writers_that_share_are_all_named);
    ADD(a_reader_that_becomes_a_writer_stays_confirmed);
    ADD(the_record_of_the_dead_is_unconfirmed_beside_the_living);
    ADD(who_has_it_alone_takes_the_records_of_the_dead_away);
    ADD(what_is_forged_or_torn_refuses_nobody_and_is_never_confirmed);
    ADD(a_record_without_a_lock_on_the_disk_is_unconfirmed);
    ADD(where_locks_stay_on_the_host_nothing_is_written);
    ADD(fencing_removes_what_the_dead_left_and_nobody_elses);
    ADD(fencing_by_version_3_of_nfs_removes_what_the_dead_left);
    ADD(fencing_says_what_to_do_on_the_server);
    ADD(a_name_of_a_record_is_in_no_command);
    ADD(fencing_is_not_done_while_a_lease_without_a_record_stands);
    ADD(records_beyond_those_that_are_read_are_somebody_unknown);
    ADD(fencing_on_a_filesystem_of_this_host_has_nothing_to_fence);
    return g_test_run();
}
