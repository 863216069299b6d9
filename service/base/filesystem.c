#include "base/filesystem.h"

#include <linux/magic.h>
#include <sys/vfs.h>

/* Local are those whose file_operations have no lock of their own (the kernel's fs/TYPE): then fcntl(2) locks
 * under a spinlock. Whatever is not known to be local is not. */
static const struct {
    guint32 magic;
    gboolean is_local;
    const char *type;
} types[] = {
    {EXT4_SUPER_MAGIC, TRUE, "ext4"}, /* and of the older two, which this driver mounts too */
    {EXT3_SUPER_MAGIC, TRUE, "ext3"},
    {EXT2_SUPER_MAGIC, TRUE, "ext2"},
    {XFS_SUPER_MAGIC, TRUE, "xfs"},
    {BTRFS_SUPER_MAGIC, TRUE, "btrfs"},
    {F2FS_SUPER_MAGIC, TRUE, "f2fs"},
    {TMPFS_MAGIC, TRUE, "tmpfs"},
    {OVERLAYFS_SUPER_MAGIC, FALSE, "overlay"},
    {NFS_SUPER_MAGIC, FALSE, "nfs"},
    {SMB2_SUPER_MAGIC, FALSE, "cifs"},
    {CEPH_SUPER_MAGIC, FALSE, "ceph"},
    {OCFS2_SUPER_MAGIC, FALSE, "ocfs2"},
    {FUSE_SUPER_MAGIC, FALSE, "fuse"},
    {PROC_SUPER_MAGIC, FALSE, "proc"},
};

const char *
dlk_filesystem_of_fd(int fd)
{
    struct statfs status;

    if (fstatfs(fd, &status) < 0)
        return NULL;
    for (guint i = 0; i < G_N_ELEMENTS(types); i++)
        if (types[i].magic == (guint32)status.f_type)
            return types[i].type;
    return NULL;
}

gboolean
dlk_filesystem_is_local(const char *type)
{
    for (guint i = 0; type && i < G_N_ELEMENTS(types); i++)
        if (g_str_equal(types[i].type, type))
            return types[i].is_local;
    return FALSE;
}
