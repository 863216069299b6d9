#pragma once

#include "base/pid-ref.h"

/** DlkThreads: what the threads of a process do. */
typedef enum {
    DLK_THREADS_STAND, /* every one is stopped, by a signal or a debugger, or has ended */
    DLK_THREADS_WAIT,  /* some wait in the kernel for what no signal interrupts, a disk say; all others stand
                        */
    DLK_THREADS_RUN,   /* some run, or sleep and may run at any time */
} DlkThreads;

/**
 * What the threads of @process do at this moment. Reads the kernel's files in /proc, which waits for nobody.
 * DLK_THREADS_RUN where that cannot be seen (no descriptor is left, say).
 */
DlkThreads dlk_pid_threads_look(const DlkPidRef *process);

/**
 * Stops the threads of @process that run on though it was sent SIGSTOP.
 *
 * All stop as soon as one of them takes that signal. The kernel wakes the main thread for it, and no other
 * where that one waits for a disk (complete_signal() in kernel/signal.c). Who is sent it again, SIGCONT
 * having taken back the first, is one that can take it.
 */
void dlk_pid_threads_stop_others(const DlkPidRef *process);
