/* Every octet against the sums of the corpus, and LIST against what was sent. */
#include "popload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t fnv(const char *p, size_t n) {
    uint64_t h = 0xcbf29ce484222325ull, w;
    const uint64_t P = 0x100000001b3ull;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        memcpy(&w, p + i, 8);
        h = (h ^ w) * P;
    }
    for (; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * P;
    return h;
}
struct sum {
    uint64_t oct, h;
    int seen;
};
static struct sum *sumv;
static int nsum;
uint64_t verified, missed, badsize, baduidl, badline;
static int cmps(const void *a, const void *b) {
    const struct sum *x = a, *y = b;
    return x->h < y->h ? -1 : x->h > y->h;
}
void loadsums(unsigned user) {
    char p[1000], n[400];
    snprintf(p, sizeof p, "%s/%s%04u.sums", sums ? sums : ".", prefix, user);
    FILE *f = fopen(p, "r");
    if (!f)
        die(p);
    nsum = 0;
    sumv = realloc(sumv, sizeof *sumv * 200000);
    unsigned long o, h;
    while (nsum < 200000 && fscanf(f, "%399s %lu %lx", n, &o, &h) == 3) {
        sumv[nsum].oct = o;
        sumv[nsum].h = h;
        sumv[nsum++].seen = 0;
    }
    fclose(f);
    qsort(sumv, nsum, sizeof *sumv, cmps);
}
/* c->body holds the body with its final CRLF.CRLF less the last 3 */
void verify_body(struct conn *c, int kind) {
    char *b = c->body;
    size_t n = c->nbody, o = 0, i = 0;
    unsigned lines = 0;
    while (i < n) { /* unstuff in place; every line must end in CRLF */
        char *e = memchr(b + i, '\n', n - i);
        size_t l = e ? (size_t)(e - (b + i)) + 1 : n - i;
        if (l < 2 || !e || b[i + l - 2] != '\r')
            badline++;
        char *s = b + i;
        size_t sl = l;
        if (*s == '.') {
            s++;
            sl--;
        }
        memmove(b + o, s, sl);
        o += sl;
        i += l;
        lines++;
    }
    if (kind == R_LIST || kind == R_UIDL) {
        if (lines != c->count) {
            if (kind == R_LIST)
                badsize++;
            else
                baduidl++;
        }
        if (kind == R_LIST) {
            c->sizes = realloc(c->sizes, sizeof(uint64_t) * (lines + 2));
            c->sizes[0] = 0;
            char *p = b;
            for (unsigned k = 1; k <= lines; k++) {
                unsigned long a = 0, s = 0;
                sscanf(p, "%lu %lu", &a, &s);
                if (a != k)
                    badsize++;
                c->sizes[k] = s;
                p = memchr(p, '\n', b + o - p);
                if (!p)
                    break;
                p++;
            }
        }
        return;
    }
    c->cur++;
    if (c->cur <= c->count && c->sizes[c->cur] != o)
        badsize++;
    struct sum key = {o, fnv(b, o), 0}, *s = bsearch(&key, sumv, nsum, sizeof *sumv, cmps);
    if (!s || s->oct != o || s->seen)
        missed++;
    else {
        s->seen = 1;
        verified++;
    }
}
void keep(struct conn *c, const char *p, size_t n) {
    if (mode != M_VERIFY)
        return;
    if (c->nbody + n > c->capbody)
        c->body = realloc(c->body, c->capbody = (c->nbody + n) * 2 + 4096);
    memcpy(c->body + c->nbody, p, n);
    c->nbody += n;
}
void count_unseen(void) {
    for (int i = 0; i < nsum; i++)
        if (!sumv[i].seen)
            missed++;
}
