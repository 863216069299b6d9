#pragma once

#include <glib.h>

/*
 * The key that this service registers with for persistent reservations. All hosts that lock by reservations
 * see each other's keys, and must be able to tell them from a stranger's:
 *
 *   63      48 47                  16 15         1     0
 *   | "dl"    | hash of the HostId   | generation | alone |
 *
 * The generation is another one after each boot and each time the host was fenced, so that what an earlier
 * life of the host has left is known for that. "alone" says that the host has the disk for itself, or is
 * about to: another that joins in meanwhile sees it and steps back.
 */

#define DLK_PR_KEY_MAX_GENERATION 0x7fffU

/** @generation: 1 to DLK_PR_KEY_MAX_GENERATION. Never 0, which is no key. */
guint64 dlk_pr_key_make(const char *host_id, guint generation, gboolean alone);
/** The same key with or without the bit "alone". */
guint64 dlk_pr_key_set_alone(guint64 key, gboolean alone);
gboolean dlk_pr_key_is_alone(guint64 key);
/** Has this service made it, on whatever host? */
gboolean dlk_pr_key_is_known(guint64 key);
/** Has it been made for the host with the HostId @host_id, in whatever generation? */
gboolean dlk_pr_key_is_of(guint64 key, const char *host_id);
/** Of one host, in whatever generation? */
gboolean dlk_pr_key_is_same_host(guint64 key, guint64 other);
/** Of one host, in one generation, with or without the bit "alone"? */
gboolean dlk_pr_key_is_same_life(guint64 key, guint64 other);
/** "0x646c00c0ffee0003"; free with g_free(). */
char *dlk_pr_key_format(guint64 key);
