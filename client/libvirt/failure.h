#pragma once

#include <stdbool.h>

/** DlkFailure: why something could not be done. All zero: nothing has failed. */
typedef struct {
    char *text;  /* a sentence for people; on the heap */
    bool silent; /* nobody has answered */
    char *error; /* its name on the bus, where it came from there; on the heap */
} DlkFailure;

void dlk_failure_clear(DlkFailure *failure);
/** Is @error what it is called on the bus? */
bool dlk_failure_is(const DlkFailure *failure, const char *error);
#define DLK_AUTOFAILURE __attribute__((cleanup(dlk_failure_clear))) DlkFailure

/** Puts a sentence into @failure where there is none yet: the first cause counts. Always false. */
bool dlk_fail(DlkFailure *failure, const char *format, ...) __attribute__((format(printf, 2, 3)));
