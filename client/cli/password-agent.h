#pragma once

/**
 * DlkPasswordAgent: polkit's agent for text terminals; asks for the password where no desktop's agent does.
 */
typedef struct _DlkPasswordAgent DlkPasswordAgent;

/** Starts the agent and waits until it is ready. %NULL: there is none; then polkit says no by itself. */
DlkPasswordAgent *dlk_password_agent_start(void);
void dlk_password_agent_stop(DlkPasswordAgent *self);
