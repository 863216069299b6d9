#include "host/folder-watch.h"
#include "scratch.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE (30 * G_USEC_PER_SEC)

typedef struct {
    GMainContext *context;
    Scratch scratch;
    DlkFolderWatch *watch;
    GHashTable *reported; /* ids */
} Fixture;

static void
report(const char *id, gpointer user_data)
{
    g_hash_table_add(((Fixture *)user_data)->reported, g_strdup(id));
}

static void
set_up(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    scratch_init(&f->scratch);
    f->context = g_main_context_new();
    f->reported = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    f->watch = dlk_folder_watch_new(f->context, report, f, &error);
    g_assert_no_error(error);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    dlk_folder_watch_free(f->watch);
    g_main_context_unref(f->context);
    g_hash_table_unref(f->reported);
    scratch_clear(&f->scratch);
}

/* A disk whose id is the path that it was made with. */
static DlkTarget *
target_of(const char *path)
{
    g_autoptr(DlkDisk) disk = dlk_disk_new(DLK_KIND_FILE, path);
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);
    return dlk_target_new(disk, open(path, O_PATH | O_CLOEXEC), open(folder, O_PATH | O_CLOEXEC), name);
}

static gpointer
add_in_thread(gpointer data)
{
    gpointer *parts = data;
    int watch = dlk_folder_watch_add(parts[0], parts[1]);
    dlk_folder_watch_end(parts[0]);
    return GINT_TO_POINTER(watch);
}

/* As a job does it: set in a worker, kept in the main thread. */
static int
watch_target(Fixture *f, DlkTarget *target)
{
    gpointer parts[] = {dlk_folder_watch_begin(f->watch), target};
    int watch = GPOINTER_TO_INT(g_thread_join(g_thread_new("job", add_in_thread, parts)));
    g_assert_cmpint(watch, >=, 0);
    dlk_folder_watch_keep(f->watch, watch, target);
    return watch;
}

static void
assert_reported(Fixture *f, const char *id)
{
    gint64 end = g_get_monotonic_time() + PATIENCE;
    while (!g_hash_table_contains(f->reported, id)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_main_context_iteration(f->context, FALSE);
        g_usleep(200);
    }
}

/* inotify queues an event before the call that caused it returns: what is not there now never comes. */
static void
assert_nothing_reported(Fixture *f)
{
    while (g_main_context_iteration(f->context, FALSE))
        ;
    g_assert_cmpuint(g_hash_table_size(f->reported), ==, 0);
}

static void
test_replaced_by_rename(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_file(&f->scratch, "disk.img");
    g_autofree char *other = scratch_file(&f->scratch, "other.img");
    g_autoptr(DlkTarget) target = target_of(path);
    watch_target(f, target);
    g_assert_cmpint(g_rename(other, path), ==, 0);
    assert_reported(f, path);
}

static void
test_deleted(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_file(&f->scratch, "disk.img");
    g_autoptr(DlkTarget) target = target_of(path);
    watch_target(f, target);
    g_assert_cmpint(g_unlink(path), ==, 0);
    assert_reported(f, path);
}

static void
test_moved_away_then_made_anew(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_file(&f->scratch, "disk.img");
    g_autofree char *away = scratch_path(&f->scratch, "away.img");
    g_autoptr(DlkTarget) target = target_of(path);
    watch_target(f, target);
    g_assert_cmpint(g_rename(path, away), ==, 0);
    assert_reported(f, path);
    g_hash_table_remove_all(f->reported);
    g_free(scratch_file(&f->scratch, "disk.img"));
    assert_reported(f, path);
}

static void
test_name_removed_of_a_file_that_has_another(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_file(&f->scratch, "disk.img");
    g_autofree char *folder = scratch_folder(&f->scratch, "elsewhere");
    g_autofree char *other = scratch_path(&f->scratch, "elsewhere/link.img");
    g_assert_cmpint(link(path, other), ==, 0);
    g_autoptr(DlkTarget) target = target_of(path);
    watch_target(f, target);
    g_assert_cmpint(g_unlink(other), ==, 0);
    assert_nothing_reported(f);
    g_assert_cmpint(link(path, other), ==, 0);
    g_assert_cmpint(g_unlink(path), ==, 0);
    assert_reported(f, path);
}

static void
test_folder_moved_concerns_every_disk_in_it(Fixture *f, gconstpointer data)
{
    g_autofree char *folder = scratch_folder(&f->scratch, "a");
    g_autofree char *moved = scratch_path(&f->scratch, "b");
    g_autofree char *one = scratch_file(&f->scratch, "a/one.img");
    g_autofree char *two = scratch_file(&f->scratch, "a/two.img");
    g_autoptr(DlkTarget) first = target_of(one);
    g_autoptr(DlkTarget) second = target_of(two);
    g_assert_cmpint(watch_target(f, first), ==, watch_target(f, second));
    g_assert_cmpint(g_rename(folder, moved), ==, 0);
    assert_reported(f, one);
    assert_reported(f, two);
}

static void
test_other_names_are_passed_over(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_file(&f->scratch, "disk.img");
    g_autoptr(DlkTarget) target = target_of(path);
    watch_target(f, target);
    g_autofree char *other = scratch_file(&f->scratch, "other.img");
    g_assert_cmpint(g_unlink(other), ==, 0);
    assert_nothing_reported(f);
}

static void
test_writing_to_the_disk_is_nothing(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_file(&f->scratch, "disk.img");
    g_autoptr(DlkTarget) target = target_of(path);
    watch_target(f, target);
    dlk_autofd fd = open(path, O_WRONLY | O_CLOEXEC);
    g_assert_cmpint(write(fd, "x", 1), ==, 1);
    assert_nothing_reported(f);
}

static void
test_dropped_is_not_reported(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_file(&f->scratch, "disk.img");
    g_autoptr(DlkTarget) target = target_of(path);
    int watch = watch_target(f, target);
    dlk_folder_watch_drop(f->watch, watch, target);
    g_assert_cmpint(g_unlink(path), ==, 0);
    assert_nothing_reported(f);
}

static void
test_kept_twice_needs_two_drops(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_file(&f->scratch, "disk.img");
    g_autoptr(DlkTarget) target = target_of(path);
    int watch = watch_target(f, target);
    watch_target(f, target);
    dlk_folder_watch_drop(f->watch, watch, target);
    g_assert_cmpint(g_unlink(path), ==, 0);
    assert_reported(f, path);
}

static DlkTarget *
renamed_disk(const DlkTarget *target, const char *id)
{
    g_autoptr(DlkDisk) disk = dlk_disk_new(DLK_KIND_FILE, id);
    return dlk_target_new(disk, dup(target->fd), dup(target->folder_fd), target->name);
}

static void
test_several_disks_of_one_name_come_and_go(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_file(&f->scratch, "disk.img");
    g_autoptr(DlkTarget) one = target_of(path);
    g_autoptr(DlkTarget) two = renamed_disk(one, "two");
    g_autoptr(DlkTarget) three = renamed_disk(one, "three");
    int watch = watch_target(f, one);
    watch_target(f, two);
    watch_target(f, three);
    dlk_folder_watch_drop(f->watch, watch, two);
    dlk_folder_watch_drop(f->watch, watch, one);
    g_assert_cmpint(g_unlink(path), ==, 0);
    assert_reported(f, "three");
    g_assert_cmpuint(g_hash_table_size(f->reported), ==, 1);
}

static void
test_without_a_folder_there_is_no_watch(Fixture *f, gconstpointer data)
{
    g_autoptr(DlkDisk) disk = dlk_disk_new(DLK_KIND_FILE, "file:8:1:1");
    g_autoptr(DlkTarget) target = dlk_target_new(disk, -1, -1, NULL);
    DlkFolderWatchJob *job = dlk_folder_watch_begin(f->watch);
    g_assert_cmpint(dlk_folder_watch_add(job, target), ==, -1);
    dlk_folder_watch_end(job);
}

static void
test_job_may_end_after_the_watch_is_freed(Fixture *f, gconstpointer data)
{
    DlkFolderWatch *watch = dlk_folder_watch_new(f->context, report, f, NULL);
    g_autofree char *path = scratch_file(&f->scratch, "disk.img");
    g_autoptr(DlkTarget) target = target_of(path);
    DlkFolderWatchJob *job = dlk_folder_watch_begin(watch);
    dlk_folder_watch_free(watch);
    g_assert_cmpint(dlk_folder_watch_add(job, target), >=, 0);
    dlk_folder_watch_end(job);
}

/* All that the kernel watches for this process. */
static guint
count_watches(void)
{
    guint count = 0;
    g_autoptr(GDir) all = g_dir_open("/proc/self/fdinfo", 0, NULL);
    for (const char *name = g_dir_read_name(all); name != NULL; name = g_dir_read_name(all)) {
        g_autofree char *path = g_build_filename("/proc/self/fdinfo", name, NULL);
        g_autofree char *text = NULL;
        const char *line = g_file_get_contents(path, &text, NULL, NULL) ? strstr(text, "inotify wd:") : NULL;
        for (; line != NULL; line = strstr(line + 1, "inotify wd:"))
            count++;
    }
    return count;
}

/* Whoever can make one job hang for ever must not have the watches of everybody else pile up behind it. */
static void
test_what_nobody_keeps_goes_while_another_job_is_stuck(Fixture *f, gconstpointer data)
{
    g_autofree char *path = scratch_file(&f->scratch, "disk.img");
    g_autofree char *folder = scratch_folder(&f->scratch, "folder");
    g_autofree char *other_path = g_build_filename(folder, "disk.img", NULL);
    g_assert_true(g_file_set_contents(other_path, "", 0, NULL));
    g_autoptr(DlkTarget) target = target_of(path);
    g_autoptr(DlkTarget) other = target_of(other_path);
    DlkFolderWatchJob *stuck = dlk_folder_watch_begin(f->watch);
    DlkFolderWatchJob *done = dlk_folder_watch_begin(f->watch);

    g_assert_cmpint(dlk_folder_watch_add(stuck, target), >=, 0);
    g_assert_cmpint(dlk_folder_watch_add(done, other), >=, 0);
    dlk_folder_watch_end(done);
    g_assert_cmpuint(count_watches(), ==, 2);
    for (gint64 end = g_get_monotonic_time() + PATIENCE; count_watches() == 2; g_usleep(10000)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_main_context_iteration(f->context, FALSE);
    }
    g_assert_cmpuint(count_watches(), ==, 1);
    dlk_folder_watch_end(stuck);
}

#define TEST(name) g_test_add("/folder-watch/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(replaced_by_rename);
    TEST(deleted);
    TEST(moved_away_then_made_anew);
    TEST(name_removed_of_a_file_that_has_another);
    TEST(folder_moved_concerns_every_disk_in_it);
    TEST(other_names_are_passed_over);
    TEST(writing_to_the_disk_is_nothing);
    TEST(dropped_is_not_reported);
    TEST(kept_twice_needs_two_drops);
    TEST(several_disks_of_one_name_come_and_go);
    TEST(without_a_folder_there_is_no_watch);
    TEST(job_may_end_after_the_watch_is_freed);
    TEST(what_nobody_keeps_goes_while_another_job_is_stuck);
    return g_test_run();
}
