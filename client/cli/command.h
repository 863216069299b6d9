#pragma once

#include "json.h"

#include <glib.h>

/** DlkSettings: the options that every command takes. */
typedef struct {
    DlkJsonStyle json;
    gboolean legend;       /* headings and totals */
    gboolean ask_password; /* may polkit ask the user? */
} DlkSettings;

/** DlkInvocation: one command line, after its options were read. */
typedef struct {
    const DlkSettings *settings;
    char **arguments; /* %NULL-ended */
    guint n_arguments;
    char **command_line; /* what follows `--`, %NULL-ended; %NULL: there was none */
} DlkInvocation;

/** DlkCommand: one verb of disklockctl; the table of them in main.c makes the help. */
typedef struct {
    const char *name;       /* "list"; or two words: "domain acquire" */
    const char *parameters; /* for the help: "LEASE…" */
    const char *summary;
    const char *details; /* further help, or %NULL */
    guint min_arguments, max_arguments;
    gboolean takes_command_line;
    int failure_base;               /* added to the code of a failure of disklockctl itself */
    const GOptionEntry *options[3]; /* each ended by an empty entry; %NULL: none */
    int (*run)(const DlkInvocation *invocation);
} DlkCommand;

extern const DlkCommand dlk_command_list;
extern const DlkCommand dlk_command_show;
extern const DlkCommand dlk_command_inspect;
extern const DlkCommand dlk_command_acquire;
extern const DlkCommand dlk_command_release;
extern const DlkCommand dlk_command_run;
extern const DlkCommand dlk_command_break;
extern const DlkCommand dlk_command_fence;
extern const DlkCommand dlk_command_domain_acquire;
extern const DlkCommand dlk_command_domain_release;
extern const DlkCommand dlk_command_domain_inspect;
extern const DlkCommand dlk_command_libvirt_enable;
extern const DlkCommand dlk_command_libvirt_disable;
extern const DlkCommand dlk_command_libvirt_status;
extern const DlkCommand dlk_command_monitor;
extern const DlkCommand dlk_command_check_config;
extern const DlkCommand dlk_command_status;
extern const DlkCommand dlk_command_reload;
