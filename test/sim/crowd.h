// A large cluster that has met, for a while: some members crash, some come, some leave and some change their tags,
// while all others go on; and what that costs. 10,000 nodes are 1e8 records in each of two tables.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/time.h"

namespace shoal::test {

struct CrowdPlan {
  std::size_t nodes = 0;
  std::size_t crashes = 10, joins = 10, leaves = 10, changes = 10;
  /// Planted: so many stop answering and are not known to have crashed, so that the verdict about them is a false one.
  std::size_t frozen = 0;
  Duration rest = 20s;   // Before anything happens: what the meeting left in the queues is told meanwhile.
  Duration least = 60s;  // All in all, at least.
  Duration most = 300s;  // All views have to be right then.
  /// Of the checks of whole views, and of packets; the end looks at everything.
  std::size_t views_one_in = 1;
  std::uint32_t packets_one_in = 1;
};

/// What was seen; times are virtual seconds, of the last of its kind and the last viewer, since it happened.
struct Crowd {
  std::string wrong;  // Empty: all was as it must be.
  double failed = 0, joined = 0, left = 0, changed = 0;
  std::uint64_t false_failed = 0;  // Verdicts about members that never crashed.
  double virtual_seconds = 0;
  std::uint64_t datagrams = 0;
  std::uint64_t digest = 0;
};

/// `on_met` is called when all know each other, before time begins.
[[nodiscard]] Crowd crowd(
    const CrowdPlan& plan, std::uint64_t seed, const std::function<void()>& on_met = [] {});

}  // namespace shoal::test
