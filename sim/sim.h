// `byway sim`: scenarios, the random tester, scale runs.
#ifndef SIM_SIM_H
#define SIM_SIM_H

// argv[0] is the word "sim". Exit status: 0 done, 1 something was wrong with the mesh, 2 wrong usage.
int sim_main(int argc, char **argv);

#endif
