#include "host/identify.h"
#include "host/resolve-cached.h"
#include "scratch.h"

#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

typedef struct {
    Scratch scratch;
    DlkMounts *mounts;
} Fixture;

/* @from, if any, is replaced by @to in the mount table as it is. */
static void
read_mounts(Fixture *f, const char *from, const char *to)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *own = NULL;

    g_assert_true(g_file_get_contents("/proc/self/mountinfo", &own, NULL, NULL));
    g_string_append(text, own);
    if (from)
        g_assert_cmpuint(g_string_replace(text, from, to, 0), >, 0);
    g_clear_pointer(&f->mounts, dlk_mounts_unref);
    f->mounts = dlk_mounts_parse(text->str);
}

static void
set_up(Fixture *f, gconstpointer data)
{
    scratch_init(&f->scratch);
    read_mounts(f, NULL, NULL);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    scratch_clear(&f->scratch);
    dlk_mounts_unref(f->mounts);
}

/* What the kernel has in its cache: whoever looked at it a moment ago has put it there. */
static DlkResolved *
resolve(const char *path)
{
    g_autoptr(DlkResolved) left = NULL;
    struct stat status;

    (void)stat(path, &status);
    return dlk_resolve_cached(path, &left);
}

static DlkTarget *
identify(Fixture *f, const char *path)
{
    g_autoptr(DlkResolved) place = resolve(path);

    g_assert_nonnull(place);
    return dlk_identify_cached(f->mounts, place);
}

static void
test_plain_path_leads_where_the_walk_leads(Fixture *f, gconstpointer data)
{
    g_autofree char *folder = scratch_folder(&f->scratch, "a");
    g_autofree char *path = scratch_file(&f->scratch, "a/disk.img");
    const DlkMount *mount = dlk_mounts_of_path(f->mounts, path);
    g_autoptr(DlkResolved) cached = resolve(path);
    g_autoptr(DlkResolved) walked = dlk_resolve(f->mounts, path, mount->lane, NULL);
    struct stat a, b;

    g_assert_cmpstr(cached->path, ==, walked->path);
    g_assert_cmpstr(cached->name, ==, walked->name);
    g_assert_cmpint(fstat(cached->fd, &a) + fstat(walked->fd, &b), ==, 0);
    g_assert_cmpuint(a.st_ino, ==, b.st_ino);
    g_assert_cmpint(fstat(cached->folder_fd, &a) + fstat(walked->folder_fd, &b), ==, 0);
    g_assert_cmpuint(a.st_ino, ==, b.st_ino);
}

static void
test_disk_is_the_one_that_the_walk_finds(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_file(&f->scratch, "disk.img");
    g_autofree char *elsewhere = NULL;
    const char *lane = dlk_mounts_of_path(f->mounts, path)->lane;
    g_autoptr(DlkTarget) walked = dlk_identify_path(f->mounts, path, lane, &elsewhere, NULL);
    g_autoptr(DlkTarget) cached = identify(f, path);

    g_assert_cmpstr(cached->disk->id, ==, walked->disk->id);
    g_assert_cmpuint(cached->disk->device, ==, walked->disk->device);
    g_assert_cmpuint(cached->disk->inode, ==, walked->disk->inode);
    g_assert_cmpstr(cached->disk->path, ==, walked->disk->path);
    g_assert_cmpstr(cached->disk->lane, ==, walked->disk->lane);
    g_assert_cmpstr(cached->disk->filesystem, ==, walked->disk->filesystem);
    g_assert_cmpstr(cached->name, ==, walked->name);
    g_assert_true(cached->folder == walked->folder);
}

static void
test_what_is_not_plain_is_left_to_the_walk(Fixture *f, gconstpointer data)
{
    static const char *const odd[] = {"link.img", "folder/disk.img", "a/../disk.img", "a/..",    "./disk.img",
                                      "a//b.img", "disk.img/",       "disk.img/.",    "gone.img"};
    g_autofree char *folder = scratch_folder(&f->scratch, "a");
    g_autofree char *file = scratch_file(&f->scratch, "disk.img");
    g_autofree char *other = scratch_file(&f->scratch, "a/b.img");
    g_autofree char *link = scratch_link(&f->scratch, "link.img", "disk.img");
    g_autofree char *to_folder = scratch_link(&f->scratch, "folder", ".");

    for (guint i = 0; i < G_N_ELEMENTS(odd); i++) {
        g_autofree char *path = scratch_path(&f->scratch, odd[i]);

        g_assert_null(resolve(path));
    }
    g_assert_null(resolve("disk.img"));
    g_assert_null(resolve("rbd:pool/image"));
    g_assert_null(resolve("/"));
    g_assert_null(resolve(""));
}

static void
test_what_was_opened_in_vain_is_handed_out(Fixture *f, gconstpointer data)
{
    g_autofree char *gone = scratch_path(&f->scratch, "gone.img");
    g_autoptr(DlkResolved) left = NULL;

    g_assert_null(dlk_resolve_cached(gone, &left));
    g_assert_cmpint(left->folder_fd, >=, 0);
}

static void
test_other_than_a_file_is_left_to_the_walk(Fixture *f, gconstpointer data)
{
    g_autofree char *folder = scratch_folder(&f->scratch, "a");
    g_autofree char *fifo = scratch_path(&f->scratch, "fifo");

    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_assert_null(identify(f, folder));
    g_assert_null(identify(f, fifo));
}

static void
test_filesystem_that_is_not_local_is_left_to_the_walk(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_file(&f->scratch, "disk.img");
    g_autofree char *from = g_strdup_printf(" - %s ", dlk_mounts_of_path(f->mounts, path)->filesystem);

    read_mounts(f, from, " - nfs4 ");
    g_assert_null(identify(f, path));
}

static void
test_table_that_is_out_of_date_is_noticed(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_file(&f->scratch, "disk.img");
    const DlkMount *mount = dlk_mounts_of_path(f->mounts, path);
    g_autofree char *from = g_strdup_printf("%" G_GUINT64_FORMAT " ", mount->id);

    read_mounts(f, from, "999999 ");
    g_assert_null(identify(f, path));
}

static void
test_file_that_an_overlay_may_show_is_left_to_the_walk(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_file(&f->scratch, "disk.img");
    g_autofree char *own = NULL, *text = NULL;
    const DlkMount *mount = dlk_mounts_of_path(f->mounts, path);
    g_autoptr(DlkTarget) without = identify(f, path);

    g_assert_nonnull(without);
    g_assert_true(g_file_get_contents("/proc/self/mountinfo", &own, NULL, NULL));
    text = g_strdup_printf("%s999999 %" G_GUINT64_FORMAT " 9:9 / /merged rw - overlay o rw,upperdir=%s\n",
                           own, mount->id, f->scratch.path);
    dlk_mounts_unref(f->mounts);
    f->mounts = dlk_mounts_parse(text);
    g_assert_null(identify(f, path));
}

/* Its folder is on another filesystem than the file is. */
static void
test_file_that_is_mounted_on_is_left_to_the_walk(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_file(&f->scratch, "disk.img");

    g_assert_cmpint(unshare(CLONE_NEWNS), ==, 0);
    g_assert_cmpint(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), ==, 0);
    g_assert_cmpint(mount(path, path, NULL, MS_BIND, NULL), ==, 0);
    g_assert_null(resolve(path));
    g_assert_cmpint(umount(path), ==, 0);
}

#define TEST(name) g_test_add("/resolve-cached/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(plain_path_leads_where_the_walk_leads);
    TEST(disk_is_the_one_that_the_walk_finds);
    TEST(what_is_not_plain_is_left_to_the_walk);
    TEST(what_was_opened_in_vain_is_handed_out);
    TEST(other_than_a_file_is_left_to_the_walk);
    TEST(filesystem_that_is_not_local_is_left_to_the_walk);
    TEST(table_that_is_out_of_date_is_noticed);
    TEST(file_that_an_overlay_may_show_is_left_to_the_walk);
    TEST(file_that_is_mounted_on_is_left_to_the_walk);
    return g_test_run();
}
