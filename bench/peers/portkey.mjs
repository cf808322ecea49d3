// Portkey 1.15 adds headers to the answer that fetch() gave it, which node 20 doesn't allow for streams: give it a copy.
const fetched = globalThis.fetch
globalThis.fetch = async (...asked) => {
  const answer = await fetched(...asked)
  const streams = answer.headers.get("content-type")?.startsWith("text/event-stream")
  return streams ? new Response(answer.body, answer) : answer
}
