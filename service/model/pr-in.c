#include "model/pr-in.h"

#include "base/error.h"
#include "base/text.h"

#include <string.h>

/* READ KEYS, READ RESERVATION and READ FULL STATUS begin alike: generation, length of what follows. */
#define HEADER 8
#define KEY 8
#define RESERVATION 16
#define CAPABILITIES 8
#define DESCRIPTOR 24
#define MAX_INITIATOR 256

static guint64
big_endian(const guint8 *bytes, guint count)
{
    guint64 value = 0;
    for (guint i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

static gboolean
refuse(const char *command, const char *problem, GError **error)
{
    g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED, "the target's answer to %s makes no sense: %s",
                command, problem);
    return FALSE;
}

/* @usable (out): how many bytes after the header belong to the answer and are there. */
static gboolean
read_header(const char *command, const guint8 *data, gsize length, guint32 *generation, gsize *needed,
            gsize *usable, GError **error)
{
    if (length < HEADER)
        return refuse(command, "it is shorter than its header", error);
    const gsize additional = (gsize)big_endian(data + 4, 4);
    *generation = (guint32)big_endian(data, 4);
    *needed = HEADER + additional;
    *usable = MIN(additional, length - HEADER);
    return TRUE;
}

gboolean
dlk_pr_in_read_keys(const guint8 *data, gsize length, guint32 *generation, GArray **keys, gsize *needed,
                    GError **error)
{
    gsize usable = 0;
    if (!read_header("READ KEYS", data, length, generation, needed, &usable, error))
        return FALSE;
    if ((*needed - HEADER) % KEY != 0)
        return refuse("READ KEYS", "its length is not that of whole keys", error);
    *keys = g_array_new(FALSE, FALSE, sizeof(guint64));
    for (gsize offset = 0; offset + KEY <= usable; offset += KEY) {
        const guint64 key = big_endian(data + HEADER + offset, KEY);
        g_array_append_val(*keys, key);
    }
    return TRUE;
}

gboolean
dlk_pr_in_read_reservation(const guint8 *data, gsize length, guint32 *generation, DlkPrType *type,
                           guint64 *holder, GError **error)
{
    gsize usable = 0, needed = 0;
    *type = DLK_PR_NONE;
    *holder = 0;
    if (!read_header("READ RESERVATION", data, length, generation, &needed, &usable, error))
        return FALSE;
    /* By the length that it says: one that is cut short has a reservation all the same. */
    if (needed == HEADER)
        return TRUE;
    if (usable < RESERVATION)
        return refuse("READ RESERVATION", "it is shorter than a reservation", error);
    const guint8 *reservation = data + HEADER;
    *type = dlk_pr_type_from_scsi(reservation[13] & 0x0f);
    if (*type == DLK_PR_NONE)
        return refuse("READ RESERVATION", "there is no such type of reservation", error);
    if (!dlk_pr_type_is_all(*type))
        *holder = big_endian(reservation, KEY);
    return TRUE;
}

gboolean
dlk_pr_in_report_capabilities(const guint8 *data, gsize length, guint *types, GError **error)
{
    /* The bits of the mask in the order of its two bytes. */
    static const struct {
        guint8 byte, bit;
        DlkPrType type;
    } mask[] = {
        {4, 1, DLK_PR_WRITE_EXCLUSIVE},
        {4, 3, DLK_PR_EXCLUSIVE_ACCESS},
        {4, 5, DLK_PR_WRITE_EXCLUSIVE_REGISTRANTS},
        {4, 6, DLK_PR_EXCLUSIVE_ACCESS_REGISTRANTS},
        {4, 7, DLK_PR_WRITE_EXCLUSIVE_ALL},
        {5, 0, DLK_PR_EXCLUSIVE_ACCESS_ALL},
    };
    if (length < CAPABILITIES || big_endian(data, 2) < CAPABILITIES)
        return refuse("REPORT CAPABILITIES", "it is too short", error);
    const gboolean mask_is_valid = (data[3] & 0x80) != 0;
    *types = 0;
    for (guint i = 0; i < G_N_ELEMENTS(mask); i++)
        if (!mask_is_valid || data[mask[i].byte] & 1U << mask[i].bit)
            *types |= 1U << mask[i].type;
    return TRUE;
}

void
dlk_pr_registrant_free(DlkPrRegistrant *self)
{
    g_free(self->initiator);
    g_free(self);
}

static char *
hex(const guint8 *bytes, gsize length)
{
    GString *text = g_string_new(NULL);
    for (gsize i = 0; i < length; i++)
        g_string_append_printf(text, "%02x", bytes[i]);
    return g_string_free(text, FALSE);
}

/* A name in iSCSI ends with a NUL; its session (",i,0x...") is not the host's port alone. */
static char *
iscsi_name(const guint8 *bytes, gsize length)
{
    g_autofree char *name = g_strndup((const char *)bytes, MIN(length, MAX_INITIATOR));
    char *session = strstr(name, ",i,0x");
    if (session != NULL)
        *session = '\0';
    return dlk_text_printable(name, 0);
}

/* TransportID, SPC-4, 7.6.4. Of protocols that are rare the bytes, to be compared. */
static char *
read_initiator(const guint8 *id, gsize length)
{
    enum {
        FIBRE_CHANNEL = 0,
        ISCSI = 5,
        SAS = 6
    };
    const guint protocol = length > 0 ? id[0] & 0x0f : G_MAXUINT;
    g_autofree char *number = NULL;
    if (protocol == ISCSI && length > 4)
        return iscsi_name(id + 4, length - 4);
    if (protocol == FIBRE_CHANNEL && length >= 16)
        number = hex(id + 8, 8);
    else if (protocol == SAS && length >= 12)
        number = hex(id + 4, 8);
    if (number != NULL)
        return g_strconcat("naa.", number, NULL);
    number = hex(id, MIN(length, MAX_INITIATOR));
    return length > 0 ? g_strconcat("transport-id.", number, NULL) : g_strdup("");
}

gboolean
dlk_pr_registrants_are_same(GPtrArray *registrants, guint64 key, guint64 own)
{
    g_autoptr(GHashTable) ports = g_hash_table_new(g_str_hash, g_str_equal);
    guint found = 0;
    for (guint i = 0; i < registrants->len; i++) {
        const DlkPrRegistrant *registrant = registrants->pdata[i];
        if (registrant->key == own && registrant->initiator[0] != '\0')
            g_hash_table_add(ports, registrant->initiator);
    }
    for (guint i = 0; i < registrants->len; i++) {
        const DlkPrRegistrant *registrant = registrants->pdata[i];
        if (registrant->key != key)
            continue;
        if (!g_hash_table_contains(ports, registrant->initiator))
            return FALSE;
        found++;
    }
    return found > 0;
}

gboolean
dlk_pr_in_read_full_status(const guint8 *data, gsize length, guint32 *generation, GPtrArray **registrants,
                           gsize *needed, GError **error)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_pr_registrant_free);
    gsize usable = 0;
    if (!read_header("READ FULL STATUS", data, length, generation, needed, &usable, error))
        return FALSE;
    const guint8 *end = data + HEADER + usable;
    for (const guint8 *at = data + HEADER; at < end;) {
        const gsize left = (gsize)(end - at);
        const gsize additional = left >= DESCRIPTOR ? (gsize)big_endian(at + 20, 4) : 0;
        if (left < DESCRIPTOR || additional > left - DESCRIPTOR) {
            if (*needed > length)
                break; /* cut short, and asked again */
            return refuse("READ FULL STATUS", "a registrant reaches over its end", error);
        }
        DlkPrRegistrant *registrant = g_new0(DlkPrRegistrant, 1);
        registrant->key = big_endian(at, KEY);
        registrant->holder = (at[12] & 0x01) != 0;
        registrant->initiator = read_initiator(at + DESCRIPTOR, additional);
        g_ptr_array_add(found, registrant);
        at += DESCRIPTOR + additional;
    }
    *registrants = g_steal_pointer(&found);
    return TRUE;
}
