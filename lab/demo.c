#include "lab/commands.h"
#include "lab/say.h"
int lab_cmd_demo(struct lab_call *c) { (void)c; return lab_fail("the demonstration is not written yet"); }
