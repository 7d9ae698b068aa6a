// Messages of the lab's commands to the person at the terminal.
#ifndef LAB_SAY_H
#define LAB_SAY_H

#include "base/err.h"

int lab_fail(const char *fmt, ...) BW_PRINTF(1, 2);  // "byway: ..." on standard error; returns 1
int lab_usage(const char *fmt, ...) BW_PRINTF(1, 2); // likewise, and where help is; returns 2

#endif
