/* The sockets: opening, reading, writing, TLS, and what follows when a session has ended. */
#include "popload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef WITH_TLS
#include <openssl/err.h>
#endif

void fail(struct conn *c, const char *fmt, ...) {
    errors++;
    if (!firsterr[0]) {
        va_list a;
        va_start(a, fmt);
        vsnprintf(firsterr, sizeof firsterr, fmt, a);
        va_end(a);
        for (char *p = firsterr; *p; p++)
            if (*p == '"' || *p == '\\' || (unsigned char)*p < 32)
                *p = ' ';
    }
    c->closing = 2;
}
static void arm(struct conn *c, int out) {
    struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c};
    if (c->want_out != out) {
        c->want_out = out;
        epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
    }
}
static void flush(struct conn *c) {
    if (!c->nout || c->connecting || c->handshaking)
        return;
    ssize_t n;
#ifdef WITH_TLS
    if (c->ssl) {
        n = SSL_write(c->ssl, c->out, c->nout);
        if (n <= 0) {
            arm(c, 1);
            return;
        }
    } else
#endif
    {
        n = send(c->fd, c->out, c->nout, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN) {
                arm(c, 1);
                return;
            }
            fail(c, "send: %s", strerror(errno));
            return;
        }
    }
    if (n < c->nout) {
        memmove(c->out, c->out + n, c->nout - n);
        c->nout -= n;
        arm(c, 1);
        return;
    }
    c->nout = 0;
    if (c->want_out)
        arm(c, 0);
}
void begin(struct conn *c) {
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &sa.sin_addr);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->user = first + (c->id + (c->turn++) * (unsigned)nconn) % nusers;
    c->qh = c->qt = 0;
    c->in_multi = 0;
    c->nline = c->nout = c->ntail = 0;
    c->closing = 0;
    c->want_out = 0;
    c->t0 = c->tstep = now();
    c->connecting = 1;
    c->handshaking = tls;
    expect(c, R_GREET, c->t0);
    int r = connect(c->fd, (void *)&sa, sizeof sa);
    if (r == 0)
        c->connecting = 0;
    else if (errno != EINPROGRESS) {
        errors++;
        snprintf(firsterr, sizeof firsterr, "connect: %s", strerror(errno));
    }
    c->want_out = c->connecting || tls;
    struct epoll_event e = {.events = EPOLLIN | (c->want_out ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e);
#ifdef WITH_TLS
    if (tls) {
        c->ssl = SSL_new(ctx);
        SSL_set_fd(c->ssl, c->fd);
        SSL_set_connect_state(c->ssl);
    }
#endif
}
static void finish(struct conn *c) {
#ifdef WITH_TLS
    if (c->ssl) {
        SSL_free(c->ssl);
        c->ssl = NULL;
    }
#endif
    close(c->fd);
    c->fd = -1;
}

static void again(struct conn *c) { /* the session has ended */
    if (c->closing == 0) {
        fail(c, "server closed early, %s%04u", prefix, c->user);
    }
    int bad = c->closing == 2;
    finish(c);
    if (done)
        return;
    if (bad && errors > 1000) {
        done = 1;
        return;
    }
    if (mode == M_VERIFY) {
        count_unseen();
        if ((int)c->turn >= nusers) {
            done = 1;
            return;
        }
        loadsums(first + c->turn % nusers);
    }
    if (bad)
        usleep(1000);
    begin(c);
}
void event(struct conn *c, unsigned ev) {
    if (c->connecting) {
        if (!(ev & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
            return;
        int e = 0;
        socklen_t l = sizeof e;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &l);
        if (e) {
            fail(c, "connect: %s", strerror(e));
            again(c);
            return;
        }
        c->connecting = 0;
        if (!tls)
            arm(c, 0);
    }
#ifdef WITH_TLS
    if (c->handshaking) {
        int r = SSL_do_handshake(c->ssl);
        if (r == 1) {
            c->handshaking = 0;
            arm(c, 0);
            flush(c);
        } else {
            int e = SSL_get_error(c->ssl, r);
            if (e == SSL_ERROR_WANT_READ) {
                arm(c, 0);
                return;
            }
            if (e == SSL_ERROR_WANT_WRITE) {
                arm(c, 1);
                return;
            }
            fail(c, "TLS handshake: %s", ERR_reason_error_string(ERR_get_error()));
            again(c);
            return;
        }
    }
    if (c->ssl) {
        for (;;) {
            int n = SSL_read(c->ssl, rbuf, recvsz);
            if (n > 0) {
                if (c->closing)
                    continue;
                eat(c, rbuf, n);
                if (c->closing == 2) {
                    again(c);
                    return;
                }
                flush(c);
                continue;
            }
            int e = SSL_get_error(c->ssl, n);
            if (e == SSL_ERROR_WANT_READ) {
                if (c->nout)
                    flush(c);
                return;
            }
            if (e == SSL_ERROR_WANT_WRITE) {
                arm(c, 1);
                return;
            }
            again(c);
            return;
        }
    }
#endif
    if (ev & EPOLLOUT)
        flush(c);
    if (ev & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t n = recv(c->fd, rbuf, recvsz, 0);
        if (n < 0) {
            if (errno == EAGAIN)
                return;
            if (!c->closing)
                fail(c, "recv: %s", strerror(errno));
            again(c);
            return;
        }
        if (n == 0) {
            again(c);
            return;
        }
        if (!c->closing)
            eat(c, rbuf, n);
        if (c->closing == 2) {
            again(c);
            return;
        }
        flush(c);
    }
}
