/* A fake provider for the bench: one thread, epoll, answers as fast as the socket takes them.
 *
 *   upstream PORT SECONDS      listens on 127.0.0.1 and ends by itself after SECONDS
 *
 * It answers POST .../chat/completions, .../responses and .../messages, whatever comes before that. How it answers
 * stands in the model's name, between dashes ("gpt-4o-n100-d20000"):
 *   n<N>   a stream has N delta events of about 200 bytes (default 20)
 *   d<US>  so many microseconds pass between them (default 0: as fast as they are taken)
 *   z<B>   an answer that isn't a stream has about B bytes (default 1000)
 * With d every delta's text starts with T and 19 digits, CLOCK_MONOTONIC in ns, so that the load can tell how late it
 * comes. Ids of stored objects are new each time, as a provider's are.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "upstream.h"

enum { EVENT_BYTES = 200, BLOCK = 64, PUMPS = 16, FILLER = 60000, BATCH = 512 };
enum shape { CHAT, RESPONSES, MESSAGES, OTHER };

struct buffer { char *data; size_t len, off, cap; };
struct conn {
  int fd, place;           /* its place in the heap of timers, -1: none */
  uint32_t watched;
  enum shape shape;
  bool streaming;
  long events, left, gap_us, bytes;
  uint64_t serial, due;
  struct buffer in, out;
  struct conn *next_dead;
};

static int poller;
static uint64_t serial;
static char filler[FILLER + 1];
static struct conn **heap, *dead;
static int heap_len, heap_cap;

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void append(struct buffer *b, const void *data, size_t n) {
  if (b->len + n + 1 > b->cap) {
    b->cap = 2 * (b->len + n) + 1024;
    b->data = realloc(b->data, b->cap);
  }
  memcpy(b->data + b->len, data, n);
  b->len += n;
  b->data[b->len] = 0;
}

/* -- timers ------------------------------------------------------------------------------------------------------- */
static void put(int i, struct conn *c) { heap[i] = c, c->place = i; }

static void sift(int i) {
  struct conn *c = heap[i];
  for (; i && heap[(i - 1) / 2]->due > c->due; i = (i - 1) / 2) put(i, heap[(i - 1) / 2]);
  for (int kid; (kid = 2 * i + 1) < heap_len; i = kid) {
    if (kid + 1 < heap_len && heap[kid + 1]->due < heap[kid]->due) kid++;
    if (heap[kid]->due >= c->due) break;
    put(i, heap[kid]);
  }
  put(i, c);
}

static void wake_at(struct conn *c, uint64_t due) {
  if (heap_len == heap_cap) heap = realloc(heap, (heap_cap = 2 * heap_cap + 64) * sizeof *heap);
  c->due = due;
  put(heap_len++, c);
  sift(c->place);
}

static void forget(struct conn *c) {
  int i = c->place;
  if (i < 0) return;
  c->place = -1;
  if (i != --heap_len) put(i, heap[heap_len]), sift(i);
}

/* -- what is said ------------------------------------------------------------------------------------------------- */
static void chunk(struct buffer *b, const char *text, int n) {
  char size[16];
  append(b, size, sprintf(size, "%x\r\n", n));
  append(b, text, n);
  append(b, "\r\n", 2);
}

static void say(struct conn *c, const char *format, ...) {
  char text[2048];
  va_list args;
  va_start(args, format);
  chunk(&c->out, text, vsnprintf(text, sizeof text, format, args));
  va_end(args);
}

static void delta(struct buffer *b, enum shape shape, const char *stamp) {
  char text[1024];
  int fill = EVENT_BYTES - (int)strlen(DELTA[shape]) - (int)strlen(stamp);
  chunk(b, text, snprintf(text, sizeof text, DELTA[shape], stamp, fill > 1 ? fill : 1, filler));
}

static void begin_stream(struct conn *c) {
  append(&c->out, STREAM_HEAD, strlen(STREAM_HEAD));
  say(c, FIRST[c->shape], c->serial);
  c->streaming = true;
  c->left = c->events;
}

static void end_stream(struct conn *c) {
  say(c, LAST[c->shape], c->events, c->events + 25, c->serial, c->serial);
  append(&c->out, "0\r\n\r\n", 5);
  c->streaming = false;
}

static void answer_whole(struct conn *c) {
  char before[512], head[256];
  long b = snprintf(before, sizeof before, BEFORE[c->shape], c->serial, c->serial);
  long a = strlen(AFTER[c->shape]), fill = c->shape == OTHER || c->bytes < a + b ? 1 : c->bytes - a - b;
  append(&c->out, head, sprintf(head, WHOLE_HEAD, a + b + fill));
  append(&c->out, before, b);
  for (; fill > 0; fill -= FILLER) append(&c->out, filler, fill < FILLER ? fill : FILLER);
  append(&c->out, AFTER[c->shape], a);
}

/* -- connections -------------------------------------------------------------------------------------------------- */
static void watch(struct conn *c, uint32_t wanted) {
  struct epoll_event e = {.events = wanted, .data.ptr = c};
  if (c->watched != wanted) epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
  c->watched = wanted;
}

static void drop(struct conn *c) {
  forget(c);
  close(c->fd);
  c->fd = -1;
  c->next_dead = dead;
  dead = c;
}

/* Add the next events of a stream that runs flat out. */
static void refill(struct conn *c) {
  static struct { struct buffer text; size_t end[BLOCK + 1]; } made[3], *block;
  block = &made[c->shape];
  for (int i = 0; i < BLOCK && !block->end[BLOCK]; i++) {
    delta(&block->text, c->shape, "");
    block->end[i + 1] = block->text.len;
  }
  long many = c->left < BLOCK ? c->left : BLOCK;
  append(&c->out, block->text.data, block->end[many]);
  c->left -= many;
  if (!c->left) end_stream(c);
}

/* Send what waits, and go on with a stream that runs flat out, but not for so long that others wait. */
static void pump(struct conn *c) {
  for (int i = 0; i < PUMPS; i++) {
    while (c->out.off < c->out.len) {
      ssize_t n = send(c->fd, c->out.data + c->out.off, c->out.len - c->out.off, MSG_NOSIGNAL);
      if (n < 0 && errno == EAGAIN) { watch(c, EPOLLIN | EPOLLRDHUP | EPOLLOUT); return; }
      if (n < 0) { drop(c); return; }
      c->out.off += n;
    }
    c->out.off = c->out.len = 0;
    if (!c->streaming || c->gap_us) { watch(c, EPOLLIN | EPOLLRDHUP); return; }
    refill(c);
  }
  watch(c, EPOLLIN | EPOLLRDHUP | EPOLLOUT);
}

static void tick(struct conn *c) {
  char stamp[32];
  forget(c);
  sprintf(stamp, "T%019llu.", (unsigned long long)now_ns());
  delta(&c->out, c->shape, stamp);
  if (--c->left > 0) wake_at(c, c->due + c->gap_us * 1000);
  else end_stream(c);
  pump(c);
}

static void read_options(struct conn *c, const char *body, size_t n) {
  const char *end = body + n, *at = memmem(body, n, "\"model\"", 7), *flag = memmem(body, n, "\"stream\"", 8);
  c->events = 20, c->gap_us = 0, c->bytes = 1000;
  at = at ? memchr(at + 7, '"', end - at - 7) : NULL;
  for (const char *p = at ? at + 1 : end; p < end && *p != '"'; p++) {
    long value = p[-1] == '-' || p[-1] == '"' ? strtol(p + 1, NULL, 10) : 0;
    if (value && *p == 'n') c->events = value;
    if (value && *p == 'd') c->gap_us = value;
    if (value && *p == 'z') c->bytes = value;
  }
  if (flag) flag += 8 + strspn(flag + 8, ": ");
  if (flag && flag < end && *flag == 't' && c->shape != OTHER) begin_stream(c);
  else answer_whole(c);
}

/* Answer the requests that have come whole. */
static void serve(struct conn *c) {
  while (c->fd >= 0 && !c->streaming && c->in.len) {
    char *end = memmem(c->in.data, c->in.len, "\r\n\r\n", 4);
    if (!end) return;
    *end = 0;
    char *length = strcasestr(c->in.data, "\ncontent-length:"), *path = strchr(c->in.data, ' ');
    size_t size = length ? strtoul(length + 16, NULL, 10) : 0, whole = end + 4 - c->in.data + size;
    bool post = !strncmp(c->in.data, "POST ", 5);
    *end = '\r';
    if (c->in.len < whole) return;
    char *stop = post && path ? strpbrk(path + 1, " ?") : NULL;
    const char *last = stop;
    while (last && last > path && last[-1] != '/') last--;
    size_t n = last ? stop - last : 0;
    c->shape = n == 11 && !memcmp(last, "completions", n) ? CHAT : n == 9 && !memcmp(last, "responses", n) ? RESPONSES
               : n == 8 && !memcmp(last, "messages", n) ? MESSAGES : OTHER;
    c->serial = ++serial;
    read_options(c, end + 4, size);
    memmove(c->in.data, c->in.data + whole, c->in.len - whole);
    c->in.len -= whole;
    if (c->streaming && c->gap_us) wake_at(c, now_ns() + c->gap_us * 1000);
    pump(c);
  }
}

static void take(struct conn *c) {
  static char data[65536];
  ssize_t n = recv(c->fd, data, sizeof data, 0);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) { drop(c); return; }
  append(&c->in, data, n);
  serve(c);
}

static void welcome(int listener) {
  int fd, one = 1;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    struct conn *c = calloc(1, sizeof *c);
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = c};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->fd = fd, c->place = -1, c->watched = e.events;
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
  }
}

static int listen_on(int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (void *)&a, sizeof a) || listen(fd, 4096)) { perror("upstream"); exit(1); }
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
  return fd;
}

int main(int argc, char **argv) {
  struct rlimit limit;
  struct epoll_event ready[BATCH];
  if (argc != 3) { fprintf(stderr, "usage: upstream PORT SECONDS\n"); return 2; }
  getrlimit(RLIMIT_NOFILE, &limit), limit.rlim_cur = limit.rlim_max, setrlimit(RLIMIT_NOFILE, &limit);
  signal(SIGPIPE, SIG_IGN);
  for (int i = 0; i < FILLER; i++) filler[i] = i % 7 == 6 ? ' ' : 'a' + i * 7 % 26;
  poller = epoll_create1(EPOLL_CLOEXEC);
  int listener = listen_on(atoi(argv[1]));
  uint64_t stop = now_ns() + (uint64_t)(atof(argv[2]) * 1e9);
  for (uint64_t now = now_ns(); now < stop; now = now_ns()) {
    uint64_t until = heap_len && heap[0]->due < stop ? heap[0]->due : stop, wait = until > now ? until - now : 0;
    struct timespec patience = {wait / 1000000000, wait % 1000000000};
    int n = epoll_pwait2(poller, ready, BATCH, &patience, NULL);
    for (int i = 0; i < n; i++) {
      struct conn *c = ready[i].data.ptr;
      if (!c) { welcome(listener); continue; }
      if (c->fd >= 0 && ready[i].events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) { drop(c); continue; }
      if (c->fd >= 0 && ready[i].events & EPOLLOUT) { pump(c); if (c->fd >= 0) serve(c); }
      if (c->fd >= 0 && ready[i].events & EPOLLIN) take(c);
    }
    now = now_ns();
    for (int i = 0; i < BATCH && heap_len && heap[0]->due <= now; i++) tick(heap[0]);
    for (struct conn *c; (c = dead);) { dead = c->next_dead; free(c->in.data); free(c->out.data); free(c); }
  }
  return 0;
}
