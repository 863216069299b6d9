#include "base/error.h"
#include "host/identify.h"
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct {
    Scratch scratch;
    DlkMounts *mounts;
} Fixture;

static void
read_mounts(Fixture *f)
{
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL));
    g_clear_pointer(&f->mounts, dlk_mounts_unref);
    f->mounts = dlk_mounts_parse(text);
}

static void
set_up(Fixture *f, gconstpointer data)
{
    scratch_init(&f->scratch);
    read_mounts(f);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    scratch_clear(&f->scratch);
    dlk_mounts_unref(f->mounts);
}

static DlkTarget *
identify(Fixture *f, const char *path, GError **error)
{
    g_autofree char *elsewhere = NULL;
    const char *lane = dlk_mounts_of_path(f->mounts, path)->lane;
    DlkTarget *target = dlk_identify_path(f->mounts, path, lane, &elsewhere, error);
    g_assert_null(elsewhere);
    return target;
}

static DlkTarget *
must_identify(Fixture *f, const char *path)
{
    g_autoptr(GError) error = NULL;
    DlkTarget *target = identify(f, path, &error);
    g_assert_no_error(error);
    return target;
}

static void
assert_is_no_disk(Fixture *f, const char *path, const char *what)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkTarget) target = identify(f, path, &error);
    g_assert_null(target);
    g_assert_error(error, DLK_ERROR, DLK_ERROR_NOT_A_DISK);
    g_autofree char *message = g_strdup_printf("%s is %s, not a disk", path, what);
    g_assert_cmpstr(error->message, ==, message);
}

static void
assert_same_disk(Fixture *f, const char *one, const char *other)
{
    g_autoptr(DlkTarget) a = must_identify(f, one);
    g_autoptr(DlkTarget) b = must_identify(f, other);
    g_assert_cmpstr(a->disk->id, ==, b->disk->id);
}

static void
test_file(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_file(&f->scratch, "disk.img");
    g_autoptr(DlkTarget) target = must_identify(f, path);
    struct stat status;
    g_assert_cmpint(stat(path, &status), ==, 0);
    g_autofree char *id = g_strdup_printf("file:%u:%u:%lu", major(status.st_dev), minor(status.st_dev),
                                          (unsigned long)status.st_ino);
    const DlkMount *mount = dlk_mounts_of_path(f->mounts, path);
    g_assert_cmpuint(target->disk->kind, ==, DLK_KIND_FILE);
    g_assert_cmpstr(target->disk->id, ==, id);
    g_assert_cmpstr(target->disk->path, ==, path);
    g_assert_cmpstr(target->disk->filesystem, ==, mount->filesystem);
    g_assert_cmpstr(target->disk->lane, ==, mount->lane);
    g_assert_cmpuint(target->disk->inode, ==, status.st_ino);
    g_assert_cmpstr(target->name, ==, "disk.img");
    g_assert_cmpint(fcntl(target->fd, F_GETFL) & O_PATH, !=, 0);
}

static void
test_links_hard_and_symbolic_are_one_disk(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_file(&f->scratch, "disk.img");
    g_autofree char *hard = scratch_path(&f->scratch, "hard.img");
    g_autofree char *soft = scratch_link(&f->scratch, "soft.img", "hard.img");
    g_assert_cmpint(link(path, hard), ==, 0);
    assert_same_disk(f, path, hard);
    assert_same_disk(f, path, soft);
}

static void
test_other_file_is_another_disk(Fixture *f, gconstpointer data)
{
    g_autofree char *one = scratch_file(&f->scratch, "one.img");
    g_autofree char *two = scratch_file(&f->scratch, "two.img");
    g_autoptr(DlkTarget) a = must_identify(f, one);
    g_autoptr(DlkTarget) b = must_identify(f, two);
    g_assert_cmpstr(a->disk->id, !=, b->disk->id);
}

static void
test_bind_mounts_are_one_disk(Fixture *f, gconstpointer data)
{
    if (!g_test_subprocess()) { /* a mount namespace of its own, which ends with the process */
        g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
        g_test_trap_assert_passed();
        return;
    }
    g_autofree char *from = scratch_folder(&f->scratch, "from");
    g_autofree char *to = scratch_folder(&f->scratch, "to");
    g_autofree char *path = scratch_file(&f->scratch, "from/disk.img");
    g_autofree char *bound = scratch_path(&f->scratch, "to/disk.img");
    if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount(from, to, NULL, MS_BIND, NULL) < 0)
        g_error("no bind mount can be made in a mount namespace: %s", g_strerror(errno));
    read_mounts(f);
    assert_same_disk(f, path, bound);
    g_assert_cmpint(umount(to), ==, 0);
}

static void
test_folder_is_no_disk(Fixture *f, gconstpointer data)
{
    assert_is_no_disk(f, f->scratch.path, "a folder");
    assert_is_no_disk(f, "/", "a folder");
}

static void
test_fifo_is_no_disk_and_is_not_opened(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_path(&f->scratch, "fifo");
    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    assert_is_no_disk(f, path, "a FIFO");
}

static void
test_socket_is_no_disk(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_path(&f->scratch, "socket");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    dlk_autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    assert_is_no_disk(f, path, "a socket");
}

static void
test_terminal_and_character_device_are_no_disks(Fixture *f, gconstpointer data)
{
    assert_is_no_disk(f, "/dev/tty", "a terminal");
    assert_is_no_disk(f, "/dev/null", "a character device");
}

static void
test_block_device_is_known_by_its_number(Fixture *f, gconstpointer data)
{
    g_autofree char *node = scratch_path(&f->scratch, "node");
    if (mknod(node, S_IFBLK | 0600, makedev(4000, 0)) < 0)
        g_error("no node of a block device can be made, which takes root: %s", g_strerror(errno));
    g_autoptr(DlkTarget) target = must_identify(f, node);
    g_assert_cmpuint(target->disk->kind, ==, DLK_KIND_BLOCK);
    g_assert_cmpstr(target->disk->id, ==, "block:4000:0");
    g_assert_cmpstr(target->disk->lane, ==, "block:4000:0");
    g_assert_null(target->disk->filesystem);
}

static int
open_file(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void
assert_fd_fails(Fixture *f, int fd, DlkMode mode, DlkError code, const char *part)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkTarget) target = dlk_identify_fd(f->mounts, fd, mode, "uid:1000", &error);
    g_assert_null(target);
    g_assert_error(error, DLK_ERROR, (int)code);
    g_assert_nonnull(strstr(error->message, part));
    g_assert_cmpint(fcntl(fd, F_GETFD), ==, -1);
}

static void
test_descriptor_is_the_disk_of_its_path(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_file(&f->scratch, "disk.img");
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkTarget) by_path = must_identify(f, path);
    int fd = open_file(path, O_RDWR);
    g_autoptr(DlkTarget) target = dlk_identify_fd(f->mounts, fd, DLK_MODE_EXCLUSIVE, "uid:1000", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(target->disk->id, ==, by_path->disk->id);
    g_assert_cmpstr(target->disk->path, ==, path);
    g_assert_cmpstr(target->disk->filesystem, ==, by_path->disk->filesystem);
    g_assert_cmpstr(target->disk->lane, ==, "uid:1000");
    g_assert_cmpstr(target->name, ==, "disk.img");
    g_assert_cmpint(fcntl(target->fd, F_GETFL) & O_PATH, !=, 0);
}

static void
test_descriptor_must_prove_access(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_file(&f->scratch, "disk.img");
    assert_fd_fails(f, open_file(path, O_RDONLY), DLK_MODE_EXCLUSIVE, DLK_ERROR_NOT_AUTHORIZED,
                    "open it for writing");
    assert_fd_fails(f, open_file(path, O_RDONLY), DLK_MODE_SHARED, DLK_ERROR_NOT_AUTHORIZED,
                    "open it for writing");
    assert_fd_fails(f, open_file(path, O_PATH), DLK_MODE_READ_ONLY, DLK_ERROR_NOT_AUTHORIZED, "O_PATH");
    g_autoptr(DlkTarget) target =
        dlk_identify_fd(f->mounts, open_file(path, O_RDONLY), DLK_MODE_READ_ONLY, "uid:1000", NULL);
    g_assert_nonnull(target);
}

static void
test_descriptor_without_a_name_is_no_disk(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_file(&f->scratch, "disk.img");
    int fd = open_file(path, O_RDWR);
    g_assert_cmpint(g_unlink(path), ==, 0);
    assert_fd_fails(f, fd, DLK_MODE_EXCLUSIVE, DLK_ERROR_NOT_A_DISK, "without a name");
    assert_fd_fails(f, memfd_create("disk", MFD_CLOEXEC), DLK_MODE_EXCLUSIVE, DLK_ERROR_NOT_A_DISK,
                    "without a name");
}

static void
test_descriptor_of_something_else_is_no_disk(Fixture *f, gconstpointer data)
{
    int pipe_fds[2];
    g_assert_cmpint(pipe2(pipe_fds, O_CLOEXEC), ==, 0);
    assert_fd_fails(f, pipe_fds[0], DLK_MODE_READ_ONLY, DLK_ERROR_NOT_A_DISK, "a FIFO");
    close(pipe_fds[1]);
    assert_fd_fails(f, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), DLK_MODE_EXCLUSIVE,
                    DLK_ERROR_NOT_A_DISK, "a socket");
    assert_fd_fails(f, open_file("/dev/null", O_RDWR), DLK_MODE_EXCLUSIVE, DLK_ERROR_NOT_A_DISK,
                    "a character device");
    assert_fd_fails(f, open_file("/proc/self/comm", O_RDWR), DLK_MODE_EXCLUSIVE, DLK_ERROR_NOT_A_DISK,
                    "/proc");
}

static void
test_descriptor_whose_name_is_another_file_now_has_no_path(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_file(&f->scratch, "disk.img");
    g_autofree char *hard = scratch_path(&f->scratch, "hard.img");
    int fd = open_file(path, O_RDWR);
    g_assert_cmpint(link(path, hard), ==, 0);
    g_assert_cmpint(g_unlink(path), ==, 0);
    g_free(g_steal_pointer(&path));
    path = scratch_file(&f->scratch, "disk.img");
    g_autoptr(DlkTarget) target = dlk_identify_fd(f->mounts, fd, DLK_MODE_EXCLUSIVE, "uid:1000", NULL);
    g_assert_nonnull(target);
    g_assert_null(target->disk->path);
    g_assert_null(target->name);
    g_assert_cmpint(target->folder_fd, ==, -1);
}

#define TEST(name) g_test_add("/identify/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(file);
    TEST(links_hard_and_symbolic_are_one_disk);
    TEST(other_file_is_another_disk);
    TEST(bind_mounts_are_one_disk);
    TEST(folder_is_no_disk);
    TEST(fifo_is_no_disk_and_is_not_opened);
    TEST(socket_is_no_disk);
    TEST(terminal_and_character_device_are_no_disks);
    TEST(block_device_is_known_by_its_number);
    TEST(descriptor_is_the_disk_of_its_path);
    TEST(descriptor_must_prove_access);
    TEST(descriptor_without_a_name_is_no_disk);
    TEST(descriptor_of_something_else_is_no_disk);
    TEST(descriptor_whose_name_is_another_file_now_has_no_path);
    return g_test_run();
}
