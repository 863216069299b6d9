#include "core/journal.h"

/* A lease's fields, and what is added to them. */
#define LEASE_FIELDS 11
#define MORE_FIELDS 2

static void
log_lease(DlkEvent event, const DlkLease *lease, const char *reason, const DlkLogField *more,
          const char *text)
{
    char id[DLK_LEASE_ID_LENGTH + 1];
    g_autofree char *uid = g_strdup_printf("%u", lease->uid);
    g_autofree char *pid = g_strdup_printf("%d", (int)lease->pid);
    g_autofree char *token = g_strdup_printf("%" G_GUINT64_FORMAT, lease->token);
    DlkLogField fields[LEASE_FIELDS + MORE_FIELDS + 1] = {
        {"DISKLOCK_LEASE", id},
        {"DISKLOCK_DISK", lease->disk->id},
        {"DISKLOCK_PATH", lease->path},
        {"DISKLOCK_MODE", dlk_mode_to_string(lease->mode)},
        {"DISKLOCK_BACKEND", lease->backend},
        {"DISKLOCK_OWNER", lease->owner},
        {"DISKLOCK_UID", uid},
        {"DISKLOCK_PID", pid},
        {"DISKLOCK_TOKEN", token},
        {"DISKLOCK_ON_BREAK", dlk_on_break_to_string(lease->on_break)},
        {"DISKLOCK_REASON", reason},
    };

    for (guint i = 0; i < MORE_FIELDS && more && more[i].name; i++)
        fields[LEASE_FIELDS + i] = more[i];
    dlk_lease_id_format(&lease->id, id);
    dlk_log_event(event, fields, text);
}

void
dlk_journal_lease(DlkEvent event, const DlkLease *lease, const char *reason, const char *format, ...)
{
    va_list arguments;

    if (!dlk_log_is_heard(event))
        return;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    log_lease(event, lease, reason, NULL, text);
}

void
dlk_journal_forced(DlkEvent event, const DlkLease *lease, const DlkCaller *by, const char *reason)
{
    g_autofree char *uid = g_strdup_printf("%u", by->uid);
    g_autofree char *pid = by->process ? g_strdup_printf("%d", (int)dlk_pid_ref_pid(by->process)) : NULL;
    const DlkLogField more[] = {{"DISKLOCK_BY_UID", uid}, {"DISKLOCK_BY_PID", pid}, {0}};
    g_autofree char *text =
        g_strdup_printf("%s (uid %u) %s the lease of %s (uid %u) on %s%s%s", by->command, by->uid,
                        event == DLK_EVENT_REVOKED ? "revoked" : "released", lease->owner, lease->uid,
                        lease->path, reason ? ": " : "", reason ? reason : "");

    log_lease(event, lease, reason, more, text);
}

void
dlk_journal_refused(const DlkRequest *request, const GError *error)
{
    const DlkCaller *caller = request->caller;

    if (!dlk_log_is_heard(DLK_EVENT_REFUSED))
        return;
    g_autofree char *uid = g_strdup_printf("%u", caller->uid);
    g_autofree char *pid =
        caller->process ? g_strdup_printf("%d", (int)dlk_pid_ref_pid(caller->process)) : NULL;
    const DlkLogField always[] = {
        {"DISKLOCK_OWNER", request->options->owner},
        {"DISKLOCK_UID", uid},
        {"DISKLOCK_PID", pid},
        {"DISKLOCK_REASON", error->message},
    };
    g_autoptr(GArray) fields = g_array_new(TRUE, TRUE, sizeof(DlkLogField));
    g_autofree char *text =
        g_strdup_printf("Refused %s (uid %u): %s", caller->command, caller->uid, error->message);

    g_array_append_vals(fields, always, G_N_ELEMENTS(always));
    for (guint i = 0; i < request->wanted->len; i++) {
        const DlkWanted *wanted = g_ptr_array_index(request->wanted, i);
        const DlkLogField path = {"DISKLOCK_PATH", wanted->path};

        g_array_append_val(fields, path);
    }
    dlk_log_event(DLK_EVENT_REFUSED, (const DlkLogField *)(const void *)fields->data, text);
}

void
dlk_journal_fenced(const DlkFencing *fencing, const char *disk, guint removed, const GError *error)
{
    const DlkCaller *by = fencing->caller;
    g_autofree char *uid = g_strdup_printf("%u", by->uid);
    g_autofree char *pid = by->process ? g_strdup_printf("%d", (int)dlk_pid_ref_pid(by->process)) : NULL;
    g_autofree char *count = g_strdup_printf("%u", removed);
    const char *reason = fencing->reason ? fencing->reason : "no reason was given";
    const DlkLogField fields[] = {
        {"DISKLOCK_DISK", disk},          {"DISKLOCK_PATH", fencing->path},
        {"DISKLOCK_HOST", fencing->host}, {"DISKLOCK_REASON", error ? error->message : reason},
        {"DISKLOCK_REMOVED", count},      {"DISKLOCK_BY_UID", uid},
        {"DISKLOCK_BY_PID", pid},         {0},
    };
    g_autofree char *text =
        error ? g_strdup_printf("%s (uid %u) could not fence host %s from %s: %s", by->command, by->uid,
                                fencing->host, fencing->path, error->message)
              : g_strdup_printf("%s (uid %u) fenced host %s from %s, %u removed: %s", by->command, by->uid,
                                fencing->host, fencing->path, removed, reason);

    dlk_log_event(error ? DLK_EVENT_NOT_FENCED : DLK_EVENT_FENCED, fields, text);
}

void
dlk_journal_recovered(const DlkLease *lease, const char *how)
{
    dlk_journal_lease(DLK_EVENT_RECOVERED, lease, how, "%s holds %s as before the service's start: %s",
                      lease->owner, lease->path, how);
}

void
dlk_journal_dropped(const DlkLease *lease, const char *why)
{
    dlk_journal_lease(DLK_EVENT_DROPPED, lease, why,
                      "The lease of %s on %s ended while the service was away: %s", lease->owner, lease->path,
                      why);
}

void
dlk_journal_not_recovered(const DlkLease *lease, const char *why)
{
    dlk_journal_lease(DLK_EVENT_NOT_RECOVERED, lease, why,
                      "The lock of %s on %s was lost while the service was away: %s", lease->owner,
                      lease->path, why);
}
