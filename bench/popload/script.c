/* What is said in each mode, and where a reply ends. */
#include "popload.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void expect(struct conn *c, int kind, uint64_t t) {
    struct req *r = &c->q[c->qt++ % QMAX];
    r->kind = kind;
    r->t = t;
}
static void cmd(struct conn *c, int kind, const char *fmt, ...) {
    va_list a;
    va_start(a, fmt);
    c->nout += vsnprintf(c->out + c->nout, sizeof c->out - c->nout, fmt, a);
    va_end(a);
    expect(c, kind, now());
}
static void retrcmd(struct conn *c, uint64_t t) { /* RETR without printf */
    char d[12];
    int n = 0;
    unsigned v = c->next;
    do
        d[n++] = '0' + v % 10;
    while (v /= 10);
    char *o = c->out + c->nout;
    memcpy(o, "RETR ", 5);
    o += 5;
    while (n)
        *o++ = d[--n];
    *o++ = '\r';
    *o++ = '\n';
    c->nout = o - c->out;
    expect(c, R_RETR, t);
    if (++c->next > c->count)
        c->next = 1;
}
static void quit(struct conn *c) {
    cmd(c, R_QUIT, "QUIT\r\n");
}
static void fill(struct conn *c) { /* keep up to `pipeline` RETR or NOOP in flight */
    unsigned fly = c->qt - c->qh;
    if (fly > (unsigned)pipeline / 2)
        return;
    uint64_t t = now();
    for (; fly < (unsigned)pipeline; fly++) {
        if (mode == M_NOOP) {
            memcpy(c->out + c->nout, "NOOP\r\n", 6);
            c->nout += 6;
            expect(c, R_NOOP, t);
        } else
            retrcmd(c, t);
    }
}
static void fetchsome(struct conn *c) { /* session: next RETR(s), or QUIT */
    unsigned n = c->left;
    if (n && pipeline == 1)
        n = 1;
    if (!c->left) {
        quit(c);
        return;
    }
    uint64_t t = now();
    for (c->left -= n; n; n--)
        retrcmd(c, t);
}
static void reply(struct conn *c, int kind, uint64_t tsent) {
    /* one whole reply has come; c->line is its status line */
    uint64_t t;
    switch (kind) {
    case R_GREET:
        if (mode == M_SESSION)
            cmd(c, R_CAPA, "CAPA\r\n");
        else
            cmd(c, R_USER, "USER %s%04u\r\n", prefix, c->user);
        break;
    case R_CAPA:
        cmd(c, R_USER, "USER %s%04u\r\n", prefix, c->user);
        break;
    case R_USER:
        c->tstep = now();
        cmd(c, R_PASS, "PASS %s\r\n", password);
        break;
    case R_PASS:
        t = now();
        c->step[0] = t - tsent;
        c->tstep = tsent;
        if (mode == M_IDLE) {
            held++;
            if (held == nconn)
                done = 1;
            break;
        }
        cmd(c, R_STAT, "STAT\r\n");
        if (mode == M_SESSION && pipeline > 1) {
            cmd(c, R_UIDL, "UIDL\r\n");
            cmd(c, R_LIST, "LIST\r\n");
        }
        break;
    case R_STAT:
        t = now();
        c->step[1] = t - c->tstep; /* from PASS to the end of STAT */
        c->count = 0;
        sscanf(c->line, "+OK %u", &c->count);
        if (!c->count && mode != M_LOGIN && mode != M_NOOP) {
            fail(c, "STAT says no messages: %s", c->line);
            break;
        }
        if (mode == M_LOGIN)
            quit(c);
        else if (mode == M_NOOP)
            fill(c);
        else if (mode == M_RETR) {
            c->next = 1;
            cmd(c, R_LIST, "LIST\r\n");
        } else if (mode == M_SESSION && pipeline > 1)
            break;
        else
            cmd(c, R_UIDL, "UIDL\r\n");
        break;
    case R_UIDL:
        t = now();
        c->step[2] = t - tsent;
        if (mode == M_VERIFY)
            verify_body(c, kind);
        if (mode != M_SESSION || pipeline == 1)
            cmd(c, R_LIST, "LIST\r\n");
        break;
    case R_LIST:
        t = now();
        c->step[3] = t - tsent;
        c->step[4] = t - c->t0;
        if (mode == M_SCAN) {
            quit(c);
            break;
        }
        if (mode == M_VERIFY) {
            verify_body(c, kind);
            c->cur = 0;
            c->next = 1;
            retrcmd(c, t);
            break;
        }
        if (mode == M_SESSION) {
            c->left = kfetch < (int)c->count ? kfetch : (int)c->count;
            c->next = c->count - c->left + 1;
            fetchsome(c);
            break;
        }
        fill(c);
        break;
    case R_RETR:
        if (mode == M_RETR) {
            lat(now() - tsent);
            if (measuring)
                ops++;
            fill(c);
            break;
        }
        if (mode == M_VERIFY) {
            verify_body(c, kind);
            if (c->cur >= c->count)
                quit(c);
            else
                retrcmd(c, now());
            break;
        }
        if (c->qt == c->qh)
            fetchsome(c);
        break;
    case R_NOOP:
        lat(now() - tsent);
        if (measuring)
            ops++;
        fill(c);
        break;
    case R_QUIT:
        lat(now() - c->t0);
        if (measuring)
            ops++;
        if (mode == M_SCAN)
            sample(c);
        c->closing = 1;
        break;
    }
}
static int is_multi(int k) {
    return k == R_CAPA || k == R_UIDL || k == R_LIST || k == R_RETR;
}
/* End of a body that starts at p[0..n): offset just after CRLF.CRLF, or 0.  c->tail has the octets before p. */
static size_t body_end(struct conn *c, const char *p, size_t n, int lone) {
    char j[12];
    int t = c->ntail, h = n < 4 ? n : 4; /* first the seam */
    memcpy(j, c->tail, t);
    memcpy(j + t, p, h);
    if (t + h >= 5)
        for (int i = 0; i + 5 <= t + h; i++)
            if (!memcmp(j + i, "\r\n.\r\n", 5))
                return i + 5 - t;
    if (n >= 5) {
        if (lone && mode != M_VERIFY) {
            if (!memcmp(p + n - 5, "\r\n.\r\n", 5))
                return n;
        } else {
            char *e = memmem(p, n, "\r\n.\r\n", 5);
            if (e)
                return e - p + 5;
        }
    }
    if (n >= 4) {
        memcpy(c->tail, p + n - 4, 4);
        c->ntail = 4;
    } else {
        memcpy(j, c->tail, t);
        memcpy(j + t, p, n);
        int tot = t + n, k = tot < 4 ? tot : 4;
        memcpy(c->tail, j + tot - k, k);
        c->ntail = k;
    }
    return 0;
}
void eat(struct conn *c, char *p, size_t n) {
    if (measuring)
        bytes += n;
    while (n && !c->closing) {
        if (c->qh == c->qt) {
            fail(c, "octets with no command pending: %.*s", n > 60 ? 60 : (int)n, p);
            return;
        }
        struct req r = c->q[c->qh % QMAX];
        if (c->in_multi) {
            size_t e = body_end(c, p, n, c->qt - c->qh == 1);
            keep(c, p, e ? e : n);
            if (!e)
                return;
            p += e;
            n -= e;
            c->in_multi = 0;
            c->qh++;
            if (mode == M_VERIFY)
                c->nbody -= 3;
            reply(c, r.kind, r.t);
            c->nbody = 0;
            continue;
        }
        char *e = memchr(p, '\n', n);
        size_t l = e ? (size_t)(e - p) + 1 : n;
        size_t room = sizeof c->line - 1 - c->nline;
        memcpy(c->line + c->nline, p, l < room ? l : room);
        c->nline += l < room ? l : room;
        p += l;
        n -= l;
        if (!e)
            return;
        c->line[c->nline] = 0;
        int nl = c->nline;
        c->nline = 0;
        if (c->line[0] != '+') {
            if (r.kind == R_CAPA) {
                c->qh++;
                reply(c, r.kind, r.t);
                continue;
            } /* no CAPA there: go on */
            fail(c, "%s%04u kind %d: %s", prefix, c->user, r.kind, c->line);
            return;
        }
        if (nl < 2 || c->line[nl - 2] != '\r') {
            fail(c, "status line without CR");
            return;
        }
        if (is_multi(r.kind)) {
            c->in_multi = 1;
            memcpy(c->tail, "\r\n", 2);
            c->ntail = 2;
            c->nbody = 0;
            continue;
        }
        c->qh++;
        reply(c, r.kind, r.t);
    }
}
