// `byway lab`: meshes of network namespaces on one machine (docs/guide/lab.md). One keeper process per lab holds every
// namespace, wire and node; whatever ends it, SIGKILL too, ends them with it.
#ifndef LAB_LAB_H
#define LAB_LAB_H

// argv[0] is "lab", the words after it are the command. Returns the exit status: 0 done, 1 failed, 2 wrong usage;
// `lab exec` returns that of the command it ran.
int lab_main(int argc, char **argv);

#endif
