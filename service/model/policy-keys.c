#include "model/policy-keys.h"

#include "base/text.h"
#include "model/policy-value.h"
#include "model/policy.h"

#include <limits.h>
#include <string.h>

#define MAX_NAME 64
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define NAME_CHARACTERS LETTERS DIGITS "._-"

struct _DlkPolicyKey {
    const char *section;
    const char *name;
    gsize offset; /* of the field in the record */
    const char *expects;
    char *(*read)(const DlkPolicyValue *value, gpointer field);
    DlkPolicyCheck check;
    DlkPolicyWord word;
    guint least;
    guint most;
};

static char *
check_name(const DlkPolicyValue *value, const char *text)
{
    if (strlen(text) > MAX_NAME || strspn(text, NAME_CHARACTERS) != strlen(text))
        return dlk_policy_wrong(value, text);
    return NULL;
}

static char *
check_user(const DlkPolicyValue *value, const char *text)
{
    /* A number could be meant as a uid or be somebody's name. */
    return strspn(text, DIGITS) == strlen(text) || *text == '-' ? dlk_policy_wrong(value, text)
                                                                : check_name(value, text);
}

/* Disks are compared by where they really are: a path without links, ".", ".." and "//". */
static gboolean
can_be_real(const char *path)
{
    return !strstr(path, "//") && !strstr(path, "/./") && !strstr(path, "/../") &&
           !g_str_has_suffix(path, "/") && !g_str_has_suffix(path, "/.") && !g_str_has_suffix(path, "/..") &&
           strlen(path) < PATH_MAX;
}

static char *
check_path(const DlkPolicyValue *value, const char *text)
{
    return *text == '/' && can_be_real(text) ? NULL : dlk_policy_wrong(value, text);
}

static char *
check_path_glob(const DlkPolicyValue *value, const char *text)
{
    g_autofree char *shown = dlk_text_printable(text, DLK_POLICY_SHOWN_BYTES);
    if (*text != '/' && *text != '*') {
        return g_strdup_printf("match-path= \"%s\" can never match: a glob begins with \"/\" or \"*\"",
                               shown);
    }
    if (g_str_has_suffix(text, "/")) {
        return g_strdup_printf("match-path= \"%s\" can never match, because it names a folder: "
                               "write \"%s*\" for everything below it",
                               shown, shown);
    }
    if (!can_be_real(text) || (g_str_has_suffix(text, "\\") && !g_str_has_suffix(text, "\\\\"))) {
        return g_strdup_printf("match-path= \"%s\" can never match: write the path where the disk really is, "
                               "without \"//\", \"/./\", \"/../\" and a backslash at its end",
                               shown);
    }
    return NULL;
}

static char *
check_type_glob(const DlkPolicyValue *value, const char *text)
{
    return strspn(text, NAME_CHARACTERS "*?[]!") == strlen(text) ? NULL : dlk_policy_wrong(value, text);
}

static char *
check_backend(const DlkPolicyValue *value, const char *text)
{
    g_autofree char *known = g_strjoinv(", ", (char **)value->backends);
    g_auto(GStrv) parts = g_strsplit(text, "+", -1);
    for (guint i = 0; parts[i]; i++) {
        if (!g_strv_contains(value->backends, parts[i])) {
            g_autofree char *shown = dlk_text_printable(parts[i], DLK_POLICY_SHOWN_BYTES);
            return g_strdup_printf("backend= names \"%s\", which does not exist: there are %s", shown, known);
        }
    }
    if (g_strv_length(parts) == 1 || (g_strv_length(parts) == 2 && !g_str_equal(parts[0], parts[1])))
        return NULL;
    return g_strdup_printf("backend= combines with \"+\" two different ones of %s, and not \"%s\"; for the "
                           "caller to choose from name several with \";\" between",
                           known, text);
}

static const char *
kind_word(guint number)
{
    return number < DLK_N_KINDS ? dlk_kind_to_string((DlkKind)number) : NULL;
}

static const char *
mode_word(guint number)
{
    return number < DLK_N_MODES ? dlk_mode_to_string((DlkMode)number) : NULL;
}

static const char *
on_break_word(guint number)
{
    return number < DLK_N_ON_BREAKS ? dlk_on_break_to_string((DlkOnBreak)number) : NULL;
}

static const char *
fallback_word(guint number)
{
    static const char *const words[] = {[DLK_FALLBACK_REFUSE] = "refuse", [DLK_FALLBACK_HOST] = "host"};
    return number < G_N_ELEMENTS(words) ? words[number] : NULL;
}

static const char *
readers_word(guint number)
{
    static const char *const words[] = {[FALSE] = "together", [TRUE] = "strict"};
    return number < G_N_ELEMENTS(words) ? words[number] : NULL;
}

static const char *
reach_word(guint number)
{
    static const char *const words[] = {[DLK_REACH_HOST] = "host", [DLK_REACH_HOSTS] = "hosts"};
    return number < G_N_ELEMENTS(words) ? words[number] : NULL;
}

static const char *
unseen_loss_word(guint number)
{
    static const char *const words[] = {[FALSE] = "accept", [TRUE] = "refuse"};
    return number < G_N_ELEMENTS(words) ? words[number] : NULL;
}

#define RULE(key, field) "Rule", key, G_STRUCT_OFFSET(DlkRule, field)
#define HOST(key, field) "Host", key, G_STRUCT_OFFSET(DlkPolicy, field)
#define LIMIT(key, field) "Limits", key, G_STRUCT_OFFSET(DlkPolicy, limits.field)

#define SECONDS "a number of seconds from 0.01 to 86400, fractions after a dot"
#define PATH "an absolute path without \"//\", \"/./\", \"/../\" and \"/\" at its end"
#define TYPES " with \";\" between, of letters, digits, \"._-\" and the wildcards \"*?[]!\""
#define COUNT "a whole number from 1 to 4294967294"

/* Every key of a policy: where it stands, where its value goes, what it must be, and who reads it. */
static const DlkPolicyKey keys[] = {
    {HOST("id", host_id), "1 to 64 letters, digits and \"._-\"", dlk_policy_read_text, .check = check_name},

    {RULE("match-path", match_paths), "globs of absolute paths with \";\" between", dlk_policy_read_texts,
     .check = check_path_glob},
    {RULE("match-kind", match_kinds), "some of file, block, network with \";\" between",
     dlk_policy_read_words, .word = kind_word},
    {RULE("match-filesystem", match_filesystems), "filesystem types" TYPES, dlk_policy_read_texts,
     .check = check_type_glob},
    {RULE("match-transport", match_transports), "transports" TYPES, dlk_policy_read_texts,
     .check = check_type_glob},
    {RULE("deny", deny), "true or false", dlk_policy_read_boolean},

    {RULE("backend", backends), "names of backends with \";\" between", dlk_policy_read_texts,
     .check = check_backend},
    {RULE("fallback", fallback), "refuse or host", dlk_policy_read_word, .word = fallback_word},
    {RULE("reach", reach), "host or hosts", dlk_policy_read_word, .word = reach_word},
    {RULE("unseen-loss", refuse_unseen_loss), "accept or refuse", dlk_policy_read_word,
     .word = unseen_loss_word},
    {RULE("holder-file", holder_file), "true or false", dlk_policy_read_boolean},
    {RULE("lockspace", lockspace), PATH, dlk_policy_read_text, .check = check_path},
    {RULE("open-as", open_as), "\"owner\" or the name of a user, not a number", dlk_policy_read_text,
     .check = check_user},

    {RULE("modes", modes), "some of exclusive, shared, read-only with \";\" between", dlk_policy_read_words,
     .word = mode_word},
    {RULE("readers", strict_readers), "together or strict", dlk_policy_read_word, .word = readers_word},

    {RULE("check-interval", check_interval), SECONDS, dlk_policy_read_seconds},
    {RULE("risk-timeout", risk_timeout), SECONDS, dlk_policy_read_seconds},
    {RULE("grace", grace), SECONDS, dlk_policy_read_seconds},
    {RULE("unreachable-after", unreachable_after), SECONDS, dlk_policy_read_seconds},
    {RULE("connection-grace", connection_grace), SECONDS, dlk_policy_read_seconds},

    {RULE("on-break", on_break), "signal, pause, terminate, kill or exec", dlk_policy_read_word,
     .word = on_break_word},
    {RULE("on-break-allowed", on_break_allowed),
     "some of signal, pause, terminate, kill, exec with \";\" between", dlk_policy_read_words,
     .word = on_break_word},
    {RULE("exec", exec), PATH, dlk_policy_read_text, .check = check_path},

    {LIMIT("leases-per-uid", leases_per_uid), COUNT, dlk_policy_read_count, .least = 1,
     .most = G_MAXUINT - 1},
    {LIMIT("waiters-per-uid", waiters_per_uid), COUNT, dlk_policy_read_count, .least = 1,
     .most = G_MAXUINT - 1},
    {LIMIT("questions-per-uid", questions_per_uid), COUNT, dlk_policy_read_count, .least = 1,
     .most = G_MAXUINT - 1},
    {LIMIT("leases", leases), COUNT, dlk_policy_read_count, .least = 1, .most = G_MAXUINT - 1},
    {LIMIT("string-length", string_length), "a whole number of bytes from 16 to 65536", dlk_policy_read_count,
     .least = 16, .most = 65536},
};

gboolean
dlk_policy_keys_has_section(const char *kind)
{
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++)
        if (g_str_equal(keys[i].section, kind))
            return TRUE;
    return FALSE;
}

const DlkPolicyKey *
dlk_policy_keys_find(const char *kind, const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++)
        if (g_str_equal(keys[i].section, kind) && g_str_equal(keys[i].name, name))
            return &keys[i];
    return NULL;
}

char *
dlk_policy_keys_list(const char *kind)
{
    GString *list = g_string_new(NULL);
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++)
        if (g_str_equal(keys[i].section, kind))
            g_string_append_printf(list, "%s%s", list->len > 0 ? ", " : "", keys[i].name);
    return g_string_free(list, FALSE);
}

char *
dlk_policy_key_read(const DlkPolicyKey *key, const DlkPolicySection *section, const char *const *backends,
                    gpointer record)
{
    const DlkPolicyValue value = {
        .file = section->values,
        .name = key->name,
        .expects = key->expects,
        .backends = backends,
        .check = key->check,
        .word = key->word,
        .least = key->least,
        .most = key->most,
    };
    return key->read(&value, G_STRUCT_MEMBER_P(record, key->offset));
}
