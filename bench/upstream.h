/* What the fake provider says, by shape: chat completions, responses, messages, anything else. */

static const char *const STREAM_HEAD =
  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
  "X-Request-Id: req_fake\r\nTransfer-Encoding: chunked\r\n\r\n";

/* Takes the serial number. */
static const char *const FIRST[] = {
  "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o\","
  "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",

  "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_%016lx\",\"object\":"
  "\"response\",\"status\":\"in_progress\",\"model\":\"gpt-4o\"}}\n\n",

  "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_%016lx\",\"type\":\"message\","
  "\"role\":\"assistant\",\"model\":\"claude\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":25,"
  "\"cache_read_input_tokens\":3,\"output_tokens\":1}}}\n\n"
  "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":"
  "\"text\",\"text\":\"\"}}\n\n",
};

/* Takes a stamp, and the filler with its length before it. */
static const char *const DELTA[] = {
  "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o\","
  "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s%.*s\"},\"finish_reason\":null}]}\n\n",

  "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"msg_1\","
  "\"output_index\":0,\"content_index\":0,\"delta\":\"%s%.*s\"}\n\n",

  "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\","
  "\"text\":\"%s%.*s\"}}\n\n",
};

/* Takes output tokens, all tokens, and the serial number twice. */
static const char *const LAST[] = {
  "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o\","
  "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
  "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o\","
  "\"choices\":[],\"usage\":{\"prompt_tokens\":25,\"completion_tokens\":%ld,\"total_tokens\":%ld,"
  "\"prompt_tokens_details\":{\"cached_tokens\":3}}}\n\n"
  "data: [DONE]\n\n",

  "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"object\":\"response\",\"status\":"
  "\"completed\",\"model\":\"gpt-4o\",\"usage\":{\"input_tokens\":25,\"input_tokens_details\":{\"cached_tokens\":3},"
  "\"output_tokens\":%ld,\"total_tokens\":%ld},\"id\":\"resp_%016lx\",\"output\":[{\"type\":\"message\",\"id\":"
  "\"msg_%016lx\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"ok\"}]}]}}\n\n",

  "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
  "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":"
  "null},\"usage\":{\"output_tokens\":%ld}}\n\n"
  "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
};

static const char *const WHOLE_HEAD =
  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %ld\r\nX-Request-Id: req_fake\r\n\r\n";

/* What stands before the text of an answer that isn't a stream; takes the serial number twice. */
static const char *const BEFORE[] = {
  "{\"id\":\"chatcmpl-%016lx\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"gpt-4o\",\"choices\":"
  "[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"",

  "{\"id\":\"resp_%016lx\",\"object\":\"response\",\"created_at\":1700000000,\"status\":\"completed\",\"model\":"
  "\"gpt-4o\",\"output\":[{\"type\":\"message\",\"id\":\"msg_%016lx\",\"role\":\"assistant\",\"status\":\"completed\","
  "\"content\":[{\"type\":\"output_text\",\"annotations\":[],\"text\":\"",

  "{\"id\":\"msg_%016lx\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude\",\"content\":[{\"type\":"
  "\"text\",\"text\":\"",

  "{\"seen\":\"%016lx",
};

static const char *const AFTER[] = {
  "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":25,\"completion_tokens\":50,\"total_tokens\":75,"
  "\"prompt_tokens_details\":{\"cached_tokens\":3}}}",

  "\"}]}],\"usage\":{\"input_tokens\":25,\"input_tokens_details\":{\"cached_tokens\":3},\"output_tokens\":50,"
  "\"total_tokens\":75}}",

  "\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":25,"
  "\"cache_read_input_tokens\":3,\"output_tokens\":50}}",

  "\"}",
};
