#include "backend/registration-note.h"
#include "base/error.h"
#include "scratch.h"

#include <glib/gstdio.h>
#include <sys/stat.h>

typedef struct {
    Scratch scratch;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    scratch_init(&f->scratch);
    dlk_registration_note_set_folder(f->scratch.path);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    dlk_registration_note_set_folder(NULL);
    scratch_clear(&f->scratch);
}

static void
make(const char *id, const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkDisk) disk = dlk_disk_new(DLK_KIND_BLOCK, id);
    disk->path = g_strdup(path);
    g_assert_true(dlk_registration_note_make(disk, &error));
    g_assert_no_error(error);
}

static void
assert_count(guint expected)
{
    g_autoptr(GPtrArray) notes = dlk_registration_note_list();
    g_assert_cmpuint(notes->len, ==, expected);
}

static void
test_a_note_says_which_disk_it_is_of(Fixture *f, gconstpointer data)
{
    make("wwid:naa.5001\n2", "/dev/disk \\ one\n");
    make("wwid:naa.5001\n2", "/dev/disk \\ one\n"); /* the same again */
    g_autoptr(GPtrArray) notes = dlk_registration_note_list();
    g_assert_cmpuint(notes->len, ==, 1);
    const DlkRegistrationNote *note = notes->pdata[0];
    g_assert_cmpstr(note->disk_id, ==, "wwid:naa.5001\n2");
    g_assert_cmpstr(note->path, ==, "/dev/disk \\ one\n");
}

static void
test_a_note_that_is_taken_back_leaves_the_others(Fixture *f, gconstpointer data)
{
    make("wwid:a", "/dev/sda");
    make("wwid:b", "/dev/sdb");
    dlk_registration_note_remove("wwid:a");
    dlk_registration_note_remove("wwid:c");
    g_autoptr(GPtrArray) notes = dlk_registration_note_list();
    g_assert_cmpuint(notes->len, ==, 1);
    g_assert_cmpstr(((const DlkRegistrationNote *)notes->pdata[0])->disk_id, ==, "wwid:b");
}

static void
test_what_was_just_being_written_is_none(Fixture *f, gconstpointer data)
{
    make("wwid:a", "/dev/sda");
    g_autofree char *half = scratch_path(&f->scratch, "registered/0123.AB12CD");
    g_assert_true(g_file_set_contents(half, "/dev/sd", -1, NULL));
    assert_count(1);
    g_assert_false(g_file_test(half, G_FILE_TEST_EXISTS));
}

static void
test_what_cannot_be_noted_is_an_error(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkDisk) disk = dlk_disk_new(DLK_KIND_BLOCK, "wwid:a");
    disk->path = g_strdup("/dev/sda");
    g_autofree char *in_its_place = scratch_file(&f->scratch, "registered");
    g_assert_false(dlk_registration_note_make(disk, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED);
    assert_count(0);
}

#define ADD(name) g_test_add("/registration-note/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(a_note_says_which_disk_it_is_of);
    ADD(a_note_that_is_taken_back_leaves_the_others);
    ADD(what_was_just_being_written_is_none);
    ADD(what_cannot_be_noted_is_an_error);
    return g_test_run();
}
