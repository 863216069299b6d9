#pragma once

#include "connection.h"

/** DlkLeaseEntry: one lease as ListLeases tells it. */
typedef struct {
    char *object;
    GVariant *properties; /* a{sv} */
} DlkLeaseEntry;

/**
 * dlk_leases_fetch: every lease that matches @filter (a{sv}, consumed when floating), page by page.
 * A caller who may not see the others' gets their own; *@own_only says whether that happened (may be %NULL).
 * Returns an array of DlkLeaseEntry. Never lets polkit ask the user.
 */
GPtrArray *dlk_leases_fetch(DlkConnection *connection, GVariant *filter, gboolean *own_only, GError **error);

/**
 * dlk_leases_find: the object path of the lease that @text names: an id, the first four or more digits of
 * one, or an object path. DLK_ERROR_NO_SUCH_LEASE, or DLK_ERROR_INVALID_ARGS where it could be several. Free
 * with g_free().
 */
char *dlk_leases_find(DlkConnection *connection, const char *text, GError **error);

/** dlk_leases_get: the properties of the lease at @object, a{sv}. DLK_ERROR_NO_SUCH_LEASE. @quiet: as in
 * DlkCall. */
GVariant *dlk_leases_get(DlkConnection *connection, const char *object, gboolean quiet, GError **error);

/** dlk_lease_id: the id in the object path of a lease; the whole path where it is none of ours. */
const char *dlk_lease_id(const char *object);

/** dlk_lease_describe: @properties with the object path before them as "Lease", a{sv}, floating; for JSON. */
GVariant *dlk_lease_describe(const char *object, GVariant *properties);

/** A property of a{sv}; "" and 0 where it is not there or of another type. */
const char *dlk_lease_string(GVariant *properties, const char *key);
guint64 dlk_lease_number(GVariant *properties, const char *key);
