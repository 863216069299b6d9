#pragma once

#include <glib.h>
#include <sys/syscall.h>

/*
 * What is known of a system call that a process is about to make: whether it changes anything outside of the
 * process, and by which errors it may fail.
 */
typedef struct {
    long number;
    guint64 arguments[6];
    char file[256]; /* what its first argument is, if that is a descriptor: as /proc/PID/fd has it */
} DlkCall;

typedef struct {
    guint n;
    int errors[4];
} DlkErrors;

/* Never %NULL. */
const char *dlk_call_name(const DlkCall *call);

/*
 * Does it matter to others whether the process dies before or behind it? Between two calls that do not, it
 * makes no difference.
 */
gboolean dlk_call_leaves_mark(const DlkCall *call);

/* Is it there to wait for another thread, or to wake one up? How many of these there are, chance decides. */
gboolean dlk_call_waits(const DlkCall *call);

/* The errors that it may give of EIO, ENOMEM, EMFILE, ENOSPC, EINTR; n is 0 where a caller need not reckon
 * with any. */
DlkErrors dlk_call_errors(const DlkCall *call);

/* Does it do what it is to do even if it gives an error? */
gboolean dlk_call_is_done_anyway(const DlkCall *call);
