#include "CLinux.h"

static _Thread_local void *thread_worker;

void *chimera_thread_worker(void) { return thread_worker; }
void chimera_set_thread_worker(void *worker) { thread_worker = worker; }
