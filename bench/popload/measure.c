/* Time, latencies, and what the processes of the server use. */
#include "popload.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}
void die(const char *m) {
    perror(m);
    exit(2);
}

/* latency histogram: 64 steps an octave, so within 1.6 % */
static uint64_t hist[64 * 64];
void lat(uint64_t ns) {
    if (!measuring)
        return;
    if (ns < 64) {
        hist[ns]++;
        return;
    }
    int e = 63 - __builtin_clzll(ns);
    hist[(e - 5) * 64 + ((ns >> (e - 6)) & 63)]++;
}
double quant(double q) {
    uint64_t n = 0, c = 0;
    for (int i = 0; i < 4096; i++)
        n += hist[i];
    if (!n)
        return 0;
    uint64_t want = q * n;
    if (want >= n)
        want = n - 1;
    for (int i = 0; i < 4096; i++)
        if ((c += hist[i]) > want) {
            if (i < 64)
                return i / 1e3;
            int e = i / 64 + 5;
            return (((64ull + (i & 63)) << (e - 6)) + (1ull << (e - 6)) / 2) / 1e3;
        }
    return 0;
}
/* samples of scan steps */
double *smp[5];
int nsmp;
int cmpd(const void *a, const void *b) {
    double x = *(double *)a, y = *(double *)b;
    return (x > y) - (x < y);
}

/* CPU and memory of the process trees of --pids, from /proc. */
pid_t pids[64];
int npids;
static long field_kb(const char *path, const char *key) {
    char b[4096];
    int f = open(path, O_RDONLY);
    if (f < 0)
        return 0;
    int n = read(f, b, sizeof b - 1);
    close(f);
    if (n <= 0)
        return 0;
    b[n] = 0;
    char *p = strstr(b, key);
    return p ? atol(p + strlen(key)) : 0;
}
struct pu usage(int mem) {
    struct pu u = {0};
    if (!npids)
        return u;
    static struct {
        pid_t pid, ppid;
        double cpu;
        int in;
    } t[65536];
    int n = 0;
    DIR *d = opendir("/proc");
    struct dirent *e;
    if (!d)
        return u;
    while ((e = readdir(d)) && n < 65536) {
        if (!isdigit((unsigned char)e->d_name[0]))
            continue;
        char p[300], b[1024];
        snprintf(p, sizeof p, "/proc/%s/stat", e->d_name);
        int f = open(p, O_RDONLY);
        if (f < 0)
            continue;
        int k = read(f, b, sizeof b - 1);
        close(f);
        if (k <= 0)
            continue;
        b[k] = 0;
        char *r = strrchr(b, ')');
        unsigned long ut, st;
        long cut, cst;
        int pp;
        char c;
        if (!r || sscanf(r + 2, "%c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld", &c, &pp, &ut,
                         &st, &cut, &cst) != 6)
            continue;
        t[n].pid = atoi(e->d_name);
        t[n].ppid = pp;
        t[n].cpu = (ut + st + cut + cst) / (double)sysconf(_SC_CLK_TCK);
        t[n].in = 0;
        for (int i = 0; i < npids; i++)
            if (t[n].pid == pids[i])
                t[n].in = 1;
        n++;
    }
    closedir(d);
    for (int again = 1; again;) {
        again = 0;
        for (int i = 0; i < n; i++)
            if (!t[i].in)
                for (int j = 0; j < n; j++)
                    if (t[j].in && t[j].pid == t[i].ppid) {
                        t[i].in = again = 1;
                        break;
                    }
    }
    for (int i = 0; i < n; i++)
        if (t[i].in) {
            u.cpu += t[i].cpu;
            u.procs++;
            if (mem) {
                char p[64];
                snprintf(p, sizeof p, "/proc/%d/smaps_rollup", t[i].pid);
                u.rss_kb += field_kb(p, "\nRss:");
                u.pss_kb += field_kb(p, "\nPss:");
            }
        }
    return u;
}

void sample(struct conn *c) {
    if (!measuring || nsmp >= 100000)
        return;
    for (int i = 0; i < 5; i++)
        smp[i][nsmp] = c->step[i] / 1e3;
    nsmp++;
}
