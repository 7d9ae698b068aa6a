// byway-sim-standin: `byway sim` with the stand-in. It is run by `byway sim`, which gives it its own arguments.
#include <string.h>

#include "sim/sim.h"

int main(int argc, char **argv)
{
    static char word[] = "sim";
    if (argc > 0 && strcmp(argv[0], word)) argv[0] = word;
    return sim_main(argc, argv);
}
