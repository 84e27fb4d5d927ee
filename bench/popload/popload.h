/* What the parts of popload share: the connection, the options, the counts. */
#ifndef POPLOAD_H
#define POPLOAD_H
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#ifdef WITH_TLS
#include <openssl/ssl.h>
extern SSL_CTX *ctx;
#endif

enum mode { M_LOGIN, M_RETR, M_SESSION, M_SCAN, M_NOOP, M_IDLE, M_VERIFY };
extern const char *mode_names[];
enum kind { R_GREET, R_CAPA, R_USER, R_PASS, R_STAT, R_UIDL, R_LIST, R_RETR, R_NOOP, R_QUIT };
#define QMAX 1024

struct req {
    uint8_t kind;
    uint64_t t;
};
struct conn {
    int fd, id;
    int want_out; /* EPOLLOUT armed */
    int connecting, handshaking, closing;
    unsigned user; /* user number in use */
    unsigned turn; /* sessions begun by this slot */
    uint64_t t0, tstep;
    struct req q[QMAX]; /* expected replies, a ring */
    unsigned qh, qt;
    int in_multi; /* inside the body of a multi-line reply */
    uint8_t tail[5];
    int ntail; /* last octets seen of the body */
    char line[600];
    int nline; /* status line so far */
    char out[16384];
    int nout;
    unsigned count, next, fetched, left;
    uint64_t step[8];
    /* verify */
    char *body;
    size_t nbody, capbody;
    uint64_t *sizes;
    unsigned cur;
#ifdef WITH_TLS
    SSL *ssl;
#endif
};

extern enum mode mode;
extern const char *host, *prefix, *password, *label, *sums;
extern int port, nconn, first, nusers, pipeline, kfetch, tls, spin, held;
extern size_t recvsz;
extern double secs, warm;
extern int ep, done, measuring;
extern uint64_t ops, bytes, errors;
extern char *rbuf, firsterr[300];
extern struct conn *conns;

/* measure.c */
struct pu {
    double cpu;
    long rss_kb, pss_kb;
    int procs;
};
extern pid_t pids[64];
extern int npids, nsmp;
extern double *smp[5];
uint64_t now(void);
void die(const char *message);
void lat(uint64_t ns);
double quant(double q);
int cmpd(const void *a, const void *b);
void sample(struct conn *c);
struct pu usage(int mem);

/* connection.c */
void fail(struct conn *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void begin(struct conn *c);
void event(struct conn *c, unsigned events);

/* script.c */
void expect(struct conn *c, int kind, uint64_t t);
void eat(struct conn *c, char *p, size_t n);

/* verify.c */
extern uint64_t verified, missed, badsize, baduidl, badline;
void loadsums(unsigned user);
void keep(struct conn *c, const char *p, size_t n);
void verify_body(struct conn *c, int kind);
void count_unseen(void);

#endif
