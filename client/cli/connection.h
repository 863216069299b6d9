#pragma once

#include "command.h"

#include <gio/gio.h>

#define DLK_BUS_NAME "org.disklock.DiskLock1"
#define DLK_MANAGER_PATH "/org/disklock/DiskLock1"
#define DLK_MANAGER_INTERFACE "org.disklock.DiskLock1.Manager"
#define DLK_LEASE_INTERFACE "org.disklock.DiskLock1.Lease"
#define DLK_LEASE_PATH_PREFIX DLK_MANAGER_PATH "/lease/"

/** DlkConnection: the system bus, and how this user's calls go to disklockd on it. */
typedef struct _DlkConnection DlkConnection;

/** DlkCall: one method call; what is left out is the usual. */
typedef struct {
    const char *object;    /* %NULL: the manager */
    const char *interface; /* %NULL: the manager's */
    const char *method;
    GVariant *arguments; /* consumed when floating */
    const GVariantType *reply_type;
    GUnixFDList *descriptors; /* what goes with @arguments, or %NULL; borrowed */
    GUnixFDList **reply_descriptors;
    guint32 wait_ms; /* what the call itself may take, beyond the usual patience */
    gboolean quiet;  /* never let polkit ask the user for this */
} DlkCall;

/** Connects to the bus at DBUS_SYSTEM_BUS_ADDRESS. DLK_ERROR_UNREACHABLE where there is none. */
DlkConnection *dlk_connection_open(const DlkSettings *settings, GError **error);
/** Leaves the bus and ends the password agent, if one was started. */
void dlk_connection_close(DlkConnection *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkConnection, dlk_connection_close)

/** Calls disklockd and waits; the reply is of @call->reply_type. Errors are the bus's own, see failure.h. */
GVariant *dlk_connection_call(DlkConnection *self, const DlkCall *call, GError **error);
/** Every property of @interface of @object, a{sv}. @quiet: as in DlkCall. */
GVariant *dlk_connection_get_all(DlkConnection *self, const char *object, const char *interface,
                                 gboolean quiet, GError **error);
/** Does the owner of @name (not disklockd: any) answer within five seconds? */
gboolean dlk_connection_ping(DlkConnection *self, const char *name, GError **error);
/** The bus, borrowed, for signals. */
GDBusConnection *dlk_connection_bus(DlkConnection *self);
