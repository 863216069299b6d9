#pragma once

/* What noop-service is called, and its object, interface and method. */
#define NOOP_NAME "org.disklock.Perf"
#define NOOP_PATH "/org/disklock/Perf"
#define NOOP_METHOD "Nothing"
