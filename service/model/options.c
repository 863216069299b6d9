#include "model/options.h"

#include "base/error.h"
#include "base/text.h"

#include <string.h>

static const char *const lifetime_names[DLK_N_LIFETIMES] = {"persistent", "process", "connection", "fd"};

gboolean
dlk_lifetime_from_string(const char *text, DlkLifetime *lifetime, GError **error)
{
    for (guint i = 0; i < DLK_N_LIFETIMES; i++) {
        if (g_str_equal(text, lifetime_names[i])) {
            *lifetime = i;
            return TRUE;
        }
    }

    g_autofree char *printable = dlk_text_printable(text, 32);
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                "lifetime is \"%s\"; it must be persistent, process, connection or fd", printable);
    return FALSE;
}

const char *
dlk_lifetime_to_string(DlkLifetime lifetime)
{
    return lifetime_names[lifetime];
}

/* A string option that is longer or wilder than the policy allows must not get into messages and journals. */
static gboolean
take_string(const char *key, GVariant *value, const DlkLimits *limits, char **field, GError **error)
{
    const char *text = g_variant_get_string(value, NULL);

    if (*text == '\0' || strlen(text) > limits->string_length) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                    "option %s has %" G_GSIZE_FORMAT " bytes; 1 to %u are allowed", key, strlen(text),
                    limits->string_length);
        return FALSE;
    }
    if (!dlk_text_is_clean(text)) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "option %s has control characters in it", key);
        return FALSE;
    }
    g_free(*field);
    *field = g_strdup(text);
    return TRUE;
}

static gboolean
take_lifetime(GVariant *value, DlkOptions *self, GError **error)
{
    self->lifetime_given = TRUE;
    return dlk_lifetime_from_string(g_variant_get_string(value, NULL), &self->lifetime, error);
}

static gboolean
take_on_break(GVariant *value, DlkOptions *self, GError **error)
{
    self->on_break_given = TRUE;
    return dlk_on_break_from_string(g_variant_get_string(value, NULL), &self->on_break, error);
}

static gboolean
take_pid(GVariant *value, DlkOptions *self, GError **error)
{
    self->pid = g_variant_get_uint32(value);
    if (self->pid >= 1 && self->pid <= G_MAXINT32)
        return TRUE;

    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "option pid is %u, which no process can have",
                self->pid);
    return FALSE;
}

static gboolean
take_pidfd(GVariant *value, DlkOptions *self, GError **error)
{
    self->pidfd_index = g_variant_get_handle(value);
    if (self->pidfd_index >= 0)
        return TRUE;

    /* Taken for "not given" it would tie the lease to the caller's process instead. */
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "option pidfd is %d, which is no descriptor",
                self->pidfd_index);
    return FALSE;
}

static gboolean
take_option(const char *key, GVariant *value, const DlkLimits *limits, DlkOptions *self, GError **error)
{
    if (g_str_equal(key, "owner"))
        return take_string(key, value, limits, &self->owner, error);
    if (g_str_equal(key, "owner-uuid"))
        return take_string(key, value, limits, &self->owner_uuid, error);
    if (g_str_equal(key, "why"))
        return take_string(key, value, limits, &self->why, error);
    if (g_str_equal(key, "backend"))
        return take_string(key, value, limits, &self->backend, error);
    if (g_str_equal(key, "lifetime"))
        return take_lifetime(value, self, error);
    if (g_str_equal(key, "on-break"))
        return take_on_break(value, self, error);
    if (g_str_equal(key, "pid"))
        return take_pid(value, self, error);
    if (g_str_equal(key, "pidfd"))
        return take_pidfd(value, self, error);
    if (g_str_equal(key, "adopt")) {
        self->adopt = g_variant_get_boolean(value);
        return TRUE;
    }
    if (g_str_equal(key, "backing-files")) {
        self->backing_files = g_variant_get_boolean(value);
        return TRUE;
    }
    self->wait_ms = g_variant_get_uint32(value);
    return TRUE;
}

static const struct {
    const char *key;
    const char *type;
} option_types[] = {
    {"owner", "s"},    {"owner-uuid", "s"}, {"why", "s"},           {"lifetime", "s"},
    {"pid", "u"},      {"pidfd", "h"},      {"wait", "u"},          {"backend", "s"},
    {"on-break", "s"}, {"adopt", "b"},      {"backing-files", "b"},
};

static gboolean
check_type(const char *key, GVariant *value, GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(option_types); i++) {
        if (!g_str_equal(key, option_types[i].key))
            continue;
        if (g_variant_is_of_type(value, G_VARIANT_TYPE(option_types[i].type)))
            return TRUE;
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "option %s has type %s; it must be %s", key,
                    g_variant_get_type_string(value), option_types[i].type);
        return FALSE;
    }

    g_autofree char *printable = dlk_text_printable(key, 32);
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "option %s is not known", printable);
    return FALSE;
}

DlkOptions *
dlk_options_parse(GVariant *dictionary, const DlkLimits *limits, GError **error)
{
    g_autoptr(DlkOptions) self = g_new0(DlkOptions, 1);
    GVariantIter iter;
    const char *key;
    GVariant *value;

    self->pidfd_index = -1;
    g_variant_iter_init(&iter, dictionary);
    while (g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
        g_autoptr(GVariant) owned = value;

        if (!check_type(key, owned, error) || !take_option(key, owned, limits, self, error))
            return NULL;
    }
    if (self->pid != 0 && self->pidfd_index >= 0) {
        g_set_error_literal(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                            "options pid and pidfd exclude each other: give one");
        return NULL;
    }
    return g_steal_pointer(&self);
}

void
dlk_options_free(DlkOptions *self)
{
    g_free(self->owner);
    g_free(self->owner_uuid);
    g_free(self->why);
    g_free(self->backend);
    g_free(self);
}
