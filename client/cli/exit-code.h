#pragma once

/**
 * DlkExitCode: what disklockctl ends with, one value for each thing that a script may want to do next.
 *
 * `run` passes its command's own code on; DLK_EXIT_RUN, added to them, tells its own failures apart.
 */
typedef enum {
    DLK_EXIT_SUCCESS = 0,
    DLK_EXIT_FAILURE = 1,
    DLK_EXIT_USAGE = 2,
    DLK_EXIT_BUSY = 3,
    DLK_EXIT_DENIED = 4,
    DLK_EXIT_UNREACHABLE = 5,
    DLK_EXIT_MISSING = 6,
    DLK_EXIT_RUN = 110,
    DLK_EXIT_CANNOT_EXECUTE = 126,
    DLK_EXIT_NOT_FOUND = 127,
    DLK_EXIT_SIGNAL = 128,
} DlkExitCode;
