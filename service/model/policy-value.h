#pragma once

#include <glib.h>

/* How much of a wrong value a message repeats. */
#define DLK_POLICY_SHOWN_BYTES 80

/* Shorter is a busy loop, longer is never. */
#define DLK_POLICY_MIN_SECONDS 0.01
#define DLK_POLICY_MAX_SECONDS 86400.0

typedef struct _DlkPolicyValue DlkPolicyValue;

/** Is @text, one whole value or one item of a list, right? %NULL, or the reason why not (g_free()). */
typedef char *(*DlkPolicyCheck)(const DlkPolicyValue *value, const char *text);
/** The word for @number, %NULL behind the last. */
typedef const char *(*DlkPolicyWord)(guint number);

/** DlkPolicyValue: the value of one key as it stands in the file, and what it must be. */
struct _DlkPolicyValue {
    GKeyFile *file; /* the key is in its group DLK_POLICY_GROUP */
    const char *name;
    const char *expects;         /* for people: "NAME= must be …" */
    const char *const *backends; /* that exist */
    DlkPolicyCheck check;        /* for read_text and read_texts */
    DlkPolicyWord word;          /* for read_word and read_words: the words that may be said */
    guint least, most;           /* for read_count */
};

/** "NAME= must be …, not "TEXT"". Free with g_free(). */
char *dlk_policy_wrong(const DlkPolicyValue *value, const char *text);

/*
 * Each reads the value into @field and returns %NULL, or leaves @field alone and returns the reason why it is
 * a mistake (g_free()). The type of @field: char *, char ** (both owned), guint or an enum, guint of bits 1
 * << number, gint64 of microseconds, guint, gboolean.
 */
char *dlk_policy_read_text(const DlkPolicyValue *value, gpointer field);
char *dlk_policy_read_texts(const DlkPolicyValue *value, gpointer field);
char *dlk_policy_read_word(const DlkPolicyValue *value, gpointer field);
char *dlk_policy_read_words(const DlkPolicyValue *value, gpointer field);
char *dlk_policy_read_seconds(const DlkPolicyValue *value, gpointer field);
char *dlk_policy_read_count(const DlkPolicyValue *value, gpointer field);
char *dlk_policy_read_boolean(const DlkPolicyValue *value, gpointer field);
