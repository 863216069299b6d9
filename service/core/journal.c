#include "base/log.h"
#include "core/internal.h"

void
dlk_journal_lease(GLogLevelFlags level, const char *message_id, const DlkLease *lease, const char *reason,
                  const char *format, ...)
{
    if (!dlk_log_is_heard(level))
        return;

    char id[DLK_LEASE_ID_LENGTH + 1];
    g_autofree char *uid = g_strdup_printf("%u", lease->uid);
    g_autofree char *pid = g_strdup_printf("%d", (int)lease->pid);
    g_autofree char *token = g_strdup_printf("%" G_GUINT64_FORMAT, lease->token);
    const DlkLogField fields[] = {
        {"DISKLOCK_LEASE", id},
        {"DISKLOCK_DISK", lease->disk->id},
        {"DISKLOCK_PATH", lease->path},
        {"DISKLOCK_OWNER", lease->owner},
        {"DISKLOCK_UID", uid},
        {"DISKLOCK_PID", pid},
        {"DISKLOCK_TOKEN", token},
        {"DISKLOCK_REASON", reason},
        {0},
    };
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    dlk_lease_id_format(&lease->id, id);
    dlk_log_event(level, message_id, fields, text);
}
