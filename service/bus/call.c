#include "bus/call.h"

#include "base/error.h"
#include "base/pid-ref.h"
#include "base/text.h"
#include "bus/passed-fds.h"
#include "core/authority.h"
#include "core/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

static void
call_free(DlkCall *call)
{
    g_clear_pointer(&call->caller, dlk_caller_unref);
    g_clear_pointer(&call->details, g_variant_unref);
    g_clear_pointer(&call->request, dlk_request_free);
    g_clear_error(&call->problem);
    g_free(call->subject);
    g_object_unref(call->engine);
    g_free(call->lease_node);
    g_free(call);
}

void
dlk_call_reply(DlkCall *call, GVariant *value)
{
    g_dbus_method_invocation_return_value(call->invocation, value);
    call_free(call);
}

void
dlk_call_reply_with_fds(DlkCall *call, GVariant *value, GUnixFDList *fds)
{
    g_dbus_method_invocation_return_value_with_unix_fd_list(call->invocation, value, fds);
    call_free(call);
}

void
dlk_call_fail(DlkCall *call, GError *error)
{
    const char *name = error->domain == DLK_ERROR ? dlk_error_bus_name((DlkError)error->code)
                                                  : "org.freedesktop.DBus.Error.Failed";
    g_autofree char *message = dlk_text_printable(error->message, 0);

    g_dbus_method_invocation_return_dbus_error(call->invocation, name, message);
    g_error_free(error);
    call_free(call);
}

gboolean
dlk_call_is_orphaned(const DlkCall *call)
{
    return dlk_caller_is_gone(call->caller);
}

DlkLease *
dlk_call_find_lease(const DlkCall *call, GError **error)
{
    char id[DLK_LEASE_ID_LENGTH + 1];
    DlkLease *lease = dlk_table_find(dlk_engine_table(call->engine), &call->lease_id);

    if (!lease) {
        dlk_lease_id_format(&call->lease_id, id);
        g_set_error(error, DLK_ERROR, DLK_ERROR_NO_SUCH_LEASE,
                    "there is no lease %s: it was released, or never granted", id);
    }
    return lease;
}

gboolean
dlk_call_set_lease(DlkCall *call, const char *id, GError **error)
{
    if (!dlk_lease_id_parse(id, &call->lease_id)) {
        g_autofree char *printable = dlk_text_printable(id, 64);

        g_set_error(error, DLK_ERROR, DLK_ERROR_NO_SUCH_LEASE,
                    "\"%s\" names no lease: a lease's id has 32 digits from 0 to f", printable);
        return FALSE;
    }

    const DlkLease *lease = dlk_call_find_lease(call, error);
    if (!lease)
        return FALSE;
    call->has_owner = TRUE;
    call->owner_uid = lease->uid;
    call->subject = g_strdup_printf("lease %.*s", DLK_LEASE_ID_PREFIX, id);
    g_clear_pointer(&call->details, g_variant_unref);
    if (call->caller->uid == 0) /* polkit is not asked */
        return TRUE;
    call->details = g_variant_ref_sink(dlk_authority_lease_details(lease, lease->mode));
    return TRUE;
}

void
dlk_call_set_subject(DlkCall *call, const char *name)
{
    call->subject = name ? dlk_text_printable(name, PATH_MAX) : NULL;
}

gboolean
dlk_call_set_lease_path(DlkCall *call, const char *object_path, GError **error)
{
    if (g_str_has_prefix(object_path, DLK_LEASES_PATH "/"))
        return dlk_call_set_lease(call, object_path + strlen(DLK_LEASES_PATH "/"), error);

    g_set_error(error, DLK_ERROR, DLK_ERROR_NO_SUCH_LEASE, "%s is no lease: leases are found under %s",
                object_path, DLK_LEASES_PATH);
    return FALSE;
}

int
dlk_call_fd(const DlkCall *call, int index, GError **error)
{
    const int fd = dlk_passed_fd(g_dbus_method_invocation_get_message(call->invocation), index);

    if (fd < 0)
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "the message carries no descriptor number %d",
                    index);
    return fd;
}

int
dlk_call_dup_pidfd(const DlkCall *call, int index, GError **error)
{
    const int fd = dlk_call_fd(call, index, error);

    if (fd < 0 || !dlk_pid_ref_check_pidfd(fd, error))
        return -1;
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "the pidfd");
    return copy;
}

gboolean
dlk_call_check_line(const DlkCall *call, const char *what, const char *text, GError **error)
{
    const guint limit = dlk_engine_limits(call->engine)->string_length;

    if (*text != '\0' && strlen(text) <= limit && dlk_text_is_clean(text))
        return TRUE;
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                "the %s must have 1 to %u bytes in one line without control characters", what, limit);
    return FALSE;
}

gboolean
dlk_call_check_no_options(GVariant *options, GError **error)
{
    const char *key;

    if (g_variant_n_children(options) == 0)
        return TRUE;
    g_variant_get_child(options, 0, "{&sv}", &key, NULL);
    g_autofree char *printable = dlk_text_printable(key, 32);
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "option %s is not known: there are none here",
                printable);
    return FALSE;
}

static GError *
not_owner(const DlkCall *call)
{
    return g_error_new(DLK_ERROR, DLK_ERROR_NOT_OWNER,
                       "%s belongs to another user: only that user, root, or whom polkit allows "
                       "%srelease-any may end it, "
                       "and only its owner may change it",
                       call->subject, DLK_ACTION_PREFIX);
}

static void
on_authorised(GObject *source, GAsyncResult *result, gpointer user_data)
{
    DlkCall *call = user_data;
    GError *error = NULL;

    if (dlk_authority_ask_finish(call->engine, result, &call->prompted, &error)) {
        call->member->run(call);
        return;
    }
    if (call->member->access == DLK_ACCESS_OWNER &&
        g_error_matches(error, DLK_ERROR, DLK_ERROR_NOT_AUTHORIZED)) {
        g_error_free(error);
        error = not_owner(call);
    } else if (call->subject) {
        g_prefix_error(&error, "%s: ", call->subject);
    }
    if (call->request)
        dlk_journal_refused(call->request, error);
    dlk_call_fail(call, error);
}

static gboolean
is_allowed_without_polkit(const DlkCall *call)
{
    const DlkMember *member = call->member;

    return member->access == DLK_ACCESS_ANYONE || call->caller->uid == 0 ||
           (member->access != DLK_ACCESS_POLKIT && call->has_owner && call->owner_uid == call->caller->uid);
}

static void
on_caller_known(DlkCall *call)
{
    GError *error = NULL;

    if (call->member->prepare && !call->member->prepare(call, &error)) {
        dlk_call_fail(call, error);
        return;
    }
    if (is_allowed_without_polkit(call)) {
        call->member->run(call);
        return;
    }
    if (!call->member->action) {
        dlk_call_fail(call, not_owner(call));
        return;
    }
    if (call->details && call->has_owner && call->owner_uid != call->caller->uid)
        dlk_authority_ask_guarded_async(call->engine, call->caller, call->member->action, call->details,
                                        call->interactive, on_authorised, call);
    else
        dlk_authority_ask_async(call->engine, call->caller, call->member->action, call->details,
                                call->interactive, on_authorised, call);
}

static void
on_caller(GObject *source, GAsyncResult *result, gpointer user_data)
{
    DlkCall *call = user_data;
    GError *error = NULL;

    call->caller = dlk_callers_get_finish(NULL, result, &error);
    if (call->caller)
        on_caller_known(call);
    else
        dlk_call_fail(call, error);
}

void
dlk_call_start(DlkEngine *engine, DlkCallers *callers, GDBusMethodInvocation *invocation,
               const char *interface, const char *member_name, const char *lease_node)
{
    const char *sender = g_dbus_method_invocation_get_sender(invocation);
    const DlkMember *member = dlk_members_find(interface, member_name);
    GDBusMessage *message = g_dbus_method_invocation_get_message(invocation);
    DlkCall *call;

    if (!member || !sender) {
        g_dbus_method_invocation_return_dbus_error(invocation, "org.freedesktop.DBus.Error.AccessDenied",
                                                   "nobody may use this member");
        return;
    }
    call = g_new0(DlkCall, 1);
    call->engine = g_object_ref(engine);
    call->invocation = invocation;
    call->parameters = g_dbus_method_invocation_get_parameters(invocation);
    call->member = member;
    call->interactive =
        g_dbus_message_get_flags(message) & G_DBUS_MESSAGE_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION ? TRUE
                                                                                                 : FALSE;
    call->lease_node = lease_node ? g_strdup(lease_node) : NULL;

    DlkCaller *known = dlk_callers_peek(callers, sender);
    if (known) {
        call->caller = dlk_caller_ref(known);
        on_caller_known(call);
    } else {
        dlk_callers_get_async(callers, sender, on_caller, call);
    }
}
