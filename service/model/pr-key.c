#include "model/pr-key.h"

#define MARK 0x646cULL /* "dl" */
#define MARK_SHIFT 48
#define HASH_SHIFT 16
#define GENERATION_SHIFT 1
#define ALONE 1ULL
/* What the id of a host alone decides. */
#define HOST_BITS (~0ULL << HASH_SHIFT)

static guint64
host_bits(const char *host_id)
{
    /* Salted: nobody else hashes the same names to the same numbers. */
    g_autofree char *text = g_strconcat("disklock reservation key\n", host_id, NULL);
    g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
    hash[8] = '\0';
    return MARK << MARK_SHIFT | g_ascii_strtoull(hash, NULL, 16) << HASH_SHIFT;
}

guint64
dlk_pr_key_make(const char *host_id, guint generation, gboolean alone)
{
    g_assert(generation > 0 && generation <= DLK_PR_KEY_MAX_GENERATION);
    return host_bits(host_id) | (guint64)generation << GENERATION_SHIFT | (alone ? ALONE : 0);
}

guint64
dlk_pr_key_set_alone(guint64 key, gboolean alone)
{
    return alone ? key | ALONE : key & ~ALONE;
}

gboolean
dlk_pr_key_is_alone(guint64 key)
{
    return (key & ALONE) != 0;
}

gboolean
dlk_pr_key_is_known(guint64 key)
{
    return key >> MARK_SHIFT == MARK;
}

gboolean
dlk_pr_key_is_of(guint64 key, const char *host_id)
{
    return (key & HOST_BITS) == host_bits(host_id);
}

gboolean
dlk_pr_key_is_same_host(guint64 key, guint64 other)
{
    return dlk_pr_key_is_known(key) && (key & HOST_BITS) == (other & HOST_BITS);
}

gboolean
dlk_pr_key_is_same_life(guint64 key, guint64 other)
{
    return dlk_pr_key_set_alone(key, FALSE) == dlk_pr_key_set_alone(other, FALSE);
}

char *
dlk_pr_key_format(guint64 key)
{
    return g_strdup_printf("0x%016" G_GINT64_MODIFIER "x", key);
}
