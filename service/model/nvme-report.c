#include "model/nvme-report.h"

#include "base/error.h"

#define RESCAP 31 /* the byte of Identify Namespace */

/* The two formats: where registrants begin, and what of each is where. */
typedef struct {
    gsize header, registrant, key, host_id, host_id_length;
} Format;

static const Format plain = {24, 24, 16, 8, 8};
static const Format extended_format = {64, 64, 8, 16, 16};

static guint64
little_endian(const guint8 *bytes, guint count)
{
    guint64 value = 0;
    for (guint i = count; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

static gboolean
refuse(const char *problem, GError **error)
{
    g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED,
                "the namespace's answer to Reservation Report makes no sense: %s", problem);
    return FALSE;
}

/* Where a host is registered by several controllers each of them is told of, with the host's one key. */
static void
add_registrant(DlkPrState *state, const Format *format, const guint8 *registrant, GHashTable *hosts)
{
    const guint64 key = little_endian(registrant + format->key, 8);
    const gboolean holds = (registrant[2] & 0x01) != 0;
    GBytes *host = g_bytes_new(registrant + format->host_id, format->host_id_length);
    if (holds && !dlk_pr_type_is_all(state->type))
        state->holder = key;
    if (g_hash_table_add(hosts, host))
        g_array_append_val(state->keys, key);
}

gboolean
dlk_nvme_report_read(const guint8 *data, gsize length, gboolean extended, DlkPrState *state, gsize *needed,
                     GError **error)
{
    const Format *format = extended ? &extended_format : &plain;
    g_autoptr(GHashTable) hosts =
        g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
    *needed = 0;
    if (length < format->header)
        return refuse("it is shorter than its header", error);
    /* The numbers of the types are those of linux/pr.h, which took them from here. */
    if (data[4] >= DLK_PR_N_TYPES)
        return refuse("there is no such type of reservation", error);
    const gsize registrants = (gsize)little_endian(data + 5, 2);
    state->generation = (guint32)little_endian(data, 4);
    state->type = (DlkPrType)data[4];
    *needed = format->header + registrants * format->registrant;
    const gsize end = MIN(length, *needed);
    for (gsize at = format->header; at + format->registrant <= end; at += format->registrant)
        add_registrant(state, format, data + at, hosts);
    const gboolean is_held =
        state->type == DLK_PR_NONE || dlk_pr_type_is_all(state->type) || state->holder != 0;
    return *needed > length || is_held || refuse("nobody holds the reservation", error);
}

guint
dlk_nvme_namespace_types(const guint8 *data, gsize length)
{
    /* Bit 0 is something else: that reservations outlive a loss of power. */
    guint types = 0;
    for (guint type = DLK_PR_NONE + 1; type < DLK_PR_N_TYPES && length > RESCAP; type++)
        if (data[RESCAP] & 1U << type)
            types |= 1U << type;
    return types;
}
