#pragma once

#include "bus/members.h"
#include "core/engine.h"

#include <gio/gio.h>
#include <gio/gunixfdlist.h>

/** DlkCall: one method call or property access on its way through the bus layer. */
typedef struct _DlkCall {
    DlkEngine *engine;
    GDBusMethodInvocation *invocation; /* taken by the reply */
    GVariant *parameters;              /* borrowed from the invocation */
    const DlkMember *member;
    char *lease_node; /* the called object's last part, or %NULL for the manager */
    DlkCaller *caller;
    gboolean interactive; /* the message allows a prompt */
    gboolean prompted;    /* a person was asked, and agreed */

    /* What prepare() found in the arguments. */
    DlkLeaseId lease_id;
    gboolean has_owner;
    uid_t owner_uid;     /* whose lease it is, or which uid's data */
    char *subject;       /* for messages: what it is about, as the caller named it, or %NULL */
    GVariant *details;   /* for polkit: a{ss} or %NULL */
    DlkRequest *request; /* of the Acquire family */
    GError *problem;     /* with the arguments, to be told to who is authorised */
    DlkMode mode;
} DlkCall;

/**
 * dlk_call_start: finds out who calls, checks the arguments, authorises, and runs the member, in this order.
 * @member: the method, the property, or "GetAll".
 * @lease_node: the last part of a lease's object path, or %NULL for the manager.
 */
void dlk_call_start(DlkEngine *engine, DlkCallers *callers, GDBusMethodInvocation *invocation,
                    const char *interface, const char *member, const char *lease_node);

/** Answers and frees @call. @value: a tuple, floating, or %NULL for ( ). */
void dlk_call_reply(DlkCall *call, GVariant *value);
/** The same, with descriptors. */
void dlk_call_reply_with_fds(DlkCall *call, GVariant *value, GUnixFDList *fds);
/** Answers with an error (taken over) and frees @call. */
void dlk_call_fail(DlkCall *call, GError *error);
/** Has the caller left the bus, so that nobody reads the reply? */
gboolean dlk_call_is_orphaned(const DlkCall *call);

/** The lease that prepare() named, looked up afresh; borrowed. DLK_ERROR_NO_SUCH_LEASE. */
DlkLease *dlk_call_find_lease(const DlkCall *call, GError **error);
/** Says what the call is about, as the caller named it; %NULL: nothing single. For prepare(). */
void dlk_call_set_subject(DlkCall *call, const char *name);
/** Sets the lease that the call is about, and by it the owner and polkit's details, for prepare(). */
gboolean dlk_call_set_lease(DlkCall *call, const char *id, GError **error);
/** The same, by object path. */
gboolean dlk_call_set_lease_path(DlkCall *call, const char *object_path, GError **error);
/** Descriptor @index of the message, borrowed until the call is answered; -1 with DLK_ERROR_INVALID_ARGS
 * where there is none. */
int dlk_call_fd(const DlkCall *call, int index, GError **error);
/** A copy of it where it is a pidfd, whose close never waits; or -1 with DLK_ERROR_INVALID_ARGS. */
int dlk_call_dup_pidfd(const DlkCall *call, int index, GError **error);
/** Is @text one line for people, within the policy's limit? DLK_ERROR_INVALID_ARGS calls it "the @what". */
gboolean dlk_call_check_line(const DlkCall *call, const char *what, const char *text, GError **error);
/** For a member whose a{sv} has no keys yet: any key is DLK_ERROR_INVALID_ARGS, named. */
gboolean dlk_call_check_no_options(GVariant *options, GError **error);
