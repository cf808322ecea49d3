/* fakeup - a fast fake OpenAI/Anthropic-compatible upstream (one thread, epoll).
 *
 * build:  gcc -O2 -o fakeup fakeup.c
 * run:    ./fakeup [port=9901] [max_seconds=0]
 *
 * POST /v1/chat/completions | /v1/responses | /v1/messages  (any prefix before these is fine)
 * GET  /v1/models, GET /stats (JSON counters), anything else GET -> small 200.
 *
 * Behaviour is chosen in the model name ("model":"gpt-4o-n100-d20000"), in the query
 * string (?x=n100-d20000) or in a header (X-Fake: n100-d20000); tokens split by - , :
 *   n<N>   stream: N delta events (default 20)
 *   d<US>  stream: microseconds between delta events; 0 = as fast as the socket takes (default 0)
 *   b<B>   stream: about B bytes per delta event (default 200)
 *   k<K>   stream, d>0: K events written together at each tick (default 1)
 *   z<B>   non-stream: body of about B bytes (default 1000)
 *   t<US>  wait this long before the response head (default 0)
 *   e<S>   answer with HTTP status S and an error body (with r: Retry-After: 1)
 *   c<N>   cut the connection after N delta events (mid-stream failure)
 *   g1     honour "Accept-Encoding: gzip"? not done: this upstream never compresses
 * Names that stand for options: gpt-4o-mini n100, gpt-4-turbo n100-d20000, gpt-4 z50000, gpt-3.5-turbo n300-d1000000.
 * With d>0 every delta text starts with T<19 digits>. : CLOCK_MONOTONIC ns at send, so that a
 * client on the same machine can tell how late each event is (sseload does).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHAT, RESP, MSG, OTHER };
typedef struct { long n, d, b, k, z, t, e, c; int r; } Opt;

typedef struct Blk { int api; long b; char *p; size_t len; size_t *off; struct Blk *next; } Blk;
#define BLKEV 64

typedef struct Conn {
  uint64_t serial;                      /* names this answer's stored objects: a relay keeps their ids */
  int fd, api, stream, state;           /* state: 0 reading, 1 waiting/streaming, 2 draining output */
  int keep, want_out, heap_i, usage;
  char *in; size_t in_len, in_cap;
  char *out; size_t out_len, out_off, out_cap;
  Opt o; long sent; Blk *blk; uint64_t due; uint32_t gen;
} Conn;

static int ep; static uint64_t serial, n_req, n_ev, n_conn, n_open, n_stream_open, n_abort;
static Conn **heap; static int heap_n, heap_cap;
static char *filler;

static uint64_t now_ns(void){ struct timespec t; clock_gettime(CLOCK_MONOTONIC,&t); return t.tv_sec*1000000000ull+t.tv_nsec; }

static void hswap(int a,int b){ Conn*t=heap[a]; heap[a]=heap[b]; heap[b]=t; heap[a]->heap_i=a; heap[b]->heap_i=b; }
static void hup(int i){ while(i>0){int p=(i-1)/2; if(heap[p]->due<=heap[i]->due)break; hswap(i,p); i=p;} }
static void hdown(int i){ for(;;){int l=2*i+1,r=l+1,m=i; if(l<heap_n&&heap[l]->due<heap[m]->due)m=l; if(r<heap_n&&heap[r]->due<heap[m]->due)m=r; if(m==i)break; hswap(i,m); i=m;} }
static void hpush(Conn*c){ if(heap_n==heap_cap){heap_cap=heap_cap?heap_cap*2:1024; heap=realloc(heap,heap_cap*sizeof*heap);} c->heap_i=heap_n; heap[heap_n++]=c; hup(c->heap_i); }
static void hdel(Conn*c){ int i=c->heap_i; if(i<0)return; heap_n--; if(i!=heap_n){ heap[i]=heap[heap_n]; heap[i]->heap_i=i; hup(i); hdown(heap[i]->heap_i);} c->heap_i=-1; }

static void outn(Conn*c,const char*p,size_t n){
  if(c->out_off==c->out_len) c->out_off=c->out_len=0;
  if(c->out_len+n>c->out_cap){ size_t k=c->out_cap?c->out_cap:1024; while(k<c->out_len+n)k*=2; c->out=realloc(c->out,k); c->out_cap=k; }
  memcpy(c->out+c->out_len,p,n); c->out_len+=n;
}
static void outs(Conn*c,const char*s){ outn(c,s,strlen(s)); }
static void chunk(Conn*c,const char*p,size_t n){ char h[24]; int k=sprintf(h,"%zx\r\n",n); outn(c,h,k); outn(c,p,n); outn(c,"\r\n",2); }
static void chunks(Conn*c,const char*s){ chunk(c,s,strlen(s)); }

static int event_text(char*dst,int api,long b,uint64_t ts,int stamp){
  char st[40]=""; int base; const char*pre,*post;
  if(stamp) sprintf(st,"T%019llu.",(unsigned long long)ts);
  if(api==CHAT){ pre="data: {\"id\":\"chatcmpl-fake0001\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\""; post="\"},\"finish_reason\":null}]}\n\n"; }
  else if(api==RESP){ pre="event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"delta\":\""; post="\"}\n\n"; }
  else { pre="event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\""; post="\"}}\n\n"; }
  base=strlen(pre)+strlen(post)+strlen(st); long fill=b-base; if(fill<1)fill=1; if(fill>60000)fill=60000;
  return sprintf(dst,"%s%s%.*s%s",pre,st,(int)fill,filler,post);
}
static Blk *blks;
static Blk*get_blk(int api,long b){
  for(Blk*k=blks;k;k=k->next) if(k->api==api&&k->b==b) return k;
  Blk*k=calloc(1,sizeof*k); k->api=api; k->b=b; k->p=malloc((b+400)*BLKEV+64); k->off=calloc(BLKEV+1,sizeof(size_t));
  char*t=malloc(b+65536); size_t o=0;
  for(int i=0;i<BLKEV;i++){ int n=event_text(t,api,b,0,0); o+=sprintf(k->p+o,"%x\r\n",n); memcpy(k->p+o,t,n); o+=n; memcpy(k->p+o,"\r\n",2); o+=2; k->off[i+1]=o; }
  k->len=o; free(t); k->next=blks; blks=k; return k;
}
static void stream_head(Conn*c){
  outs(c,"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\nX-Request-Id: req_fake\r\nTransfer-Encoding: chunked\r\n\r\n");
  if(c->api==CHAT) chunks(c,"data: {\"id\":\"chatcmpl-fake0001\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n");
  else if(c->api==RESP){ char b[300]; sprintf(b,"event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_%016lx\",\"object\":\"response\",\"status\":\"in_progress\",\"model\":\"gpt-4o\"}}\n\n",c->serial); chunks(c,b); }
  else { chunks(c,"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_fake0001\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":25,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":3,\"output_tokens\":1}}}\n\n");
    chunks(c,"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"); }
}
static void stream_tail(Conn*c){
  char b[700];
  if(c->api==CHAT){
    chunks(c,"data: {\"id\":\"chatcmpl-fake0001\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    sprintf(b,"data: {\"id\":\"chatcmpl-fake0001\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o\",\"choices\":[],\"usage\":{\"prompt_tokens\":25,\"completion_tokens\":%ld,\"total_tokens\":%ld,\"prompt_tokens_details\":{\"cached_tokens\":3}}}\n\n",c->o.n,c->o.n+25); chunks(c,b);
    chunks(c,"data: [DONE]\n\n");
  } else if(c->api==RESP){
    sprintf(b,"event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_%016lx\",\"object\":\"response\",\"status\":\"completed\",\"model\":\"gpt-4o\",\"output\":[{\"type\":\"message\",\"id\":\"msg_%016lx\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"ok\"}]}],\"usage\":{\"input_tokens\":25,\"input_tokens_details\":{\"cached_tokens\":3},\"output_tokens\":%ld,\"total_tokens\":%ld}}}\n\n",c->serial,c->serial,c->o.n,c->o.n+25); chunks(c,b);
  } else {
    chunks(c,"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n");
    sprintf(b,"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":%ld}}\n\n",c->o.n); chunks(c,b);
    chunks(c,"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
  }
  outs(c,"0\r\n\r\n");
}
static void json_resp(Conn*c,int status,const char*body,size_t n){
  char h[300]; int k=sprintf(h,"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nX-Request-Id: req_fake\r\n%s\r\n",status,status==200?"OK":"Error",n,c->o.r?"Retry-After: 1\r\n":"");
  outn(c,h,k); outn(c,body,n);
}
static void full_resp(Conn*c){
  static char*b; static size_t cap; long z=c->o.z; if(z<400)z=400; if(cap<(size_t)z+2048){cap=z+4096; b=realloc(b,cap);}
  const char*pre,*post;
  if(c->api==CHAT){ pre="{\"id\":\"chatcmpl-fake0001\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\""; post="\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":25,\"completion_tokens\":50,\"total_tokens\":75,\"prompt_tokens_details\":{\"cached_tokens\":3}}}"; }
  else if(c->api==RESP){ static char p[400]; sprintf(p,"{\"id\":\"resp_%016lx\",\"object\":\"response\",\"created_at\":1700000000,\"status\":\"completed\",\"model\":\"gpt-4o\",\"output\":[{\"type\":\"message\",\"id\":\"msg_%016lx\",\"role\":\"assistant\",\"status\":\"completed\",\"content\":[{\"type\":\"output_text\",\"annotations\":[],\"text\":\"",c->serial,c->serial); pre=p; post="\"}]}],\"usage\":{\"input_tokens\":25,\"input_tokens_details\":{\"cached_tokens\":3},\"output_tokens\":50,\"total_tokens\":75}}"; }
  else { pre="{\"id\":\"msg_fake0001\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude\",\"content\":[{\"type\":\"text\",\"text\":\""; post="\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":25,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":3,\"output_tokens\":50}}"; }
  size_t o=strlen(pre),q=strlen(post); memcpy(b,pre,o); long fill=z-(long)o-(long)q; if(fill<1)fill=1;
  while(fill>0){ long k=fill>60000?60000:fill; memcpy(b+o,filler,k); o+=k; fill-=k; }
  memcpy(b+o,post,q); o+=q; json_resp(c,200,b,o);
}
static void setev(Conn*c){ struct epoll_event e={.events=EPOLLIN|EPOLLRDHUP|(c->want_out?EPOLLOUT:0),.data.ptr=c}; epoll_ctl(ep,EPOLL_CTL_MOD,c->fd,&e); }
static void close_conn(Conn*c){
  if(c->fd<0) return;
  if(c->state==1){ n_abort++; if(c->stream) n_stream_open--; }
  hdel(c); close(c->fd); n_open--; free(c->in); free(c->out); c->in=c->out=NULL; c->fd=-1;
}
static Conn **dead; static int dead_n,dead_cap;
static void kill_conn(Conn*c){ if(c->fd<0)return; close_conn(c); if(dead_n==dead_cap){dead_cap=dead_cap?dead_cap*2:256; dead=realloc(dead,dead_cap*sizeof*dead);} dead[dead_n++]=c; }

static void process(Conn*c);
static void finish(Conn*c){ if(c->stream) n_stream_open--; c->state=0; c->stream=0; if(!c->keep) c->state=2; }

/* push out what is pending; for fast streams refill from the block. 0 = fine, -1 = closed */
static int pump(Conn*c){
  for(;;){
    while(c->out_off<c->out_len){
      ssize_t w=send(c->fd,c->out+c->out_off,c->out_len-c->out_off,MSG_NOSIGNAL);
      if(w<0){ if(errno==EAGAIN){ if(!c->want_out){c->want_out=1; setev(c);} return 0; } if(errno==EINTR)continue; kill_conn(c); return -1; }
      c->out_off+=w;
    }
    c->out_off=c->out_len=0;
    if(c->state==1&&c->stream&&c->o.d==0&&c->heap_i<0){        /* fast stream */
      long lim=c->o.c>=0&&c->o.c<c->o.n?c->o.c:c->o.n;
      if(c->sent<lim){ long k=lim-c->sent; if(k>BLKEV)k=BLKEV; outn(c,c->blk->p,c->blk->off[k]); c->sent+=k; n_ev+=k;
        if(c->sent==lim&&lim==c->o.n){ stream_tail(c); finish(c); } continue; }
      if(lim<c->o.n){ kill_conn(c); return -1; }
      stream_tail(c); finish(c); continue;
    }
    break;
  }
  if(c->want_out){ c->want_out=0; setev(c); }
  if(c->state==2){ shutdown(c->fd,SHUT_WR); kill_conn(c); return -1; }
  return 0;
}
static void begin(Conn*c){         /* head time has come */
  if(c->o.e){ char b[200]; int n=sprintf(b,"{\"error\":{\"message\":\"fake error %ld\",\"type\":\"server_error\",\"code\":\"fake\"}}",c->o.e); json_resp(c,(int)c->o.e,b,n); c->stream=0; c->state=0; }
  else if(!c->stream){ full_resp(c); c->state=0; }
  else { stream_head(c); c->sent=0; c->state=1; c->blk=get_blk(c->api,c->o.b); n_stream_open++;
    if(c->o.d>0){ if(c->o.n==0){stream_tail(c); finish(c);} else { c->due=now_ns()+c->o.d*1000; hpush(c);} } }
  if(pump(c)==0&&c->state==0&&c->in_len) process(c);
}
static void tick(Conn*c,uint64_t now){   /* timed stream: write k events (c has been popped) */
  if(c->state==3){ c->state=1; begin(c); return; }
  char t[66000]; long lim=c->o.c>=0&&c->o.c<c->o.n?c->o.c:c->o.n;
  for(long i=0;i<c->o.k&&c->sent<lim;i++){ int n=event_text(t,c->api,c->o.b,now_ns(),1); chunk(c,t,n); c->sent++; n_ev++; }
  if(c->sent>=c->o.n){ stream_tail(c); finish(c); }
  else if(c->sent>=lim){ pump(c); if(c->fd>=0)kill_conn(c); return; }
  else { c->due+=c->o.d*1000; if(c->due<now) c->due=now+c->o.d*1000; hpush(c); }
  if(pump(c)==0&&c->state==0&&c->in_len) process(c);
}
static void parse_opt(Opt*o,const char*p,const char*e){
  while(p<e){
    if(p+1<e&&p[1]>='0'&&p[1]<='9'){ char k=*p; long v=0; const char*q=p+1; while(q<e&&*q>='0'&&*q<='9')v=v*10+*q++-'0';
      if(q==e||*q=='-'||*q==','||*q==':'||*q=='"'||*q=='\r'||*q==' '||*q=='&'){
      switch(k){case'n':o->n=v;break;case'd':o->d=v;break;case'b':o->b=v<60000?v:60000;break;case'k':o->k=v;break;case'z':o->z=v<8000000?v:8000000;break;case't':o->t=v;break;case'e':o->e=v;break;case'c':o->c=v;break;case'r':o->r=1;break;} }
      p=q; }
    while(p<e&&*p!='-'&&*p!=','&&*p!=':')p++;
    p++;
  }
}
static const char*find_ci(const char*h,const char*e,const char*k){ size_t n=strlen(k); for(const char*p=h;p+n<e;p++){ if((p[-1]=='\n')&&!strncasecmp(p,k,n)) return p+n; } return NULL; }

/* plain catalogue names, for gateways that refuse unknown models */
static const char*alias[4][2]={{"gpt-4o-mini","n100"},{"gpt-4-turbo","n100-d20000"},{"gpt-4","z50000"},{"gpt-3.5-turbo","n300-d1000000"}};
static void process(Conn*c){
  while(c->fd>=0&&c->state==0){
    char*end=c->in_len?memmem(c->in,c->in_len,"\r\n\r\n",4):NULL; if(!end) return;
    char*body=end+4; size_t hl=body-c->in, have=c->in_len-hl, blen=0, consumed;
    const char*v=find_ci(c->in+1,end+2,"content-length:"); const char*te=find_ci(c->in+1,end+2,"transfer-encoding:");
    const char*ex=find_ci(c->in+1,end+2,"expect:"); (void)ex;
    char*dec=NULL;
    if(te){ /* chunked request body: decode */
      size_t i=hl,o=0; int done=0; dec=malloc(have+1);
      while(i<c->in_len){ char*nl=memmem(c->in+i,c->in_len-i,"\r\n",2); if(!nl)break; size_t n=strtoul(c->in+i,NULL,16); size_t ds=nl+2-c->in;
        if(n==0){ if(c->in_len>=ds+2){ i=ds+2; done=1; } break; }
        if(c->in_len<ds+n+2)break; memcpy(dec+o,c->in+ds,n); o+=n; i=ds+n+2; }
      if(!done){ free(dec); return; }
      blen=o; body=dec; consumed=i;
    } else { blen=v?strtoul(v,NULL,10):0; if(have<blen) return; consumed=hl+blen; }
    const char*cn=find_ci(c->in+1,end+2,"connection:"); c->keep=1; if(cn){ while(*cn==' ')cn++; if(!strncasecmp(cn,"close",5)) c->keep=0; }
    char*sp=memchr(c->in,' ',hl), *sp2=sp?memchr(sp+1,' ',end-sp):NULL;
    if(sp2&&!strncmp(sp2+1,"HTTP/1.0",8)&&!(cn&&!strncasecmp(cn,"keep-alive",10))) c->keep=0;
    n_req++; c->serial=++serial;
    Opt o={20,0,200,1,1000,0,0,-1,0}; c->o=o; c->stream=0; c->api=OTHER;
    if(sp&&sp2){
      size_t pl=sp2-sp-1; char*path=sp+1; char*qm=memchr(path,'?',pl); size_t pp=qm?(size_t)(qm-path):pl;
      #define ENDS(s) (pp>=sizeof(s)-1&&!memcmp(path+pp-(sizeof(s)-1),s,sizeof(s)-1))
      if(ENDS("/chat/completions"))c->api=CHAT; else if(ENDS("/responses"))c->api=RESP; else if(ENDS("/messages"))c->api=MSG;
      if(c->api!=OTHER&&blen){
        char*m=memmem(body,blen,"\"model\"",7); if(m){ char*q=memchr(m+7,'"',body+blen-m-7); if(q){ char*q2=memchr(q+1,'"',body+blen-q-1); if(q2){ parse_opt(&c->o,q+1,q2); size_t ml=q2-q-1;
          for(int a=0;a<4;a++) if(ml==strlen(alias[a][0])&&!memcmp(q+1,alias[a][0],ml)) parse_opt(&c->o,alias[a][1],alias[a][1]+strlen(alias[a][1])); } } }
        char*s=memmem(body,blen,"\"stream\"",8); if(s){ s+=8; while(s<body+blen&&(*s==' '||*s==':'))s++; c->stream=(s<body+blen&&*s=='t'); }
      }
      if(qm){ char*x=memmem(qm,path+pl-qm,"x=",2); if(x)parse_opt(&c->o,x+2,path+pl); }
      const char*xh=find_ci(c->in+1,end+2,"x-fake:"); if(xh){ while(*xh==' ')xh++; parse_opt(&c->o,xh,strchr(xh,'\r')); }
      if(c->api==OTHER){
        char b[400]; int n;
        if(ENDS("/models")) n=sprintf(b,"{\"object\":\"list\",\"data\":[{\"id\":\"gpt-4o\",\"object\":\"model\",\"created\":1,\"owned_by\":\"fake\"}]}");
        else { struct rusage ru; getrusage(RUSAGE_SELF,&ru); n=sprintf(b,"{\"requests\":%lu,\"events\":%lu,\"conns\":%lu,\"open\":%lu,\"streams_open\":%lu,\"aborted\":%lu,\"cpu_s\":%.3f}",n_req,n_ev,n_conn,n_open,n_stream_open,n_abort,ru.ru_utime.tv_sec+ru.ru_stime.tv_sec+(ru.ru_utime.tv_usec+ru.ru_stime.tv_usec)/1e6); }
        json_resp(c,200,b,n);
      }
    }
    if(dec)free(dec);
    memmove(c->in,c->in+consumed,c->in_len-consumed); c->in_len-=consumed;
    if(c->api!=OTHER){
      if(c->o.t>0){ c->state=3; c->due=now_ns()+c->o.t*1000; hpush(c); return; }
      if(!c->stream&&!c->keep){ if(c->o.e){begin(c);} else full_resp(c); c->state=2; pump(c); return; }
      begin(c); if(c->fd<0) return;
    } else { if(!c->keep)c->state=2; if(pump(c)<0)return; }
  }
}
static void on_read(Conn*c){
  for(;;){
    if(c->in_cap-c->in_len<4096){ c->in_cap=c->in_cap?c->in_cap*2:8192; c->in=realloc(c->in,c->in_cap+1); }
    size_t room=c->in_cap-c->in_len; ssize_t r=recv(c->fd,c->in+c->in_len,room,0);
    if(r==0){ kill_conn(c); return; }
    if(r<0){ if(errno==EAGAIN)break; if(errno==EINTR)continue; kill_conn(c); return; }
    c->in_len+=r; c->in[c->in_len]=0;
    if(memmem(c->in,c->in_len<2048?c->in_len:2048,"100-continue",12)&&c->state==0&&memmem(c->in,c->in_len,"\r\n\r\n",4)&&c->in+c->in_len==(char*)memmem(c->in,c->in_len,"\r\n\r\n",4)+4) send(c->fd,"HTTP/1.1 100 Continue\r\n\r\n",25,MSG_NOSIGNAL);
    if((size_t)r<room)break;
  }
  process(c);
}
int main(int argc,char**argv){
  int port=argc>1?atoi(argv[1]):9901; double maxs=argc>2?atof(argv[2]):0; signal(SIGPIPE,SIG_IGN);
  struct rlimit rl; getrlimit(RLIMIT_NOFILE,&rl); rl.rlim_cur=rl.rlim_max; setrlimit(RLIMIT_NOFILE,&rl);
  filler=malloc(60001); for(int i=0;i<60000;i++) filler[i]=(i%7==6)?' ':'a'+(i*7)%26; filler[60000]=0;
  int ls=socket(AF_INET,SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC,0), one=1; setsockopt(ls,SOL_SOCKET,SO_REUSEADDR,&one,sizeof one);
  struct sockaddr_in a={.sin_family=AF_INET,.sin_port=htons(port),.sin_addr.s_addr=htonl(INADDR_LOOPBACK)};
  if(bind(ls,(void*)&a,sizeof a)||listen(ls,4096)){ perror("bind/listen"); return 1; }
  ep=epoll_create1(0); struct epoll_event e={.events=EPOLLIN,.data.ptr=NULL}; epoll_ctl(ep,EPOLL_CTL_ADD,ls,&e);
  fprintf(stderr,"fakeup on 127.0.0.1:%d nofile %lu\n",port,(unsigned long)rl.rlim_cur);
  struct epoll_event ev[512]; uint64_t t_end=maxs>0?now_ns()+(uint64_t)(maxs*1e9):0;
  for(;;){
    struct timespec ts,*tp=NULL; uint64_t now;
    if(heap_n||t_end){ now=now_ns(); uint64_t due=heap_n?heap[0]->due:t_end; if(t_end&&t_end<due)due=t_end; uint64_t w=due>now?due-now:0; ts.tv_sec=w/1000000000; ts.tv_nsec=w%1000000000; tp=&ts; }
    int n=epoll_pwait2(ep,ev,512,tp,NULL);
    for(int i=0;i<n;i++){
      Conn*c=ev[i].data.ptr;
      if(!c){ for(int k=0;k<256;k++){ int fd=accept4(ls,NULL,NULL,SOCK_NONBLOCK|SOCK_CLOEXEC); if(fd<0)break; setsockopt(fd,IPPROTO_TCP,TCP_NODELAY,&one,sizeof one);
          Conn*x=calloc(1,sizeof*x); x->fd=fd; x->heap_i=-1; n_conn++; n_open++; struct epoll_event q={.events=EPOLLIN|EPOLLRDHUP,.data.ptr=x}; epoll_ctl(ep,EPOLL_CTL_ADD,fd,&q); } continue; }
      if(c->fd<0)continue;
      if(ev[i].events&(EPOLLHUP|EPOLLERR)){ kill_conn(c); continue; }
      if(ev[i].events&EPOLLOUT){ if(pump(c)<0)continue; if(c->state==0&&c->in_len)process(c); if(c->fd<0)continue; }
      if(ev[i].events&EPOLLIN){ on_read(c); if(c->fd<0)continue; }
      if(ev[i].events&EPOLLRDHUP) kill_conn(c);
    }
    now=now_ns(); int lim=4096;
    while(heap_n&&heap[0]->due<=now&&lim--){ Conn*c=heap[0]; hdel(c); tick(c,now); }
    for(int i=0;i<dead_n;i++) free(dead[i]);
    dead_n=0;
    if(t_end&&now>=t_end) return 0;
  }
}
