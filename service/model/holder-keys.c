#include "model/holder-keys.h"

#include "model/pr-key.h"

static gboolean
is_key_alone(const DlkHolder *holder)
{
    return holder->key != 0 && holder->host == NULL;
}

/* The record of the host that has made @key, one that is confirmed before others; or G_MAXUINT. */
static guint
find_record(GPtrArray *holders, guint64 key)
{
    guint found = G_MAXUINT;
    for (guint i = 0; i < holders->len; i++) {
        const DlkHolder *holder = holders->pdata[i];
        if (holder->host == NULL || !dlk_pr_key_is_of(key, holder->host))
            continue;
        if (holder->confirmed)
            return i;
        found = i;
    }
    return found;
}

static GRefString *
text_ref(GRefString *text)
{
    return text != NULL ? g_ref_string_acquire(text) : NULL;
}

static DlkHolder *
copy(const DlkHolder *holder)
{
    DlkHolder *self = dlk_holder_new(holder->mode);
    self->host = text_ref(holder->host);
    self->host_name = text_ref(holder->host_name);
    self->owner = text_ref(holder->owner);
    self->owner_uuid = text_ref(holder->owner_uuid);
    self->lease = holder->lease;
    self->since = holder->since;
    self->uid = holder->uid;
    self->pid = holder->pid;
    self->key = holder->key;
    self->confirmed = holder->confirmed;
    return self;
}

static void
replace(GPtrArray *holders, guint index, DlkHolder *holder)
{
    dlk_holder_unref(holders->pdata[index]);
    holders->pdata[index] = holder;
}

void
dlk_holders_name_keys(GPtrArray *holders)
{
    for (guint i = holders->len; i-- > 0;) {
        const DlkHolder *holder = holders->pdata[i];
        const guint found = is_key_alone(holder) ? find_record(holders, holder->key) : G_MAXUINT;
        if (found == G_MAXUINT)
            continue;
        const DlkHolder *record = holders->pdata[found];
        DlkHolder *named = copy(record->confirmed ? record : holder);
        named->key = holder->key;
        if (record->confirmed) {
            replace(holders, found, named);
            g_ptr_array_remove_index(holders, i);
        } else {
            named->host = g_ref_string_acquire(record->host);
            named->host_name = text_ref(record->host_name);
            replace(holders, i, named);
        }
    }
}
