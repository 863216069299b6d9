#include "backend/host-key.h"

#include "base/error.h"
#include "base/file.h"
#include "model/pr-key.h"

#include <errno.h>
#include <string.h>

#define FILE_NAME "reservation-generation"
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
/* Where a new host begins: clones that begin at different numbers do not take each other for themselves. */
#define FIRST_GENERATIONS (DLK_PR_KEY_MAX_GENERATION / 2)

static GMutex mutex; /* guards all below */
static char *host;
static char *folder;
static guint generation; /* 0: the file has not been read yet */

void
dlk_host_key_set_folder(const char *new_folder)
{
    g_mutex_lock(&mutex);
    g_free(folder);
    folder = g_strdup(new_folder);
    generation = 0;
    g_mutex_unlock(&mutex);
}

void
dlk_host_key_set_host(const char *host_id)
{
    g_mutex_lock(&mutex);
    g_free(host);
    host = g_strdup(host_id);
    g_mutex_unlock(&mutex);
}

static char *
file_path(void)
{
    return g_build_filename(folder, FILE_NAME, NULL);
}

static gboolean
write_generation(guint number, GError **error)
{
    g_autofree char *path = file_path();
    g_autofree char *boot = NULL;
    if (g_mkdir_with_parents(folder, 0700) < 0)
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "cannot make the folder %s",
                                   folder);
    if (!g_file_get_contents(BOOT_ID, &boot, NULL, NULL)) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED, "%s cannot be read", BOOT_ID);
        return FALSE;
    }
    g_autofree char *text = g_strdup_printf("%u %s\n", number, g_strstrip(boot));
    if (!dlk_file_replace(path, text, error))
        return FALSE;
    generation = number;
    return TRUE;
}

static guint
after(guint number)
{
    return number % DLK_PR_KEY_MAX_GENERATION + 1;
}

static gboolean
is_of_this_boot(const char *boot)
{
    g_autofree char *now = NULL;
    return g_file_get_contents(BOOT_ID, &now, NULL, NULL) && g_str_equal(g_strstrip(now), boot);
}

/* With the mutex held. */
static gboolean
load(GError **error)
{
    g_autofree char *path = file_path();
    g_autofree char *text = NULL;
    g_autoptr(GError) local = NULL;
    guint64 number = 0;
    if (!g_file_get_contents(path, &text, NULL, &local)) {
        if (g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT))
            return write_generation((guint)g_random_int_range(1, FIRST_GENERATIONS), error);
        g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED, "%s", local->message);
        return FALSE;
    }
    g_auto(GStrv) words = g_strsplit(g_strchomp(text), " ", -1);
    if (g_strv_length(words) != 2 ||
        !g_ascii_string_to_unsigned(words[0], 10, 1, DLK_PR_KEY_MAX_GENERATION, &number, NULL)) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED,
                    "%s does not say by which keys this host has registered: remove it if no lease is held",
                    path);
        return FALSE;
    }
    /* Another boot's is not ours, not even where the next one cannot be written. */
    if (!is_of_this_boot(words[1]))
        return write_generation(after((guint)number), error);
    generation = (guint)number;
    return TRUE;
}

GRefString *
dlk_host_key_owner(guint64 key)
{
    g_mutex_lock(&mutex);
    GRefString *owner = host != NULL && dlk_pr_key_is_of(key, host) ? g_ref_string_new(host) : NULL;
    g_mutex_unlock(&mutex);
    return owner;
}

gboolean
dlk_host_key_get(gboolean alone, guint64 *key, GError **error)
{
    g_mutex_lock(&mutex);
    const gboolean configured = host != NULL && folder != NULL;
    const gboolean known = configured && (generation != 0 || load(error));
    if (known)
        *key = dlk_pr_key_make(host, generation, alone);
    else if (!configured)
        g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED,
                    "this host has no id, or no folder to keep it");
    g_mutex_unlock(&mutex);
    return known;
}

void
dlk_host_key_fenced(guint64 key)
{
    g_autoptr(GError) error = NULL;
    g_mutex_lock(&mutex);
    const gboolean is_ours = host != NULL && generation != 0 &&
                             dlk_pr_key_set_alone(key, FALSE) == dlk_pr_key_make(host, generation, FALSE);
    if (is_ours && !write_generation(after(generation), &error))
        g_warning("This host was fenced, and goes on with its old keys: %s", error->message);
    g_mutex_unlock(&mutex);
}
