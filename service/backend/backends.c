#include "backend/backends.h"

#include "backend/combined.h"
#include "backend/fcntl.h"
#include "backend/host.h"
#include "backend/lockspace.h"
#include "backend/scsi.h"

#define MAX_BACKENDS 8

static DlkBackend *backends[MAX_BACKENDS];
static const char *names[MAX_BACKENDS + 1];
static guint n_backends;

static void
append(DlkBackend *backend)
{
    g_assert(n_backends < MAX_BACKENDS);
    names[n_backends] = dlk_backend_name(backend);
    backends[n_backends++] = backend;
}

/* At first use and not at start: the tests' own backend adds itself before main() runs. */
static void
ensure_built_in(void)
{
    if (n_backends == 0) {
        append(g_object_new(DLK_TYPE_FCNTL_BACKEND, NULL));
        append(g_object_new(DLK_TYPE_HOST_BACKEND, NULL));
        append(g_object_new(DLK_TYPE_LOCKSPACE_BACKEND, NULL));
        append(g_object_new(DLK_TYPE_SCSI_BACKEND, NULL));
    }
}

const char *const *
dlk_backends_names(void)
{
    ensure_built_in();
    return names;
}

static DlkBackend *
find_one(const char *name)
{
    for (guint i = 0; i < n_backends; i++)
        if (g_str_equal(names[i], name))
            return backends[i];
    return NULL;
}

/* "scsi+lockspace": made when it is first asked for, and there from then on. */
static DlkBackend *
find_pair(const char *name)
{
    static GHashTable *pairs;
    g_auto(GStrv) parts = g_strsplit(name, "+", -1);
    DlkBackend *first = g_strv_length(parts) == 2 ? find_one(parts[0]) : NULL;
    DlkBackend *second = first ? find_one(parts[1]) : NULL;
    if (!second || first == second)
        return NULL;
    if (!pairs)
        pairs = g_hash_table_new(g_str_hash, g_str_equal);
    DlkBackend *pair = g_hash_table_lookup(pairs, name);
    if (!pair) {
        pair = dlk_combined_backend_new(first, second);
        g_hash_table_insert(pairs, (gpointer)dlk_backend_name(pair), pair);
    }
    return pair;
}

DlkBackend *
dlk_backends_get(const char *name)
{
    ensure_built_in();
    DlkBackend *one = find_one(name);
    return one ? one : find_pair(name);
}

void
dlk_backends_add(DlkBackend *backend)
{
    ensure_built_in();
    append(backend);
}
