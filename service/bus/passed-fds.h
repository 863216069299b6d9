#pragma once

#include "core/engine.h"
#include "host/caller.h"

/**
 * DlkPassedFds: the descriptors in the messages that reach a connection. Whoever may send a message chooses
 * them, and to close one of a filesystem that does not answer, his own say, takes as long as he likes
 * (close(2) waits for its flush). So neither the main thread nor GDBus's closes any: they are taken out of
 * every message, and a worker closes them when the message is freed.
 */
typedef struct _DlkPassedFds DlkPassedFds;

/** @callers: valid until this is freed. */
DlkPassedFds *dlk_passed_fds_new(DlkEngine *engine, GDBusConnection *connection, DlkCallers *callers);
void dlk_passed_fds_free(DlkPassedFds *self);

/** Descriptor @index that came with @message, which keeps it, or -1. */
int dlk_passed_fd(GDBusMessage *message, int index);
