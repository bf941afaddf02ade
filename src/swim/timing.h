// Every time and number of memberlist's three profiles. Source: gossip-protocol facts 3.7; names are memberlist's.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace shoal::swim {

struct Timing {
  Duration tcp_timeout = 10s;  // A whole exchange over TCP.
  std::uint32_t indirect_checks = 3;
  std::uint32_t retransmit_mult = 4;
  std::uint32_t suspicion_mult = 4;
  std::uint32_t suspicion_max_mult = 6;
  Duration push_pull_interval = 30s;
  Duration probe_interval = 1s;
  Duration probe_timeout = 500ms;
  std::uint32_t awareness_max = 8;
  Duration gossip_interval = 200ms;
  std::uint32_t gossip_nodes = 3;
  Duration gossip_to_the_dead = 30s;
  Duration broadcast_timeout = 5s;      // serf's: the longest wait for a leave's broadcast.
  Duration leave_propagate_delay = 1s;  // serf's: pings are still answered for so long after a leave.
};

[[nodiscard]] constexpr Timing lan_timing() { return {}; }

[[nodiscard]] constexpr Timing wan_timing() {
  Timing t;
  t.tcp_timeout = 30s;
  t.suspicion_mult = 6;
  t.push_pull_interval = 60s;
  t.probe_interval = 5s;
  t.probe_timeout = 3s;
  t.gossip_interval = 500ms;
  t.gossip_nodes = 4;
  t.gossip_to_the_dead = 60s;
  return t;
}

[[nodiscard]] constexpr Timing local_timing() {
  Timing t;
  t.tcp_timeout = 1s;
  t.indirect_checks = 1;
  t.retransmit_mult = 2;
  t.suspicion_mult = 3;
  t.push_pull_interval = 15s;
  t.probe_timeout = 200ms;
  t.gossip_interval = 100ms;
  t.gossip_to_the_dead = 15s;
  return t;
}

}  // namespace shoal::swim
