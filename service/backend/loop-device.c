#include "backend/loop-device.h"

#include "backend/mount-lines.h"
#include "base/fd.h"

#include <linux/loop.h>
#include <sys/ioctl.h>

gboolean
dlk_loop_device_ask(int fd, DlkLoopBacking *backing)
{
    struct loop_info64 info = {0};
    if (ioctl(fd, LOOP_GET_STATUS64, &info) < 0) {
        return FALSE;
    }
    *backing = (DlkLoopBacking){.device = info.lo_device,
                                .inode = info.lo_inode,
                                .node_of = info.lo_rdevice,
                                .offset = info.lo_offset,
                                .size = info.lo_sizelimit,
                                .read_only = (info.lo_flags & LO_FLAGS_READ_ONLY) != 0};
    return TRUE;
}

gboolean
dlk_loop_device_is_set_up(const char *folder)
{
    g_autofree char *file = dlk_sysfs_block_read(folder, "loop/backing_file");
    return file != NULL;
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
    dlk_autofd fd = dlk_sysfs_block_open(devices, folder);
    return fd >= 0 && dlk_loop_device_ask(fd, &backing) && backing.node_of == 0 && backing.device == device &&
           backing.inode == inode;
}

GPtrArray *
dlk_loop_devices_on_file(const DlkDevices *devices, dev_t device, ino_t inode)
{
    GPtrArray *found = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *mountinfo = NULL;
    g_autofree char *folder = g_build_filename(devices->sysfs, "block", NULL);
    g_autoptr(GDir) names = g_dir_open(folder, 0, NULL);
    for (const char *name = names != NULL ? g_dir_read_name(names) : NULL; name != NULL;
         name = g_dir_read_name(names)) {
        if (!g_str_has_prefix(name, "loop")) {
            continue;
        }
        g_autofree char *loop = g_build_filename(folder, name, NULL);
        if (!dlk_loop_device_is_set_up(loop)) {
            continue;
        }
        if (mountinfo == NULL) {
            mountinfo = dlk_mount_lines_read();
        }
        if (!may_hang(loop, mountinfo, device) && is_on_file(devices, loop, device, inode)) {
            g_ptr_array_add(found, g_steal_pointer(&loop));
        }
    }
    return found;
}
