// How the gossip layer's view of a member reaches this folder: as a plain word, so that nothing here needs serf's
// types.
#pragma once

#include <cstdint>

namespace shoal::announce {

/// Serf's `leaving` is told as kLeft: the member has said that it goes.
enum class MemberStatus : std::uint8_t {
  kAlive,
  kSuspect,  // Suspicion is not failure: counts as alive everywhere in this folder.
  kLeft,
  kFailed,  // Confirmed dead.
  kReaped,  // Forgotten by the gossip layer; so is what we knew of it.
};

[[nodiscard]] constexpr bool is_here(MemberStatus s) {
  return s == MemberStatus::kAlive || s == MemberStatus::kSuspect;
}

/// How a query gets to one node (gossip-protocol section 5.6). All but the last go to that node alone.
enum class Route : std::uint8_t {
  kDirectUdp,        // A serf query with the no-broadcast flag, as one datagram.
  kDirectTcp,        // The same as a TCP user message: for where UDP is blocked.
  kPushPullThenUdp,  // A push/pull first, which brings the query clocks together, then as kDirectUdp.
  kBroadcast,        // An ordinary query, filtered to the node: costs the whole cluster.
};

}  // namespace shoal::announce
