#include "base/error.h"
#include "base/text.h"
#include "bus/handlers.h"

#include <string.h>

/* ListLeases: what is listed, in the order of the grants, a page at a time. */

#define MAX_PAGE 1000
/* So many leases are looked at for one page: a filter that few match must not hold up everybody else. */
#define MAX_LOOK 10000

typedef struct {
    const char *path;
    const char *owner;
    const char *backend;
    gboolean has_uid, has_state;
    guint32 uid;
    DlkLeaseState state;
    guint64 after; /* a token */
    guint32 limit;
} Filter;

static const struct {
    const char *key;
    const char *type;
} filter_keys[] = {
    {"path", "s"},    {"owner", "s"}, {"uid", "u"},   {"state", "s"},
    {"backend", "s"}, {"after", "s"}, {"limit", "u"},
};

static gboolean
check_key(const char *key, GVariant *value, GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(filter_keys); i++) {
        if (!g_str_equal(key, filter_keys[i].key))
            continue;
        if (g_variant_is_of_type(value, G_VARIANT_TYPE(filter_keys[i].type)))
            return TRUE;
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "filter key %s has type %s; it must be %s", key,
                    g_variant_get_type_string(value), filter_keys[i].type);
        return FALSE;
    }

    g_autofree char *printable = dlk_text_printable(key, 32);
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "filter key %s is not known", printable);
    return FALSE;
}

static gboolean
take_after(const char *text, Filter *filter, GError **error)
{
    if (*text == '\0' || g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, &filter->after, NULL))
        return TRUE;
    g_set_error_literal(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                        "filter key after must be what an earlier call returned as next");
    return FALSE;
}

static gboolean
take_key(const char *key, GVariant *value, Filter *filter, GError **error)
{
    if (g_str_equal(key, "uid")) {
        filter->uid = g_variant_get_uint32(value);
        filter->has_uid = TRUE;
        return TRUE;
    }
    if (g_str_equal(key, "limit")) {
        filter->limit = CLAMP(g_variant_get_uint32(value), 1, MAX_PAGE);
        return TRUE;
    }

    const char *text = g_variant_get_string(value, NULL);
    if (g_str_equal(key, "path"))
        filter->path = text;
    else if (g_str_equal(key, "owner"))
        filter->owner = text;
    else if (g_str_equal(key, "backend"))
        filter->backend = text;
    else if (g_str_equal(key, "after"))
        return take_after(text, filter, error);
    else {
        filter->has_state = TRUE;
        return dlk_lease_state_from_string(text, &filter->state, error);
    }
    return TRUE;
}

/* The strings of @filter live as long as the parameters. */
static gboolean
parse(GVariant *parameters, Filter *filter, GError **error)
{
    g_autoptr(GVariant) dictionary = g_variant_get_child_value(parameters, 0);
    GVariantIter iter;
    const char *key;
    GVariant *value;

    *filter = (Filter){.limit = MAX_PAGE};
    g_variant_iter_init(&iter, dictionary);
    while (g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
        g_autoptr(GVariant) owned = value;

        if (!check_key(key, owned, error) || !take_key(key, owned, filter, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
matches(const DlkLease *lease, const Filter *filter)
{
    if (filter->path && !g_str_equal(filter->path, lease->path) &&
        g_strcmp0(filter->path, lease->disk->path) != 0)
        return FALSE;
    return (!filter->owner || g_str_equal(filter->owner, lease->owner)) &&
           (!filter->backend || g_str_equal(filter->backend, lease->backend)) &&
           (!filter->has_uid || filter->uid == lease->uid) &&
           (!filter->has_state || filter->state == lease->state);
}

gboolean
dlk_list_leases_prepare(DlkCall *call, GError **error)
{
    Filter filter;

    if (!parse(call->parameters, &filter, error))
        return FALSE;
    /* Who asks for his own alone needs nobody's leave. */
    call->has_owner = filter.has_uid;
    call->owner_uid = filter.uid;
    return TRUE;
}

void
dlk_list_leases_run(DlkCall *call)
{
    DlkTable *table = dlk_engine_table(call->engine);
    g_autofree char *next = NULL;
    GVariantBuilder builder;
    Filter filter;
    guint n = 0, looked = 0;

    parse(call->parameters, &filter, NULL); /* prepare() has found it good */
    g_variant_builder_init(&builder, G_VARIANT_TYPE("a(oa{sv})"));
    guint64 last = filter.after;
    DlkLease *lease;
    for (lease = dlk_table_next(table, last); lease && n < filter.limit && looked < MAX_LOOK;
         lease = dlk_table_next(table, last)) {
        last = lease->token;
        looked++;
        if (!matches(lease, &filter))
            continue;
        g_autofree char *path = dlk_lease_object_path(lease);
        g_variant_builder_add(&builder, "(o@a{sv})", path, dlk_properties_of_lease(lease));
        n++;
    }
    next = lease ? g_strdup_printf("%" G_GUINT64_FORMAT, last) : g_strdup("");
    dlk_call_reply(call, g_variant_new("(a(oa{sv})s)", &builder, next));
}
