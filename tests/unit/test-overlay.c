#include "host/identify.h"
#include "host/overlay.h"
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* ---- names ---- */

static const DlkMount *
only_overlay(DlkMounts **mounts, const char *line)
{
    *mounts = dlk_mounts_parse(line);
    GPtrArray *overlays = dlk_mounts_overlays(*mounts);
    g_assert_cmpuint(overlays->len, ==, 1);
    return overlays->pdata[0];
}

static void
test_names_on_both_sides(void)
{
    g_autoptr(DlkMounts) mounts = NULL;
    const DlkMount *mount = only_overlay(
        &mounts, "30 1 0:40 / /merged rw - overlay ov rw,lowerdir=/low,upperdir=/up//x/,workdir=/w");
    g_autofree char *merged = dlk_overlay_merged_path(mount, "/up/x/a/disk.img");
    g_autofree char *upper = dlk_overlay_upper_path(mount, "/merged/a/disk.img");
    g_assert_cmpstr(merged, ==, "/merged/a/disk.img");
    g_assert_cmpstr(upper, ==, "/up/x/a/disk.img");
    g_assert_null(dlk_overlay_merged_path(mount, "/up/xy/disk.img"));
    g_assert_null(dlk_overlay_upper_path(mount, "/merged2/disk.img"));
}

static void
test_mount_of_a_part_of_an_overlay(void)
{
    g_autoptr(DlkMounts) mounts = NULL;
    const DlkMount *mount = only_overlay(
        &mounts, "30 1 0:40 /sub /merged rw - overlay ov rw,lowerdir=/low,upperdir=/up,workdir=/w");
    g_autofree char *merged = dlk_overlay_merged_path(mount, "/up/sub/disk.img");
    g_autofree char *upper = dlk_overlay_upper_path(mount, "/merged/disk.img");
    g_assert_cmpstr(merged, ==, "/merged/disk.img");
    g_assert_cmpstr(upper, ==, "/up/sub/disk.img");
    g_assert_null(dlk_overlay_merged_path(mount, "/up/disk.img"));
}

static void
test_overlay_that_does_not_say_where_its_upper_folder_is(void)
{
    static const char *const lines[] = {"30 1 0:40 / /merged rw - overlay ov rw,lowerdir=/low:/lower",
                                        "30 1 0:40 / /merged rw - overlay ov rw,upperdir=relative,workdir=w"};
    for (guint i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(DlkMounts) mounts = NULL;
        const DlkMount *mount = only_overlay(&mounts, lines[i]);
        g_assert_null(dlk_overlay_merged_path(mount, "/relative/disk.img"));
        g_assert_null(dlk_overlay_upper_path(mount, "/merged/disk.img"));
    }
}

/* ---- a real overlay, in a mount namespace of its own that ends with the process ---- */

typedef struct {
    Scratch scratch;
    DlkMounts *mounts;
    char *space, *lower, *upper, *merged;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    scratch_init(&f->scratch);
    f->space = scratch_folder(&f->scratch, "space");
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    scratch_clear(&f->scratch);
    g_clear_pointer(&f->mounts, dlk_mounts_unref);
    g_free(f->space);
    g_free(f->lower);
    g_free(f->upper);
    g_free(f->merged);
}

/* The upper folder is on a tmpfs: an overlay takes none that is itself on an overlay. */
static void
mount_overlay(Fixture *f)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", f->space, "tmpfs", 0, NULL) < 0)
        g_error("no mounts can be made, which takes root: %s", g_strerror(errno));
    g_autofree char *work = scratch_folder(&f->scratch, "space/work");
    f->lower = scratch_folder(&f->scratch, "space/lower");
    f->upper = scratch_folder(&f->scratch, "space/upper");
    f->merged = scratch_folder(&f->scratch, "space/merged");
    g_free(scratch_file(&f->scratch, "space/lower/disk.img"));
    g_autofree char *options =
        g_strdup_printf("lowerdir=%s,upperdir=%s,workdir=%s", f->lower, f->upper, work);
    if (mount("overlay", f->merged, "overlay", 0, options) < 0)
        g_error("no overlay can be mounted: %s", g_strerror(errno));
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL));
    f->mounts = dlk_mounts_parse(text);
}

static gboolean
in_own_namespace(Fixture *f)
{
    if (g_test_subprocess()) {
        mount_overlay(f);
        return TRUE;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed();
    return FALSE;
}

static void
leave(Fixture *f)
{
    g_assert_cmpint(umount2(f->merged, MNT_DETACH), ==, 0);
    g_assert_cmpint(umount2(f->space, MNT_DETACH), ==, 0);
}

static DlkTarget *
identify(Fixture *f, const char *folder, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *elsewhere = NULL;
    DlkTarget *target =
        dlk_identify_path(f->mounts, path, dlk_mounts_of_path(f->mounts, path)->lane, &elsewhere, &error);
    g_assert_no_error(error);
    g_assert_nonnull(target);
    return target;
}

static void
write_to(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    g_assert_cmpint(write(fd, "x", 1), ==, 1);
    close(fd);
}

static void
test_upper_file_and_what_the_overlay_shows_of_it_are_one(Fixture *f, gconstpointer data)
{
    if (!in_own_namespace(f))
        return;
    write_to(f->merged, "new.img");
    g_autoptr(DlkTarget) merged = identify(f, f->merged, "new.img");
    g_autoptr(DlkTarget) upper = identify(f, f->upper, "new.img");
    g_assert_cmpstr(merged->disk->id, !=, upper->disk->id);
    g_assert_true(dlk_disk_overlaps(merged->disk, upper->disk));
    leave(f);
}

static void
test_disk_known_before_it_is_copied_up_is_known_after(Fixture *f, gconstpointer data)
{
    if (!in_own_namespace(f))
        return;
    g_autoptr(DlkTarget) before = identify(f, f->merged, "disk.img");
    write_to(f->merged, "disk.img");
    g_autoptr(DlkTarget) after = identify(f, f->merged, "disk.img");
    g_autoptr(DlkTarget) upper = identify(f, f->upper, "disk.img");
    g_assert_cmpstr(before->disk->id, ==, after->disk->id);
    g_assert_true(dlk_disk_overlaps(before->disk, upper->disk));
    leave(f);
}

static void
test_lower_file_is_another_disk(Fixture *f, gconstpointer data)
{
    if (!in_own_namespace(f))
        return;
    write_to(f->merged, "disk.img");
    g_autoptr(DlkTarget) merged = identify(f, f->merged, "disk.img");
    g_autoptr(DlkTarget) lower = identify(f, f->lower, "disk.img");
    g_assert_false(dlk_disk_overlaps(merged->disk, lower->disk));
    leave(f);
}

static void
test_file_behind_another_mount_on_the_overlay_is_not_mistaken(Fixture *f, gconstpointer data)
{
    if (!in_own_namespace(f))
        return;
    write_to(f->merged, "new.img");
    g_assert_cmpint(mount("tmpfs", f->merged, "tmpfs", 0, NULL), ==, 0);
    write_to(f->merged, "new.img");
    g_autoptr(DlkTarget) upper = identify(f, f->upper, "new.img");
    g_assert_null(upper->disk->ancestors);
    g_assert_cmpint(umount2(f->merged, MNT_DETACH), ==, 0);
    leave(f);
}

#define TEST(name) g_test_add("/overlay/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/overlay/names_on_both_sides", test_names_on_both_sides);
    g_test_add_func("/overlay/mount_of_a_part_of_an_overlay", test_mount_of_a_part_of_an_overlay);
    g_test_add_func("/overlay/overlay_that_does_not_say_where_its_upper_folder_is",
                    test_overlay_that_does_not_say_where_its_upper_folder_is);
    TEST(upper_file_and_what_the_overlay_shows_of_it_are_one);
    TEST(disk_known_before_it_is_copied_up_is_known_after);
    TEST(lower_file_is_another_disk);
    TEST(file_behind_another_mount_on_the_overlay_is_not_mistaken);
    return g_test_run();
}
