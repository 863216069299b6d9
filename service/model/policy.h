#pragma once

#include "model/disk.h"
#include "model/mode.h"
#include "model/on-break.h"

#include <glib.h>

/** DlkFallback: what to do where the rule's backend cannot be applied to the disk. */
typedef enum {
    DLK_FALLBACK_REFUSE,
    DLK_FALLBACK_HOST, /* exclusivity on this host alone */
} DlkFallback;

/** DlkReach: whom a lease must keep out at least. */
typedef enum {
    DLK_REACH_HOST,
    DLK_REACH_HOSTS,  /* every host that takes such locks */
    DLK_REACH_UNSAID, /* with a lockspace, which is for nothing else, every host; otherwise this one */
} DlkReach;

/**
 * DlkRule: one [Rule NAME] section; immutable, reference-counted (atomic) so that a lease keeps the rule that
 * it was granted under while the policy moves on.
 */
typedef struct {
    char *name;
    char **match_paths;       /* globs of fnmatch(3), `*` crosses `/`; %NULL: any */
    guint match_kinds;        /* bits 1 << DlkKind; 0: any */
    char **match_filesystems; /* globs; %NULL: any */
    char **match_transports;  /* globs; %NULL: any */
    char **backends;          /* the first is the default, the others may be asked for */
    DlkFallback fallback;
    char *lockspace; /* absolute path, or %NULL */
    guint modes;     /* bits 1 << DlkMode that may be asked for */
    gboolean strict_readers;
    gint64 check_interval; /* microseconds, as all that follow */
    gint64 risk_timeout;
    gint64 grace;
    gint64 unreachable_after;
    gint64 connection_grace;
    char *open_as; /* a user's name, "owner", or %NULL */
    DlkReach reach;
    gboolean holder_file;        /* who has a disk may be written to a file beside it */
    gboolean refuse_unseen_loss; /* a lock must be one whose loss is always seen */
    DlkOnBreak on_break;
    guint on_break_allowed; /* bits 1 << DlkOnBreak */
    char *exec;             /* absolute path of the program for DLK_ON_BREAK_EXEC, or %NULL */
    gboolean deny;
} DlkRule;

/** A rule named @name that matches everything, with the built-in defaults (backend host). */
DlkRule *dlk_rule_new(const char *name);
DlkRule *dlk_rule_ref(DlkRule *self);
void dlk_rule_unref(DlkRule *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkRule, dlk_rule_unref)
/**
 * dlk_rule_lane: the pool's lane for locking @disk under @self; lives as long as the process. A lockspace may
 * hang while the disk does not, and the other way round: together they have a lane of their own.
 */
const char *dlk_rule_lane(const DlkRule *self, const DlkDisk *disk);
gboolean dlk_rule_allows_backend(const DlkRule *self, const char *backend);
/** May @part lock a disk of the rule, by itself or in a combination ("scsi+lockspace")? */
gboolean dlk_rule_names_backend(const DlkRule *self, const char *part);

typedef struct {
    guint leases_per_uid;    /* 0: not set: DLK_DEFAULT_LEASES_PER_UID for all but root */
    guint waiters_per_uid;   /* likewise, DLK_DEFAULT_WAITERS_PER_UID */
    guint questions_per_uid; /* to polkit, which is not asked about root */
    guint leases;
    guint string_length; /* bytes, of every string but paths and domain XML */
} DlkLimits;

#define DLK_DEFAULT_LEASES_PER_UID 1000
#define DLK_DEFAULT_WAITERS_PER_UID 64
/* dbus-daemon lets the service's connection wait for 128 replies; a prompt and a ping for it are two. */
#define DLK_DEFAULT_QUESTIONS_PER_UID 32
#define DLK_DEFAULT_LEASES 200000
#define DLK_DEFAULT_STRING_LENGTH 256

/** What @limits allows to @uid; G_MAXUINT: no bound. A limit that is set holds for root too. */
guint dlk_limits_leases_for(const DlkLimits *limits, uid_t uid);
guint dlk_limits_waiters_for(const DlkLimits *limits, uid_t uid);

/** DlkPolicy: everything the administrator said; immutable, reference-counted (atomic). */
typedef struct {
    char *host_id;    /* [Host] id=, or %NULL for one derived from the machine's id */
    GPtrArray *rules; /* of DlkRule, in the order in which they are tried */
    DlkLimits limits;
} DlkPolicy;

DlkPolicy *dlk_policy_new(void);
DlkPolicy *dlk_policy_ref(DlkPolicy *self);
void dlk_policy_unref(DlkPolicy *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkPolicy, dlk_policy_unref)

/**
 * dlk_policy_match: the first rule that matches @disk, borrowed. A path glob is tried against where the disk
 * really is and against its other names, never against the name that a caller used: one disk has one rule.
 * Never %NULL: behind the last rule stands a built-in one that denies ("no-rule").
 */
DlkRule *dlk_policy_match(const DlkPolicy *self, const DlkDisk *disk);

/**
 * dlk_policy_match_early: the first rule that may yet match what little is known before the storage is
 * touched: the path as asked for and the filesystem type it seems to be on (either may be %NULL). Its
 * unreachable-after bounds the identification.
 * Where a filesystem is known that holds no device nodes, rules for block devices do not come into question.
 */
DlkRule *dlk_policy_match_early(const DlkPolicy *self, const char *path, const char *filesystem);
