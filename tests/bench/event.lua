-- Single events as the tracker sends them: 1,024 different ones, prepared before the clock runs.
-- Arguments after `--`: the Origin to send.

local names = { "signup", "purchase", "download", "search", "login", "share", "play", "scroll" }
local requests = {}
local at = 0

function init(arguments)
   math.randomseed(os.time())
   local headers = { ["Content-Type"] = "application/json", ["Origin"] = arguments[1] }
   for number = 1, 1024 do
      local session = string.format("%08x-%04x-4%03x-8%03x-%06x%06x",
         math.random(0, 0x7fffffff), math.random(0, 0xffff), math.random(0, 0xfff),
         math.random(0, 0xfff), math.random(0, 0xffffff), math.random(0, 0xffffff))
      local body = string.format(
         '{"n":"%s","p":{"plan":"pro","seats":%d,"from":"/pricing"},"r":null,"sid":"%s","tsrc":"hk.js","tv":""}',
         names[number % #names + 1], number % 50, session)
      requests[number] = wrk.format("POST", "/ingest/event", headers, body)
   end
end

function request()
   at = at % #requests + 1
   return requests[at]
end

function done(summary, latency, _)
   local errors = summary.errors
   io.write(string.format("RESULT requests=%d duration_us=%d p50_us=%d p99_us=%d max_us=%d failed=%d\n",
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
      errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
