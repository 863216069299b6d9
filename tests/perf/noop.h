#pragma once

/* What noop-service is called, and its object, interface and methods. */
#define NOOP_NAME "org.disklock.Perf"
#define NOOP_PATH "/org/disklock/Perf"
#define NOOP_METHOD "Nothing"
/* With the arguments and results of the Manager's, and, for the first, a job of the pool; nothing is done. */
#define NOOP_ACQUIRE "Acquire"
#define NOOP_RELEASE "Release"
