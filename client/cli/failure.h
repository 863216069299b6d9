#pragma once

#include "exit-code.h"

#include <glib.h>

/** dlk_failure_code: the exit code for @error, which came from the bus, from GIO or from disklockctl itself
 * (DLK_ERROR). */
DlkExitCode dlk_failure_code(const GError *error);

/**
 * dlk_failure_report: says on stderr what went wrong and, where there is something to do, what; takes
 * nothing. Returns the exit code.
 */
DlkExitCode dlk_failure_report(const GError *error);

/** dlk_warn: "disklockctl: TEXT" on stderr, made printable line by line. */
void dlk_warn(const char *format, ...) G_GNUC_PRINTF(1, 2);
/** dlk_hint: "hint: TEXT" on stderr, as it is. */
void dlk_hint(const char *text);
