#include "base/error.h"
#include "host/resolve.h"
#include "scratch.h"

#include <glib/gstdio.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

typedef struct {
    Scratch scratch;
    DlkMounts *mounts;
    char *lane;
} Fixture;

/* @extra: lines added to the machine's own mount table, "%s" being the scratch folder. */
static void
read_mounts(Fixture *f, const char *extra)
{
    g_autofree char *own = NULL;
    g_assert_true(g_file_get_contents("/proc/self/mountinfo", &own, NULL, NULL));
    g_autofree char *text = g_strconcat(own, extra, NULL);
    g_clear_pointer(&f->mounts, dlk_mounts_unref);
    f->mounts = dlk_mounts_parse(text);
}

static void
set_up(Fixture *f, gconstpointer data)
{
    scratch_init(&f->scratch);
    read_mounts(f, "");
    f->lane = g_strdup(dlk_mounts_of_path(f->mounts, f->scratch.path)->lane);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    scratch_clear(&f->scratch);
    dlk_mounts_unref(f->mounts);
    g_free(f->lane);
}

/* Makes the machine's table say that something of lane 9:9 is mounted on @point, a folder. */
static void
pretend_mount(Fixture *f, const char *point, const char *filesystem)
{
    const DlkMount *below = dlk_mounts_of_path(f->mounts, point);
    g_autofree char *line = g_strdup_printf("999999 %" G_GUINT64_FORMAT " 9:9 / %s rw - %s source rw\n",
                                            below->id, point, filesystem);
    read_mounts(f, line);
}

static void
assert_leads_to(Fixture *f, const char *path, const char *end)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkResolved) resolved = dlk_resolve(f->mounts, path, f->lane, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(resolved->path, ==, end);
    struct stat walked, named, by_name;
    g_assert_cmpint(fstat(resolved->fd, &walked), ==, 0);
    g_assert_cmpint(stat(path, &named), ==, 0);
    g_assert_cmpuint(walked.st_ino, ==, named.st_ino);
    g_assert_cmpint(fstatat(resolved->folder_fd, resolved->name, &by_name, 0), ==, 0);
    g_assert_cmpuint(by_name.st_ino, ==, named.st_ino);
}

static void
assert_fails(Fixture *f, const char *path, DlkError code, const char *part)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkResolved) resolved = dlk_resolve(f->mounts, path, f->lane, &error);
    g_assert_null(resolved);
    g_assert_error(error, DLK_ERROR, (int)code);
    g_assert_nonnull(strstr(error->message, part));
}

static void
test_plain_path(Fixture *f, gconstpointer data)
{
    g_autofree char *folder = scratch_folder(&f->scratch, "a");
    g_autofree char *file = scratch_file(&f->scratch, "a/disk.img");
    assert_leads_to(f, file, file);
}

static void
test_empty_components_and_dots_mean_nothing(Fixture *f, gconstpointer data)
{
    g_autofree char *file = scratch_file(&f->scratch, "disk.img");
    g_autofree char *odd = g_strconcat("//", f->scratch.path, "/.///./disk.img", NULL);
    assert_leads_to(f, odd, file);
}

static void
test_links_are_followed_absolute_and_relative(Fixture *f, gconstpointer data)
{
    g_autofree char *folder = scratch_folder(&f->scratch, "a");
    g_autofree char *file = scratch_file(&f->scratch, "a/disk.img");
    g_autofree char *absolute = scratch_link(&f->scratch, "absolute", file);
    g_autofree char *relative = scratch_link(&f->scratch, "a/relative", "../absolute");
    g_autofree char *to_folder = scratch_link(&f->scratch, "folder", "a");
    g_autofree char *through = scratch_path(&f->scratch, "folder/relative");
    assert_leads_to(f, absolute, file);
    assert_leads_to(f, relative, file);
    assert_leads_to(f, through, file);
}

static void
test_parent_is_that_of_where_a_link_led(Fixture *f, gconstpointer data)
{
    g_autofree char *a = scratch_folder(&f->scratch, "a");
    g_autofree char *b = scratch_folder(&f->scratch, "a/b");
    g_autofree char *file = scratch_file(&f->scratch, "a/disk.img");
    g_autofree char *link = scratch_link(&f->scratch, "link", "a/b");
    g_autofree char *path = scratch_path(&f->scratch, "link/../disk.img");
    assert_leads_to(f, path, file);
}

static void
test_parent_of_the_root_is_the_root(Fixture *f, gconstpointer data)
{
    g_autofree char *file = scratch_file(&f->scratch, "disk.img");
    g_autofree char *path = g_strconcat("/../..", file, NULL);
    assert_leads_to(f, path, file);
}

static void
test_missing_names_where_it_ends(Fixture *f, gconstpointer data)
{
    g_autofree char *link = scratch_link(&f->scratch, "link", "gone.img");
    g_autofree char *gone = scratch_path(&f->scratch, "gone.img");
    g_autofree char *says = g_strconcat(link, " leads to ", gone, ": No such file", NULL);
    assert_fails(f, link, DLK_ERROR_NOT_A_DISK, says);
}

static void
test_slash_after_a_file_is_refused(Fixture *f, gconstpointer data)
{
    g_autofree char *file = scratch_file(&f->scratch, "disk.img");
    g_autofree char *link = scratch_link(&f->scratch, "link", "disk.img");
    g_autofree char *slash = g_strconcat(file, "/", NULL);
    g_autofree char *link_slash = g_strconcat(link, "/", NULL);
    g_autofree char *dot = g_strconcat(file, "/.", NULL);
    assert_fails(f, slash, DLK_ERROR_NOT_A_DISK, "Not a directory");
    assert_fails(f, link_slash, DLK_ERROR_NOT_A_DISK, "Not a directory");
    assert_fails(f, dot, DLK_ERROR_NOT_A_DISK, "Not a directory");
}

static void
test_link_loop_ends(Fixture *f, gconstpointer data)
{
    g_autofree char *one = scratch_link(&f->scratch, "one", "two");
    g_autofree char *two = scratch_link(&f->scratch, "two", "one");
    assert_fails(f, one, DLK_ERROR_NOT_A_DISK, "Too many levels of symbolic links");
}

static void
test_forty_links_pass_and_one_more_does_not(Fixture *f, gconstpointer data)
{
    g_autofree char *file = scratch_file(&f->scratch, "0");
    for (guint i = 1; i <= 41; i++) {
        g_autofree char *name = g_strdup_printf("%u", i);
        g_autofree char *target = g_strdup_printf("%u", i - 1);
        g_autofree char *link = scratch_link(&f->scratch, name, target);
    }
    g_autofree char *forty = scratch_path(&f->scratch, "40");
    g_autofree char *more = scratch_path(&f->scratch, "41");
    assert_leads_to(f, forty, file);
    assert_fails(f, more, DLK_ERROR_NOT_A_DISK, "Too many levels of symbolic links");
}

static void
test_long_paths_name_the_limit(Fixture *f, gconstpointer data)
{
    g_autofree char *long_path = g_strnfill(PATH_MAX, '/');
    assert_fails(f, long_path, DLK_ERROR_INVALID_ARGS, "4095 is the limit");
    g_autofree char *name = g_strnfill(NAME_MAX + 1, 'x');
    g_autofree char *long_name = scratch_path(&f->scratch, name);
    assert_fails(f, long_name, DLK_ERROR_NOT_A_DISK, "File name too long");
}

static void
test_longest_path_that_is_allowed(Fixture *f, gconstpointer data)
{
    g_autofree char *file = scratch_file(&f->scratch, "d");
    g_autofree char *slashes = g_strnfill(PATH_MAX - 1 - strlen(file), '/');
    g_autofree char *path = g_strconcat(slashes, file, NULL);
    assert_leads_to(f, path, file);
}

static void
test_relative_is_refused(Fixture *f, gconstpointer data)
{
    assert_fails(f, "disk.img", DLK_ERROR_INVALID_ARGS, "not an absolute path");
    assert_fails(f, "", DLK_ERROR_INVALID_ARGS, "not an absolute path");
}

static void
test_message_is_printable(Fixture *f, gconstpointer data)
{
    assert_fails(f, "/no\nsuch\xff", DLK_ERROR_NOT_A_DISK, "/no\\x0asuch\\xff");
}

static void
test_proc_is_refused(Fixture *f, gconstpointer data)
{
    g_autofree char *link = scratch_link(&f->scratch, "link", "/proc/self/fd/0");
    assert_fails(f, "/proc/self/exe", DLK_ERROR_NOT_A_DISK, "leads into /proc");
    assert_fails(f, link, DLK_ERROR_NOT_A_DISK, "leads into /proc");
}

static void
test_link_into_another_lane_ends_the_walk(Fixture *f, gconstpointer data)
{
    g_autofree char *remote = scratch_folder(&f->scratch, "remote");
    g_autofree char *link = scratch_link(&f->scratch, "link", "remote/vm/disk.img");
    g_autofree char *rest = g_strconcat(remote, "/vm/disk.img", NULL);
    pretend_mount(f, remote, "nfs4");

    g_autoptr(GError) error = NULL;
    g_autoptr(DlkResolved) resolved = dlk_resolve(f->mounts, link, f->lane, &error);
    g_assert_no_error(error);
    g_assert_cmpint(resolved->fd, ==, -1);
    g_assert_cmpstr(resolved->elsewhere, ==, rest);
}

static void
test_own_lane_is_entered_by_way_of_those_above(Fixture *f, gconstpointer data)
{
    g_autofree char *remote = scratch_folder(&f->scratch, "remote");
    g_autofree char *file = scratch_file(&f->scratch, "remote/disk.img");
    pretend_mount(f, remote, "nfs4");
    g_free(f->lane);
    f->lane = g_strdup("9:9");
    assert_leads_to(f, file, file);
}

static void
test_file_that_is_a_mount_keeps_its_name_elsewhere(Fixture *f, gconstpointer data)
{
    g_autofree char *file = scratch_file(&f->scratch, "disk.img");
    pretend_mount(f, file, "ext4");
    g_autoptr(DlkResolved) resolved = dlk_resolve(f->mounts, file, f->lane, NULL);
    g_assert_cmpstr(resolved->elsewhere, ==, file);
}

static void
test_normalize(void)
{
    const char *const pairs[][2] = {{"/", "/"},           {"//", "/"},
                                    {"//a/./b/", "/a/b"}, {"/a/../b", "/a/../b"},
                                    {"/./.", "/"},        {"/a/.../.b", "/a/.../.b"}};
    for (guint i = 0; i < G_N_ELEMENTS(pairs); i++) {
        g_autofree char *plain = dlk_resolve_normalize(pairs[i][0]);
        g_assert_cmpstr(plain, ==, pairs[i][1]);
    }
}

#define TEST(name) g_test_add("/resolve/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(plain_path);
    TEST(empty_components_and_dots_mean_nothing);
    TEST(links_are_followed_absolute_and_relative);
    TEST(parent_is_that_of_where_a_link_led);
    TEST(parent_of_the_root_is_the_root);
    TEST(missing_names_where_it_ends);
    TEST(slash_after_a_file_is_refused);
    TEST(link_loop_ends);
    TEST(forty_links_pass_and_one_more_does_not);
    TEST(long_paths_name_the_limit);
    TEST(longest_path_that_is_allowed);
    TEST(relative_is_refused);
    TEST(message_is_printable);
    TEST(proc_is_refused);
    TEST(link_into_another_lane_ends_the_walk);
    TEST(own_lane_is_entered_by_way_of_those_above);
    TEST(file_that_is_a_mount_keeps_its_name_elsewhere);
    g_test_add_func("/resolve/normalize", test_normalize);
    return g_test_run();
}
