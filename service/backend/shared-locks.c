#include "backend/shared-locks.h"

#include "backend/image-locks.h"
#include "base/error.h"

#define RECOVER_LOST_LOCKS "/sys/module/nfs/parameters/recover_lost_locks"

/* The module is nfs, whatever the version; where it is not loaded there is no NFS. */
static gboolean
recovers_lost_locks(void)
{
    g_autofree char *text = NULL;
    return g_file_get_contents(RECOVER_LOST_LOCKS, &text, NULL, NULL) && text[0] == 'Y';
}

static gboolean
is_cifs(const char *filesystem)
{
    return g_strcmp0(filesystem, "cifs") == 0 || g_strcmp0(filesystem, "smb3") == 0;
}

/* A limit is nobrl there: the server hears of no lock. */
gboolean
dlk_shared_locks_are_mandatory_on(const char *filesystem, const char *limit)
{
    return limit == NULL && is_cifs(filesystem);
}

gboolean
dlk_shared_locks_are_mandatory(const DlkDisk *disk)
{
    return dlk_shared_locks_are_mandatory_on(disk->filesystem, disk->lock_limit);
}

guint64
dlk_shared_locks_base(const DlkDisk *disk)
{
    return dlk_shared_locks_are_mandatory(disk) ? DLK_BYTES_BEYOND : 0;
}

static char *
unseen_loss_of_nfs4(void)
{
    static gint is_told;
    if (!recovers_lost_locks())
        return NULL;
    if (g_atomic_int_compare_and_exchange(&is_told, FALSE, TRUE))
        g_warning(
            "%s is set: where an NFS server takes a lock away, the kernel locks again and tells nobody, "
            "though somebody else may have written meanwhile; set it to N",
            RECOVER_LOST_LOCKS);
    return g_strdup("nfs.recover_lost_locks=1 makes the kernel lock again what was lost, and tell nobody");
}

/* A cluster's filesystem gives away the locks of a host that the cluster has fenced, and of no other. */
static gboolean
loses_no_locks(const char *filesystem)
{
    return g_str_equal(filesystem, "gfs2") || g_str_equal(filesystem, "ocfs2");
}

char *
dlk_shared_locks_unseen_loss(const char *filesystem)
{
    if (g_str_equal(filesystem, "nfs4"))
        return unseen_loss_of_nfs4();
    if (g_str_equal(filesystem, "nfs"))
        return g_strdup("NFS version 3 shows that a lock was lost only while somebody else has it");
    if (is_cifs(filesystem))
        return g_strdup("CIFS may hide that a lock was lost until another host has the disk exclusively");
    return loses_no_locks(filesystem)
               ? NULL
               : g_strdup_printf(
                     "%s is not known to show that a lock was lost but while somebody else has it",
                     filesystem);
}

gboolean
dlk_shared_locks_show_readers(const char *filesystem)
{
    return g_strcmp0(filesystem, "nfs") != 0;
}

/* Where readers and writers that share would not see each other, or asking gives the lock away. */
static const char *
why_not_apart(const char *filesystem)
{
    if (is_cifs(filesystem))
        return "on CIFS, where a host cannot ask who has locked a disk beside it: put it on NFS of version 4";
    return dlk_shared_locks_show_readers(filesystem) ? NULL
                                                     : "by version 3 of NFS, where a host does not see who "
                                                       "has locked a disk for reading: mount that by "
                                                       "version 4";
}

gboolean
dlk_shared_locks_keep_apart(const char *filesystem, DlkMode mode, gboolean strict, const char *label,
                            const char *lockspace, GError **error)
{
    const char *why = strict && mode != DLK_MODE_EXCLUSIVE ? why_not_apart(filesystem) : NULL;
    if (why == NULL)
        return TRUE;
    g_set_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED,
                "%s: readers=strict cannot be kept%s%s %s, or lock the disk exclusively", label,
                lockspace != NULL ? " in the lockspace " : "", lockspace != NULL ? lockspace : "", why);
    return FALSE;
}
