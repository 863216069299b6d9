#include "backend/backends.h"
#include "base/error.h"
#include "command.h"
#include "config.h"
#include "failure.h"
#include "host/policy-files.h"
#include "printable.h"

#include <stdio.h>

/* Every mistake is a line of its own, as compilers write them. */
static void
print_mistakes(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i]; i++) {
        g_autofree char *line = dlk_printable(lines[i]);
        fprintf(stderr, "%s\n", line);
    }
}

static int
run(const DlkInvocation *invocation)
{
    g_autoptr(GError) error = NULL;
    const char *file = invocation->arguments[0];
    const char *name = file ?: POLICY_DIR "/disklock.conf";
    g_autoptr(DlkPolicy) policy = dlk_policy_files_load(file, NULL, dlk_backends_names(), &error);
    if (!policy) {
        print_mistakes(error->message);
        return DLK_EXIT_FAILURE;
    }
    g_autofree char *printable = dlk_printable(name);
    if (invocation->settings->json != DLK_JSON_OFF) {
        g_autofree char *valid = g_utf8_make_valid(name, -1);
        dlk_json_print(g_variant_new_parsed("{'File': <%s>, 'Rules': <%u>}", valid, policy->rules->len),
                       invocation->settings->json);
    } else {
        printf("%s: %u %s, good\n", printable, policy->rules->len,
               policy->rules->len == 1 ? "rule" : "rules");
    }
    return DLK_EXIT_SUCCESS;
}

const DlkCommand dlk_command_check_config = {
    .name = "check-config",
    .parameters = "[FILE]",
    .summary = "Check the policy, or FILE as the whole of one; needs no service",
    .max_arguments = 1,
    .run = run,
};
