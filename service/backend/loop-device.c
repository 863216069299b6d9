#include "backend/loop-device.h"

#include "backend/mount-lines.h"
#include "base/fd.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* After so many µs without an answer nobody waits for it but the thread that cannot help it. */
#define PATIENCE G_USEC_PER_SEC

static GMutex mutex;
static GCond answered;
static GHashTable *being_asked; /* folder → since when, gint64 */

static gboolean
begin_asking(const char *folder)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&mutex);
    if (being_asked == NULL)
        being_asked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    const gint64 *since;
    while ((since = g_hash_table_lookup(being_asked, folder)) != NULL)
        if (!g_cond_wait_until(&answered, &mutex, *since + PATIENCE))
            return FALSE;
    const gint64 now = g_get_monotonic_time();
    g_hash_table_insert(being_asked, g_strdup(folder), g_memdup2(&now, sizeof now));
    return TRUE;
}

static void
end_asking(const char *folder)
{
    g_mutex_lock(&mutex);
    g_hash_table_remove(being_asked, folder);
    g_cond_broadcast(&answered);
    g_mutex_unlock(&mutex);
}

static gboolean
ask(const DlkDevices *devices, const char *folder, DlkLoopBacking *backing)
{
    struct loop_info64 info = {0};
    dlk_autofd fd = dlk_sysfs_block_open(devices, folder);
    if (fd < 0 || ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
        return FALSE;
    *backing = (DlkLoopBacking){.device = info.lo_device,
                                .inode = info.lo_inode,
                                .node_of = info.lo_rdevice,
                                .offset = info.lo_offset,
                                .size = info.lo_sizelimit,
                                .read_only = (info.lo_flags & LO_FLAGS_READ_ONLY) != 0};
    return TRUE;
}

/* Asked of every loop device for every file that is locked: no more than one system call. */
gboolean
dlk_loop_device_is_set_up(const char *folder)
{
    char path[PATH_MAX];
    return g_snprintf(path, sizeof path, "%s/loop/backing_file", folder) < (int)sizeof path &&
           access(path, F_OK) == 0;
}

DlkLoopState
dlk_loop_device_ask(const DlkDevices *devices, const char *folder, DlkLoopBacking *backing)
{
    if (!dlk_loop_device_is_set_up(folder))
        return DLK_LOOP_NONE;
    if (!begin_asking(folder))
        return DLK_LOOP_UNREACHABLE;
    const gboolean known = ask(devices, folder, backing);
    end_asking(folder);
    if (known)
        return DLK_LOOP_SET_UP;
    /* Gone in between is gone; what stands and cannot be asked must not pass for a device without a file. */
    return dlk_loop_device_is_set_up(folder) ? DLK_LOOP_UNREACHABLE : DLK_LOOP_NONE;
}

/* TRUE where to ask the device could mean to wait for a server that has nothing to do with @device. */
static gboolean
may_hang(const char *folder, const char *mountinfo, dev_t device)
{
    g_autofree char *file = dlk_sysfs_block_read(folder, "loop/backing_file");
    g_autoptr(DlkMountLine) mount = file != NULL ? dlk_mount_line_of_path(mountinfo, file) : NULL;
    return mount != NULL && mount->device != device && dlk_mount_line_is_remote(mount);
}

static gboolean
is_on_file(const DlkDevices *devices, const char *folder, dev_t device, ino_t inode)
{
    DlkLoopBacking backing;
    return dlk_loop_device_ask(devices, folder, &backing) == DLK_LOOP_SET_UP && backing.node_of == 0 &&
           backing.device == device && backing.inode == inode;
}

/*
 * How many events the kernel has told of devices; 0: it does not say. Each set-up and detaching of a loop
 * device is one. Asked for every file that is locked, and so by one descriptor that stays open: it costs a
 * microsecond, the look at all loop devices forty.
 */
static guint64
count_device_events(void)
{
    static gsize opened = 0;
    static int fd = -1;
    char text[32];

    if (g_once_init_enter(&opened)) {
        fd = open("/sys/kernel/uevent_seqnum", O_RDONLY | O_CLOEXEC);
        g_once_init_leave(&opened, 1);
    }
    const ssize_t length = fd >= 0 ? pread(fd, text, sizeof text - 1, 0) : 0;
    text[MAX(length, 0)] = '\0';
    return g_ascii_strtoull(text, NULL, 10);
}

/* Loop devices that have a file; of char *, names. */
static GPtrArray *
find_set_up(const DlkDevices *devices)
{
    GPtrArray *found = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *folder = g_build_filename(devices->sysfs, "block", NULL);
    g_autoptr(GDir) names = g_dir_open(folder, 0, NULL);
    for (const char *name = names != NULL ? g_dir_read_name(names) : NULL; name != NULL;
         name = g_dir_read_name(names)) {
        g_autofree char *loop = g_build_filename(folder, name, NULL);
        if (g_str_has_prefix(name, "loop") && dlk_loop_device_is_set_up(loop))
            g_ptr_array_add(found, g_strdup(name));
    }
    return found;
}

/* The same, without a look where there were none and nothing has happened to any device since. */
static GPtrArray *
find_set_up_quickly(const DlkDevices *devices)
{
    static guint64 none_at = 0; /* under the mutex: the count at which there were none */
    const guint64 events = devices == &dlk_devices ? count_device_events() : 0;
    g_mutex_lock(&mutex);
    const gboolean is_known = events != 0 && events == none_at;
    g_mutex_unlock(&mutex);
    if (is_known)
        return g_ptr_array_new_with_free_func(g_free);
    GPtrArray *found = find_set_up(devices);
    g_mutex_lock(&mutex);
    none_at = found->len == 0 ? events : 0;
    g_mutex_unlock(&mutex);
    return found;
}

GPtrArray *
dlk_loop_devices_on_file(const DlkDevices *devices, dev_t device, ino_t inode)
{
    GPtrArray *found = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) names = find_set_up_quickly(devices);
    g_autofree char *mountinfo = names->len > 0 ? dlk_mount_lines_read() : NULL;
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *real = dlk_sysfs_block_by_name(devices, names->pdata[i]);
        if (real != NULL && !may_hang(real, mountinfo, device) && is_on_file(devices, real, device, inode))
            g_ptr_array_add(found, g_steal_pointer(&real));
    }
    return found;
}
