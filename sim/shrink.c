// Failing scenarios made small: delta debugging (Zeller, Hildebrandt 2002) over events, wires and exits.
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/random.h"

int play_guarded(const struct scenario *s, const struct play_options *o, struct play_result *r)
{
    int fd[2];
    *r = (struct play_result){.statement = UINT32_MAX};
    fflush(stdout);
    fflush(stderr);
    if (pipe(fd)) return BW_ERR_SYS;
    pid_t pid = fork();
    if (pid < 0) {
        close(fd[0]), close(fd[1]);
        return BW_ERR_SYS;
    }
    if (!pid) {
        struct play_result mine;
        close(fd[0]);
        if (play(s, o, &mine)) _exit(3);
        play_result_free(&mine);
        _exit(write(fd[1], &mine, sizeof mine) == (ssize_t)sizeof mine ? 0 : 3);
    }
    close(fd[1]);
    size_t have = 0;
    for (ssize_t n; have < sizeof *r && (n = read(fd[0], (char *)r + have, sizeof *r - have)) > 0;) have += (size_t)n;
    close(fd[0]);
    int status;
    if (waitpid(pid, &status, 0) < 0) return BW_ERR_SYS;
    if (have == sizeof *r) return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 3) return BW_ERR_NOMEM;
    *r = (struct play_result){.violation = VIOLATION_CRASH, .statement = UINT32_MAX, .when = s->end};
    if (WIFSIGNALED(status)) snprintf(r->what, sizeof r->what, "the simulation died of signal %d (an assertion or a wild pointer)", WTERMSIG(status));
    else snprintf(r->what, sizeof r->what, "the simulation ended with status %d", WEXITSTATUS(status));
    return 0;
}

struct shrinker {
    struct scenario *s;
    struct play_result *r;
    enum violation kind;
    unsigned runs, max_runs;
    uint64_t steps, max_steps; // of all runs: so that it ends in time, but not by the clock on the wall
};

static bool still_fails(struct shrinker *k, const struct scenario *candidate)
{
    static const struct play_options quiet = {0};
    struct play_result r;
    if (k->runs >= k->max_runs || k->steps > k->max_steps) return false;
    k->runs++;
    if (play_guarded(candidate, &quiet, &r)) return false;
    k->steps += r.steps + 1000;
    if (r.violation != k->kind) return false;
    *k->r = r;
    return true;
}

static uint32_t count_of(const struct scenario *s, int what)
{
    return what == 0 ? s->count : what == 1 ? s->link_count : s->exit_count;
}

// Events that speak of a wire that is gone do nothing, but the text would not be read again.
static bool speaks_of_gone(const struct scenario *s, const struct statement *t)
{
    if ((t->verb != DO_CUT && t->verb != DO_HEAL && t->verb != DO_WIRE) || t->a == SCENARIO_ALL) return false;
    for (uint32_t i = 0; i < s->link_count; i++)
        if ((s->links[i].a == t->a && s->links[i].b == t->b) || (s->links[i].a == t->b && s->links[i].b == t->a)) return false;
    return true;
}

static void leave_out(struct scenario *s, int what, uint32_t from, uint32_t n)
{
    if (what == 2) {
        memmove(s->exits + from, s->exits + from + n, (s->exit_count - from - n) * sizeof *s->exits);
        s->exit_count -= n;
        return;
    }
    if (what == 1) {
        memmove(s->links + from, s->links + from + n, (s->link_count - from - n) * sizeof *s->links);
        s->link_count -= n;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        struct statement *t = &s->v[i];
        bool last = t->verb == DO_EXPECT || t->verb == DO_CALM; // what is expected at the end stays
        if (what == 0 ? i >= from && i < from + n && !last : speaks_of_gone(s, t)) free(t->set);
        else s->v[kept++] = *t;
    }
    s->count = kept;
}

static void reduce(struct shrinker *k, int what)
{
    for (uint32_t n = count_of(k->s, what) / 2 + 1; n; n = n > 1 ? n / 2 : 0) {
        for (uint32_t from = 0; from < count_of(k->s, what) && k->runs < k->max_runs;) {
            struct scenario candidate;
            uint32_t all = count_of(k->s, what), some = from + n > all ? all - from : n;
            if (scenario_copy(&candidate, k->s)) return;
            leave_out(&candidate, what, from, some);
            if ((what || candidate.count < k->s->count) && still_fails(k, &candidate)) {
                scenario_free(k->s);
                *k->s = candidate;
            } else {
                scenario_free(&candidate);
                from += n;
            }
        }
    }
}

// What follows the failure is of no use.
static void shorten(struct shrinker *k)
{
    struct scenario *s = k->s;
    if (k->kind == VIOLATION_CRASH || k->kind == VIOLATION_EXPECTATION) return;
    bw_time end = k->r->when + BW_S / 10;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->v[i].at <= k->r->when && s->v[i].verb != DO_EXPECT) s->v[kept++] = s->v[i];
        else free(s->v[i].set);
    }
    s->count = kept;
    if (end < s->end) s->end = end;
}

unsigned shrink(struct scenario *s, struct play_result *r, unsigned max_runs)
{
    struct shrinker k = {.s = s, .r = r, .kind = r->violation, .max_runs = max_runs, .max_steps = 30 * r->steps + 3000000};
    for (uint32_t before = UINT32_MAX; s->count + s->link_count < before && k.runs < max_runs;) {
        before = s->count + s->link_count;
        shorten(&k);
        reduce(&k, 0);
        reduce(&k, 1);
        reduce(&k, 2);
    }
    return k.runs;
}
