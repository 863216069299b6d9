#include "base/error.h"
#include "base/fd.h"
#include "child.h"
#include "command.h"
#include "connection.h"
#include "failure.h"
#include "leases.h"
#include "request.h"

#include <gio/gunixfdlist.h>

/* The lease whose life hangs on @keep, for the process of @child. */
static gboolean
hold(DlkConnection *connection, DlkRequest *request, const DlkChild *child, int *keep, GVariant **reply,
     GError **error)
{
    g_autoptr(GUnixFDList) descriptors = g_unix_fd_list_new();
    g_autoptr(GUnixFDList) received = NULL;
    const int index = g_unix_fd_list_append(descriptors, child->pidfd, error);
    if (index < 0)
        return FALSE;
    g_variant_dict_insert(&request->options, "pidfd", "h", index);
    const DlkCall call = {
        .method = "Hold",
        .arguments = dlk_request_arguments(request),
        .reply_type = G_VARIANT_TYPE("(oth)"),
        .descriptors = descriptors,
        .reply_descriptors = &received,
        .wait_ms = request->wait_ms,
    };
    *reply = dlk_connection_call(connection, &call, error);
    if (!*reply)
        return FALSE;
    g_autoptr(GVariant) handle = g_variant_get_child_value(*reply, 2);
    const int position = g_variant_get_handle(handle);
    if (!received || position < 0 || position >= g_unix_fd_list_get_length(received)) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED,
                    "the service sent no descriptor to keep the lease by");
        return FALSE;
    }
    *keep = g_unix_fd_list_get(received, position, error);
    return *keep >= 0;
}

/* Holds the disk and lets the child go; the bus is left then: the command may run for months. */
static gboolean
hold_and_start(const DlkInvocation *invocation, DlkRequest *request, DlkChild *child, int *keep,
               GError **error)
{
    g_autoptr(GVariant) reply = NULL;
    g_autoptr(DlkConnection) connection = dlk_connection_open(invocation->settings, error);
    if (!connection || !hold(connection, request, child, keep, &reply, error)) {
        dlk_child_dismiss(child);
        return FALSE;
    }
    const char *object;
    guint64 token;
    g_variant_get(reply, "(&oth)", &object, &token, NULL);
    g_clear_pointer(&connection, dlk_connection_close);
    return dlk_child_start(child, *keep, dlk_lease_id(object), token, error);
}

static int
run(const DlkInvocation *invocation)
{
    g_autoptr(GError) error = NULL;
    g_auto(DlkRequest) request = {0};
    DlkChild child = {.pid = -1, .pidfd = -1, .socket = -1};
    /* Ours stays open to the end: a command that closes what it does not know must not lose the disk. */
    dlk_autofd keep = -1;
    char *const *command_line = invocation->command_line;
    g_autofree char *name = g_path_get_basename(command_line[0]);
    if (!dlk_request_read(&request, invocation->arguments[0], name, &error) ||
        !dlk_child_fork(&child, command_line, &error) ||
        !hold_and_start(invocation, &request, &child, &keep, &error))
        return DLK_EXIT_RUN + (int)dlk_request_report_failure(&request, error);
    return dlk_child_wait(&child);
}

const DlkCommand dlk_command_run = {
    .name = "run",
    .parameters = "PATH -- COMMAND [ARGUMENT…]",
    .summary = "Hold a disk as long as a command runs",
    .details = "The disk is held until the command has ended, and everything that it started and that kept "
               "the descriptor\n"
               "of the lease (flock(1) does likewise): also when disklockctl is killed. The owner is the "
               "command's name unless\n"
               "--owner says another. The command finds the lease in DISKLOCK_LEASE and the fencing token in "
               "DISKLOCK_TOKEN.\n\n"
               "Exit code: the command's, 128 + N if signal N ended it, 126 if it cannot be executed, 127 if "
               "it is not\n"
               "there; and where disklockctl failed 110 + its own code: 112 usage, 113 busy, 114 denied, 115 "
               "unreachable,\n"
               "116 no such disk, 111 anything else.",
    .min_arguments = 1,
    .max_arguments = 1,
    .takes_command_line = TRUE,
    .failure_base = DLK_EXIT_RUN,
    .options = {dlk_request_mode_options, dlk_request_options},
    .run = run,
};
