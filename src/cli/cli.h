// The command line: one file per subcommand (INTERFACES, "Commands"). It speaks to the daemon's socket and to nothing
// else, except where there is no daemon yet (run, check, key).
#ifndef CLI_CLI_H
#define CLI_CLI_H

// The whole program. Exit status: 0 done, 1 failed, 2 wrong usage.
int cli_main(int argc, char **argv);

#endif
