#include "base/lock-reach.h"

#include <glib.h>

typedef struct {
    const char *filesystem;
    const char *local_options[3]; /* each keeps fcntl locks on the host; as the kernel lists them */
} Shared;

/*
 * Filesystems whose fcntl locks every host sees. NFS: nfs(5); locks of version 4 are never local. CIFS:
 * mount.cifs(8). GFS2: gfs2(5). Lustre: mount.lustre(8). FUSE passes locks on where its server implements
 * them, which shows nowhere: these do. Not here: BeeGFS, where it is a setting of the client
 * (tuneUseGlobalFileLocks), OrangeFS, whose only locks are local ones, sshfs, 9p and virtiofs.
 */
static const Shared shared[] = {
    {"nfs", {"nolock", "local_lock=all", "local_lock=posix"}},
    {"nfs4", {NULL}},
    {"cifs", {"nobrl"}},
    {"smb3", {"nobrl"}},
    {"gfs2", {"localflocks", "lockproto=lock_nolock"}},
    {"ocfs2", {"localflocks"}},
    {"ceph", {NULL}},
    {"lustre", {"localflock", "noflock"}},
    {"gpfs", {NULL}},
    {"fuse.glusterfs", {NULL}},
    {"fuse.ceph", {NULL}},
    {"fuse.ceph-fuse", {NULL}},
};

static const Shared *
find_shared(const char *filesystem)
{
    for (guint i = 0; i < G_N_ELEMENTS(shared); i++)
        if (g_str_equal(shared[i].filesystem, filesystem))
            return &shared[i];
    return NULL;
}

/* With the cluster stack of the kernel itself, o2cb, which is not listed (Linux, fs/ocfs2/file.c,
 * ocfs2_fops_no_plocks). */
static gboolean
has_no_cluster_stack(const char *filesystem, char **options)
{
    for (guint i = 0; options[i] != NULL; i++)
        if (g_str_has_prefix(options[i], "cluster_stack=") && !g_str_equal(options[i], "cluster_stack=o2cb"))
            return FALSE;
    return g_str_equal(filesystem, "ocfs2");
}

char *
dlk_lock_reach_limit(const char *filesystem, const char *options)
{
    const Shared *found = find_shared(filesystem);
    if (found == NULL)
        return g_strdup_printf("the filesystem %s is not known to show locks to other hosts", filesystem);
    g_auto(GStrv) given = g_strsplit(options, ",", -1);
    for (guint i = 0; i < G_N_ELEMENTS(found->local_options) && found->local_options[i] != NULL; i++)
        if (g_strv_contains((const char *const *)given, found->local_options[i]))
            return g_strdup_printf("the mount option %s keeps locks on this host", found->local_options[i]);
    if (has_no_cluster_stack(filesystem, given))
        return g_strdup(
            "ocfs2 keeps locks on this host unless it is mounted with a cluster stack of user space");
    return NULL;
}
