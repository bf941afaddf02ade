// Wanted against observed, for one server: the next idempotent step. Pure, so that the whole table can be tested.
//
// Weight is the owner's mark. HAProxy shows the same row for an unfinished add, an operator's `disable` and our own
// maintenance, but for the weight: shoal adds with weight 0, enables, and sets the weight last; it takes out with
// weight 0 first and maintenance second. So weight 0 with admin bits is ours, to be continued; admin bits with a weight
// above 0 are an operator's, to be kept. Only a server that is to be deleted is taken whatever its mark.
#pragma once

#include <cstdint>

#include "base/endpoint.h"
#include "base/time.h"
#include "sidecar/desired_state.h"

namespace shoal::sidecar {

/// Before every `del server`, on every path: HAProxy 2.6 crashes when a server is deleted while streams that failed to
/// connect to it wait for their retry, which no counter shows. Their wait is `retries` seconds, 3 by default.
inline constexpr Duration kMaintenanceBeforeDelete = 10s;

/// A server's row as HAProxy last showed it, and what we have seen since.
struct Observed {
  bool present = false;
  Endpoint address;
  std::uint8_t op_state = 0;
  std::uint32_t admin = 0;
  std::uint32_t weight = 0;
  bool has_check = false;
  bool is_slot = false;                // It is not deleted but freed, and need not be quiet for that.
  Instant maintenance_since = kNever;  // First seen in maintenance without a break; kNever when not in it.
  bool drained = false;                // Seen without a request in flight since then.
  std::uint32_t delete_refusals = 0;   // "Server still has connections attached" since then.

  [[nodiscard]] bool in_maintenance() const { return present && (admin & haproxy::kAdminMaintBits) != 0; }
  [[nodiscard]] bool is_operators() const { return present && admin != 0 && weight > 0; }
  [[nodiscard]] bool in_rotation() const {
    return present && admin == 0 && weight > 0 && (op_state == 1 || op_state == 2);
  }
};

enum class Step : std::uint8_t {
  kNone,
  kAdd,        // add (weight 0), enable health, enable server, [health down,] weight.
  kBringUp,    // enable health, enable server, [health down,] weight.
  kSetWeight,  // weight.
  kTakeOut,    // weight 0, maintenance.
  kDrain,      // weight 0, drain.
  kDelete,     // Of a slot: it is free for another task.
  kPurgeIdle,  // drain, maintenance: on 2.6 a request that ended after the maintenance left its connection in the pool.
};

struct NextStep {
  Step step = Step::kNone;
  Instant not_before = kNever;  // With kNone: when to ask again although nothing changed.
};

[[nodiscard]] NextStep next_step(const Wanted& wanted, const Endpoint& place, const Observed& observed, Instant now);

}  // namespace shoal::sidecar
