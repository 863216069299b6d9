#pragma once

#include "backend/backend.h"
#include "base/error.h"

/**
 * DlkFakeBackend ("fake", says that it reaches other hosts): locks in memory only and behaves as it is told.
 * Part of tests, never of the installed service. Its functions may be called in any thread.
 *
 * It grants whatever the modes allow beside the locks that it has granted before, so that a caller who
 * forgets to ask its table first gets BUSY. It locks network disks and those without a descriptor as well.
 *
 * Two ways to tell it what to do:
 *
 * - From C: every step below is for one call; steps for calls of one kind are taken in the order in which
 * they were given. A call that finds no step succeeds at once.
 *
 * - From outside: the environment's DISKLOCK_FAKE_DIR is a folder (read when the backend is made). Files in
 * it named "acquire", "check", "convert", "release", "adopt", "holders" and "fence" are read at each such
 * call that has no step from C, for as long as they are there: fail TEXT     BackendFailed with TEXT busy
 * TEXT     Busy with TEXT delay MS succeeds after that many milliseconds hang          waits until the file
 * is gone or says something else, and then does that lost          check and adopt only: the lock is lost
 * ("lock taken by another holder", "not locked") unknown TEXT check only: no answer, for the reason TEXT An
 * empty file is as none; anything else is BackendFailed (a check: unknown). Write such a file elsewhere and
 * rename it into the folder.
 */
#define DLK_TYPE_FAKE_BACKEND dlk_fake_backend_get_type()
G_DECLARE_FINAL_TYPE(DlkFakeBackend, dlk_fake_backend, DLK, FAKE_BACKEND, DlkBackend)

typedef enum {
    DLK_FAKE_ACQUIRE,
    DLK_FAKE_CHECK,
    DLK_FAKE_CONVERT,
    DLK_FAKE_RELEASE,
    DLK_FAKE_ADOPT,
    DLK_FAKE_HOLDERS,
    DLK_FAKE_FENCE,
    DLK_FAKE_N_CALLS
} DlkFakeCall;

/** One that is not yet in the table of backends: see dlk_backends_add(). */
DlkFakeBackend *dlk_fake_backend_new(void);

/** Locks now held on the disk of this id, and on all disks. */
guint dlk_fake_backend_held(DlkFakeBackend *self, const char *disk_id);
guint dlk_fake_backend_held_in_all(DlkFakeBackend *self);
/** Calls of this kind that have begun, and calls of any kind that hang now. */
guint dlk_fake_backend_calls(DlkFakeBackend *self, DlkFakeCall call);
guint dlk_fake_backend_hanging(DlkFakeBackend *self);

/** The next call takes that long and then succeeds. */
void dlk_fake_backend_delay(DlkFakeBackend *self, DlkFakeCall call, guint delay_ms);
/** The next call fails; a check gives no answer, for the reason @message. */
void dlk_fake_backend_fail(DlkFakeBackend *self, DlkFakeCall call, DlkError code, const char *message);
/** The next @times acquires fail with BUSY; those after them are granted. */
void dlk_fake_backend_busy(DlkFakeBackend *self, guint times);
/** The next check says so. @reason: for LOST and UNKNOWN. */
void dlk_fake_backend_answer(DlkFakeBackend *self, DlkCheck check, const char *reason);
/** The next call hangs until dlk_fake_backend_go_on(), and then succeeds. */
void dlk_fake_backend_hang(DlkFakeBackend *self, DlkFakeCall call);
/** Lets every call go on that hangs now. */
void dlk_fake_backend_go_on(DlkFakeBackend *self);
/** From now on it can lock in no mode but those that write, or, by default, in all. */
void dlk_fake_backend_set_writers_only(DlkFakeBackend *self, gboolean writers_only);
/** From now on @holder is among those that the records name, of every disk, until its host is fenced. */
void dlk_fake_backend_add_holder(DlkFakeBackend *self, DlkHolder *holder);
/** Locks granted from now on can be given up without blocking, or cannot (the default). A release that hangs
 * hangs all the same. */
void dlk_fake_backend_set_release_never_blocks(DlkFakeBackend *self, gboolean never_blocks);
/** The process that held the locks has died, and nobody keeps them: nothing is held any more. */
void dlk_fake_backend_die(DlkFakeBackend *self);
/** Forgets the steps that no call has taken and lets go what hangs; what is held stays held. */
void dlk_fake_backend_reset(DlkFakeBackend *self);
