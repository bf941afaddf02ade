// The connects to places of servers that are asked to leave: at most so many at a time, the rest in a queue. What the
// answers mean is floor.h's.
#pragma once

#include <cstdint>

#include "base/containers.h"
#include "base/endpoint.h"
#include "base/time.h"
#include "sidecar/floor.h"
#include "sidecar/outbox.h"

namespace shoal::sidecar {

/// A server slot of one HAProxy's table.
struct ServerRef {
  std::uint32_t proxy = 0;
  std::uint32_t server = 0;
};

class Looks {
 public:
  static constexpr Duration kDeadline = 1s;            // The shell's, for one connect.
  static constexpr Duration kAnswerMargin = 1s;        // A result that is later than both counts as timed out.
  static constexpr std::uint32_t kIdBit = 0x80000000;  // Set in every id, and in none of the verifier's.

  explicit Looks(std::size_t servers_max);

  /// Nothing when the look is under way already. A full queue leaves it idle: it is wanted again with the next plan.
  void want(Look& look, ServerRef ref);

  /// A look that is to be started, or kNothing; the caller says whether it is still wanted, and where.
  [[nodiscard]] bool next(ServerRef& ref);
  void start(Instant now, Look& look, ServerRef ref, const Endpoint& place, FixedVector<Verify>& out);
  [[nodiscard]] bool has_room(const FixedVector<Verify>& out) const { return !tries_.full() && !out.full(); }

  /// Takes the try with this id from the list; false for an unknown one. Whether its server still waits for it is seen
  /// by `try_id`.
  [[nodiscard]] bool take(std::uint32_t id, ServerRef& ref);
  /// The id of a try that was never answered, 0 when there is none.
  [[nodiscard]] std::uint32_t overdue(Instant now) const;
  [[nodiscard]] Instant next_deadline() const;

 private:
  struct Try {
    std::uint32_t id = 0;
    ServerRef ref;
    Instant until;
  };
  Ring<ServerRef> queue_;
  FixedVector<Try> tries_{Outbox::kLooksMax};
  std::uint32_t last_id_ = 0;
};

}  // namespace shoal::sidecar
