#include "model/policy.h"

#include <fnmatch.h>
#include <string.h>

#define ALL_MODES ((1u << DLK_N_MODES) - 1)
#define ALL_BUT_EXEC (((1u << DLK_N_ON_BREAKS) - 1) & ~(1u << DLK_ON_BREAK_EXEC))

DlkRule *
dlk_rule_new(const char *name)
{
    static const char *const backends[] = {"host", NULL};
    DlkRule *self = g_atomic_rc_box_new0(DlkRule);
    self->name = g_strdup(name);
    self->backends = g_strdupv((char **)backends);
    self->fallback = DLK_FALLBACK_REFUSE;
    self->reach = DLK_REACH_UNSAID;
    self->modes = ALL_MODES;
    self->check_interval = 10 * G_USEC_PER_SEC;
    /* Shorter than the 90 seconds after which an NFS server may give a silent client's lock to another. */
    self->risk_timeout = 60 * G_USEC_PER_SEC;
    self->connection_grace = 60 * G_USEC_PER_SEC;
    self->grace = 10 * G_USEC_PER_SEC;
    /* Well below the 25 seconds after which D-Bus clients give up on a call. */
    self->unreachable_after = 10 * G_USEC_PER_SEC;
    self->on_break = DLK_ON_BREAK_SIGNAL;
    self->on_break_allowed = ALL_BUT_EXEC;
    return self;
}

DlkRule *
dlk_rule_ref(DlkRule *self)
{
    return g_atomic_rc_box_acquire(self);
}

static void
clear_rule(gpointer data)
{
    DlkRule *self = data;
    g_free(self->name);
    g_strfreev(self->match_paths);
    g_strfreev(self->match_filesystems);
    g_strfreev(self->match_transports);
    g_strfreev(self->backends);
    g_free(self->lockspace);
    g_free(self->open_as);
    g_free(self->exec);
}

void
dlk_rule_unref(DlkRule *self)
{
    g_atomic_rc_box_release_full(self, clear_rule);
}

const char *
dlk_rule_lane(const DlkRule *self, const DlkDisk *disk)
{
    if (self->lockspace == NULL)
        return disk->lane;
    g_autofree char *lane = g_strconcat(disk->lane, " ", self->lockspace, NULL);
    return g_intern_string(lane);
}

gboolean
dlk_rule_allows_backend(const DlkRule *self, const char *backend)
{
    return g_strv_contains((const char *const *)self->backends, backend);
}

gboolean
dlk_rule_names_backend(const DlkRule *self, const char *part)
{
    for (guint i = 0; self->backends[i] != NULL; i++) {
        g_auto(GStrv) parts = g_strsplit(self->backends[i], "+", -1);
        if (g_strv_contains((const char *const *)parts, part))
            return TRUE;
    }
    return FALSE;
}

guint
dlk_limits_leases_for(const DlkLimits *limits, uid_t uid)
{
    if (limits->leases_per_uid > 0)
        return limits->leases_per_uid;
    return uid == 0 ? G_MAXUINT : DLK_DEFAULT_LEASES_PER_UID;
}

guint
dlk_limits_waiters_for(const DlkLimits *limits, uid_t uid)
{
    if (limits->waiters_per_uid > 0)
        return limits->waiters_per_uid;
    return uid == 0 ? G_MAXUINT : DLK_DEFAULT_WAITERS_PER_UID;
}

DlkPolicy *
dlk_policy_new(void)
{
    DlkPolicy *self = g_atomic_rc_box_new0(DlkPolicy);
    self->rules = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_rule_unref);
    self->limits.questions_per_uid = DLK_DEFAULT_QUESTIONS_PER_UID;
    self->limits.leases = DLK_DEFAULT_LEASES;
    self->limits.string_length = DLK_DEFAULT_STRING_LENGTH;
    return self;
}

DlkPolicy *
dlk_policy_ref(DlkPolicy *self)
{
    return g_atomic_rc_box_acquire(self);
}

static void
clear_policy(gpointer data)
{
    DlkPolicy *self = data;
    g_free(self->host_id);
    g_ptr_array_unref(self->rules);
}

void
dlk_policy_unref(DlkPolicy *self)
{
    g_atomic_rc_box_release_full(self, clear_policy);
}

static gpointer
make_no_rule(gpointer data)
{
    DlkRule *rule = dlk_rule_new("no-rule");
    rule->deny = TRUE;
    return rule;
}

/* Stands behind the last rule of every policy: what nobody thought of is denied. Lives as long as the
 * process. */
static DlkRule *
no_rule(void)
{
    static GOnce once = G_ONCE_INIT;
    return g_once(&once, make_no_rule, NULL);
}

/*
 * Most are plain words, the types of filesystems, or words with a star at the end, and fnmatch() converts
 * both sides to wide characters.
 */
static gboolean
glob_matches(const char *glob, const char *text)
{
    const char *special = strpbrk(glob, "*?[\\");

    if (!special)
        return g_str_equal(glob, text);
    if (strncmp(glob, text, (gsize)(special - glob)) != 0)
        return FALSE;
    return g_str_equal(special, "*") || fnmatch(glob, text, 0) == 0;
}

static gboolean
any_glob_matches(char **globs, const char *text)
{
    for (guint i = 0; text && globs[i]; i++)
        if (glob_matches(globs[i], text))
            return TRUE;
    return FALSE;
}

/* An unset condition (no globs) is met by everything, a set one never by what is not known (%NULL). */
static gboolean
meets(char **globs, const char *text)
{
    return !globs || any_glob_matches(globs, text);
}

static gboolean
path_meets(char **globs, const DlkDisk *disk)
{
    if (meets(globs, disk->path))
        return TRUE;
    for (guint i = 0; disk->names && disk->names[i]; i++)
        if (any_glob_matches(globs, disk->names[i]))
            return TRUE;
    return FALSE;
}

static gboolean
kind_meets(guint kinds, guint possible)
{
    return kinds == 0 || (kinds & possible) != 0;
}

static gboolean
rule_matches(const DlkRule *rule, const DlkDisk *disk)
{
    return kind_meets(rule->match_kinds, 1u << disk->kind) &&
           meets(rule->match_filesystems, disk->filesystem) &&
           meets(rule->match_transports, disk->transport) && path_meets(rule->match_paths, disk);
}

DlkRule *
dlk_policy_match(const DlkPolicy *self, const DlkDisk *disk)
{
    for (guint i = 0; i < self->rules->len; i++) {
        DlkRule *rule = self->rules->pdata[i];
        if (rule_matches(rule, disk))
            return rule;
    }
    return no_rule();
}

/*
 * What a path on @filesystem may turn out to be. Device nodes stand in a devtmpfs, or in the tmpfs of a
 * private /dev; without this a rule for block devices would give its deadline to every file that is looked
 * at.
 */
static guint
possible_kinds(const char *filesystem)
{
    if (!filesystem || g_str_equal(filesystem, "tmpfs"))
        return (1u << DLK_N_KINDS) - 1;
    if (g_str_equal(filesystem, "devtmpfs"))
        return 1u << DLK_KIND_BLOCK;
    return 1u << DLK_KIND_FILE;
}

static gboolean
rule_may_match(const DlkRule *rule, const char *path, const char *filesystem)
{
    const guint kinds = possible_kinds(filesystem);
    if (!kind_meets(rule->match_kinds, kinds))
        return FALSE;
    if (rule->match_transports && !(kinds & 1u << DLK_KIND_BLOCK))
        return FALSE;
    return (!path || meets(rule->match_paths, path)) &&
           (!filesystem || meets(rule->match_filesystems, filesystem));
}

DlkRule *
dlk_policy_match_early(const DlkPolicy *self, const char *path, const char *filesystem)
{
    for (guint i = 0; i < self->rules->len; i++) {
        DlkRule *rule = self->rules->pdata[i];
        if (rule_may_match(rule, path, filesystem))
            return rule;
    }
    return no_rule();
}
