#pragma once

#include <stdbool.h>

/** Hands @message to libvirt's own error reporting: whoever called libvirt reads it. */
void dlk_report(bool busy, const char *message);
