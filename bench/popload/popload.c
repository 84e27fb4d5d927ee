/* popload - a cheap POP3 load generator (epoll, one thread, non-blocking; no code but libc, and
 * OpenSSL if built with TLS).
 *
 *   make -C bench popload OUT=DIR          (TLS= leaves OpenSSL out)
 *
 *   popload MODE -p PORT [options]          one line of JSON on stdout; exit 1 if there were errors
 *
 * modes
 *   login    connect, greeting, USER, PASS, STAT, QUIT, end of file; op = one session
 *   retr     log in, STAT, LIST, then RETR 1..n over and over (no DELE); op = one RETR
 *   session  connect, CAPA, USER, PASS, STAT, UIDL, LIST, RETR of the last -k messages, QUIT; op = one session
 *   scan     log in, STAT, UIDL, LIST, QUIT, one command at a time; op = one session; medians of each step
 *   noop     log in, then NOOP over and over; op = one NOOP (the cost of one command)
 *   idle     log in -c connections, hold them, report memory of --pids trees per connection
 *   verify   for each user: LIST, UIDL, RETR all; unstuff and compare with ROOT/<user>.sums of corpus.py
 * options
 *   -H addr (127.0.0.1)  -p port  -c connections (1)  -s seconds (5)  -w warm-up seconds (0.5)
 *   -u prefix ("user"; names are prefix%04d)  -f first (1)  -n number of users (= -c)  -P password ("secret")
 *   -K n, --pipeline n   commands in flight in retr and noop; in session n>1 sends each group at once
 *   -k n                 messages fetched in session (3)
 *   --sums ROOT          corpus root (verify)       --pids a,b    server's top pids: CPU and memory are summed over
 *   --tls                implicit TLS (no certificate check, no resumption)          their trees (/proc)
 *   --spin               poll with no sleep (generator on its own core: less wake-up latency)
 *   --label text         copied into the JSON       --recv n      receive buffer octets per read (262144)
 *
 * Connection i uses the users i, i+c, i+2c .. (mod n): with n a multiple of c no two connections ever share a
 * maildrop, which POP3 locks.  A multi-line reply ends at CRLF.CRLF, found across read boundaries: with nothing
 * pipelined behind it the last octets are looked at; with a pipeline the whole data is searched.
 * Latency: login/session from connect() to the reply to QUIT; retr/noop from the sending of the command to the
 * last octet of its reply (so with a pipeline it includes the wait behind its forerunners).
 */
#include "popload.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#ifdef WITH_TLS
SSL_CTX *ctx;
#endif

const char *mode_names[] = {"login", "retr", "session", "scan", "noop", "idle", "verify", 0};
enum mode mode;
const char *host = "127.0.0.1", *prefix = "user", *password = "secret", *label = "", *sums;
int port, nconn = 1, first = 1, nusers, pipeline = 1, kfetch = 3, tls, spin, held;
size_t recvsz = 262144;
double secs = 5, warm = 0.5;
int ep, done, measuring;
uint64_t ops, bytes, errors;
char *rbuf;
struct conn *conns;
char firsterr[300];

/* What was used at the beginning and at the end of the measured time. */
struct span {
    uint64_t begin, end;
    struct pu server[2];
    struct rusage own[2];
};

/* 0: wrong usage */
static int options(int argc, char **argv) {
    static struct option lo[] = {
        {"pipeline", 1, 0, 'K'}, {"tls", 0, 0, 1},   {"sums", 1, 0, 2}, {"pids", 1, 0, 3},
        {"spin", 0, 0, 4},       {"label", 1, 0, 5}, {"recv", 1, 0, 6}, {0}};
    if (argc < 2) {
        fprintf(stderr, "usage: popload MODE -p PORT [options]; see the head of popload.c\n");
        return 0;
    }
    for (mode = 0; mode_names[mode] && strcmp(mode_names[mode], argv[1]); mode++)
        ;
    if (!mode_names[mode]) {
        fprintf(stderr, "no such mode\n");
        return 0;
    }
    for (int o; (o = getopt_long(argc - 1, argv + 1, "H:p:c:s:w:u:f:n:P:K:k:", lo, 0)) != -1;)
        switch (o) {
        case 'H':
            host = optarg;
            break;
        case 'p':
            port = atoi(optarg);
            break;
        case 'c':
            nconn = atoi(optarg);
            break;
        case 's':
            secs = atof(optarg);
            break;
        case 'w':
            warm = atof(optarg);
            break;
        case 'u':
            prefix = optarg;
            break;
        case 'f':
            first = atoi(optarg);
            break;
        case 'n':
            nusers = atoi(optarg);
            break;
        case 'P':
            password = optarg;
            break;
        case 'K':
            pipeline = atoi(optarg);
            break;
        case 'k':
            kfetch = atoi(optarg);
            break;
        case 1:
            tls = 1;
            break;
        case 2:
            sums = optarg;
            break;
        case 4:
            spin = 1;
            break;
        case 5:
            label = optarg;
            break;
        case 6:
            recvsz = atol(optarg);
            break;
        case 3:
            for (char *s = strtok(optarg, ","); s && npids < 64; s = strtok(0, ","))
                pids[npids++] = atoi(s);
            break;
        default:
            return 0;
        }
    if (!port || nconn < 1 || pipeline < 1 || pipeline > QMAX / 2) {
        fprintf(stderr, "bad -p, -c or -K\n");
        return 0;
    }
    if (mode == M_VERIFY) {
        if (!nusers)
            nusers = 1;
        nconn = 1;
        warm = 0;
    }
    if (mode == M_IDLE)
        warm = 0; /* its memory is compared with that of the very beginning */
    if (!nusers)
        nusers = nconn;
    if (kfetch > QMAX - 8)
        kfetch = QMAX - 8;
    return 1;
}

static void prepare(void) {
    signal(SIGPIPE, SIG_IGN);
    struct rlimit rl;
    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
#ifdef WITH_TLS
    if (tls) {
        ctx = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_mode(ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE);
    }
#else
    if (tls) {
        fprintf(stderr, "built without TLS\n");
        exit(2);
    }
#endif
    rbuf = malloc(recvsz);
    conns = calloc(nconn, sizeof *conns);
    ep = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < 5; i++)
        smp[i] = malloc(sizeof(double) * 100000);
}

static void start_measuring(struct span *s) {
    measuring = 1;
    s->server[0] = usage(mode == M_IDLE);
    getrusage(RUSAGE_SELF, &s->own[0]);
    s->begin = now();
}

/* Opens connections until `most` are on their way, or all are there. */
static int open_some(int opened, int most) {
    for (; opened < nconn && opened < most; opened++) {
        conns[opened].id = opened;
        begin(&conns[opened]);
    }
    return opened;
}

static void run(struct span *s) {
    struct epoll_event ev[512];
    uint64_t start = now();
    if (mode == M_VERIFY)
        loadsums(first);
    if (warm <= 0)
        start_measuring(s);
    int opened = open_some(0, mode == M_IDLE ? 64 : nconn);
    while (!done && errors <= 1000) {
        int n = epoll_wait(ep, ev, 512, spin ? 0 : 20);
        for (int i = 0; i < n; i++)
            event(ev[i].data.ptr, ev[i].events);
        if (mode == M_IDLE)
            opened = open_some(opened, held + 64);
        uint64_t t = now();
        if (!measuring) {
            if (t - start >= warm * 1e9)
                start_measuring(s);
        } else if (t - s->begin >= secs * 1e9 && mode != M_VERIFY)
            break;
    }
    if (!measuring)
        start_measuring(s);
    s->end = now();
    getrusage(RUSAGE_SELF, &s->own[1]);
    s->server[1] = usage(mode == M_IDLE);
}

static double cpu_of(const struct rusage *r) {
    return r->ru_utime.tv_sec + r->ru_stime.tv_sec + (r->ru_utime.tv_usec + r->ru_stime.tv_usec) / 1e6;
}

static void report_scan(void) {
    static const char *nm[] = {"pass_ms", "pass_to_stat_ms", "uidl_ms", "list_ms", "total_ms"};
    for (int i = 0; i < 5; i++) {
        double first_one = smp[i][0];
        qsort(smp[i], nsmp, sizeof(double), cmpd);
        printf(",\"%s\":%.3f,\"%s_first\":%.3f", nm[i], smp[i][nsmp / 2] / 1e3, nm[i], first_one / 1e3);
    }
}

static void report_idle(const struct pu *before, const struct pu *after) {
    double n = held ? held : 1;
    printf(",\"held\":%d,\"rss_kb\":%ld,\"pss_kb\":%ld,\"rss_kb_before\":%ld,\"pss_kb_before\":%ld", held,
           after->rss_kb, after->pss_kb, before->rss_kb, before->pss_kb);
    printf(",\"rss_kb_per_conn\":%.2f,\"pss_kb_per_conn\":%.2f,\"procs_before\":%d",
           (after->rss_kb - before->rss_kb) / n, (after->pss_kb - before->pss_kb) / n, before->procs);
}

/* The line of JSON; the result is the exit status. */
static int report(const struct span *s) {
    double dt = (s->end - s->begin) / 1e9, cpu = s->server[1].cpu - s->server[0].cpu;
    int bad = errors > 0;
    printf("{\"mode\":\"%s\",\"label\":\"%s\",\"tls\":%d,\"conns\":%d,\"pipeline\":%d,\"seconds\":%.3f",
           mode_names[mode], label, tls, nconn, pipeline, dt);
    printf(",\"ops\":%lu,\"ops_per_s\":%.1f,\"bytes\":%lu,\"MB_per_s\":%.2f,\"errors\":%lu", ops, ops / dt,
           bytes, bytes / dt / 1e6, errors);
    printf(",\"p50_us\":%.1f,\"p99_us\":%.1f,\"gen_cpu\":%.2f", quant(.5), quant(.99),
           (cpu_of(&s->own[1]) - cpu_of(&s->own[0])) / dt);
    if (npids)
        printf(",\"srv_cpu\":%.2f,\"srv_cpu_us_per_op\":%.2f,\"srv_procs\":%d", cpu / dt,
               ops ? cpu * 1e6 / ops : 0, s->server[1].procs);
    if (mode == M_SCAN && nsmp)
        report_scan();
    if (mode == M_IDLE)
        report_idle(&s->server[0], &s->server[1]);
    if (mode == M_VERIFY) {
        printf(",\"verified\":%lu,\"missed\":%lu,\"bad_size\":%lu,\"bad_uidl\":%lu,\"bad_line\":%lu",
               verified, missed, badsize, baduidl, badline);
        bad |= !verified || missed || badsize || baduidl || badline;
    }
    if (firsterr[0])
        printf(",\"first_error\":\"%s\"", firsterr);
    printf("}\n");
    return bad;
}

int main(int argc, char **argv) {
    struct span span = {0};
    if (!options(argc, argv))
        return 2;
    prepare();
    run(&span);
    return report(&span);
}
