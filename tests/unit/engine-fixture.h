#pragma once

/*
 * What the tests of the engine share: an engine of their own with images and a policy, its fake backend, and
 * waiting. Every test ends with proof that it left nothing behind: no lease, no lock, no descriptor.
 */

#include "backend/fake.h"
#include "base/error.h"
#include "core/engine.h"
#include "other-process.h"
#include "scratch.h"

#include <string.h>

/* The rule of most tests: nothing happens by itself. Further lines and sections may follow. */
#define ENGINE_POLICY                                                                                        \
    "[Rule test]\n"                                                                                          \
    "backend=fake;fcntl;host\n"                                                                              \
    "on-break-allowed=signal;pause;terminate;kill\n"                                                         \
    "check-interval=3600\n"

/* What came of a call. Owned by the fixture. */
typedef struct {
    gboolean done;
    GError *error;
    GPtrArray *leases;   /* acquire */
    int keep_fd;         /* acquire */
    DlkLeaseState state; /* check */
    GVariant *report;    /* inspect */
    guint removed;       /* fence */
} EngineAnswer;

typedef struct {
    Scratch scratch;
    char *config;
    DlkEngine *engine;
    DlkFakeBackend *fake; /* one for all tests of a program */
    DlkCaller *root;      /* uid 0, this very process */
    GString *events;      /* "acquired a.img\nbroken a.img: deleted\n" */
    guint changes;        /* `changed` signals */
    GPtrArray *answers;
    char *descriptors; /* that were open before */
} EngineFixture;

typedef void (*EngineTest)(EngineFixture *self, gconstpointer data);

/* In place of g_test_init(). */
void engine_init(int *argc, char ***argv);
/* @policy: the text of the policy, or %NULL for ENGINE_POLICY. */
void engine_add(const char *path, const char *policy, EngineTest test);

/* For tests with a fixture of their own. */
void engine_set_up(EngineFixture *self, gconstpointer policy);
void engine_tear_down(EngineFixture *self, gconstpointer policy);

/* An engine on the fixture's folder, which has taken up whatever an earlier one left there. */
void engine_start(EngineFixture *self);
/* The service's process has died and another one has begun: leases and answers of the old engine are gone. */
void engine_restart(EngineFixture *self);

/* ---- waiting ---- */

/* One turn of the main loop; a moment's sleep where nothing was to do. */
void engine_turn(void);
void engine_out_of_patience(const char *what) G_GNUC_NORETURN;
#define ENGINE_PATIENCE (30 * G_TIME_SPAN_SECOND)
#define engine_wait_until(condition)                                                                         \
    do {                                                                                                     \
        const gint64 deadline = g_get_monotonic_time() + ENGINE_PATIENCE;                                    \
        while (!(condition)) {                                                                               \
            if (g_get_monotonic_time() > deadline)                                                           \
                engine_out_of_patience(#condition);                                                          \
            engine_turn();                                                                                   \
        }                                                                                                    \
    } while (0)
/* What was to happen at once has happened: the main loop and the pool have been through another call. */
void engine_settle(EngineFixture *self);

/* ---- who calls, and with what ---- */

/* @process: taken; %NULL: cannot be seen. Free with dlk_caller_unref(). */
DlkCaller *engine_caller(uid_t uid, const char *name, DlkPidRef *process);
/* A caller whose process is @pid. */
DlkCaller *engine_caller_of_pid(uid_t uid, const char *name, pid_t pid);
/* The path of an image of this name, which is made at first use. Interned. */
const char *engine_image(EngineFixture *self, const char *name);
/* The id of that image's disk. Free with g_free(). */
char *engine_disk_id(EngineFixture *self, const char *name);
/* Writes the policy file; the engine reads it with dlk_engine_reload(). */
void engine_write_policy(EngineFixture *self, const char *text);
/* @options: an a{sv} in GVariant's own notation, or %NULL. */
DlkRequest *engine_request(DlkCaller *caller, const char *options);

/* ---- calls; answers are borrowed ---- */

EngineAnswer *engine_ask(EngineFixture *self, DlkRequest *request);
EngineAnswer *engine_ask_as(EngineFixture *self, DlkCaller *caller, const char *image, DlkMode mode,
                            const char *options);
/* "a.img b.img": all of them exclusively, or none. */
EngineAnswer *engine_ask_set(EngineFixture *self, const char *images, const char *options);
EngineAnswer *engine_ask_release(EngineFixture *self, DlkLease *lease);
EngineAnswer *engine_ask_check(EngineFixture *self, DlkLease *lease);
EngineAnswer *engine_ask_convert(EngineFixture *self, DlkLease *lease, DlkMode mode);
EngineAnswer *engine_ask_suspend(EngineFixture *self, DlkLease *lease);
EngineAnswer *engine_ask_resume(EngineFixture *self, DlkLease *lease);
EngineAnswer *engine_ask_inspect(EngineFixture *self, const char *path);
EngineAnswer *engine_ask_fence(EngineFixture *self, const char *image, const char *host);

/* Waits for @answer. */
void engine_assert_good(EngineAnswer *answer);
void engine_assert_error(EngineAnswer *answer, DlkError code, const char *part_of_message);
/* Waits for @answer, which must be good, and returns its first lease, borrowed. */
DlkLease *engine_granted(EngineAnswer *answer);

/* As root, and done when it returns. Borrowed. */
DlkLease *engine_acquire(EngineFixture *self, const char *image, DlkMode mode, const char *options);
void engine_refused(EngineFixture *self, const char *image, DlkMode mode, const char *options, DlkError code,
                    const char *part_of_message);
/* For @process, owner web01, exclusively. Borrowed. */
DlkLease *engine_acquire_for(EngineFixture *self, const OtherProcess *process, const char *image,
                             const char *on_break);
/* Breaks it as root. */
void engine_break(EngineFixture *self, DlkLease *lease);
void engine_release(EngineFixture *self, DlkLease *lease);
DlkLeaseState engine_check(EngineFixture *self, DlkLease *lease);

/* The events since the last time are exactly these. */
void engine_assert_events(EngineFixture *self, const char *events);
gboolean engine_has_event(const EngineFixture *self, const char *event);
guint engine_held(EngineFixture *self, const char *image);
