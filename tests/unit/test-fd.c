#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *path;

static int
open_file(int flags)
{
    const int fd = open(path, flags | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void
test_autofd_closes_at_the_end_of_its_scope(void)
{
    int number;
    {
        dlk_autofd fd = open_file(O_RDONLY);
        number = fd;
    }
    g_assert_cmpint(fcntl(number, F_GETFD), ==, -1);
}

static void
test_autofd_keeps_errno(void)
{
    {
        dlk_autofd fd = open_file(O_RDONLY);
        errno = ENOLCK;
        g_assert_cmpint(fd, >=, 0);
    }
    g_assert_cmpint(errno, ==, ENOLCK);
}

static void
test_reopened_file_has_its_own_description(void)
{
    dlk_autofd fd = open_file(O_RDWR);
    dlk_autofd reopened = dlk_fd_reopen(fd, O_RDONLY);
    g_assert_cmpint(reopened, >=, 0);
    g_assert_cmpint(lseek(reopened, 3, SEEK_SET), ==, 3);
    g_assert_cmpint(lseek(fd, 0, SEEK_CUR), ==, 0);
}

static void
test_reopened_file_is_not_inherited_and_never_blocks(void)
{
    dlk_autofd fd = open_file(O_PATH);
    dlk_autofd reopened = dlk_fd_reopen(fd, O_RDONLY);
    g_assert_cmpint(fcntl(reopened, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
    g_assert_cmpint(fcntl(reopened, F_GETFL) & O_NONBLOCK, ==, O_NONBLOCK);
}

static void
test_reopen_finds_a_file_that_was_moved(void)
{
    dlk_autofd fd = open_file(O_PATH);
    g_autofree char *moved = g_strconcat(path, ".moved", NULL);
    g_assert_cmpint(rename(path, moved), ==, 0);
    dlk_autofd reopened = dlk_fd_reopen(fd, O_RDWR);
    g_assert_cmpint(rename(moved, path), ==, 0);
    g_assert_cmpint(reopened, >=, 0);
}

static void
test_reopen_of_a_bad_descriptor_says_why(void)
{
    g_assert_cmpint(dlk_fd_reopen(123456, O_RDONLY), ==, -1);
    g_assert_cmpint(errno, ==, ENOENT);
}

static void
test_info_finds_a_value_by_its_key(void)
{
    dlk_autofd fd = open_file(O_PATH);
    struct stat status;
    g_assert_cmpint(fstat(fd, &status), ==, 0);
    g_autofree char *expected = g_strdup_printf("%" G_GUINT64_FORMAT, (guint64)status.st_ino);
    g_autofree char *inode = dlk_fd_info(fd, "ino");
    g_assert_cmpstr(inode, ==, expected);
}

static void
test_info_wants_the_whole_key(void)
{
    dlk_autofd fd = open_file(O_PATH);
    g_autofree char *beginning = dlk_fd_info(fd, "mnt");
    g_autofree char *of_nothing = dlk_fd_info(123456, "mnt_id");
    g_assert_null(beginning);
    g_assert_null(of_nothing);
}

static void
test_path_is_where_the_kernel_says(void)
{
    dlk_autofd fd = open_file(O_PATH);
    g_autofree char *found = dlk_fd_path(fd);
    g_autofree char *of_nothing = dlk_fd_path(123456);
    g_assert_cmpstr(found, ==, path);
    g_assert_null(of_nothing);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = g_dir_make_tmp("disklock-test-XXXXXX", &error);
    g_assert_no_error(error);
    g_autofree char *real_folder = realpath(folder, NULL);
    path = g_build_filename(real_folder, "file", NULL);
    g_assert_true(g_file_set_contents(path, "content", -1, NULL));
    g_test_add_func("/fd/autofd-closes-at-the-end-of-its-scope", test_autofd_closes_at_the_end_of_its_scope);
    g_test_add_func("/fd/autofd-keeps-errno", test_autofd_keeps_errno);
    g_test_add_func("/fd/reopened-file-has-its-own-description", test_reopened_file_has_its_own_description);
    g_test_add_func("/fd/reopened-file-is-not-inherited-and-never-blocks",
                    test_reopened_file_is_not_inherited_and_never_blocks);
    g_test_add_func("/fd/reopen-finds-a-file-that-was-moved", test_reopen_finds_a_file_that_was_moved);
    g_test_add_func("/fd/reopen-of-a-bad-descriptor-says-why", test_reopen_of_a_bad_descriptor_says_why);
    g_test_add_func("/fd/info-finds-a-value-by-its-key", test_info_finds_a_value_by_its_key);
    g_test_add_func("/fd/info-wants-the-whole-key", test_info_wants_the_whole_key);
    g_test_add_func("/fd/path-is-where-the-kernel-says", test_path_is_where_the_kernel_says);
    const int result = g_test_run();
    g_unlink(path);
    g_rmdir(folder);
    g_free(path);
    return result;
}
