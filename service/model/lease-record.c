#include "model/lease-record.h"

#include <string.h>

#define CHECKSUM_DIGITS 16
/* "+ 9ae16a3b2f90404f " */
#define HEAD_LENGTH (2 + CHECKSUM_DIGITS + 1)
#define HEX_DIGITS "0123456789abcdef"

typedef enum {
    FIELD_TEXT,   /* const char * */
    FIELD_TEXTS,  /* char ** of the disk, "\n" between */
    FIELD_WORD,   /* an enumeration */
    FIELD_FLAG,   /* gboolean */
    FIELD_UINT32, /* uid_t, pid_t */
    FIELD_UINT64, /* and what is as long and not negative */
    FIELD_ID,     /* DlkLeaseId */
} FieldType;

typedef struct {
    const char *key;
    FieldType type;
    gboolean of_disk;
    gboolean required;
    gsize offset;
    const char *(*word)(guint number); /* %NULL behind the last */
} Field;

#define WORD_FUNC(name, type, count)                                                                         \
    static const char *name##_word(guint number)                                                             \
    {                                                                                                        \
        return number < (count) ? dlk_##name##_to_string((type)number) : NULL;                               \
    }
WORD_FUNC(kind, DlkKind, DLK_N_KINDS)
WORD_FUNC(mode, DlkMode, DLK_N_MODES)
WORD_FUNC(lease_state, DlkLeaseState, DLK_N_STATES)
WORD_FUNC(lifetime, DlkLifetime, DLK_N_LIFETIMES)
WORD_FUNC(on_break, DlkOnBreak, DLK_N_ON_BREAKS)

#define RECORD(field) FALSE, TRUE, G_STRUCT_OFFSET(DlkLeaseRecord, field)
#define RECORD_MAYBE(field) FALSE, FALSE, G_STRUCT_OFFSET(DlkLeaseRecord, field)
#define DISK(field) TRUE, TRUE, G_STRUCT_OFFSET(DlkDisk, field)
#define DISK_MAYBE(field) TRUE, FALSE, G_STRUCT_OFFSET(DlkDisk, field)

/* Every key of a line, in the order in which they are written. */
static const Field fields[] = {
    {"id", FIELD_ID, RECORD(id), NULL},
    {"token", FIELD_UINT64, RECORD(token), NULL},
    {"disk", FIELD_TEXT, DISK(id), NULL},
    {"kind", FIELD_WORD, DISK(kind), kind_word},
    {"lane", FIELD_TEXT, DISK_MAYBE(lane), NULL},
    {"device", FIELD_UINT64, DISK_MAYBE(device), NULL},
    {"inode", FIELD_UINT64, DISK_MAYBE(inode), NULL},
    {"real-path", FIELD_TEXT, DISK_MAYBE(path), NULL},
    {"names", FIELD_TEXTS, DISK_MAYBE(names), NULL},
    {"ancestors", FIELD_TEXTS, DISK_MAYBE(ancestors), NULL},
    {"filesystem", FIELD_TEXT, DISK_MAYBE(filesystem), NULL},
    {"transport", FIELD_TEXT, DISK_MAYBE(transport), NULL},
    {"wwid", FIELD_TEXT, DISK_MAYBE(wwid), NULL},
    {"path", FIELD_TEXT, RECORD(path), NULL},
    {"backend", FIELD_TEXT, RECORD(backend), NULL},
    {"rule", FIELD_TEXT, RECORD(rule), NULL},
    {"mode", FIELD_WORD, RECORD(mode), mode_word},
    {"other-mode", FIELD_WORD, RECORD(other_mode), mode_word},
    {"state", FIELD_WORD, RECORD(state), lease_state_word},
    {"lifetime", FIELD_WORD, RECORD(lifetime), lifetime_word},
    {"on-break", FIELD_WORD, RECORD(on_break), on_break_word},
    {"strict", FIELD_FLAG, RECORD_MAYBE(strict), NULL},
    {"by-descriptor", FIELD_FLAG, RECORD_MAYBE(by_descriptor), NULL},
    {"data-file", FIELD_FLAG, RECORD_MAYBE(is_data_file), NULL},
    {"more", FIELD_FLAG, RECORD_MAYBE(more), NULL},
    {"given-up", FIELD_FLAG, RECORD_MAYBE(given_up), NULL},
    {"released", FIELD_FLAG, RECORD_MAYBE(released), NULL},
    {"stopping", FIELD_FLAG, RECORD_MAYBE(stopping), NULL},
    {"revoked", FIELD_FLAG, RECORD_MAYBE(revoked), NULL},
    {"uid", FIELD_UINT32, RECORD(uid), NULL},
    {"pid", FIELD_UINT32, RECORD_MAYBE(pid), NULL},
    {"process-start", FIELD_UINT64, RECORD_MAYBE(process_start), NULL},
    {"acquired-at", FIELD_UINT64, RECORD(acquired_at), NULL},
    {"risk-since", FIELD_UINT64, RECORD_MAYBE(risk_since), NULL},
    {"owner", FIELD_TEXT, RECORD(owner), NULL},
    {"owner-uuid", FIELD_TEXT, RECORD_MAYBE(owner_uuid), NULL},
    {"why", FIELD_TEXT, RECORD_MAYBE(why), NULL},
    {"broken-reason", FIELD_TEXT, RECORD_MAYBE(broken_reason), NULL},
    {"fds", FIELD_TEXT, RECORD_MAYBE(fds), NULL},
    {"spares", FIELD_TEXT, RECORD_MAYBE(spares), NULL},
    {"keep", FIELD_TEXT, RECORD_MAYBE(keep), NULL},
    {"bus", FIELD_TEXT, RECORD_MAYBE(bus), NULL},
    {"bus-name", FIELD_TEXT, RECORD_MAYBE(bus_name), NULL},
};

G_STATIC_ASSERT(sizeof(dev_t) == sizeof(guint64) && sizeof(ino_t) == sizeof(guint64));
G_STATIC_ASSERT(sizeof(uid_t) == sizeof(guint32) && sizeof(pid_t) == sizeof(guint32));
G_STATIC_ASSERT(sizeof(DlkMode) == sizeof(guint32) && sizeof(gboolean) == sizeof(guint32));
G_STATIC_ASSERT(G_N_ELEMENTS(fields) <= 64);

/* FNV-1a, 64 bits: against what is torn or rotten. Who may write the file may be root in any case. */
static guint64
add_to_checksum(guint64 sum, const char *text, gsize length)
{
    for (gsize i = 0; i < length; i++)
        sum = (sum ^ (guint8)text[i]) * G_GUINT64_CONSTANT(1099511628211);
    return sum;
}

static void
checksum(const char *boot, const char *text, gsize length, char digits[CHECKSUM_DIGITS + 1])
{
    const guint64 sum = add_to_checksum(G_GUINT64_CONSTANT(14695981039346656037), boot, strlen(boot));

    g_snprintf(digits, CHECKSUM_DIGITS + 1, "%016" G_GINT64_MODIFIER "x", add_to_checksum(sum, text, length));
}

/* ---- out ---- */

static gsize
plain_length(const char *value)
{
    gsize length = 0;

    while (g_ascii_isgraph(value[length]) && value[length] != '\\' && value[length] != '=')
        length++;
    return length;
}

static void
append_escaped(GString *text, const char *value)
{
    for (;; value++) {
        const gsize plain = plain_length(value);

        g_string_append_len(text, value, (gssize)plain);
        value += plain;
        if (*value == '\0')
            return;
        const char escaped[] = {'\\', 'x', HEX_DIGITS[(guint8)*value >> 4], HEX_DIGITS[(guint8)*value & 15]};
        g_string_append_len(text, escaped, sizeof escaped);
    }
}

static void
append_number(GString *text, guint64 number)
{
    char digits[20];
    guint i = sizeof digits;

    do
        digits[--i] = (char)('0' + number % 10);
    while (number /= 10);
    g_string_append_len(text, digits + i, (gssize)(sizeof digits - i));
}

static gconstpointer
place_of(const DlkLeaseRecord *self, const Field *field)
{
    return (const char *)(field->of_disk ? (gconstpointer)self->disk : self) + field->offset;
}

/* Is there nothing to be written of it? */
static gboolean
is_unset(const Field *field, gconstpointer place)
{
    switch (field->type) {
    case FIELD_TEXT:
    case FIELD_TEXTS:
        return *(const gconstpointer *)place == NULL;
    case FIELD_FLAG:
    case FIELD_UINT32:
        return *(const guint32 *)place == 0 && !field->required;
    case FIELD_UINT64:
        return *(const guint64 *)place == 0 && !field->required;
    case FIELD_WORD:
    case FIELD_ID:
        return FALSE;
    }
    return FALSE;
}

static void
append_texts(GString *text, char **values)
{
    g_autofree char *joined = g_strjoinv("\n", values);

    append_escaped(text, joined);
}

static void
append_value(GString *text, const Field *field, gconstpointer place)
{
    char id[DLK_LEASE_ID_LENGTH + 1];

    switch (field->type) {
    case FIELD_TEXT:
        append_escaped(text, *(const char *const *)place);
        return;
    case FIELD_TEXTS:
        append_texts(text, *(char **const *)place);
        return;
    case FIELD_WORD:
        g_string_append(text, field->word(*(const guint32 *)place));
        return;
    case FIELD_FLAG:
    case FIELD_UINT32:
        append_number(text, *(const guint32 *)place);
        return;
    case FIELD_UINT64:
        append_number(text, *(const guint64 *)place);
        return;
    case FIELD_ID:
        dlk_lease_id_format(place, id);
        g_string_append_len(text, id, DLK_LEASE_ID_LENGTH);
        return;
    }
}

gboolean
dlk_lease_record_format(const DlkLeaseRecord *self, const char *boot, GString *text)
{
    char digits[CHECKSUM_DIGITS + 1];
    const gsize start = text->len;

    g_string_append_c(text, DLK_LEASE_RECORD_STANDS);
    g_string_append(text, " ----------------"); /* the checksum's place */
    for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
        gconstpointer place = place_of(self, &fields[i]);

        if (is_unset(&fields[i], place))
            continue;
        g_string_append_c(text, ' ');
        g_string_append(text, fields[i].key);
        g_string_append_c(text, '=');
        append_value(text, &fields[i], place);
    }
    g_string_append_c(text, '\n');
    if (text->len - start > DLK_LEASE_RECORD_MAX) {
        g_string_truncate(text, start);
        return FALSE;
    }
    checksum(boot, text->str + start + HEAD_LENGTH, text->len - start - HEAD_LENGTH - 1, digits);
    memcpy(text->str + start + 2, digits, CHECKSUM_DIGITS);
    return TRUE;
}

/* ---- in ---- */

/* In place; FALSE: a backslash that is no \xNN, or a NUL. */
static gboolean
unescape(char *value)
{
    char *to = value;

    for (const char *from = value; *from != '\0'; from++, to++) {
        if (*from != '\\') {
            *to = *from;
            continue;
        }
        const int high = from[1] == 'x' ? g_ascii_xdigit_value(from[2]) : -1;
        const int low = high >= 0 ? g_ascii_xdigit_value(from[3]) : -1;
        if (low < 0 || high + low == 0)
            return FALSE;
        *to = (char)(high << 4 | low);
        from += 3;
    }
    *to = '\0';
    return TRUE;
}

static gboolean
read_word(const Field *field, const char *value, guint32 *place)
{
    const char *word;

    for (guint32 i = 0; (word = field->word(i)); i++) {
        if (g_str_equal(word, value)) {
            *place = i;
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean
read_number(const char *value, guint64 most, guint64 *number)
{
    return g_ascii_string_to_unsigned(value, 10, 0, most, number, NULL);
}

static gboolean
read_value(const Field *field, char *value, gpointer place)
{
    guint64 number = 0;

    if (!unescape(value))
        return FALSE;
    switch (field->type) {
    case FIELD_TEXT:
        if (field->of_disk)
            *(char **)place = g_strdup(value);
        else
            *(const char **)place = value;
        return TRUE;
    case FIELD_TEXTS:
        *(char ***)place = g_strsplit(value, "\n", -1);
        return TRUE;
    case FIELD_WORD:
        return read_word(field, value, place);
    case FIELD_FLAG:
        *(gboolean *)place = TRUE;
        return g_str_equal(value, "1");
    case FIELD_UINT32:
        if (!read_number(value,
                         field->offset == G_STRUCT_OFFSET(DlkLeaseRecord, pid) ? G_MAXINT32 : G_MAXUINT32,
                         &number))
            return FALSE;
        *(guint32 *)place = (guint32)number;
        return TRUE;
    case FIELD_UINT64:
        return read_number(value, field->of_disk ? G_MAXUINT64 : G_MAXINT64, (guint64 *)place);
    case FIELD_ID:
        return dlk_lease_id_parse(value, place);
    }
    return FALSE;
}

static const Field *
find_field(const char *key)
{
    for (guint i = 0; i < G_N_ELEMENTS(fields); i++)
        if (g_str_equal(fields[i].key, key))
            return &fields[i];
    return NULL;
}

static const char *
read_fields(DlkLeaseRecord *self)
{
    guint64 seen = 0;
    char *rest = self->storage;

    while (rest) {
        char *value, *key = strsep(&rest, " ");
        char *equals = strchr(key, '=');

        if (!equals)
            return "a word without \"=\"";
        *equals = '\0';
        value = equals + 1;
        const Field *field = find_field(key);
        if (!field)
            continue;
        const guint64 bit = G_GUINT64_CONSTANT(1) << (field - fields);
        if (seen & bit)
            return "a key stands twice";
        seen |= bit;
        if (!read_value(field, value, (gpointer)place_of(self, field)))
            return "a value that cannot be";
    }
    for (guint i = 0; i < G_N_ELEMENTS(fields); i++)
        if (fields[i].required && !(seen & G_GUINT64_CONSTANT(1) << i))
            return "a key is missing";
    return NULL;
}

/* What the rest of the service takes for granted of a lease. */
static const char *
find_nonsense(const DlkLeaseRecord *self)
{
    if (self->token == 0)
        return "no token";
    if (!g_str_is_ascii(self->backend) || !g_utf8_validate(self->disk->id, -1, NULL))
        return "a name that cannot be";
    if (self->disk->kind == DLK_KIND_NETWORK && !self->disk->path)
        return "a network disk without its name";
    if (self->given_up && self->state != DLK_STATE_BROKEN)
        return "a state that cannot be";
    if (!g_utf8_validate(self->path, -1, NULL) || !g_utf8_validate(self->owner, -1, NULL) ||
        (self->owner_uuid && !g_utf8_validate(self->owner_uuid, -1, NULL)) ||
        (self->why && !g_utf8_validate(self->why, -1, NULL)) ||
        (self->broken_reason && !g_utf8_validate(self->broken_reason, -1, NULL)))
        return "text that is not UTF-8";
    if ((self->state == DLK_STATE_BROKEN) != (self->broken_reason != NULL))
        return "a state that cannot be";
    return NULL;
}

static const char *
check_head(const char *line, gsize length, const char *boot, gboolean *ended)
{
    char digits[CHECKSUM_DIGITS + 1];

    if (length >= DLK_LEASE_RECORD_MAX)
        return "it is too long";
    if (length <= HEAD_LENGTH || memchr(line, '\0', length) || line[1] != ' ' || line[HEAD_LENGTH - 1] != ' ')
        return "it is cut off, or no record";
    if (line[0] != DLK_LEASE_RECORD_STANDS && line[0] != DLK_LEASE_RECORD_ENDED)
        return "it is no record";
    *ended = line[0] == DLK_LEASE_RECORD_ENDED;
    checksum(boot, line + HEAD_LENGTH, length - HEAD_LENGTH, digits);
    return memcmp(digits, line + 2, CHECKSUM_DIGITS) == 0 ? NULL : "its checksum is wrong";
}

DlkLeaseRecord *
dlk_lease_record_parse(const char *line, gsize length, const char *boot, gboolean *ended, const char **why)
{
    *ended = FALSE;
    *why = check_head(line, length, boot, ended);
    if (*why)
        return NULL;

    g_autoptr(DlkLeaseRecord) self = g_new0(DlkLeaseRecord, 1);
    self->storage = g_strndup(line + HEAD_LENGTH, length - HEAD_LENGTH);
    self->disk = dlk_disk_new(DLK_KIND_FILE, NULL);
    *why = read_fields(self);
    if (!*why)
        *why = find_nonsense(self);
    return *why ? NULL : g_steal_pointer(&self);
}

void
dlk_lease_record_free(DlkLeaseRecord *self)
{
    dlk_disk_unref(self->disk);
    g_free(self->storage);
    g_free(self);
}
