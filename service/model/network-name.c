#include "model/network-name.h"

#include "base/error.h"
#include "base/text.h"
#include "model/disk-name.h"

#include <string.h>

#define MAX_HOSTS 64
#define MESSAGE_BYTES 200

typedef struct {
    const char *name;
    const char *default_host;
    guint fewest_hosts, most_hosts;
    gboolean may_be_nameless;
    guint16 port;
} Protocol;

struct _DlkNetworkName {
    const Protocol *protocol;
    GPtrArray *hosts; /* "host:port" */
    char *socket;     /* escaped, or %NULL */
};

static const Protocol protocols[] = {
    /* clang-format off */
    {"rbd", NULL, 0, MAX_HOSTS, FALSE, 6789}, /* none: those of /etc/ceph */
    {"nbd", NULL, 1, 1, TRUE, 10809},
    {"iscsi", NULL, 1, 1, FALSE, 3260},
    {"gluster", NULL, 1, MAX_HOSTS, FALSE, 24007},
    {"http", NULL, 1, 1, FALSE, 80},
    {"https", NULL, 1, 1, FALSE, 443},
    {"ftp", NULL, 1, 1, FALSE, 21},
    {"ftps", NULL, 1, 1, FALSE, 990},
    {"tftp", NULL, 1, 1, FALSE, 69},
    {"ssh", NULL, 1, 1, FALSE, 22},
    {"nfs", NULL, 1, 1, FALSE, 2049},
    {"sheepdog", "localhost:7000", 0, 1, FALSE, 7000},
    {"vxhs", NULL, 1, 1, FALSE, 9999},
    /* clang-format on */
};

static gboolean
fail(GError **error, const char *format, const char *text)
{
    g_autofree char *shown = dlk_text_printable(text, MESSAGE_BYTES);
    g_autofree char *message = g_strdup_printf(format, shown);
    g_set_error_literal(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, message);
    return FALSE;
}

DlkNetworkName *
dlk_network_name_new(const char *protocol, GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(protocols); i++) {
        if (g_str_equal(protocols[i].name, protocol)) {
            DlkNetworkName *self = g_new0(DlkNetworkName, 1);
            self->protocol = &protocols[i];
            self->hosts = g_ptr_array_new_with_free_func(g_free);
            return self;
        }
    }
    fail(error, "its source has the protocol “%s”, which is not known", protocol);
    return NULL;
}

void
dlk_network_name_free(DlkNetworkName *self)
{
    g_ptr_array_unref(self->hosts);
    g_free(self->socket);
    g_free(self);
}

/* "Host." → "host", "::1" → "[::1]"; %NULL for what is no host. */
static char *
canonical_host(const char *name)
{
    g_autofree char *host = g_ascii_strdown(name, -1);
    gsize length = strlen(host);
    if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = '\0';
        memmove(host, host + 1, length - 1);
        length -= 2;
    }
    if (length > 1 && host[length - 1] == '.')
        host[--length] = '\0';
    if (length == 0 || strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_:%") != length)
        return NULL;
    return strchr(host, ':') ? g_strdup_printf("[%s]", host) : g_steal_pointer(&host);
}

gboolean
dlk_network_name_add_host(DlkNetworkName *self, const char *host, const char *port, GError **error)
{
    guint64 number = self->protocol->port;
    g_autofree char *canonical = canonical_host(host);
    if (!canonical)
        return fail(error, "its source is on “%s”, which is no host", host);
    if (port && !g_ascii_string_to_unsigned(port, 10, 1, G_MAXUINT16, &number, NULL))
        return fail(error, "its source is on port “%s”, which is none", port);
    g_ptr_array_add(self->hosts, g_strdup_printf("%s:%u", canonical, (guint)number));
    return TRUE;
}

gboolean
dlk_network_name_set_socket(DlkNetworkName *self, const char *path, GError **error)
{
    if (!dlk_disk_name_check_path(path, error))
        return FALSE;
    g_autofree char *collapsed = dlk_disk_name_collapse(path);
    g_free(self->socket);
    self->socket = dlk_disk_name_escape(collapsed);
    return TRUE;
}

static int
compare_hosts(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* One that is named twice is one. */
static char *
join_hosts(const DlkNetworkName *self)
{
    GPtrArray *hosts = self->hosts;
    if (hosts->len == 0)
        return g_strdup(self->protocol->default_host ? self->protocol->default_host : "");
    GString *joined = g_string_new(NULL);
    g_ptr_array_sort(hosts, compare_hosts);
    for (guint i = 0; i < hosts->len; i++) {
        if (i > 0 && g_str_equal(hosts->pdata[i], hosts->pdata[i - 1]))
            continue;
        g_string_append_printf(joined, "%s%s", i > 0 ? "," : "", (const char *)hosts->pdata[i]);
    }
    return g_string_free(joined, FALSE);
}

/* Target names know no case, and without a number it is unit 0. */
static char *
canonical_target(const char *name)
{
    const char *unit = strchr(name, '/');
    g_autofree char *target = unit ? g_strndup(name, (gsize)(unit - name)) : g_strdup(name);
    g_autofree char *lower = g_ascii_strdown(target, -1);
    return g_strconcat(lower, unit ? unit : "/0", NULL);
}

/* What follows the host, without a slash in front; %NULL where there is nothing. */
static char *
canonical_name(const Protocol *protocol, const char *name, const char *query)
{
    /* An NBD server tells "export" from "/export"; elsewhere the name is a path, and the URI has the slash
     * already. */
    while (*name == '/' && !g_str_equal(protocol->name, "nbd"))
        name++;
    if (!*name && !protocol->may_be_nameless)
        return NULL;
    g_autofree char *escaped = dlk_disk_name_escape(name);
    if (g_str_equal(protocol->name, "iscsi"))
        return canonical_target(escaped);
    if (query && *query && g_str_has_prefix(protocol->name, "http")) {
        g_autofree char *rest = g_uri_escape_string(query, "/:@!$'()*+,;=?&", FALSE);
        return g_strconcat(escaped, "?", rest, NULL);
    }
    return g_steal_pointer(&escaped);
}

static gboolean
has_place(const DlkNetworkName *self)
{
    const guint hosts = self->hosts->len;
    if (self->socket && hosts == 0)
        return TRUE;
    return hosts >= self->protocol->fewest_hosts && hosts <= self->protocol->most_hosts;
}

char *
dlk_network_name_to_uri(DlkNetworkName *self, const char *name, const char *query, GError **error)
{
    const char *protocol = self->protocol->name;
    if ((name && !dlk_text_is_clean(name)) || (query && !dlk_text_is_clean(query))) {
        fail(error, "control characters in the name of its source (%s)", protocol);
        return NULL;
    }
    if (!has_place(self)) {
        fail(error, "its source names too few hosts, or too many, for %s", protocol);
        return NULL;
    }
    g_autofree char *what = canonical_name(self->protocol, name ? name : "", query);
    if (!what) {
        fail(error, "its source has no name (%s)", protocol);
        return NULL;
    }
    g_autofree char *hosts = join_hosts(self);
    /* A cluster that can be reached by its hosts as well is known by them. */
    const gboolean is_local = self->socket && self->hosts->len == 0;
    g_autofree char *uri = is_local ? g_strdup_printf("%s+unix:///%s?socket=%s", protocol, what, self->socket)
                                    : g_strdup_printf("%s://%s/%s", protocol, hosts, what);
    if (strlen(uri) > DLK_DISK_NAME_BYTES) {
        fail(error, "the name of its source (%s) is too long", protocol);
        return NULL;
    }
    return g_steal_pointer(&uri);
}
