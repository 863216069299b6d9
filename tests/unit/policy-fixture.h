#pragma once

/* What the tests of the policy share. */

#include "base/error.h"
#include "model/policy-parser.h"

#include <string.h>

#define POLICY_NAME "test.conf"

static const char *const policy_backends[] = {"fcntl", "host", "scsi", NULL};

/* The policy that @text says, without any mistake. */
static inline DlkPolicy *
parse_policy(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkPolicyParser) parser = dlk_policy_parser_new(policy_backends);
    dlk_policy_parser_add(parser, POLICY_NAME, text, strlen(text));
    DlkPolicy *policy = dlk_policy_parser_finish(parser, &error);
    g_assert_no_error(error);
    g_assert_nonnull(policy);
    return policy;
}

/* Everything that is wrong in @text, one mistake a line. */
static inline char *
policy_mistakes(const char *text, gsize length)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkPolicyParser) parser = dlk_policy_parser_new(policy_backends);
    dlk_policy_parser_add(parser, POLICY_NAME, text, length);
    g_autoptr(DlkPolicy) policy = dlk_policy_parser_finish(parser, &error);
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BAD_POLICY);
    g_assert_null(policy);
    return g_strdup(error->message);
}

/* Are the mistakes of @text exactly the lines that follow, each beginning so? Ended by %NULL. */
static inline void G_GNUC_NULL_TERMINATED
assert_policy_mistakes(const char *text, ...)
{
    g_autofree char *message = policy_mistakes(text, strlen(text));
    g_auto(GStrv) lines = g_strsplit(message, "\n", -1);
    guint count = 0;
    va_list expected;
    va_start(expected, text);
    for (const char *line = va_arg(expected, const char *); line; line = va_arg(expected, const char *)) {
        if (!lines[count] || !g_str_has_prefix(lines[count], line)) {
            g_test_message("expected \"%s\" as number %u of\n%s", line, count + 1, message);
            g_test_fail();
            break;
        }
        count++;
    }
    va_end(expected);
    if (!g_test_failed() && lines[count]) {
        g_test_message("unexpected: %s", lines[count]);
        g_test_fail();
    }
}

static inline DlkDisk *
file_disk(const char *path, const char *filesystem)
{
    DlkDisk *disk = dlk_disk_new(DLK_KIND_FILE, "file:8:1:4711");
    disk->path = g_strdup(path);
    disk->filesystem = g_strdup(filesystem);
    return disk;
}

static inline DlkDisk *
block_disk(const char *path, const char *transport)
{
    DlkDisk *disk = dlk_disk_new(DLK_KIND_BLOCK, "block:8:0");
    disk->path = g_strdup(path);
    disk->transport = g_strdup(transport);
    return disk;
}
