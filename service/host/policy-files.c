#include "host/policy-files.h"

#include "base/error.h"
#include "base/fd.h"
#include "config.h"
#include "model/policy-text.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MAIN_FILE "disklock.conf"
#define DROP_IN_FOLDER "disklock.conf.d"

static void G_GNUC_PRINTF(3, 4) report(DlkPolicyParser *parser, const char *file, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *reason = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    dlk_policy_parser_add_mistake(parser, file, 0, reason);
}

/* The text behind @fd, with one byte more than a policy may have where it is longer. */
static GString *
read_text(int fd)
{
    g_autoptr(GString) text = g_string_new(NULL);
    char buffer[16 * 1024];
    while (text->len <= DLK_POLICY_MAX_FILE) {
        const gssize count = read(fd, buffer, MIN(sizeof buffer, DLK_POLICY_MAX_FILE + 1 - text->len));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return NULL;
        if (count == 0)
            break;
        g_string_append_len(text, buffer, count);
    }
    return g_steal_pointer(&text);
}

/*
 * A policy names programs that run as root, so whoever can write to it is root. That is its owner too: of a
 * file that was moved here from somebody's home he stays it. Whoever checks a draft of his own is not told
 * so.
 */
static gboolean
is_trustworthy(DlkPolicyParser *parser, const char *path, const struct stat *status)
{
    if (!S_ISREG(status->st_mode)) {
        report(parser, path,
               "is not a regular file: a policy is a text file, or a link to /dev/null to mask one");
        return FALSE;
    }
    if (status->st_uid != 0 && status->st_uid != geteuid()) {
        report(parser, path,
               "belongs to uid %u, who could change it: a policy names programs to run, so make it \"chown "
               "root\"",
               status->st_uid);
        return FALSE;
    }
    if (status->st_mode & (S_IWGRP | S_IWOTH)) {
        report(parser, path,
               "can be written by %s: a policy names programs to run, so make it \"chmod go-w\"",
               status->st_mode & S_IWOTH ? "everybody" : "its group");
        return FALSE;
    }
    return TRUE;
}

static gboolean
is_null_device(const struct stat *status)
{
    return S_ISCHR(status->st_mode) && status->st_rdev == makedev(1, 3);
}

static void
add_file(DlkPolicyParser *parser, const char *path)
{
    struct stat status;
    /* Without O_NONBLOCK a FIFO would keep us waiting for its writer. */
    dlk_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) < 0) {
        report(parser, path, "cannot be read: %s", g_strerror(errno));
        return;
    }
    if (is_null_device(&status) || !is_trustworthy(parser, path, &status))
        return;
    g_autoptr(GString) text = read_text(fd);
    if (!text) {
        report(parser, path, "cannot be read: %s", g_strerror(errno));
        return;
    }
    dlk_policy_parser_add(parser, path, text->str, text->len);
}

static gint
compare_names(gconstpointer a, gconstpointer b)
{
    return g_strcmp0(*(const char *const *)a, *(const char *const *)b);
}

/* Hidden files are what editors leave behind. */
static gboolean
is_drop_in(const char *name)
{
    return *name != '.' && g_str_has_suffix(name, ".conf");
}

/* The drop-ins of @folder in the order of their names. A folder that is not there has none. */
static GPtrArray *
list_drop_ins(DlkPolicyParser *parser, const char *folder)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) listing = g_dir_open(folder, 0, &error);
    if (!listing) {
        if (!g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
            report(parser, folder, "%s", error->message);
        return g_steal_pointer(&names);
    }
    const char *name;
    while ((name = g_dir_read_name(listing)))
        if (is_drop_in(name))
            g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, compare_names);
    return g_steal_pointer(&names);
}

/* Adds @folder's drop-ins, but for those in @masked, and then its main file. Their names are added to
 * @masked. */
static void
add_folder(DlkPolicyParser *parser, const char *folder, GHashTable *masked)
{
    g_autofree char *main_file = g_build_filename(folder, MAIN_FILE, NULL);
    g_autofree char *drop_in_folder = g_build_filename(folder, DROP_IN_FOLDER, NULL);
    g_autoptr(GPtrArray) names = list_drop_ins(parser, drop_in_folder);
    for (guint i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        if (g_hash_table_add(masked, g_strdup(name))) {
            g_autofree char *path = g_build_filename(drop_in_folder, name, NULL);
            add_file(parser, path);
        }
    }
    struct stat status;
    /* A link that leads nowhere is a file that cannot be read, not one that is not there. */
    if (lstat(main_file, &status) == 0 || errno != ENOENT)
        add_file(parser, main_file);
}

DlkPolicy *
dlk_policy_files_load(const char *file, const char *root, const char *const *backends, GError **error)
{
    g_autoptr(DlkPolicyParser) parser = dlk_policy_parser_new(backends);
    if (file) {
        add_file(parser, file);
        return dlk_policy_parser_finish(parser, error);
    }
    g_autoptr(GHashTable) masked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *local = g_build_filename(root ? root : "/", POLICY_DIR, NULL);
    g_autofree char *vendor = g_build_filename(root ? root : "/", VENDOR_POLICY_DIR, NULL);
    add_folder(parser, local, masked);
    add_folder(parser, vendor, masked);
    return dlk_policy_parser_finish(parser, error);
}
