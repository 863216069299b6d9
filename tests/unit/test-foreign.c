#include "backend/foreign.h"
#include "image-fixture.h"

#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>

#define PATIENCE (30 * G_TIME_SPAN_SECOND)

static void
end_with_the_test(gpointer data)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static OtherProcess
spawn(char **arguments)
{
    g_autoptr(GError) error = NULL;
    GPid child = 0;
    const GSpawnFlags flags = G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH;
    g_spawn_async(NULL, arguments, NULL, flags, end_with_the_test, NULL, &child, &error);
    g_assert_no_error(error);
    return (OtherProcess){child};
}

/* A virtual machine whose processor stands still and whose only disk is the image. */
static OtherProcess
start_qemu(Image *image, const char *file_option, const char *device_option)
{
    g_autofree char *file =
        g_strdup_printf("driver=file,node-name=disk,filename=%s%s", image->path, file_option);
    g_autofree char *device = g_strdup_printf("virtio-blk-pci,drive=disk%s", device_option);
    const char *arguments[] = {
        "qemu-system-x86_64", "-machine", "q35",  "-accel",    "tcg", "-m",      "64",   "-S",
        "-nodefaults",        "-display", "none", "-blockdev", file,  "-device", device, NULL};
    return spawn((char **)arguments);
}

static GPtrArray *
find(Image *image, pid_t exempt_pid)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *foreigners = dlk_foreign_find(image->target, exempt_pid, &error);
    g_assert_no_error(error);
    return foreigners;
}

/* Waits until @pid is the only foreigner and uses the image so. */
static void
wait_for(Image *image, pid_t pid, const char *what, gboolean writes, gboolean alone)
{
    const gint64 deadline = g_get_monotonic_time() + PATIENCE;
    while (g_get_monotonic_time() < deadline) {
        g_autoptr(GPtrArray) foreigners = find(image, 0);
        const DlkForeign *foreign = foreigners->len == 1 ? g_ptr_array_index(foreigners, 0) : NULL;
        if (foreign != NULL && foreign->pid == pid && g_str_equal(foreign->what, what) &&
            foreign->writes == writes && foreign->alone == alone)
            return;
        g_usleep(20 * G_TIME_SPAN_MILLISECOND);
    }
    g_error("process %d was never seen to use the image as expected", (int)pid);
}

/* The modes, of "exclusive shared read-only strict-read-only", that the image can be leased in now. */
static void
assert_modes(Image *image, const char *expected)
{
    static const struct {
        const char *name;
        DlkMode mode;
        gboolean strict;
    } modes[] = {{"exclusive", DLK_MODE_EXCLUSIVE, FALSE},
                 {"shared", DLK_MODE_SHARED, FALSE},
                 {"read-only", DLK_MODE_READ_ONLY, FALSE},
                 {"strict-read-only", DLK_MODE_READ_ONLY, TRUE}};
    g_autoptr(GPtrArray) foreigners = find(image, 0);
    g_autoptr(GString) names = g_string_new(NULL);
    for (guint i = 0; i < G_N_ELEMENTS(modes); i++)
        if (dlk_foreign_obstacle(foreigners, modes[i].mode, modes[i].strict) == NULL)
            g_string_append_printf(names, "%s%s", names->len > 0 ? " " : "", modes[i].name);
    g_assert_cmpstr(names->str, ==, expected);
}

static void
test_nobody_is_found_where_nobody_is(Image *image, gconstpointer data)
{
    g_autoptr(GPtrArray) foreigners = find(image, 0);
    g_assert_cmpuint(foreigners->len, ==, 0);
    assert_modes(image, "exclusive shared read-only strict-read-only");
}

static void
test_running_machine_leaves_room_for_nobody(Image *image, gconstpointer data)
{
    g_auto(OtherProcess) qemu = start_qemu(image, "", "");
    wait_for(image, qemu.pid, "qemu", TRUE, TRUE);
    assert_modes(image, "");
}

static void
test_machine_that_shares_leaves_room_for_sharers(Image *image, gconstpointer data)
{
    g_auto(OtherProcess) qemu = start_qemu(image, "", ",share-rw=on");
    wait_for(image, qemu.pid, "qemu", TRUE, FALSE);
    assert_modes(image, "shared read-only");
}

static void
test_machine_that_reads_leaves_room_for_readers(Image *image, gconstpointer data)
{
    g_auto(OtherProcess) qemu = start_qemu(image, ",read-only=on", "");
    wait_for(image, qemu.pid, "qemu", FALSE, TRUE);
    assert_modes(image, "read-only strict-read-only");
}

static void
test_machine_is_named_as_a_person_would(Image *image, gconstpointer data)
{
    g_auto(OtherProcess) qemu = start_qemu(image, "", "");
    wait_for(image, qemu.pid, "qemu", TRUE, TRUE);
    g_autoptr(GPtrArray) foreigners = find(image, 0);
    g_autofree char *text = dlk_foreign_describe(g_ptr_array_index(foreigners, 0));
    g_autofree char *expected =
        g_strdup_printf("qemu-system-x86 (pid %d) has it open for writing", (int)qemu.pid);
    g_assert_cmpstr(text, ==, expected);
}

static void
test_machine_that_ended_is_gone(Image *image, gconstpointer data)
{
    OtherProcess qemu = start_qemu(image, "", "");
    wait_for(image, qemu.pid, "qemu", TRUE, TRUE);
    other_process_stop(&qemu);
    assert_modes(image, "exclusive shared read-only strict-read-only");
}

static void
test_machine_that_the_lease_is_for_is_no_foreigner(Image *image, gconstpointer data)
{
    g_auto(OtherProcess) qemu = start_qemu(image, "", "");
    wait_for(image, qemu.pid, "qemu", TRUE, TRUE);
    g_autoptr(GPtrArray) foreigners = find(image, qemu.pid);
    g_assert_cmpuint(foreigners->len, ==, 0);
}

static void
test_exemption_covers_nobody_else(Image *image, gconstpointer data)
{
    g_auto(OtherProcess) first = start_qemu(image, "", ",share-rw=on");
    wait_for(image, first.pid, "qemu", TRUE, FALSE);
    g_auto(OtherProcess) other = image_lock_elsewhere(image, "other", F_OFD_SETLK, F_RDLCK, 100, 101);
    g_autoptr(GPtrArray) foreigners = find(image, first.pid);
    g_assert_cmpuint(foreigners->len, ==, 1);
    g_assert_cmpint(((DlkForeign *)g_ptr_array_index(foreigners, 0))->pid, ==, other.pid);
}

static void
test_offline_tool_is_found(Image *image, gconstpointer data)
{
    const char *arguments[] = {"qemu-io", "-f", "raw", image->path, "-c", "sleep 600000", NULL};
    g_auto(OtherProcess) tool = spawn((char **)arguments);
    wait_for(image, tool.pid, "qemu", TRUE, FALSE);
    assert_modes(image, "shared read-only");
}

/* What each backend must add to its own lock. */
static void
acquire(Image *image, const char *backend_name, pid_t pid, GError **error)
{
    DlkBackend *backend = dlk_backends_get(backend_name);
    g_autoptr(DlkHold) hold = dlk_hold_new(backend, image->target, DLK_MODE_EXCLUSIVE, FALSE, pid);
    dlk_backend_acquire(backend, hold, image->rule, error);
}

static void
test_every_backend_refuses_what_a_machine_uses(Image *image, gconstpointer data)
{
    g_auto(OtherProcess) qemu = start_qemu(image, "", "");
    wait_for(image, qemu.pid, "qemu", TRUE, TRUE);
    g_autofree char *expected =
        g_strdup_printf("%s is in use: qemu-system-x86 (pid %d) has it open for writing and has "
                        "no lease; stop it, or acquire the lease with its pid",
                        image->path, (int)qemu.pid);
    const char *backends[] = {"host", "fcntl"};
    for (guint i = 0; i < G_N_ELEMENTS(backends); i++) {
        g_autoptr(GError) error = NULL;
        acquire(image, backends[i], 0, &error);
        g_assert_error(error, DLK_ERROR, DLK_ERROR_BUSY);
        g_assert_cmpstr(error->message, ==, expected);
        g_assert_false(image_refuses(image, F_WRLCK, 0)); /* nothing stays locked */
    }
}

static void
test_every_backend_grants_a_machine_its_own_disk(Image *image, gconstpointer data)
{
    g_auto(OtherProcess) qemu = start_qemu(image, "", "");
    wait_for(image, qemu.pid, "qemu", TRUE, TRUE);
    const char *backends[] = {"host", "fcntl"};
    for (guint i = 0; i < G_N_ELEMENTS(backends); i++) {
        g_autoptr(GError) error = NULL;
        acquire(image, backends[i], qemu.pid, &error);
        g_assert_no_error(error);
    }
}

static void
test_lease_does_not_hinder_the_machine_that_starts_under_it(Image *image, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    G_GNUC_UNUSED g_autoptr(DlkHold) hold = image_try(image, DLK_MODE_EXCLUSIVE, FALSE, &error);
    g_assert_no_error(error);
    g_auto(OtherProcess) qemu = start_qemu(image, "", "");
    wait_for(image, qemu.pid, "qemu", TRUE, TRUE);
}

static void
test_conversion_minds_a_machine_without_a_lease(Image *image, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_auto(OtherProcess) qemu = start_qemu(image, "", ",share-rw=on");
    wait_for(image, qemu.pid, "qemu", TRUE, FALSE);
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_SHARED, FALSE);
    g_assert_false(dlk_backend_convert(hold->backend, hold, DLK_MODE_EXCLUSIVE, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, "qemu-system-x86"));
    g_assert_cmpint((gint)hold->mode, ==, DLK_MODE_SHARED);
}

static void
test_virtlockd_is_told_from_others(Image *image, gconstpointer data)
{
    g_auto(OtherProcess) virtlockd = image_lock_elsewhere(image, "virtlockd", F_SETLK, F_WRLCK, 0, 0);
    wait_for(image, virtlockd.pid, "virtlockd", TRUE, TRUE);
    other_process_stop(&virtlockd);
    g_auto(OtherProcess) other = image_lock_elsewhere(image, "other", F_SETLK, F_RDLCK, 0, 0);
    wait_for(image, other.pid, "lock", TRUE, FALSE);
}

static void
test_host_backend_minds_virtlockd(Image *image, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    G_GNUC_UNUSED g_auto(OtherProcess) virtlockd =
        image_lock_elsewhere(image, "virtlockd", F_SETLK, F_WRLCK, 0, 0);
    acquire(image, "host", 0, &error);
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, "virtlockd"));
}

static void
test_lock_of_the_whole_file_counts_for_every_byte(Image *image, gconstpointer data)
{
    g_auto(OtherProcess) tool = image_lock_elsewhere(image, "tool", F_SETLK, F_WRLCK, 0, -1);
    wait_for(image, tool.pid, "lock", TRUE, TRUE);
}

static void
test_locks_on_bytes_of_no_meaning_are_passed_over(Image *image, gconstpointer data)
{
    G_GNUC_UNUSED g_auto(OtherProcess) libvirt =
        image_lock_elsewhere(image, "libvirtd", F_SETLK, F_WRLCK, 1, 1);
    G_GNUC_UNUSED g_auto(OtherProcess) other =
        image_lock_elsewhere(image, "other", F_SETLK, F_WRLCK, 4096, 8191);
    g_autoptr(GPtrArray) foreigners = find(image, 0);
    g_assert_cmpuint(foreigners->len, ==, 0);
}

static void
test_our_own_holds_are_not_foreign(Image *image, gconstpointer data)
{
    for (DlkMode mode = 0; mode < DLK_N_MODES; mode++) {
        g_autoptr(DlkHold) hold = image_take(image, mode, TRUE);
        g_autoptr(GPtrArray) foreigners = find(image, 0);
        g_assert_cmpuint(foreigners->len, ==, 0);
        image_give_back(hold);
    }
}

static void
test_virtlockd_is_seen_beside_a_hold_of_ours(Image *image, gconstpointer data)
{
    G_GNUC_UNUSED g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_SHARED, FALSE);
    g_auto(OtherProcess) virtlockd = image_lock_elsewhere(image, "virtlockd", F_SETLK, F_RDLCK, 0, 0);
    wait_for(image, virtlockd.pid, "virtlockd", TRUE, FALSE);
}

static void
test_plain_reader_is_reported_and_in_nobodys_way(Image *image, gconstpointer data)
{
    g_auto(OtherProcess) reader = image_lock_elsewhere(image, "reader", F_OFD_SETLK, F_RDLCK, 100, 100);
    wait_for(image, reader.pid, "qemu", FALSE, FALSE);
    assert_modes(image, "exclusive shared read-only strict-read-only");
}

/* A lock whose description is in no process's hands, as that of another host is: it travels to and fro in a
 * socket. */
static int
lock_unseen(Image *image, short type, int first, int last)
{
    int ends[2];
    char byte = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec data = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = first, .l_len = last - first + 1};
    dlk_autofd fd = open(image->path, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &lock), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    *CMSG_FIRSTHDR(&message) = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof fd);
    g_assert_cmpint(sendmsg(ends[0], &message, 0), ==, 1);
    close(ends[0]);
    return ends[1];
}

static void
test_exclusive_lock_of_another_host_is_found(Image *image, gconstpointer data)
{
    dlk_autofd elsewhere = lock_unseen(image, F_WRLCK, 0, 0);
    wait_for(image, 0, "lock", TRUE, TRUE);
    assert_modes(image, "");
    g_assert_cmpint(elsewhere, >=, 0);
}

static void
test_shared_lock_of_another_host_is_found(Image *image, gconstpointer data)
{
    dlk_autofd elsewhere = lock_unseen(image, F_RDLCK, 0, 0);
    wait_for(image, 0, "lock", TRUE, FALSE);
    assert_modes(image, "shared read-only");
    g_assert_cmpint(elsewhere, >=, 0);
}

static void
test_strict_reader_on_another_host_is_found(Image *image, gconstpointer data)
{
    dlk_autofd elsewhere = lock_unseen(image, F_RDLCK, 0, 3);
    wait_for(image, 0, "lock", FALSE, TRUE);
    assert_modes(image, "read-only strict-read-only");
    g_assert_cmpint(elsewhere, >=, 0);
}

static void
test_machine_on_another_host_is_found(Image *image, gconstpointer data)
{
    dlk_autofd uses = lock_unseen(image, F_RDLCK, 100, 101);
    wait_for(image, 0, "lock", TRUE, FALSE);
    dlk_autofd does_not_share = lock_unseen(image, F_RDLCK, 201, 201);
    wait_for(image, 0, "lock", TRUE, TRUE);
    g_assert_cmpint(uses, !=, does_not_share);
}

static void
test_machine_on_another_host_is_refused_without_a_name(Image *image, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    dlk_autofd elsewhere = lock_unseen(image, F_RDLCK, 100, 201);
    acquire(image, "fcntl", 0, &error);
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, "another host, or a process that cannot be seen from here"));
    g_assert_nonnull(strstr(error->message, "stop it where it runs"));
    g_assert_cmpint(elsewhere, >=, 0);
}

static void
flock_image(gconstpointer path)
{
    if (flock(open(path, O_RDWR | O_CLOEXEC), LOCK_EX) < 0)
        _exit(1);
}

static void
test_bsd_lock_alone_is_in_nobodys_way(Image *image, gconstpointer data)
{
    g_auto(OtherProcess) reader = image_lock_elsewhere(image, "reader", F_OFD_SETLK, F_RDLCK, 100, 100);
    g_auto(OtherProcess) udevd = other_process_start("udevd", flock_image, image->path);
    g_autoptr(GPtrArray) foreigners = find(image, reader.pid);
    g_assert_cmpuint(foreigners->len, ==, 1);
    g_assert_cmpstr(((DlkForeign *)g_ptr_array_index(foreigners, 0))->what, ==, "flock");
    g_assert_cmpint(((DlkForeign *)g_ptr_array_index(foreigners, 0))->pid, ==, udevd.pid);
    assert_modes(image, "exclusive shared read-only strict-read-only");
}

static void
test_file_that_cannot_be_opened_is_an_error_that_names_it(Image *image, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkTarget) broken = dlk_target_new(image->target->disk, 123456, -1, NULL);
    g_autoptr(GPtrArray) foreigners = dlk_foreign_find(broken, 0, &error);
    g_assert_null(foreigners);
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED);
    g_assert_nonnull(strstr(error->message, image->path));
}

static void
test_unseen_holder_is_described_without_a_name(void)
{
    DlkForeign unseen = {.pid = 0, .command = (char *)"", .what = "lock", .writes = TRUE, .alone = TRUE};
    g_autofree char *text = dlk_foreign_describe(&unseen);
    g_assert_cmpstr(text, ==,
                    "another host, or a process that cannot be seen from here, has locked it exclusively");
}

static void
add(const char *path, void (*test)(Image *, gconstpointer))
{
    g_test_add(path, Image, NULL, image_set_up, test, image_tear_down);
}

static void
add_machines(void)
{
    add("/foreign/running-machine-leaves-room-for-nobody", test_running_machine_leaves_room_for_nobody);
    add("/foreign/machine-that-shares-leaves-room-for-sharers",
        test_machine_that_shares_leaves_room_for_sharers);
    add("/foreign/machine-that-reads-leaves-room-for-readers",
        test_machine_that_reads_leaves_room_for_readers);
    add("/foreign/machine-is-named-as-a-person-would", test_machine_is_named_as_a_person_would);
    add("/foreign/machine-that-ended-is-gone", test_machine_that_ended_is_gone);
    add("/foreign/machine-that-the-lease-is-for-is-no-foreigner",
        test_machine_that_the_lease_is_for_is_no_foreigner);
    add("/foreign/exemption-covers-nobody-else", test_exemption_covers_nobody_else);
    add("/foreign/offline-tool-is-found", test_offline_tool_is_found);
    add("/foreign/every-backend-refuses-what-a-machine-uses", test_every_backend_refuses_what_a_machine_uses);
    add("/foreign/every-backend-grants-a-machine-its-own-disk",
        test_every_backend_grants_a_machine_its_own_disk);
    add("/foreign/lease-does-not-hinder-the-machine-that-starts-under-it",
        test_lease_does_not_hinder_the_machine_that_starts_under_it);
    add("/foreign/conversion-minds-a-machine-without-a-lease",
        test_conversion_minds_a_machine_without_a_lease);
}

static void
add_others(void)
{
    add("/foreign/nobody-is-found-where-nobody-is", test_nobody_is_found_where_nobody_is);
    add("/foreign/virtlockd-is-told-from-others", test_virtlockd_is_told_from_others);
    add("/foreign/host-backend-minds-virtlockd", test_host_backend_minds_virtlockd);
    add("/foreign/lock-of-the-whole-file-counts-for-every-byte",
        test_lock_of_the_whole_file_counts_for_every_byte);
    add("/foreign/locks-on-bytes-of-no-meaning-are-passed-over",
        test_locks_on_bytes_of_no_meaning_are_passed_over);
    add("/foreign/our-own-holds-are-not-foreign", test_our_own_holds_are_not_foreign);
    add("/foreign/virtlockd-is-seen-beside-a-hold-of-ours", test_virtlockd_is_seen_beside_a_hold_of_ours);
    add("/foreign/plain-reader-is-reported-and-in-nobodys-way",
        test_plain_reader_is_reported_and_in_nobodys_way);
    add("/foreign/exclusive-lock-of-another-host-is-found", test_exclusive_lock_of_another_host_is_found);
    add("/foreign/shared-lock-of-another-host-is-found", test_shared_lock_of_another_host_is_found);
    add("/foreign/strict-reader-on-another-host-is-found", test_strict_reader_on_another_host_is_found);
    add("/foreign/machine-on-another-host-is-found", test_machine_on_another_host_is_found);
    add("/foreign/machine-on-another-host-is-refused-without-a-name",
        test_machine_on_another_host_is_refused_without_a_name);
    add("/foreign/bsd-lock-alone-is-in-nobodys-way", test_bsd_lock_alone_is_in_nobodys_way);
    add("/foreign/file-that-cannot-be-opened-is-an-error-that-names-it",
        test_file_that_cannot_be_opened_is_an_error_that_names_it);
    g_test_add_func("/foreign/unseen-holder-is-described-without-a-name",
                    test_unseen_holder_is_described_without_a_name);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_machines();
    add_others();
    return g_test_run();
}
