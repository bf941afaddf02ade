-- Lets a request wait while its pool has no usable server: right after a reload or restart HAProxy has lost its dynamic
-- servers, and `shoal sidecar` needs 50 to 300 ms to put them back. Without this each request of that moment gets a 503.
--
--   global:   lua-load /etc/haproxy/hold.lua
--   backend:  http-request lua.shoal_hold if { nbsrv eq 0 } !{ stopping } { be_conn lt 1000 }
--
-- The condition belongs to HAProxy, so a pool with servers never comes here. It stands in the backend, so a page of the
-- frontend's own (monitor-uri, stats, a redirect) is never held.

local LONGEST_MS = 5000 -- Then the request goes on, to the 503 it would have got at once.

local function now_ms()
  local now = core.now()
  return now.sec * 1000 + now.usec // 1000
end

-- Once a process is being replaced its nbsrv is 0 whatever servers it has, and the requests on its kept connections
-- have to go on. `connslots` is 0 only where every server is down or in maintenance.
local function has_server(txn, pool)
  if txn.f:nbsrv(pool) > 0 then return true end
  local stopping = txn.f:stopping() -- 2.6 gives a number.
  return (stopping == true or stopping == 1) and txn.f:connslots(pool) ~= 0
end

local function hold(txn)
  local pool, begun = txn.f:be_name(), now_ms()
  local waited = 0
  while waited < LONGEST_MS and not has_server(txn, pool) do
    core.msleep(waited < 500 and 10 or 50) -- Looks often as long as a rebuild takes, then seldom.
    waited = now_ms() - begun
  end
end

core.register_action("shoal_hold", { "tcp-req", "http-req" }, hold)
