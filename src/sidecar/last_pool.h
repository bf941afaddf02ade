// The last good pool as a file's text: which servers were wanted in rotation when it was written. A sidecar that starts
// together with its HAProxy serves from it until gossip has found the tasks again; from then on only gossip counts.
//
//   {"version": 1, "written_ms": 1700000000000, "servers": [{"node": "web-1", "pool": "web", "start_id": "5",
//     "addr": "10.0.0.7", "port": 8080, "weight": 100}]}
//
// Nothing in it is believed without a look: each place is connected to before HAProxy hears of it (haproxy.verify).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "announce/messages.h"
#include "base/endpoint.h"

namespace shoal::sidecar {

struct LastServer {
  announce::NodeName node;
  IpAddress addr;
  announce::Announcement word;  // Its state is kReady, its seq 0: any word of that start is newer.
};

struct LastPool {
  std::int64_t written_ms = 0;  // Unix time.
  std::vector<LastServer> servers;
};

[[nodiscard]] std::string to_json(const LastPool& pool);
/// Nothing when the text is no such file, or of a later version. Servers that cannot be (a bad address, an empty name)
/// and those over `servers_max` are left out.
[[nodiscard]] std::optional<LastPool> last_pool_from_json(std::string_view text, std::size_t servers_max);

}  // namespace shoal::sidecar
