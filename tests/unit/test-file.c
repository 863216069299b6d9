#include "base/error.h"
#include "base/file.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

/* Fixture: an empty folder, and the path of a file in it that is not there yet. */
typedef struct {
    char *folder;
    char *path;
} Fixture;

static void
set_up(Fixture *self, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    self->folder = g_dir_make_tmp("disklock-file-XXXXXX", &error);
    g_assert_no_error(error);
    self->path = g_build_filename(self->folder, "state", NULL);
}

static void
tear_down(Fixture *self, gconstpointer data)
{
    g_remove(self->path);
    /* Fails where something was left behind. */
    g_assert_cmpint(g_rmdir(self->folder), ==, 0);
    g_free(self->folder);
    g_free(self->path);
}

static void
replace_file(const Fixture *self, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(dlk_file_replace(self->path, text, &error));
    g_assert_no_error(error);
}

static void
test_the_new_text_replaces_the_old(Fixture *self, gconstpointer data)
{
    g_autofree char *text = NULL;
    replace_file(self, "old, and longer\n");
    replace_file(self, "new\n");
    g_assert_true(g_file_get_contents(self->path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "new\n");
}

static void
test_nobody_else_may_read_it(Fixture *self, gconstpointer data)
{
    struct stat status;
    replace_file(self, "text");
    g_assert_cmpint(stat(self->path, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 07777, ==, 0600);
}

static void
test_a_missing_folder_is_an_error_that_names_the_file(Fixture *self, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(self->folder, "missing", "state", NULL);
    g_assert_false(dlk_file_replace(path, "text", &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED);
    g_assert_nonnull(strstr(error->message, path));
}

static void
test_a_folder_in_its_place_is_an_error_that_names_it(Fixture *self, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(g_mkdir(self->path, 0755), ==, 0);
    g_assert_false(dlk_file_replace(self->path, "text", &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED);
    g_assert_nonnull(strstr(error->message, self->path));
}

#define ADD(name) g_test_add("/file/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(the_new_text_replaces_the_old);
    ADD(nobody_else_may_read_it);
    ADD(a_missing_folder_is_an_error_that_names_the_file);
    ADD(a_folder_in_its_place_is_an_error_that_names_it);
    return g_test_run();
}
