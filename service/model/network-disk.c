#include "model/network-disk.h"

#include "base/error.h"
#include "base/text.h"

#include <string.h>

#define MAX_URI 4095
#define MAX_HOSTS 32

typedef struct {
    const char *scheme; /* as it is written */
    const char *protocol;
    guint port;               /* that is left out; 0: none is the default */
    gboolean is_of_this_host; /* no network at all, and no server in the name */
} Protocol;

static const Protocol protocols[] = {
    {"rbd", "rbd", 6789},
    {"iscsi", "iscsi", 3260},
    {"iser", "iscsi", 3260},
    {"nbd", "nbd", 10809},
    {"nbds", "nbd", 10809},
    {"http", "http", 80},
    {"https", "https", 443},
    {"ftp", "ftp", 21},
    {"ftps", "ftps", 990},
    {"tftp", "tftp", 69},
    {"ssh", "ssh", 22},
    {"nfs", "nfs", 2049},
    {"gluster", "gluster", 24007},
    {"sheepdog", "sheepdog", 7000},
    {"vxhs", "vxhs", 9999},
    /* What a domain has of this host, and no path leads to a file or block device of it. */
    {"swtpm", "swtpm", 0, TRUE},
    {"lease", "lease", 0, TRUE},
    {"nvme", "nvme", 0, TRUE},
    {"scsi", "scsi", 0, TRUE},
    {"vhost-scsi", "vhost-scsi", 0, TRUE},
    {"vhostuser", "vhostuser", 0, TRUE},
    {"vhostvdpa", "vhostvdpa", 0, TRUE},
    {"dax", "dax", 0, TRUE},
};

/* What a URI was taken apart to. */
typedef struct {
    const Protocol *protocol;
    gboolean is_local; /* through a socket of this host */
    char *hosts;
    char *name;
    char *query;
} Parts;

static void
parts_clear(Parts *parts)
{
    g_free(parts->hosts);
    g_free(parts->name);
    g_free(parts->query);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Parts, parts_clear)

static const Protocol *
find_protocol(const char *scheme, gboolean *is_local)
{
    g_auto(GStrv) words = g_strsplit(scheme, "+", 2);
    const char *transport = words[0] != NULL ? words[1] : NULL;
    *is_local = transport != NULL && g_ascii_strcasecmp(transport, "unix") == 0;
    if (transport != NULL && !*is_local && g_ascii_strcasecmp(transport, "tcp") != 0 &&
        g_ascii_strcasecmp(transport, "rdma") != 0 && g_ascii_strcasecmp(transport, "tls") != 0)
        return NULL;
    for (guint i = 0; words[0] != NULL && i < G_N_ELEMENTS(protocols); i++)
        if (g_ascii_strcasecmp(words[0], protocols[i].scheme) == 0)
            return &protocols[i];
    return NULL;
}

static const Protocol *
protocol_of(const char *uri, gboolean *is_local)
{
    const char *end = strstr(uri, "://");
    g_autofree char *scheme = end != NULL ? g_strndup(uri, (gsize)(end - uri)) : NULL;
    return scheme != NULL ? find_protocol(scheme, is_local) : NULL;
}

gboolean
dlk_network_is_uri(const char *text)
{
    gboolean is_local;
    return protocol_of(text, &is_local) != NULL;
}

G_GNUC_PRINTF(3, 4)
static gboolean
refuse(GError **error, const char *uri, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *reason = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_autofree char *shown = dlk_text_printable(uri, 256);
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "%s: %s", shown, reason);
    return FALSE;
}

/* Letters, digits and these need no escape (RFC 3986). */
static gboolean
is_plain(char c)
{
    return g_ascii_isalnum(c) || (c != '\0' && strchr("-._~", c) != NULL);
}

/* One spelling for all: what needs no escape has none, all other escapes are in capitals. %NULL: a bad
 * escape, or NUL. */
static char *
normal_escapes(const char *text)
{
    g_autoptr(GString) normal = g_string_new(NULL);
    for (const char *c = text; *c != '\0'; c++) {
        char byte = *c;
        if (byte == '%') {
            if (!g_ascii_isxdigit(c[1]) || !g_ascii_isxdigit(c[2]))
                return NULL;
            byte = (char)(g_ascii_xdigit_value(c[1]) * 16 + g_ascii_xdigit_value(c[2]));
            c += 2;
            if (byte == '\0')
                return NULL;
        }
        if (is_plain(byte) || (byte == *c && strchr("/:@!$&'()*+,;=[]", byte) != NULL))
            g_string_append_c(normal, byte);
        else
            g_string_append_printf(normal, "%%%02X", (guchar)byte);
    }
    return g_string_free(g_steal_pointer(&normal), FALSE);
}

/* "pool//./image" → "pool/image" */
static char *
normal_name(const Protocol *protocol, const char *text, const char *uri, GError **error)
{
    g_autofree char *escaped = normal_escapes(text);
    if (escaped == NULL) {
        refuse(error, uri, "a '%%' must be followed by two hexadecimal digits, and not by 00");
        return NULL;
    }
    g_auto(GStrv) words = g_strsplit(escaped, "/", -1);
    g_autoptr(GString) name = g_string_new(NULL);
    for (guint i = 0; words[i] != NULL; i++) {
        if (g_str_equal(words[i], "..")) {
            refuse(error, uri, "'..' has no place in the name of a disk");
            return NULL;
        }
        if (words[i][0] != '\0' && !g_str_equal(words[i], "."))
            g_string_append_printf(name, "/%s", words[i]);
    }
    /* A target without a unit is its unit 0. */
    if (g_str_equal(protocol->protocol, "iscsi") && name->len > 0 && strchr(name->str + 1, '/') == NULL)
        g_string_append(name, "/0");
    return g_string_free(g_steal_pointer(&name), FALSE);
}

static gboolean
is_host_name(const char *host)
{
    if (host[0] == '[') {
        size_t length = strspn(host + 1, "0123456789abcdef:.%");
        return length > 1 && g_str_equal(host + 1 + length, "]");
    }
    size_t length = strspn(host, "0123456789abcdefghijklmnopqrstuvwxyz-._");
    return length > 0 && host[length] == '\0';
}

/* "Host.:3260" → "host" */
static char *
normal_host(const Protocol *protocol, const char *text, const char *uri, GError **error)
{
    g_autofree char *host = g_ascii_strdown(text, -1);
    char *bracket = strrchr(host, ']');
    char *colon = strrchr(bracket != NULL ? bracket : host, ':');
    guint64 port = protocol->port;
    if (colon != NULL) {
        if (!g_ascii_string_to_unsigned(colon + 1, 10, 1, 65535, &port, NULL)) {
            refuse(error, uri, "the port of a host must be a number from 1 to 65535");
            return NULL;
        }
        *colon = '\0';
    }
    if (g_str_has_suffix(host, ".") && host[1] != '\0')
        host[strlen(host) - 1] = '\0';
    if (!is_host_name(host)) {
        refuse(error, uri, "a host must be a name, an IPv4 address, or an IPv6 address in brackets");
        return NULL;
    }
    return port == protocol->port ? g_steal_pointer(&host)
                                  : g_strdup_printf("%s:%" G_GUINT64_FORMAT, host, port);
}

static int
compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted, each once: a cluster is the same in whatever order its hosts are named. */
static char *
join_hosts(GPtrArray *hosts)
{
    GString *text = g_string_new(NULL);
    g_ptr_array_sort(hosts, compare);
    for (guint i = 0; i < hosts->len; i++) {
        if (i > 0 && g_str_equal(hosts->pdata[i], hosts->pdata[i - 1]))
            continue;
        g_string_append_printf(text, "%s%s", i > 0 ? "," : "", (char *)hosts->pdata[i]);
    }
    return g_string_free(text, FALSE);
}

static char *
normal_hosts(const Protocol *protocol, const char *text, const char *uri, GError **error)
{
    const char *at = strrchr(text, '@');
    g_autoptr(GPtrArray) hosts = g_ptr_array_new_with_free_func(g_free);
    g_auto(GStrv) words = g_strsplit(at != NULL ? at + 1 : text, ",", MAX_HOSTS + 1);
    for (guint i = 0; words[i] != NULL; i++) {
        char *host = normal_host(protocol, words[i], uri, error);
        if (host == NULL)
            return NULL;
        g_ptr_array_add(hosts, host);
    }
    return join_hosts(hosts);
}

/* Of a query only what says which disk it is. */
static char *
normal_query(const Parts *parts, const char *text)
{
    const char *protocol = parts->protocol->protocol;
    if (g_str_equal(protocol, "http") || g_str_equal(protocol, "https"))
        return normal_escapes(text);
    g_auto(GStrv) words = g_strsplit_set(text, "&;", -1);
    for (guint i = 0; parts->is_local && words[i] != NULL; i++)
        if (g_str_has_prefix(words[i], "socket=/"))
            return normal_escapes(words[i]);
    return NULL;
}

/* @authority, @name and @query of @uri. */
static gboolean
normalize(Parts *parts, const char *uri, const char *authority, const char *name, const char *query,
          GError **error)
{
    parts->query = query != NULL ? normal_query(parts, query) : NULL;
    if (parts->is_local && parts->query == NULL)
        return refuse(error, uri, "a disk behind a socket needs socket=/PATH in its query");
    parts->name = normal_name(parts->protocol, name, uri, error);
    if (parts->name == NULL)
        return FALSE;
    gboolean may_be_unnamed = g_str_equal(parts->protocol->protocol, "nbd");
    if (parts->name[0] == '\0' && !may_be_unnamed)
        return refuse(error, uri, "the name of the disk is missing: PROTOCOL://HOST/NAME");
    if (parts->protocol->is_of_this_host && authority[0] != '\0')
        return refuse(error, uri, "it is of this host: PROTOCOL:///NAME");
    /* The hosts of a Ceph or Sheepdog cluster may be left to its own configuration. */
    if (parts->is_local || authority[0] == '\0') {
        gboolean may_be_homeless = parts->is_local || parts->protocol->is_of_this_host ||
                                   g_str_equal(parts->protocol->protocol, "rbd") ||
                                   g_str_equal(parts->protocol->protocol, "sheepdog");
        parts->hosts = g_strdup("");
        return may_be_homeless || refuse(error, uri, "the host is missing: PROTOCOL://HOST/NAME");
    }
    parts->hosts = normal_hosts(parts->protocol, authority, uri, error);
    return parts->hosts != NULL;
}

/* First of all: every other complaint shows the whole URI. */
static gboolean
has_password(const char *uri)
{
    const char *authority = strstr(uri, "://") + strlen("://");
    g_autofree char *text = g_strndup(authority, strcspn(authority, "/?#"));
    char *at = strrchr(text, '@');
    if (at != NULL)
        *at = '\0';
    return at != NULL && strpbrk(text, ":%") != NULL;
}

static gboolean
take_apart(Parts *parts, const char *uri, GError **error)
{
    g_autofree char *rest = g_strdup(strstr(uri, "://") + strlen("://"));
    if (strchr(rest, '#') != NULL)
        return refuse(error, uri, "'#' has no place in the name of a disk: write %%23");
    char *query = strchr(rest, '?');
    if (query != NULL)
        *query++ = '\0';
    char *slash = strchr(rest, '/');
    g_autofree char *name = g_strdup(slash != NULL ? slash : "");
    if (slash != NULL)
        *slash = '\0';
    return normalize(parts, uri, rest, name, query, error);
}

static DlkDisk *
to_disk(const Parts *parts)
{
    const gboolean has_query = parts->query != NULL;
    g_autofree char *uri =
        g_strconcat(parts->protocol->protocol, parts->is_local ? "+unix" : "", "://", parts->hosts,
                    parts->name, has_query ? "?" : "", has_query ? parts->query : "", NULL);
    g_autofree char *id = g_strconcat("network:", uri, NULL);
    DlkDisk *disk = dlk_disk_new(DLK_KIND_NETWORK, id);
    disk->path = g_steal_pointer(&uri);
    disk->lane = g_strdup("network");
    return disk;
}

DlkDisk *
dlk_identify_network(const char *uri, GError **error)
{
    g_auto(Parts) parts = {NULL};
    parts.protocol = protocol_of(uri, &parts.is_local);
    if (parts.protocol == NULL) {
        refuse(error, uri, "this is no disk on the network: say PROTOCOL://HOST/NAME");
        return NULL;
    }
    if (has_password(uri)) {
        g_set_error_literal(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                            "a password has no place in the name of a network disk, which others may read");
        return NULL;
    }
    if (strlen(uri) > MAX_URI || !dlk_text_is_clean(uri)) {
        refuse(error, uri, "the name of a network disk is at most %d bytes of clean text", MAX_URI);
        return NULL;
    }
    return take_apart(&parts, uri, error) ? to_disk(&parts) : NULL;
}
