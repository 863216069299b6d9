#include "backend/backends.h"
#include "base/error.h"
#include "bus/handlers.h"
#include "core/authority.h"

#include <gio/gunixfdlist.h>

/* Acquire, AcquireSet, AcquireFd and Hold: requests to the engine; and CanAcquire, which makes none. */

/* As many as a domain has disks; a bound, because the caller chooses. */
#define MAX_SET 1024

static gboolean
check_lifetime(DlkOptions *options, gboolean keep, GError **error)
{
    if (keep && options->adopt)
        g_set_error_literal(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                            "option adopt is not for Hold: the lease would end with two descriptors");
    else if (keep && options->lifetime_given && options->lifetime != DLK_LIFETIME_FD)
        g_set_error(
            error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
            "option lifetime is %s; a lease of Hold has lifetime fd: leave the option out, or call Acquire",
            dlk_lifetime_to_string(options->lifetime));
    else if (!keep && options->lifetime == DLK_LIFETIME_FD)
        g_set_error_literal(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                            "option lifetime is fd; that is for Hold, which returns the descriptor");
    else
        return TRUE;
    return FALSE;
}

static gboolean
check_backend(const DlkOptions *options, GError **error)
{
    if (!options->backend || dlk_backends_get(options->backend))
        return TRUE;

    g_autofree char *names = g_strjoinv(", ", (char **)dlk_backends_names());
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "option backend is %s; there are %s",
                options->backend, names);
    return FALSE;
}

DlkRequest *
dlk_request_of_call(DlkCall *call, GVariant *dictionary, gboolean keep, GError **error)
{
    g_autoptr(DlkOptions) options = dlk_options_parse(dictionary, dlk_engine_limits(call->engine), error);
    int pidfd = -1;

    if (!options || !check_lifetime(options, keep, error) || !check_backend(options, error))
        return NULL;
    if (options->backing_files && call->member->prepare != dlk_acquire_set_prepare) {
        g_set_error_literal(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                            "option backing-files is for AcquireSet alone, which returns every lease");
        return NULL;
    }
    if (options->pidfd_index >= 0) {
        pidfd = dlk_call_dup_pidfd(call, options->pidfd_index, error);
        if (pidfd < 0)
            return NULL;
    }
    if (keep)
        options->lifetime = DLK_LIFETIME_FD;

    DlkRequest *request = dlk_request_new(call->caller, call->member->action, g_steal_pointer(&options));
    request->pidfd = pidfd;
    request->keep = keep;
    request->interactive = call->interactive;
    return request;
}

void
dlk_call_set_request(DlkCall *call, DlkRequest *request)
{
    const DlkWanted *first = request->wanted->len > 0 ? g_ptr_array_index(request->wanted, 0) : NULL;

    request->first_authorised = first != NULL; /* or else it will not run */
    call->request = request;
    if (first)
        dlk_call_set_subject(call, first->origin ? first->origin : first->path);
    if (call->caller->uid != 0)
        call->details = g_variant_ref_sink(dlk_request_details(request, first, NULL));
}

static gboolean
prepare_path(DlkCall *call, gboolean keep, GError **error)
{
    g_autoptr(GVariant) dictionary = NULL;
    const char *path, *mode_name;
    DlkMode mode;

    g_variant_get(call->parameters, "(&s&s@a{sv})", &path, &mode_name, &dictionary);
    if (!dlk_mode_from_string(mode_name, &mode, error))
        return FALSE;

    DlkRequest *request = dlk_request_of_call(call, dictionary, keep, error);
    if (!request)
        return FALSE;
    dlk_request_add(request, path, -1, mode);
    dlk_call_set_request(call, request);
    return TRUE;
}

gboolean
dlk_acquire_prepare(DlkCall *call, GError **error)
{
    return prepare_path(call, FALSE, error);
}

gboolean
dlk_hold_prepare(DlkCall *call, GError **error)
{
    return prepare_path(call, TRUE, error);
}

gboolean
dlk_acquire_fd_prepare(DlkCall *call, GError **error)
{
    g_autoptr(GVariant) dictionary = NULL;
    g_autoptr(DlkRequest) request = NULL;
    const char *mode_name;
    DlkMode mode;
    int index, fd;

    g_variant_get(call->parameters, "(h&s@a{sv})", &index, &mode_name, &dictionary);
    if (!dlk_mode_from_string(mode_name, &mode, error))
        return FALSE;
    request = dlk_request_of_call(call, dictionary, FALSE, error);
    if (!request)
        return FALSE;
    fd = dlk_call_fd(call, index, error);
    if (fd < 0)
        return FALSE;
    dlk_request_add(request, NULL, fd, mode);
    dlk_call_set_request(call, g_steal_pointer(&request));
    return TRUE;
}

gboolean
dlk_acquire_set_prepare(DlkCall *call, GError **error)
{
    g_autoptr(GVariant) disks = NULL, dictionary = NULL;
    g_autoptr(DlkRequest) request = NULL;
    GVariantIter iter;
    const char *path, *mode_name;

    g_variant_get(call->parameters, "(@a(ss)@a{sv})", &disks, &dictionary);
    gsize n = g_variant_n_children(disks);
    if (n == 0 || n > MAX_SET) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                    "the set has %" G_GSIZE_FORMAT " disks; 1 to %d are allowed", n, MAX_SET);
        return FALSE;
    }
    request = dlk_request_of_call(call, dictionary, FALSE, error);
    if (!request)
        return FALSE;
    g_variant_iter_init(&iter, disks);
    while (g_variant_iter_next(&iter, "(&s&s)", &path, &mode_name)) {
        DlkMode mode;

        if (!dlk_mode_from_string(mode_name, &mode, error))
            return FALSE;
        DlkWanted *wanted = dlk_request_add(request, path, -1, mode);
        wanted->probe_chain = wanted->probe_data_file = request->options->backing_files;
    }
    dlk_call_set_request(call, g_steal_pointer(&request));
    return TRUE;
}

/* The leases, or NULL after the call was answered: an error, or a caller who will never read that he has
 * them. */
static GPtrArray *
finish(DlkCall *call, GAsyncResult *result, int *keep_fd)
{
    GError *error = NULL;
    GPtrArray *leases = dlk_engine_acquire_finish(call->engine, result, keep_fd, &error);

    if (!leases) {
        dlk_call_fail(call, error);
        return NULL;
    }
    if (!dlk_call_is_orphaned(call))
        return leases;

    for (guint i = 0; i < leases->len; i++) {
        DlkLease *lease = g_ptr_array_index(leases, i);

        if (!lease->adopted) /* its owner heard of it earlier */
            dlk_engine_release(call->engine, lease, "its caller left before he heard of it");
    }
    g_ptr_array_unref(leases);
    dlk_close_fd(keep_fd);
    dlk_call_fail(call,
                  g_error_new_literal(DLK_ERROR, DLK_ERROR_NOT_AUTHORIZED, "the caller has left the bus"));
    return NULL;
}

static void
on_acquired(GObject *source, GAsyncResult *result, gpointer user_data)
{
    DlkCall *call = user_data;
    int keep_fd = -1;
    g_autoptr(GPtrArray) leases = finish(call, result, &keep_fd);

    if (!leases)
        return;
    DlkLease *lease = g_ptr_array_index(leases, 0);
    g_autofree char *path = dlk_lease_object_path(lease);
    dlk_call_reply(call, g_variant_new("(ot)", path, lease->token));
}

static void
on_set_acquired(GObject *source, GAsyncResult *result, gpointer user_data)
{
    DlkCall *call = user_data;
    GVariantBuilder builder;
    int keep_fd = -1;
    g_autoptr(GPtrArray) leases = finish(call, result, &keep_fd);

    if (!leases)
        return;
    g_variant_builder_init(&builder, G_VARIANT_TYPE("a(ot)"));
    for (guint i = 0; i < leases->len; i++) {
        DlkLease *lease = g_ptr_array_index(leases, i);
        g_autofree char *path = dlk_lease_object_path(lease);

        g_variant_builder_add(&builder, "(ot)", path, lease->token);
    }
    dlk_call_reply(call, g_variant_new("(a(ot))", &builder));
}

static void
on_hold_acquired(GObject *source, GAsyncResult *result, gpointer user_data)
{
    DlkCall *call = user_data;
    int keep_fd = -1;
    g_autoptr(GPtrArray) leases = finish(call, result, &keep_fd);

    if (!leases)
        return;
    DlkLease *lease = g_ptr_array_index(leases, 0);
    g_autoptr(GUnixFDList) list = g_unix_fd_list_new_from_array(&keep_fd, 1);
    g_autofree char *path = dlk_lease_object_path(lease);
    dlk_call_reply_with_fds(call, g_variant_new("(oth)", path, lease->token, 0), list);
}

static void
run(DlkCall *call, GAsyncReadyCallback callback)
{
    call->request->prompted = call->prompted;
    dlk_engine_acquire_async(call->engine, g_steal_pointer(&call->request), callback, call);
}

void
dlk_acquire_run(DlkCall *call)
{
    run(call, on_acquired);
}

void
dlk_acquire_all_run(DlkCall *call)
{
    run(call, on_set_acquired);
}

void
dlk_hold_run(DlkCall *call)
{
    run(call, on_hold_acquired);
}

gboolean
dlk_can_acquire_prepare(DlkCall *call, GError **error)
{
    const char *path, *mode_name;

    g_variant_get(call->parameters, "(&s&s)", &path, &mode_name);
    if (!dlk_mode_from_string(mode_name, &call->mode, error))
        return FALSE;
    call->details = g_variant_ref_sink(
        dlk_authority_details("path", path, "mode", mode_name, "owner", call->caller->command, NULL));
    return TRUE;
}

static void
on_can_acquire(GObject *source, GAsyncResult *result, gpointer user_data)
{
    DlkCall *call = user_data;
    g_autoptr(GError) error = NULL;
    gboolean yes = dlk_authority_ask_finish(call->engine, result, NULL, &error);
    gboolean challenge = g_error_matches(error, DLK_ERROR, DLK_ERROR_INTERACTION_REQUIRED);

    if (g_error_matches(error, DLK_ERROR, DLK_ERROR_LIMIT_EXCEEDED)) {
        dlk_call_fail(call, g_steal_pointer(&error));
        return;
    }
    dlk_call_reply(call, g_variant_new("(s)", yes ? "yes" : challenge ? "challenge" : "no"));
}

void
dlk_can_acquire_run(DlkCall *call)
{
    dlk_authority_ask_async(call->engine, call->caller, call->member->action, call->details, FALSE,
                            on_can_acquire, call);
}
