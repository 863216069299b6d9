#include "model/policy-parser.h"

#include "base/error.h"
#include "base/text.h"
#include "model/policy-keys.h"

#include <string.h>

#define SHOWN_BYTES 64

struct _DlkPolicyParser {
    char **backends;
    DlkPolicy *policy;
    GHashTable *given; /* set of "Rule web", "Limits leases": what an earlier file said */
    GPtrArray *mistakes;
};

/* Reader: one file on its way into the policy. */
typedef struct {
    DlkPolicyParser *parser;
    const char *file;
    GPtrArray *mistakes; /* of this file */
    GPtrArray *given;    /* of char *: what this file says for the first time */
} Reader;

DlkPolicyParser *
dlk_policy_parser_new(const char *const *backends)
{
    DlkPolicyParser *self = g_new(DlkPolicyParser, 1);
    self->backends = g_strdupv((char **)backends);
    self->policy = dlk_policy_new();
    self->given = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    self->mistakes = dlk_mistakes_new();
    return self;
}

void
dlk_policy_parser_free(DlkPolicyParser *self)
{
    g_strfreev(self->backends);
    dlk_policy_unref(self->policy);
    g_hash_table_unref(self->given);
    g_ptr_array_unref(self->mistakes);
    g_free(self);
}

static void G_GNUC_PRINTF(3, 4) report(Reader *reader, guint line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    dlk_mistakes_add(reader->mistakes, reader->file, line, g_strdup_vprintf(format, arguments));
    va_end(arguments);
}

/* Is it @reader's file that gives "@kind @name"? Then no later file changes it. */
static gboolean
is_first_word(Reader *reader, const char *kind, const char *name)
{
    g_autofree char *full_name = g_strdup_printf("%s %s", kind, name);
    if (g_hash_table_contains(reader->parser->given, full_name))
        return FALSE;
    g_ptr_array_add(reader->given, g_steal_pointer(&full_name));
    return TRUE;
}

static void
read_entry(Reader *reader, const DlkPolicySection *section, DlkPolicyEntry *entry, gpointer record)
{
    const DlkPolicyKey *key = dlk_policy_keys_find(section->kind, entry->key);
    if (!key) {
        g_autofree char *known = dlk_policy_keys_list(section->kind);
        report(reader, entry->line, "there is no key %s= in [%s]: there are %s", entry->key, section->kind,
               known);
        return;
    }
    const char *const *backends = (const char *const *)reader->parser->backends;
    g_autofree char *reason = dlk_policy_key_read(key, section, backends, record);
    if (reason) {
        entry->spoiled = TRUE;
        report(reader, entry->line, "%s", reason);
    }
}

static void
read_entries(Reader *reader, const DlkPolicySection *section, gpointer record)
{
    for (guint i = 0; i < section->entries->len; i++)
        read_entry(reader, section, section->entries->pdata[i], record);
}

/* [Host] and [Limits]: the first word counts key by key. */
static void
read_settings(Reader *reader, const DlkPolicySection *section)
{
    g_autoptr(DlkPolicy) overridden = dlk_policy_new();
    if (*section->name)
        report(reader, section->line, "[%s] has no name: write [%s]", section->kind, section->kind);
    for (guint i = 0; i < section->entries->len; i++) {
        DlkPolicyEntry *entry = section->entries->pdata[i];
        const gboolean first = is_first_word(reader, section->kind, entry->key);
        read_entry(reader, section, entry, first ? reader->parser->policy : overridden);
    }
}

static void
check_rule_name(Reader *reader, const DlkPolicySection *section)
{
    const char *const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    g_autofree char *shown = dlk_text_printable(section->name, SHOWN_BYTES);
    if (!*section->name) {
        report(reader, section->line, "a rule needs a name: write [Rule NAME]");
    } else if (strspn(section->name, allowed) != strlen(section->name) || strlen(section->name) > 64) {
        report(reader, section->line, "\"%s\" is no name for a rule: 1 to 64 letters, digits and \"._-\"",
               shown);
    } else if (g_str_equal(section->name, "no-rule")) {
        report(reader, section->line,
               "no-rule is the name of the built-in rule behind the last one: choose another");
    }
}

/* The entry of @key, unless it is missing or its value was a mistake. */
static const DlkPolicyEntry *
find_good(const DlkPolicySection *section, const char *key)
{
    const DlkPolicyEntry *entry = dlk_policy_section_find(section, key);
    return entry && !entry->spoiled ? entry : NULL;
}

static gboolean
is_spoiled(const DlkPolicySection *section, const char *key)
{
    const DlkPolicyEntry *entry = dlk_policy_section_find(section, key);
    return entry && entry->spoiled;
}

/* Conditions that no disk meets together: only block devices have a transport, only files a filesystem. */
static void
check_conditions(Reader *reader, const DlkPolicySection *section, const DlkRule *rule)
{
    const DlkPolicyEntry *filesystem = find_good(section, "match-filesystem");
    const DlkPolicyEntry *transport = find_good(section, "match-transport");
    if (filesystem && transport) {
        report(
            reader, MAX(filesystem->line, transport->line),
            "match-filesystem= and match-transport= never match together: a disk is on a filesystem or is a "
            "device with a transport; write two rules");
    }
    if (rule->match_kinds == 0)
        return;
    if (filesystem && !(rule->match_kinds & 1u << DLK_KIND_FILE)) {
        report(reader, filesystem->line,
               "match-filesystem= never matches with this match-kind=, which must hold file, "
               "because only a file is on a filesystem");
    }
    if (transport && !(rule->match_kinds & 1u << DLK_KIND_BLOCK)) {
        report(reader, transport->line,
               "match-transport= never matches with this match-kind=, which must hold block, "
               "because only a block device has a transport");
    }
}

/* What can never be met is a mistake here and not a refusal of every lease later. */
static void
check_reach(Reader *reader, const DlkPolicySection *section, const DlkRule *rule)
{
    const DlkPolicyEntry *reach = find_good(section, "reach");
    if (!reach || rule->reach != DLK_REACH_HOSTS || is_spoiled(section, "backend") ||
        is_spoiled(section, "fallback"))
        return;
    if (g_str_equal(rule->backends[0], "host"))
        report(reader, reach->line,
               "reach=hosts never holds with backend=host, which is known to this host alone: name a "
               "backend that keeps out other hosts");
    else if (rule->fallback == DLK_FALLBACK_HOST)
        report(reader, reach->line,
               "reach=hosts and fallback=host contradict each other: the fallback protects the disk on this "
               "host alone");
}

static void
check_on_break(Reader *reader, const DlkPolicySection *section, DlkRule *rule)
{
    if (is_spoiled(section, "on-break") || is_spoiled(section, "on-break-allowed") ||
        is_spoiled(section, "exec"))
        return;
    const DlkPolicyEntry *allowed = find_good(section, "on-break-allowed");
    const DlkPolicyEntry *given = find_good(section, "on-break");
    const DlkPolicyEntry *chosen = given ? given : allowed;
    if (rule->exec && !allowed)
        rule->on_break_allowed |= 1u << DLK_ON_BREAK_EXEC;
    if (!rule->exec && allowed && rule->on_break_allowed & 1u << DLK_ON_BREAK_EXEC)
        report(reader, allowed->line, "on-break-allowed= holds exec: say with exec= which program to run");
    if (!rule->exec && rule->on_break == DLK_ON_BREAK_EXEC) {
        report(reader, chosen->line, "on-break=exec runs a program: say with exec= which one");
    } else if (!(rule->on_break_allowed & 1u << rule->on_break)) {
        report(reader, chosen->line,
               "on-break=%s%s is not among on-break-allowed=: add it there or choose another",
               dlk_on_break_to_string(rule->on_break), given ? "" : ", the default,");
    }
}

static void
read_rule(Reader *reader, const DlkPolicySection *section)
{
    g_autoptr(DlkRule) rule = dlk_rule_new(section->name);
    check_rule_name(reader, section);
    read_entries(reader, section, rule);
    check_conditions(reader, section, rule);
    check_reach(reader, section, rule);
    check_on_break(reader, section, rule);
    if (is_first_word(reader, section->kind, section->name))
        g_ptr_array_add(reader->parser->policy->rules, g_steal_pointer(&rule));
}

static void
read_section(Reader *reader, const DlkPolicySection *section)
{
    if (!dlk_policy_keys_has_section(section->kind)) {
        g_autofree char *shown = dlk_text_printable(section->kind, SHOWN_BYTES);
        report(reader, section->line, "there is no section [%s]: there are [Rule NAME], [Host] and [Limits]",
               shown);
    } else if (g_str_equal(section->kind, "Rule")) {
        read_rule(reader, section);
    } else {
        read_settings(reader, section);
    }
}

void
dlk_policy_parser_add(DlkPolicyParser *self, const char *file, const char *text, gsize length)
{
    GPtrArray *mistakes = dlk_mistakes_new();
    g_autoptr(GPtrArray) given = g_ptr_array_new();
    g_autoptr(GPtrArray) sections = dlk_policy_text_split(file, text, length, mistakes);
    Reader reader = {.parser = self, .file = file, .mistakes = mistakes, .given = given};
    for (guint i = 0; i < sections->len; i++)
        read_section(&reader, sections->pdata[i]);
    for (guint i = 0; i < given->len; i++)
        g_hash_table_add(self->given, given->pdata[i]);
    dlk_mistakes_sort(mistakes);
    g_ptr_array_extend_and_steal(self->mistakes, mistakes);
}

void
dlk_policy_parser_add_mistake(DlkPolicyParser *self, const char *file, guint line, const char *reason)
{
    dlk_mistakes_add(self->mistakes, file, line, g_strdup(reason));
}

GPtrArray *
dlk_policy_parser_mistakes(DlkPolicyParser *self)
{
    return self->mistakes;
}

static char *
list_mistakes(const GPtrArray *mistakes)
{
    GString *list = g_string_new(NULL);
    for (guint i = 0; i < mistakes->len; i++) {
        g_autofree char *line = dlk_mistake_to_string(mistakes->pdata[i]);
        g_string_append_printf(list, "%s%s", i > 0 ? "\n" : "", line);
    }
    return g_string_free(list, FALSE);
}

DlkPolicy *
dlk_policy_parser_finish(DlkPolicyParser *self, GError **error)
{
    if (self->mistakes->len > 0) {
        g_autofree char *list = list_mistakes(self->mistakes);
        g_set_error_literal(error, DLK_ERROR, DLK_ERROR_BAD_POLICY, list);
        return NULL;
    }
    return dlk_policy_ref(self->policy);
}
