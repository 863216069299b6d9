#include "backend/shared-locks.h"

#include "base/error.h"

#define RECOVER_LOST_LOCKS "/sys/module/nfs/parameters/recover_lost_locks"

/* The module is nfs, whatever the version; where it is not loaded there is no NFS. */
static gboolean
recovers_lost_locks(void)
{
    g_autofree char *text = NULL;
    return g_file_get_contents(RECOVER_LOST_LOCKS, &text, NULL, NULL) && text[0] == 'Y';
}

char *
dlk_shared_locks_unseen_loss(const char *filesystem)
{
    static gint is_told;
    if (g_str_equal(filesystem, "nfs"))
        return g_strdup("NFS version 3 shows that a lock was lost only while somebody else has it");
    if (!g_str_equal(filesystem, "nfs4") || !recovers_lost_locks())
        return NULL;
    if (g_atomic_int_compare_and_exchange(&is_told, FALSE, TRUE))
        g_warning(
            "%s is set: where an NFS server takes a lock away, the kernel locks again and tells nobody, "
            "though somebody else may have written meanwhile; set it to N",
            RECOVER_LOST_LOCKS);
    return g_strdup("nfs.recover_lost_locks=1 makes the kernel lock again what was lost, and tell nobody");
}

gboolean
dlk_shared_locks_show_readers(const char *filesystem)
{
    return g_strcmp0(filesystem, "nfs") != 0;
}

/* Readers and writers that share would not see each other. */
gboolean
dlk_shared_locks_keep_apart(const char *filesystem, DlkMode mode, gboolean strict, const char *label,
                            const char *lockspace, GError **error)
{
    if (!strict || mode == DLK_MODE_EXCLUSIVE || dlk_shared_locks_show_readers(filesystem))
        return TRUE;
    g_set_error(
        error, DLK_ERROR, DLK_ERROR_UNSUPPORTED,
        "%s: readers=strict cannot be kept%s%s by version 3 of NFS, where a host does not see who has "
        "locked a disk for reading: mount that by version 4, or lock the disk exclusively",
        label, lockspace != NULL ? " in the lockspace " : "", lockspace != NULL ? lockspace : "");
    return FALSE;
}
