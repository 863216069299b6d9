#pragma once

#include "bus.h"

/** DlkReport: what Inspect says of one disk. */
typedef struct {
    char *disk;  /* its canonical identity */
    char *state; /* "free", "held", "held-elsewhere", "in-use", "unknown" */
    char *owner; /* of a lease of this host on this very disk, or %NULL */
} DlkReport;

/** False where there is no answer; then @report has nothing in it. */
bool dlk_report_ask(DlkBus *bus, const char *path, DlkReport *report);
void dlk_report_clear(DlkReport *report);
#define DLK_AUTOREPORT __attribute__((cleanup(dlk_report_clear))) DlkReport
