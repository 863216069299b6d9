#include "model/backing-name.h"

#include "base/error.h"
#include "base/text.h"
#include "model/disk-name.h"
#include "model/network-name.h"

#include <json-glib/json-glib.h>
#include <string.h>

#define MESSAGE_BYTES 200
#define MAX_LAYERS 8

static gboolean
refuse(const char *name, const char *reason, GError **error)
{
    g_autofree char *shown = dlk_text_printable(name, MESSAGE_BYTES);
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                "the image's header names %s: %s; name the chain in the domain's XML (<backingStore>)", shown,
                reason);
    return FALSE;
}

static gboolean
take_path(const char *path, char **result, GError **error)
{
    if (!dlk_disk_name_check_path(path, error))
        return FALSE;
    *result = g_strdup(path);
    return TRUE;
}

static gboolean
beside_image(const char *name, const char *image, char **path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(image);
    g_autofree char *whole = name[0] == '/' ? g_strdup(name) : g_build_filename(folder, name, NULL);
    return take_path(whole, path, error);
}

static gboolean
is_protocol_of_files(const char *driver)
{
    return g_str_equal(driver, "file") || g_str_equal(driver, "host_device") ||
           g_str_equal(driver, "host_cdrom");
}

/* A member as a string; %NULL where there is none of that type. */
static const char *
member(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);
    return node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_string(node) : NULL;
}

/* Only these: what else stands there may lead elsewhere. */
static gboolean
has_only_known_members(JsonObject *object)
{
    static const char *const known[] = {"driver", "file", "filename", "file.driver", "file.filename", NULL};
    g_autoptr(GList) names = json_object_get_members(object);
    for (GList *name = names; name; name = name->next)
        if (!g_strv_contains(known, name->data))
            return FALSE;
    return TRUE;
}

/* {"file.driver": "file", "file.filename": …} is what {"file": {"driver": "file", "filename": …}} is. */
static const char *
file_name_of(JsonObject *object)
{
    const char *flat = member(object, "file.filename");
    const char *driver = member(object, flat ? "file.driver" : "driver");
    const char *name = flat ? flat : member(object, "filename");
    return driver && !is_protocol_of_files(driver) ? NULL : name;
}

/* Formats stand around the file that they are in; the innermost is a protocol. */
static gboolean
walk_json(JsonNode *root, const char *name, char **path, char **format, GError **error)
{
    JsonNode *node = root;
    for (guint layer = 0; layer < MAX_LAYERS; layer++) {
        if (!node || !JSON_NODE_HOLDS_OBJECT(node))
            return refuse(name, "what it says of the file is not known", error);
        JsonObject *object = json_node_get_object(node);
        const char *driver = member(object, "driver");
        if (!has_only_known_members(object))
            return refuse(name, "it has members that are not known", error);
        if (driver && !is_protocol_of_files(driver) && !*format)
            *format = g_strdup(driver);
        if (!json_object_has_member(object, "file")) {
            const char *file = file_name_of(object);
            return file ? take_path(file, path, error) : refuse(name, "it is no local file", error);
        }
        node = json_object_get_member(object, "file");
    }
    return refuse(name, "it is nested too deep", error);
}

static gboolean
resolve_json(const char *name, char **path, char **format, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    if (!json_parser_load_from_data(parser, name + strlen("json:"), -1, NULL))
        return refuse(name, "it is not valid JSON", error);
    return walk_json(json_parser_get_root(parser), name, path, format, error);
}

/* "HOST:PORT[:exportname=NAME]" or "unix:PATH[:exportname=NAME]" */
static char *
nbd_uri(const char *text, GError **error)
{
    static const char key[] = ":exportname=";
    const char *export = strstr(text, key);
    g_autofree char *place = export ? g_strndup(text, (gsize)(export - text)) : g_strdup(text);
    g_autoptr(DlkNetworkName) name = dlk_network_name_new("nbd", error);
    if (!name)
        return NULL;
    char *port = strrchr(place, ':');
    if (g_str_has_prefix(place, "unix:")) {
        if (!dlk_network_name_set_socket(name, place + strlen("unix:"), error))
            return NULL;
    } else {
        if (port)
            *port++ = '\0';
        if (!dlk_network_name_add_host(name, place, port, error))
            return NULL;
    }
    return dlk_network_name_to_uri(name, export ? export + strlen(key) : NULL, NULL, error);
}

static gboolean
set_place(DlkNetworkName *name, GUri *uri, const char *transport, GError **error)
{
    const int number = g_uri_get_port(uri);
    g_autofree char *port = number < 0 ? NULL : g_strdup_printf("%d", number);
    if (g_strcmp0(transport, "unix") == 0) {
        g_autoptr(GHashTable) query = g_uri_parse_params(g_uri_get_query(uri) ? g_uri_get_query(uri) : "", -1,
                                                         "&", G_URI_PARAMS_NONE, NULL);
        const char *socket = query ? g_hash_table_lookup(query, "socket") : NULL;
        return dlk_network_name_set_socket(name, socket ? socket : "", error);
    }
    const char *host = g_uri_get_host(uri);
    return !host || !*host || dlk_network_name_add_host(name, host, port, error);
}

/* "nbd+unix:///export?socket=…", "https://host/path?query" */
static char *
url_uri(const char *text, GError **error)
{
    g_autoptr(GUri) uri = g_uri_parse(text, G_URI_FLAGS_ENCODED_QUERY | G_URI_FLAGS_HAS_PASSWORD, NULL);
    if (!uri) {
        refuse(text, "it is no valid address", error);
        return NULL;
    }
    g_auto(GStrv) scheme = g_strsplit(g_uri_get_scheme(uri), "+", 2);
    g_autoptr(DlkNetworkName) name = dlk_network_name_new(scheme[0], error);
    if (!name || !set_place(name, uri, scheme[1], error))
        return NULL;
    const char *path = g_uri_get_path(uri);
    return dlk_network_name_to_uri(name, path[0] == '/' ? path + 1 : path, g_uri_get_query(uri), error);
}

/* "POOL/IMAGE", without the options that may follow: those could name other monitors. */
static char *
rbd_uri(const char *text, GError **error)
{
    if (strpbrk(text, ":\\")) {
        refuse(text, "its options are not known", error);
        return NULL;
    }
    g_autoptr(DlkNetworkName) name = dlk_network_name_new("rbd", error);
    return name ? dlk_network_name_to_uri(name, text, NULL, error) : NULL;
}

static gboolean
resolve_protocol(const char *name, const char *image, char **path, char **format, GError **error)
{
    const char *rest = strchr(name, ':') + 1;
    g_autofree char *protocol = g_strndup(name, (gsize)(rest - 1 - name));
    if (is_protocol_of_files(protocol) && !g_str_has_prefix(rest, "//"))
        return beside_image(rest, image, path, error);
    if (g_str_equal(protocol, "json"))
        return resolve_json(name, path, format, error);
    if (g_str_has_prefix(rest, "//"))
        *path = url_uri(name, error);
    else if (g_str_equal(protocol, "nbd"))
        *path = nbd_uri(rest, error);
    else if (g_str_equal(protocol, "rbd"))
        *path = rbd_uri(rest, error);
    else
        return refuse(name, "the protocol is not known", error);
    return *path != NULL;
}

gboolean
dlk_backing_name_resolve(const char *name, const char *image, char **path, char **format, GError **error)
{
    *path = NULL;
    *format = NULL;
    const gboolean ok = dlk_disk_name_has_protocol(name) ? resolve_protocol(name, image, path, format, error)
                                                         : beside_image(name, image, path, error);
    if (!ok) {
        g_clear_pointer(path, g_free);
        g_clear_pointer(format, g_free);
    }
    return ok;
}
