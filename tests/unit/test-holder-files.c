#include "backend/holder-files.h"
#include "model/holder-record.h"
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "web01.img"
#define ID "00000000000000070000000000000007"

static const DlkLeaseId seven = {7, 7};

typedef struct {
    Scratch scratch;
    int folder;
} Files;

static void
set_up(Files *self, gconstpointer data)
{
    scratch_init(&self->scratch);
    self->folder = open(self->scratch.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(self->folder, >=, 0);
}

static void
tear_down(Files *self, gconstpointer data)
{
    close(self->folder);
    scratch_clear(&self->scratch);
}

static char *
record_of(const char *host, guint64 number)
{
    g_autoptr(DlkHolder) holder = dlk_holder_new(DLK_MODE_SHARED);
    holder->host = g_ref_string_new(host);
    holder->lease = (DlkLeaseId){number, number};
    return dlk_holder_record_format(holder, DLK_MODE_SHARED, 0);
}

static void
write_one(Files *f, const char *host, guint64 number)
{
    const DlkLeaseId lease = {number, number};
    g_autofree char *record = record_of(host, number);
    g_assert_true(dlk_holder_files_write(f->folder, NAME, &lease, record));
}

static void
assert_hosts(Files *f, guint expected)
{
    g_autoptr(GPtrArray) holders = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_holder_unref);
    gboolean more = TRUE;
    g_assert_true(dlk_holder_files_read(f->folder, NAME, holders, &more));
    g_assert_false(more);
    g_assert_cmpuint(holders->len, ==, expected);
    for (guint i = 0; i < holders->len; i++)
        g_assert_false(((DlkHolder *)holders->pdata[i])->confirmed);
}

static char *
path_of(Files *f, const char *name)
{
    return g_build_filename(f->scratch.path, name, NULL);
}

static void
test_what_is_written_is_read_and_removed(Files *f, gconstpointer data)
{
    write_one(f, "alpha", 7);
    write_one(f, "beta", 8);
    write_one(f, "alpha", 7); /* again, in another mode say */
    assert_hosts(f, 2);
    g_assert_true(dlk_holder_files_remove(f->folder, NAME, &seven));
    assert_hosts(f, 1);
    g_assert_false(dlk_holder_files_remove(f->folder, NAME, &seven));
}

static void
test_those_of_the_others_are_taken_away(Files *f, gconstpointer data)
{
    write_one(f, "alpha", 7);
    write_one(f, "beta", 8);
    g_autofree char *other = path_of(f, ".web02.img.disklock-" ID);
    g_assert_true(g_file_set_contents(other, "x", 1, NULL));
    dlk_holder_files_remove_others(f->folder, NAME, &seven);
    assert_hosts(f, 1);
    g_assert_true(g_file_test(other, G_FILE_TEST_EXISTS));
}

static void
test_what_is_no_record_is_passed_over(Files *f, gconstpointer data)
{
    g_autofree char *garbage = g_strnfill(4096, 'x');
    g_autofree char *record = record_of("alpha", 8); /* of another lease than the name says */
    g_autofree char *path = path_of(f, "." NAME ".disklock-" ID);
    g_autofree char *fifo = path_of(f, "." NAME ".disklock-00000000000000080000000000000008");
    g_autofree char *odd = path_of(f, "." NAME ".disklock-nothing");
    g_assert_true(g_file_set_contents(path, garbage, 4096, NULL));
    g_assert_true(g_file_set_contents(odd, record, -1, NULL));
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    assert_hosts(f, 0);
    g_assert_true(g_file_set_contents(path, record, -1, NULL));
    assert_hosts(f, 0);
}

/* Who may write to the folder could have the service write elsewhere. */
static void
test_a_link_is_not_followed(Files *f, gconstpointer data)
{
    g_autofree char *victim = path_of(f, "victim");
    g_autofree char *link = path_of(f, "." NAME ".disklock-" ID);
    g_autofree char *text = NULL;
    g_autofree char *record = record_of("alpha", 7);
    g_assert_true(g_file_set_contents(victim, record, -1, NULL));
    g_assert_cmpint(symlink(victim, link), ==, 0);
    assert_hosts(f, 0);
    write_one(f, "beta", 7);
    assert_hosts(f, 1);
    g_assert_true(g_file_get_contents(victim, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, record);
}

static void
test_a_name_that_has_no_room_is_an_error(Files *f, gconstpointer data)
{
    g_autofree char *name = g_strnfill(250, 'a');
    g_assert_false(dlk_holder_files_write(f->folder, name, &seven, "x"));
    g_assert_cmpint(errno, ==, ENAMETOOLONG);
}

#define ADD(name) g_test_add("/holder-files/" #name, Files, NULL, set_up, test_##name, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(what_is_written_is_read_and_removed);
    ADD(those_of_the_others_are_taken_away);
    ADD(what_is_no_record_is_passed_over);
    ADD(a_link_is_not_followed);
    ADD(a_name_that_has_no_room_is_an_error);
    return g_test_run();
}
