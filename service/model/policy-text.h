#pragma once

#include <glib.h>

/** DlkPolicyEntry: where one key stands. */
typedef struct {
    char *key;
    guint line;
    gboolean spoiled; /* its value is a mistake that has been reported */
} DlkPolicyEntry;

/** DlkPolicySection: one [KIND] or [KIND NAME], from its header to the next. */
typedef struct {
    char *kind;         /* "Rule" */
    char *name;         /* "web" of [Rule web], "" where there is none */
    guint line;         /* of the header */
    GPtrArray *entries; /* of DlkPolicyEntry, each key once */
    GKeyFile *values;   /* the entries' values, in the group DLK_POLICY_GROUP */
} DlkPolicySection;

#define DLK_POLICY_GROUP "values"
#define DLK_POLICY_MAX_FILE (1024 * 1024)

/** The entry of @key, borrowed, or %NULL. */
DlkPolicyEntry *dlk_policy_section_find(const DlkPolicySection *self, const char *key);

/**
 * dlk_policy_text_split: the sections of one file's text, of DlkPolicySection, in their order.
 *
 * GKeyFile reads values but knows no line numbers, gives up at the first mistake and takes the last of two
 * equal keys silently; so the lines are sorted out here, and it gets the values only.
 * @length: bytes; the text need not end with NUL. @file names the text in @mistakes, to which each line is
 * added that is no comment, section or key=value, is not clean UTF-8, or repeats a section or key.
 */
GPtrArray *dlk_policy_text_split(const char *file, const char *text, gsize length, GPtrArray *mistakes);
