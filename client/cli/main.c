#include "command.h"
#include "config.h"
#include "failure.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>

static const DlkCommand *const commands[] = {
    &dlk_command_list,
    &dlk_command_show,
    &dlk_command_inspect,
    &dlk_command_acquire,
    &dlk_command_run,
    &dlk_command_release,
    &dlk_command_domain_acquire,
    &dlk_command_domain_release,
    &dlk_command_domain_inspect,
    &dlk_command_break,
    &dlk_command_fence,
    &dlk_command_monitor,
    &dlk_command_status,
    &dlk_command_reload,
    &dlk_command_check_config,
    &dlk_command_libvirt_enable,
    &dlk_command_libvirt_disable,
    &dlk_command_libvirt_status,
};

static char *option_json;
static gboolean option_no_legend, option_no_ask_password, option_help, option_version;

static const GOptionEntry options[] = {
    {"json", 'j', 0, G_OPTION_ARG_FILENAME, &option_json, "Print JSON: short (one line) or pretty", "STYLE"},
    {"no-legend", 0, 0, G_OPTION_ARG_NONE, &option_no_legend, "Print no headings and no totals", NULL},
    {"no-ask-password", 0, 0, G_OPTION_ARG_NONE, &option_no_ask_password,
     "Never let polkit ask for a password", NULL},
    {"help", 'h', 0, G_OPTION_ARG_NONE, &option_help, "Print this help", NULL},
    {"version", 0, 0, G_OPTION_ARG_NONE, &option_version, "Print the version", NULL},
    {NULL},
};

static const char exit_codes[] =
    "Exit codes:\n"
    "  0  done\n"
    "  1  any other failure\n"
    "  2  usage: the command line, or an argument that the service refuses\n"
    "  3  busy: somebody has the disk, or the wait for it was in vain\n"
    "  4  denied by polkit, by the policy, or because the lease is not yours\n"
    "  5  unreachable: the bus, the service, or the disk's storage does not answer\n"
    "  6  no such lease, or no such disk\n"
    "run passes the command's code on; its own failures are 110 + these.\n";

static const char environment[] =
    "Environment:\n"
    "  DBUS_SYSTEM_BUS_ADDRESS          The bus, in place of the system's own\n"
    "  NO_COLOR                         If set and not empty: no colours\n"
    "  TERM                             If not set, or dumb: no colours\n"
    "  LIBVIRT_LOCK_MANAGER_PLUGIN_DIR  Where libvirt looks for lock drivers, in place of its own folder\n";

static const DlkCommand *
find_command(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++)
        if (g_str_equal(commands[i]->name, name))
            return commands[i];
    return NULL;
}

static void
print_help(void)
{
    puts("Usage:\n  disklockctl [COMMAND] [OPTION…]\n\nTakes disks, says who has them, and gives them "
         "back.\n\nCommands:");
    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++)
        printf("  %-15s %s\n", commands[i]->name, commands[i]->summary);
    puts("\nOptions:");
    for (const GOptionEntry *option = options; option->long_name; option++) {
        g_autofree char *name = g_strconcat("--", option->long_name, option->arg_description ? "=" : NULL,
                                            option->arg_description, NULL);
        printf("  %-18s %s\n", name, option->description);
    }
    printf("\n%s\n%s\nMore about a command: disklockctl COMMAND --help. See also disklockctl(1).\n",
           environment, exit_codes);
}

/* GOption takes words out of the array that it is given. */
static char **
copy_words(const GPtrArray *words)
{
    char **copy = g_new0(char *, words->len + 1);
    for (guint i = 0; i < words->len; i++)
        copy[i] = words->pdata[i];
    return copy;
}

/*
 * Reads the options before the command's name, and takes both out of @words. %NULL: there is no command; what
 * stands there belongs to `list`.
 */
static char *
take_command_name(GPtrArray *words)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autofree char **left = copy_words(words);
    int count = (int)words->len;
    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_set_strict_posix(context, TRUE);
    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, &count, &left, NULL) || count < 2)
        return NULL;
    char *name = left[1];
    g_ptr_array_set_size(words, 1);
    for (int i = 2; i < count; i++)
        g_ptr_array_add(words, left[i]);
    return name;
}

/* Is @word the first of two that name a command? */
static gboolean
begins_name(const char *word)
{
    g_autofree char *prefix = g_strconcat(word, " ", NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++)
        if (g_str_has_prefix(commands[i]->name, prefix))
            return TRUE;
    return FALSE;
}

/* As take_command_name(), of one word or two. Free with g_free(). */
static char *
take_full_name(GPtrArray *words)
{
    const char *first = take_command_name(words);
    const char *second = first && begins_name(first) ? take_command_name(words) : NULL;
    return second ? g_strjoin(" ", first, second, NULL) : g_strdup(first);
}

static GOptionContext *
create_context(const DlkCommand *command)
{
    g_autofree char *usage = g_strjoin(" ", command->name, command->parameters, NULL);
    g_autofree char *description =
        g_strconcat(command->details ?: "", command->details ? "\n\n" : "", exit_codes, NULL);
    GOptionContext *context = g_option_context_new(usage);
    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_set_summary(context, command->summary);
    g_option_context_set_description(context, description);
    g_option_context_add_main_entries(context, options, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(command->options) && command->options[i]; i++)
        g_option_context_add_main_entries(context, command->options[i], NULL);
    return context;
}

static int
refuse_usage(const DlkCommand *command, const char *reason)
{
    dlk_warn("%s", reason);
    fprintf(stderr, "hint: disklockctl %s --help\n", command->name);
    return command->failure_base + DLK_EXIT_USAGE;
}

static const char *
find_mistake(const DlkCommand *command, const DlkInvocation *invocation)
{
    if (option_json && !g_str_equal(option_json, "short") && !g_str_equal(option_json, "pretty"))
        return "--json must be short or pretty";
    if (invocation->n_arguments < command->min_arguments)
        return "an argument is missing";
    if (invocation->n_arguments > command->max_arguments)
        return "there is an argument too many";
    if (command->takes_command_line && (!invocation->command_line || !invocation->command_line[0]))
        return "the command to run is missing: it stands behind --";
    return NULL;
}

static DlkJsonStyle
json_style(void)
{
    if (!option_json)
        return DLK_JSON_OFF;
    return g_str_equal(option_json, "short") ? DLK_JSON_SHORT : DLK_JSON_PRETTY;
}

/* @words: the command line without the command's name; @rest: what followed `--`, or NULL. */
static int
run_command(const DlkCommand *command, GPtrArray *words, char **rest)
{
    g_autoptr(GOptionContext) context = create_context(command);
    g_autoptr(GError) error = NULL;
    g_autofree char **left = copy_words(words);
    int count = (int)words->len;
    if (!g_option_context_parse(context, &count, &left, &error))
        return refuse_usage(command, error->message);
    if (option_help) {
        g_autofree char *help = g_option_context_get_help(context, TRUE, NULL);
        fputs(help, stdout);
        return DLK_EXIT_SUCCESS;
    }
    g_autoptr(GPtrArray) arguments = g_ptr_array_new();
    for (int i = 1; i < count; i++)
        g_ptr_array_add(arguments, left[i]);
    for (guint i = 0; rest && rest[i] && !command->takes_command_line; i++)
        g_ptr_array_add(arguments, rest[i]);
    g_ptr_array_add(arguments, NULL);
    const DlkSettings settings = {
        .json = json_style(),
        .legend = !option_no_legend,
        .ask_password = !option_no_ask_password,
    };
    const DlkInvocation invocation = {
        .settings = &settings,
        .arguments = (char **)arguments->pdata,
        .n_arguments = arguments->len - 1,
        .command_line = rest,
    };
    const char *mistake = find_mistake(command, &invocation);
    return mistake ? refuse_usage(command, mistake) : command->run(&invocation);
}

static int
choose_command(int argc, char **argv)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    char **rest = NULL;
    for (int i = 0; i < argc && !rest; i++)
        if (g_str_equal(argv[i], "--"))
            rest = argv + i + 1;
        else
            g_ptr_array_add(words, argv[i]);
    g_autofree char *name = take_full_name(words);
    if (!name && option_version) {
        puts("disklockctl " PACKAGE_VERSION);
        return DLK_EXIT_SUCCESS;
    }
    if (option_help && (!name || begins_name(name))) {
        print_help();
        return DLK_EXIT_SUCCESS;
    }
    const DlkCommand *command = name ? find_command(name) : &dlk_command_list;
    if (!command) {
        dlk_warn(begins_name(name) ? "'%s' what? A second word says it" : "there is no command '%s'", name);
        dlk_hint("disklockctl --help");
        return DLK_EXIT_USAGE;
    }
    return run_command(command, words, rest);
}

int
main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    g_set_prgname("disklockctl");
    const int code = choose_command(argc, argv);
    if (fflush(stdout) != 0 && code == DLK_EXIT_SUCCESS) {
        dlk_warn("standard output: %s", g_strerror(errno));
        return DLK_EXIT_FAILURE;
    }
    return code;
}
