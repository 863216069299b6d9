#include "leases.h"

#include "base/error.h"
#include "failure.h"

#include <string.h>
#include <unistd.h>

#define ID_LENGTH 32
#define SHORTEST_PREFIX 4

static void
entry_free(DlkLeaseEntry *entry)
{
    g_free(entry->object);
    g_variant_unref(entry->properties);
    g_free(entry);
}

/* One page of the list from *@after on, which is moved to the next. */
static gboolean
fetch_page(DlkConnection *connection, GVariant *filter, char **after, GPtrArray *entries, GError **error)
{
    g_auto(GVariantDict) page;
    g_variant_dict_init(&page, filter);
    if (**after)
        g_variant_dict_insert(&page, "after", "s", *after);
    const DlkCall call = {
        .method = "ListLeases",
        .arguments = g_variant_new("(@a{sv})", g_variant_dict_end(&page)),
        .reply_type = G_VARIANT_TYPE("(a(oa{sv})s)"),
        .quiet = TRUE,
    };
    g_autoptr(GVariant) reply = dlk_connection_call(connection, &call, error);
    if (!reply)
        return FALSE;
    g_autoptr(GVariantIter) leases = NULL;
    g_autofree char *next = NULL;
    g_variant_get(reply, "(a(oa{sv})s)", &leases, &next);
    const char *object;
    GVariant *properties;
    while (g_variant_iter_next(leases, "(&o@a{sv})", &object, &properties)) {
        DlkLeaseEntry *entry = g_new(DlkLeaseEntry, 1);
        entry->object = g_strdup(object);
        entry->properties = properties;
        g_ptr_array_add(entries, entry);
    }
    if (*next && g_str_equal(next, *after)) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED, "the service's list of leases does not end");
        return FALSE;
    }
    g_free(*after);
    *after = g_steal_pointer(&next);
    return TRUE;
}

static GPtrArray *
fetch_all(DlkConnection *connection, GVariant *filter, GError **error)
{
    g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func((GDestroyNotify)entry_free);
    g_autofree char *after = g_strdup("");
    do {
        if (!fetch_page(connection, filter, &after, entries, error))
            return NULL;
    } while (*after);
    return g_steal_pointer(&entries);
}

GPtrArray *
dlk_leases_fetch(DlkConnection *connection, GVariant *filter, gboolean *own_only, GError **error)
{
    g_autoptr(GVariant) sunk = g_variant_ref_sink(filter);
    g_autoptr(GError) refusal = NULL;
    GPtrArray *entries = fetch_all(connection, sunk, &refusal);
    g_auto(GVariantDict) own;
    g_variant_dict_init(&own, sunk);
    const gboolean narrow = !entries && geteuid() != 0 && dlk_failure_code(refusal) == DLK_EXIT_DENIED &&
                            !g_variant_dict_contains(&own, "uid");
    if (own_only)
        *own_only = narrow;
    if (entries)
        return entries;
    if (!narrow) {
        g_propagate_error(error, g_steal_pointer(&refusal));
        return NULL;
    }
    g_variant_dict_insert(&own, "uid", "u", (guint32)geteuid());
    g_autoptr(GVariant) own_filter = g_variant_ref_sink(g_variant_dict_end(&own));
    return fetch_all(connection, own_filter, error);
}

static char *
find_by_prefix(DlkConnection *connection, const char *prefix, GError **error)
{
    g_autoptr(GPtrArray) entries = dlk_leases_fetch(connection, g_variant_new("a{sv}", NULL), NULL, error);
    if (!entries)
        return NULL;
    const char *found = NULL;
    for (guint i = 0; i < entries->len; i++) {
        const DlkLeaseEntry *entry = g_ptr_array_index(entries, i);
        if (!g_str_has_prefix(dlk_lease_id(entry->object), prefix))
            continue;
        if (found) {
            g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                        "%s could be lease %s or %s: give more digits", prefix, dlk_lease_id(found),
                        dlk_lease_id(entry->object));
            return NULL;
        }
        found = entry->object;
    }
    if (!found) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_NO_SUCH_LEASE, "no lease that you may see begins with %s",
                    prefix);
    }
    return g_strdup(found);
}

char *
dlk_leases_find(DlkConnection *connection, const char *text, GError **error)
{
    if (g_str_has_prefix(text, DLK_LEASE_PATH_PREFIX) && g_variant_is_object_path(text))
        return g_strdup(text);
    g_autofree char *id = g_ascii_strdown(text, -1);
    const gsize length = strlen(id);
    if (length < SHORTEST_PREFIX || length > ID_LENGTH || strspn(id, "0123456789abcdef") != length) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                    "'%s' is no lease: give its id, at least %d hexadecimal digits of it, or its object path",
                    text, SHORTEST_PREFIX);
        return NULL;
    }
    if (length == ID_LENGTH)
        return g_strconcat(DLK_LEASE_PATH_PREFIX, id, NULL);
    return find_by_prefix(connection, id, error);
}

GVariant *
dlk_leases_get(DlkConnection *connection, const char *object, gboolean quiet, GError **error)
{
    g_autoptr(GError) cause = NULL;
    GVariant *properties = dlk_connection_get_all(connection, object, DLK_LEASE_INTERFACE, quiet, &cause);
    if (properties)
        return properties;
    /* What GDBus itself says of an object that a subtree does not have. */
    if (g_error_matches(cause, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_METHOD) ||
        g_error_matches(cause, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_OBJECT) ||
        g_error_matches(cause, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_INTERFACE)) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_NO_SUCH_LEASE, "there is no lease %s", dlk_lease_id(object));
        return NULL;
    }
    g_propagate_error(error, g_steal_pointer(&cause));
    return NULL;
}

const char *
dlk_lease_id(const char *object)
{
    return g_str_has_prefix(object, DLK_LEASE_PATH_PREFIX) ? object + strlen(DLK_LEASE_PATH_PREFIX) : object;
}

GVariant *
dlk_lease_describe(const char *object, GVariant *properties)
{
    g_auto(GVariantBuilder) lease = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&lease, "{sv}", "Lease", g_variant_new_object_path(object));
    GVariantIter iter;
    GVariant *entry;
    g_variant_iter_init(&iter, properties);
    while ((entry = g_variant_iter_next_value(&iter))) {
        g_variant_builder_add_value(&lease, entry);
        g_variant_unref(entry);
    }
    return g_variant_builder_end(&lease);
}

const char *
dlk_lease_string(GVariant *properties, const char *key)
{
    const char *text = "";
    (void)g_variant_lookup(properties, key, "&s", &text);
    return text;
}

guint64
dlk_lease_number(GVariant *properties, const char *key)
{
    guint64 number = 0;
    guint32 small = 0;
    if (g_variant_lookup(properties, key, "t", &number))
        return number;
    (void)g_variant_lookup(properties, key, "u", &small);
    return small;
}
