#pragma once

#include <glib.h>

struct _DlkCall;

/** DlkAccess: who may use a member of the bus interface. What is in no row may be used by nobody. */
typedef enum {
    DLK_ACCESS_ANYONE, /* the member says nothing about others, or decides for itself */
    DLK_ACCESS_POLKIT, /* root, and whoever polkit allows the action */
    DLK_ACCESS_READER, /* the lease's own uid too */
    DLK_ACCESS_OWNER,  /* likewise; and who is refused is told whose it is: NotOwner */
} DlkAccess;

/** DlkMember: one method or property: who may use it, and for a method what it does. */
typedef struct {
    const char *interface; /* "Manager" or "Lease" */
    const char *name;
    DlkAccess access;
    const char *action; /* polkit's, without the prefix; %NULL: polkit is not asked */
    /** Checks the arguments; touches nothing. Runs before the authorisation, to which it may give details. */
    gboolean (*prepare)(struct _DlkCall *call, GError **error);
    /** Does it, for an authorised caller. Ends with dlk_call_reply() or dlk_call_fail(), now or later. */
    void (*run)(struct _DlkCall *call);
} DlkMember;

/** @interface: in full, "org.disklock.DiskLock1.Manager". %NULL: there is no such row. */
const DlkMember *dlk_members_find(const char *interface, const char *name);
/** The rows one after the other; %NULL behind the last. */
const DlkMember *dlk_members_at(guint index);

#define DLK_BUS_NAME "org.disklock.DiskLock1"
#define DLK_MANAGER_PATH "/org/disklock/DiskLock1"
#define DLK_LEASES_PATH DLK_MANAGER_PATH "/lease"
#define DLK_MANAGER_INTERFACE DLK_BUS_NAME ".Manager"
#define DLK_LEASE_INTERFACE DLK_BUS_NAME ".Lease"
