#pragma once

#include "base/pid-ref.h"

/** DlkThreads: what the threads of a process do. */
typedef enum {
    DLK_THREADS_STAND, /* every one is stopped, by a signal or a debugger, or has ended */
    DLK_THREADS_WAIT, /* some wait in the kernel for what no signal interrupts, a disk say; the rest stands */
    DLK_THREADS_RUN,  /* some run, or sleep and may run at any time, or are too many to be looked at */
    DLK_THREADS_UNKNOWN, /* that cannot be seen: no descriptor is left, say, or a thread has just ended */
} DlkThreads;

/** DlkThreadsSeen: the same, with what it comes from. */
typedef struct {
    DlkThreads state;
    guint waiting, standing; /* threads */
    guint64 ticks;           /* of processor time that all have used so far: who stands uses none */
} DlkThreadsSeen;

/** What the threads of @process do at this moment. Reads the kernel's files in /proc, which waits for nobody.
 */
DlkThreadsSeen dlk_pid_threads_look(const DlkPidRef *process);

/**
 * Stops the threads of @process that run on though it was sent SIGSTOP.
 *
 * All stop as soon as one of them takes that signal. The kernel wakes one of them for it, the main thread if
 * it can; where that one waits for a disk the others run on (complete_signal() in kernel/signal.c). Sent once
 * more, SIGCONT having taken back the first, it goes to one for whom none is pending yet: so it takes at most
 * as many times as there are threads @waiting, and one more. Of hundreds it passes some at each call.
 */
void dlk_pid_threads_stop_others(const DlkPidRef *process, guint waiting);
