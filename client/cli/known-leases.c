#include "known-leases.h"

#include "leases.h"

struct _DlkKnownLeases {
    DlkConnection *connection;
    GHashTable *leases; /* object path → a{sv} */
};

DlkKnownLeases *
dlk_known_leases_new(DlkConnection *connection)
{
    DlkKnownLeases *self = g_new0(DlkKnownLeases, 1);
    self->connection = connection;
    self->leases = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_variant_unref);
    return self;
}

void
dlk_known_leases_free(DlkKnownLeases *self)
{
    g_hash_table_unref(self->leases);
    g_free(self);
}

void
dlk_known_leases_fill(DlkKnownLeases *self)
{
    g_hash_table_remove_all(self->leases);
    g_autoptr(GPtrArray) entries =
        dlk_leases_fetch(self->connection, g_variant_new("a{sv}", NULL), NULL, NULL);
    for (guint i = 0; entries && i < entries->len; i++) {
        const DlkLeaseEntry *entry = g_ptr_array_index(entries, i);
        g_hash_table_replace(self->leases, g_strdup(entry->object), g_variant_ref(entry->properties));
    }
}

GVariant *
dlk_known_leases_get(DlkKnownLeases *self, const char *object)
{
    GVariant *properties = g_hash_table_lookup(self->leases, object);
    if (properties)
        return properties;
    properties = dlk_leases_get(self->connection, object, TRUE, NULL);
    if (properties)
        g_hash_table_insert(self->leases, g_strdup(object), properties);
    return properties;
}

void
dlk_known_leases_forget(DlkKnownLeases *self, const char *object)
{
    g_hash_table_remove(self->leases, object);
}
