#include "backend/holder-slots.h"

#include "backend/image-locks.h"
#include "model/holder-record.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SLOT_SIZE DLK_HOLDER_RECORD_MAX

static guint
first_byte(guint slot)
{
    return DLK_LOCK_FILE_HEADER + slot * SLOT_SIZE;
}

static DlkByteState
ask(int fd, guint slot)
{
    return dlk_image_locks_ask(fd, first_byte(slot), first_byte(slot) + SLOT_SIZE - 1, NULL);
}

static gboolean
lock(int fd, guint slot, short type)
{
    return dlk_image_locks_set_range(fd, first_byte(slot), SLOT_SIZE, type);
}

gboolean
dlk_holder_slots_claim(int fd, guint *slot)
{
    for (*slot = 0; *slot < DLK_HOLDER_SLOTS; (*slot)++) {
        if (lock(fd, *slot, F_WRLCK))
            return TRUE;
        if (errno != EAGAIN)
            return FALSE;
    }
    *slot = DLK_HOLDER_NO_SLOT;
    return dlk_image_locks_set(fd, DLK_BYTE_NO_SLOT, F_RDLCK);
}

/* By version 3 of NFS what another host has locked for reading is found by trying alone, which takes a
 * descriptor that can write. */
gboolean
dlk_holder_slots_are_too_few(int fd)
{
    if (dlk_image_locks_set(fd, DLK_BYTE_NO_SLOT, F_WRLCK)) {
        (void)dlk_image_locks_set(fd, DLK_BYTE_NO_SLOT, F_UNLCK);
        return FALSE;
    }
    return errno != EBADF ||
           dlk_image_locks_ask(fd, DLK_BYTE_NO_SLOT, DLK_BYTE_NO_SLOT, NULL) != DLK_BYTE_FREE;
}

gboolean
dlk_holder_slots_write(int fd, guint slot, const char *record)
{
    char buffer[SLOT_SIZE] = {0};
    for (guint i = 0; record != NULL && record[i] != '\0' && i < sizeof buffer; i++)
        buffer[i] = record[i];
    return pwrite(fd, buffer, sizeof buffer, (off_t)first_byte(slot)) == (ssize_t)sizeof buffer;
}

/* The bytes of all slots, as many as there are. */
static GByteArray *
read_all(int fd)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_byte_array_set_size(bytes, DLK_HOLDER_SLOTS * SLOT_SIZE);
    guint length = 0;
    while (length < bytes->len) {
        const ssize_t count =
            pread(fd, bytes->data + length, bytes->len - length, (off_t)(DLK_LOCK_FILE_HEADER + length));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return NULL;
        if (count == 0)
            break;
        length += (guint)count;
    }
    g_byte_array_set_size(bytes, length);
    return g_steal_pointer(&bytes);
}

static gboolean
has_content(const GByteArray *bytes, guint slot)
{
    const gsize start = (gsize)slot * SLOT_SIZE;
    return start < bytes->len && bytes->data[start] != '\0';
}

static DlkHolder *
parse(const GByteArray *bytes, guint slot)
{
    const gsize start = (gsize)slot * SLOT_SIZE;
    if (!has_content(bytes, slot))
        return NULL;
    const char *text = (const char *)bytes->data + start;
    return dlk_holder_record_parse(text, strnlen(text, MIN(SLOT_SIZE, bytes->len - start)));
}

static void
clear_slot(gpointer data)
{
    DlkHolderSlot *slot = data;
    g_clear_pointer(&slot->holder, dlk_holder_unref);
}

GArray *
dlk_holder_slots_read(int fd)
{
    g_autoptr(GByteArray) bytes = read_all(fd);
    if (bytes == NULL)
        return NULL;
    g_autoptr(GArray) slots = g_array_new(FALSE, FALSE, sizeof(DlkHolderSlot));
    g_array_set_clear_func(slots, clear_slot);
    const gboolean any_locked =
        dlk_image_locks_ask(fd, first_byte(0), first_byte(DLK_HOLDER_SLOTS) - 1, NULL) != DLK_BYTE_FREE;
    for (guint slot = 0; slot < DLK_HOLDER_SLOTS && (any_locked || bytes->len > 0); slot++) {
        const DlkByteState state = any_locked ? ask(fd, slot) : DLK_BYTE_FREE;
        if (state == DLK_BYTE_UNKNOWN)
            return NULL;
        const gboolean locked = state == DLK_BYTE_WRITE_LOCKED;
        DlkHolderSlot found = {slot, parse(bytes, slot)};
        if (found.holder != NULL)
            found.holder->confirmed = locked;
        if (found.holder != NULL || locked)
            g_array_append_val(slots, found);
    }
    return g_steal_pointer(&slots);
}

/* The record first: as long as the slot is locked nobody else's can be there. */
void
dlk_holder_slots_drop_others(int fd, guint slot, const DlkLeaseId *lease)
{
    g_autoptr(GByteArray) bytes = read_all(fd);
    const guint kept = MIN(slot, DLK_HOLDER_SLOTS);
    for (guint i = 0; i < DLK_HOLDER_SLOTS && bytes != NULL && lease != NULL; i++) {
        g_autoptr(DlkHolder) holder = i != slot ? parse(bytes, i) : NULL;
        if (holder != NULL && dlk_lease_id_equal(&holder->lease, lease))
            (void)dlk_holder_slots_remove(fd, i);
    }
    if (kept > 0)
        (void)dlk_image_locks_set_range(fd, first_byte(0), kept * SLOT_SIZE, F_UNLCK);
    if (kept + 1 < DLK_HOLDER_SLOTS)
        (void)dlk_image_locks_set_range(fd, first_byte(kept + 1), (DLK_HOLDER_SLOTS - kept - 1) * SLOT_SIZE,
                                        F_UNLCK);
    if (slot != DLK_HOLDER_NO_SLOT)
        (void)dlk_image_locks_set(fd, DLK_BYTE_NO_SLOT, F_UNLCK);
}

gboolean
dlk_holder_slots_remove(int fd, guint slot)
{
    if (!lock(fd, slot, F_WRLCK))
        return FALSE;
    const gboolean done = dlk_holder_slots_write(fd, slot, NULL);
    (void)lock(fd, slot, F_UNLCK);
    return done;
}
